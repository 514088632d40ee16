"""CIFAR-100: 100 classes, 600 small colour photos each, 50,000 to train on and 10,000 for test.

Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, University of Toronto
(2009), https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from collections.abc import Sequence

from dsx.data._base import Data, Dataset
from dsx.data._cifar import open_cifar
from dsx.data._cifar_files import CIFAR100


def open_cifar100(
    root: str = "data",
    validation: int = 5000,
    split_seed: int = 0,
    mean: Sequence[float] | None = None,
    deviation: Sequence[float] | None = None,
) -> Data:
    """Open CIFAR-100. The labels are the 100 fine ones.

    Args:
        root: The published archive (python or binary version), the unpacked folder, or a folder
            that holds either.
        validation: Images that are drawn from the training images, at random but always alike.
        split_seed: Random seed of the draw.
        mean: Mean of each channel, in units from 0 to 1, as pretrained weights want it; by default
            that of the training images.
        deviation: Standard deviation of each channel, likewise.

    Returns:
        The data.

    Raises:
        DsxError: If an argument is not allowed.
    """
    return open_cifar(CIFAR100, root, validation, split_seed, mean, deviation)


DATASET = Dataset(open=open_cifar100)
