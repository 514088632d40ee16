"""Datasets, one file each."""

from dsx.data._base import Dataset, Split, Splits

__all__ = ["Dataset", "Split", "Splits"]
