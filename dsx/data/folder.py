"""Folder: pictures of any format, one folder per class.

Source: the layout of J. Deng et al., ImageNet: A Large-Scale Hierarchical Image Database, CVPR
(2009), as torchvision's ImageFolder reads it; the square of 7/8 of the shorter side is that of
A. Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks, NIPS (2012).
"""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dsx.data import _stream
from dsx.data._arguments import path, whole
from dsx.data._base import Data, Dataset, Splits
from dsx.data._folder_files import class_names, part_folders, pictures
from dsx.data._folder_split import read_split
from dsx.data._parts import Shares, divide
from dsx.data._pictures import Handling
from dsx.errors import DsxError


def open_folder(
    root: str,
    size: int = 224,
    channels: int = 3,
    classes: int | None = None,
    split: str | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    split_seed: int = 0,
    memory: float = 2,
    workers: int = 2,
    mean: Sequence[float] | None = None,
    deviation: Sequence[float] | None = None,
) -> Data:
    """Know the pictures of a folder.

    The classes are the folders in `root`, in alphabetical order, each with pictures at any depth.
    Or `root` holds `train`, and `val` (or `valid`, `validation`) or `test` or both, with the same
    folders in each: without `test`, half of the validation pictures are for test; without `val`,
    a share of the training pictures is for validation.

    Args:
        root: The folder.
        size: Rows and columns of what the network takes.
        channels: 3 for RGB, to which grey pictures are converted; 1 for grey.
        classes: How many there are; the folder is then not looked at before it is loaded.
        split: A CSV file with lines `class/picture.jpg,train` (or `validation`, or `test`), the
            paths as they are in `root`; pictures that it does not name are left out.
        validation: Share of each class, where it is drawn.
        test: Share of each class, where it is drawn.
        split_seed: Of what is drawn.
        memory: GiB that the decoded pictures may take in memory; more are decoded anew, each
            time they are needed.
        workers: Threads that decode.
        mean: Of each channel, in units from 0 to 1, as pretrained weights want it; else that of
            up to 2,000 of the training pictures.
        deviation: Of each channel, likewise.

    Returns:
        The data.

    Raises:
        DsxError: If an argument is not allowed, or the classes cannot be counted.
    """
    folder = path("root", root)
    handling = Handling.of(size, channels, memory, workers, mean, deviation)
    shares = Shares(validation=validation, test=test, seed=split_seed)
    file = None if split is None else path("split", split)
    if classes is None:
        classes = len(class_names(part_folders(folder).get("train", folder)))
    return Data(
        load=functools.partial(
            _load, folder, whole("classes", classes, 1), file, handling, shares
        ),
        image_shape=handling.decoder.shape,
        classes=classes,
    )  # fmt: skip


def _load(
    root: Path, classes: int, split: Path | None, handling: Handling, shares: Shares
) -> Splits:
    found = pictures(root)
    if len(found.names) != classes:
        raise DsxError(f"{root}: has {len(found.names)} classes (classes: {classes} are stated)")
    labels = np.array(found.labels, dtype=np.int64)
    if split is not None:
        parts = read_split(split, root, found)
    else:
        parts = divide(found.parts, labels, found.names, shares)
    if not handling.fits(sum(map(len, parts.values()))):
        _stream.check(
            [found.places[number] for part in parts.values() for number in part],
            handling.decoder,
            handling.workers,
        )
    return handling.splits(found.places, labels, parts)


DATASET = Dataset(open=open_folder)
