"""Initial weights, and the projection of trained weights onto a spec."""
