"""The digits: the assignment of images to splits is stable."""

import hashlib

import numpy as np
import torch
from sklearn.datasets import load_digits

from dsx.data import TensorSplit
from dsx.data.digits import load

SPLITS = {
    name: part
    for name in ("train", "validation", "test")
    if isinstance(part := getattr(load(), name), TensorSplit)
}


def raw(split: TensorSplit) -> list[bytes]:
    """Return the original pixel values from 0 to 16 of each image as bytes."""
    levels = torch.unique(torch.cat([part.images for part in SPLITS.values()]))
    assert len(levels) == 17
    return [bytes(row) for row in torch.searchsorted(levels, split.images).flatten(1).tolist()]


def test_split_sizes() -> None:
    sizes = {name: len(split) for name, split in SPLITS.items()}
    assert sizes == {"train": 1077, "validation": 360, "test": 360}


def test_splits_hold_each_digit_once() -> None:
    digits = load_digits()
    expected = sorted(
        (bytes(image.astype(np.uint8).flatten()), int(label))
        for image, label in zip(digits.images, digits.target, strict=True)
    )
    found = sorted(
        pair for split in SPLITS.values()
        for pair in zip(raw(split), split.labels.tolist(), strict=True)
    )  # fmt: skip
    assert found == expected


def test_splits_are_disjoint() -> None:
    digits = load_digits()
    images = [image.astype(np.uint8).tobytes() for image in digits.images]
    assert len(set(images)) == len(images)
    train, validation, test = (set(raw(split)) for split in SPLITS.values())
    assert not train & validation | train & test | validation & test


def test_labels_are_pinned() -> None:
    """Accuracies of other splits are not comparable with those in existing databases."""
    sums = {
        name: hashlib.sha256(bytes(split.labels.tolist())).hexdigest()[:16]
        for name, split in SPLITS.items()
    }
    assert sums == {
        "train": "fafa2f72ba324d4d",
        "validation": "a214a2255c61c545",
        "test": "4446639e9df96744",
    }


def test_the_normalisation_is_that_of_the_training_split() -> None:
    train = torch.tensor([list(image) for image in raw(SPLITS["train"])], dtype=torch.float64)
    mean, deviation = train.mean(), train.std()
    test = torch.tensor([list(image) for image in raw(SPLITS["test"])], dtype=torch.float64)
    expected = (test - mean) / deviation
    torch.testing.assert_close(
        SPLITS["test"].images.flatten(1).double(), expected, rtol=0, atol=1e-5
    )


def test_classes_are_balanced_in_each_split() -> None:
    for split in SPLITS.values():
        shares = torch.bincount(split.labels, minlength=10) / len(split)
        assert shares.min() > 0.06
        assert shares.max() < 0.14
