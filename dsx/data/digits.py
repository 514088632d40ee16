"""Digits: 1,797 handwritten digits of 8 x 8 pixels, bundled with scikit-learn.

Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
Repository (1998), the part that scikit-learn bundles.
"""

import functools

import numpy as np
import torch

from dsx.data._base import Data, Dataset, Splits, describe_splits
from dsx.data._contents import number_classes
from dsx.data._split import TensorSplit
from dsx.data._splits import PARTS

VALIDATION = TEST = 360


@functools.cache
def load() -> Splits:
    """Load the digits and divide them into 1,077 / 360 / 360 images with a fixed seed.

    Returns:
        The splits; pixels have mean 0 and standard deviation 1 over the training split.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    # Unlike newer generators, RandomState is stable across releases of numpy.
    order = np.random.RandomState(0).permutation(len(digits.target))
    images = torch.from_numpy(digits.images[order]).float()[:, None]
    labels = torch.from_numpy(digits.target[order]).long()
    test, validation, train = (
        slice(0, TEST),
        slice(TEST, TEST + VALIDATION),
        slice(TEST + VALIDATION, None),
    )
    deviation, mean = torch.std_mean(images[train])
    images = (images - mean) / deviation
    return Splits(
        train=TensorSplit(images=images[train], labels=labels[train]),
        validation=TensorSplit(images=images[validation], labels=labels[validation]),
        test=TensorSplit(images=images[test], labels=labels[test]),
    )


def open_digits() -> Data:
    """Open the digits.

    Returns:
        The data.
    """
    names = number_classes(10)
    sources = dict.fromkeys(PARTS, "sampled at random with a fixed seed")

    return Data(
        load=load,
        image_shape=(1, 8, 8),
        classes=10,
        class_names=names,
        contents=lambda: describe_splits(load(), names, sources),
    )


DATASET = Dataset(open=open_digits)
