"""Trained weights and checkpoints: files that are recorded in the database."""

from dsx.store.weights.weights import Weights, training_id

__all__ = ["Weights", "training_id"]
