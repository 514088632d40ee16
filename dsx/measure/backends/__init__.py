"""Backends that run deployed networks, one file for each."""

from dsx.measure.backends._base import Backend
from dsx.measure.backends._check import unsupported, versions
from dsx.measure.backends._prepare import prepare, runner

__all__ = ["Backend", "prepare", "runner", "unsupported", "versions"]
