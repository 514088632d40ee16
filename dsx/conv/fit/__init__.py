"""Initialisation of weights, and projection of trained weights onto a spec."""
