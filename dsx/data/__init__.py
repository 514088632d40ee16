"""Datasets, one file each."""

from dsx.data._base import Data, Dataset, Splits, open_data
from dsx.data._split import Normalisation, Split, TensorSplit

__all__ = ["Data", "Dataset", "Normalisation", "Split", "Splits", "TensorSplit", "open_data"]
