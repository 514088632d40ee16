"""Benchmarks: how fast dsx is on this device. One file per benchmark."""

from dsx.bench._base import Bench, Page

__all__ = ["Bench", "Page"]
