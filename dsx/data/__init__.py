"""Datasets, one file each."""

from dsx.data._base import Data, Dataset, Normalisation, Split, Splits, TensorSplit, open_data

__all__ = ["Data", "Dataset", "Normalisation", "Split", "Splits", "TensorSplit", "open_data"]
