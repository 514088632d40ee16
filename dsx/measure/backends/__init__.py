"""Backends: what runs a deployed network. One file per backend."""

from dsx.measure.backends._base import Backend, prepare

__all__ = ["Backend", "prepare"]
