"""Datasets, one file each."""

from dsx.data._base import Data, Dataset, Splits, open_data
from dsx.data._contents import Contents, counted_classes, named
from dsx.data._split import Normalisation, Split, TensorSplit

__all__ = [
    "Contents",
    "Data",
    "Dataset",
    "Normalisation",
    "Split",
    "Splits",
    "TensorSplit",
    "counted_classes",
    "named",
    "open_data",
]
