"""What a dataset is."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images and their classes.

    Args:
        images: (N, C, H, W) float32, normalised.
        labels: (N,) int64.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The three fixed parts of a dataset.

    Args:
        train: What the weights are trained on.
        validation: What accuracy is measured on during a search.
        test: What no search ever sees; only an export reads it.
    """

    train: Split
    validation: Split
    test: Split


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset, known before it is loaded.

    Args:
        load: Gives the splits, the same ones every time.
        image_shape: Channels, rows, columns.
        classes: Number of classes.
    """

    load: Callable[[], Splits]
    image_shape: tuple[int, int, int]
    classes: int
