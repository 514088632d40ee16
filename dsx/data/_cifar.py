"""The common part of CIFAR-10 and CIFAR-100."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dsx.data._arguments import check_integer, check_path, parse_normalisation
from dsx.data._base import Data, Dataset, Splits, describe_splits
from dsx.data._cifar_files import IMAGE_SHAPE, Kind, read_batches
from dsx.data._split import Normalisation, TensorSplit
from dsx.errors import DsxError


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    root: Path
    validation: int
    split_seed: int
    normalisation: Normalisation | None


def cifar(kind: Kind) -> Dataset:
    """Return CIFAR-10 or CIFAR-100 as a dataset.

    Args:
        kind: Files and classes of one of the two.

    Returns:
        The dataset.
    """

    def open_cifar(
        root: str = "data",
        validation: int = 5000,
        split_seed: int = 0,
        mean: Sequence[float] | None = None,
        deviation: Sequence[float] | None = None,
    ) -> Data:
        """Open the dataset without reading its files.

        Args:
            root: Path of the published archive (python or binary version), of the unpacked folder,
                or of a folder that contains one of them.
            validation: Number of images sampled from the training images.
            split_seed: Random seed of the sampling.
            mean: Mean of each channel in units from 0 to 1, as for pretrained weights; by default
                that of the training images.
            deviation: Standard deviation of each channel in the same units.

        Returns:
            The data.

        Raises:
            DsxError: If an argument is not allowed.
        """
        arguments = _Arguments(
            root=check_path("root", root),
            validation=check_integer("validation", validation, 1),
            split_seed=check_integer("split_seed", split_seed, 0, 2**32 - 1),
            normalisation=parse_normalisation(mean, deviation, IMAGE_SHAPE[0]),
        )
        load = functools.partial(_load, kind, arguments)
        return Data(
            load=load,
            image_shape=IMAGE_SHAPE,
            classes=kind.classes,
            class_names=kind.class_names,
            contents=lambda: describe_splits(load(), kind.class_names, _SOURCES),
        )

    return Dataset(open=open_cifar)


_SOURCES = {
    "train": "the rest of the published training images",
    "validation": "sampled from the published training images",
    "test": "the published test images",
}


def _load(kind: Kind, arguments: _Arguments) -> Splits:
    (pixels, labels), test = read_batches(kind, arguments.root)
    if arguments.validation >= len(labels):
        raise DsxError(
            f"validation: {arguments.validation} (allowed: 1 to {len(labels) - 1}, since there "
            f"are {len(labels)} training images)"
        )
    # Unlike newer generators, RandomState is stable across releases of numpy.
    order = torch.from_numpy(np.random.RandomState(arguments.split_seed).permutation(len(labels)))
    validation, train = order[: arguments.validation], order[arguments.validation :]
    pixels_in = pixels[train]
    normalisation = arguments.normalisation or Normalisation.of(pixels_in)

    def split(images: Tensor, classes: Tensor) -> TensorSplit:
        return TensorSplit(images=images, labels=classes, normalisation=normalisation)

    return Splits(
        train=split(pixels_in, labels[train]),
        validation=split(pixels[validation], labels[validation]),
        test=split(*test),
    )
