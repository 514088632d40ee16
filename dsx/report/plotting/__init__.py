"""Plotting: axes and labels."""
