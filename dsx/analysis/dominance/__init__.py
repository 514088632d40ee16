"""Dominance of designs: fronts, and membership of them under uncertainty."""
