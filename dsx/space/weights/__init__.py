"""Trained weights from files, loaded without running code from them."""

from dsx.space.weights.state import ENCODED, restore, state_of

__all__ = ["ENCODED", "restore", "state_of"]
