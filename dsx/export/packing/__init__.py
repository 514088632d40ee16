"""Stored tensors of an export, and the code that unpacks them."""
