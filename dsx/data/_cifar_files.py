"""Reading of the published files of CIFAR-10 and CIFAR-100: archives or folders, pickled or binary.

Source: the section "Dataset layout" of https://www.cs.toronto.edu/~kriz/cifar.html.
"""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from dsx.data._safe_pickle import read_arrays
from dsx.errors import DataMissing, DsxError, raise_out_of_memory

PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
IMAGE_SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32

Batch = tuple[Tensor, Tensor]
"""Pixels (N, 3, 32, 32) uint8, and labels (N,) int64."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One of the two datasets.

    Args:
        name: Published name.
        stem: Common prefix of the names of its folders and archives.
        folders: Suffixes of the folder names of the pickled and the binary version.
        train: Names of the batches of training images.
        test: Name of the batch of test images.
        label: Key of the labels in a pickled batch.
        label_bytes: Number of bytes before an image in a binary batch; the last of them is its
            label.
        class_names: Names of the classes, as published.
    """

    name: str
    stem: str
    folders: tuple[str, str]
    train: tuple[str, ...]
    test: str
    label: str
    label_bytes: int
    class_names: tuple[str, ...]

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def batches(self) -> tuple[str, ...]:
        """Names of all batches."""
        return (*self.train, self.test)

    @property
    def places(self) -> list[str]:
        """Names of the unpacked folders and of the archives."""
        archives = [f"{self.stem}-python.tar.gz", f"{self.stem}-binary.tar.gz"]
        return [f"{self.stem}-{end}" for end in self.folders] + archives


_CIFAR100_NAMES = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
    butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch
    crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo
    keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain
    mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain
    plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
    skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone
    television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""

CIFAR10 = Kind(
    name="CIFAR-10",
    stem="cifar-10",
    folders=("batches-py", "batches-bin"),
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test="test_batch",
    label="labels",
    label_bytes=1,
    class_names=(
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    ),
)  # fmt: skip
CIFAR100 = Kind(
    name="CIFAR-100",
    stem="cifar-100",
    folders=("python", "binary"),
    train=("train",),
    test="test",
    label="fine_labels",
    label_bytes=2,
    class_names=tuple(_CIFAR100_NAMES.split()),
)


def read_batches(kind: Kind, root: Path) -> tuple[Batch, Batch]:
    """Read the published training and test images in their published order.

    Args:
        kind: Dataset to be read.
        root: Archive, unpacked folder, or a folder that contains one of them.

    Returns:
        Training images and test images.

    Raises:
        DsxError: If a file is missing or damaged; names it.
    """
    found: dict[str, Batch] = {}
    others: list[str] = []
    with _errors_of(root, kind):
        place = _place(kind, root)
    if place.is_file() and not place.stat().st_size:
        raise DsxError(f"{place}: is empty (0 bytes)")
    with _errors_of(place, kind):
        for name, stream in (_packed if place.is_file() else _unpacked)(place):
            stem = name.removesuffix(".bin")
            if stem not in kind.batches:
                others.append(stem)
                continue
            if stem in found:
                raise DsxError(f"{place}: contains the batch {stem} twice")
            with _errors_of(place / name, kind):
                found[stem] = (_pickled if stem == name else _binary)(kind, stream)
    if missing := [name for name in kind.batches if name not in found]:
        for other in (CIFAR10, CIFAR100):
            if set(other.batches) <= set(others):
                raise DsxError(f"{place}: is {other.name}, not {kind.name}")
        raise DsxError(f"{place}: {', '.join(missing)} of {kind.name} is missing (from {PAGE})")
    pixels, labels = zip(*(found.pop(name) for name in kind.train), strict=True)
    return (torch.cat(pixels), torch.cat(labels)), found[kind.test]


def _place(kind: Kind, root: Path) -> Path:
    """Find the archive, or the folder that contains the batches."""
    if root.is_file():
        return root
    for name in kind.places:
        if (root / name).exists():
            return root / name
    # A folder of the other dataset is accepted here, since reading it causes a clearer error.
    if any(_has_batches(root, each) for each in (CIFAR10, CIFAR100)):
        return root
    raise DataMissing(
        f"{root}: {kind.name} is missing (put {' or '.join(kind.places)} there, from {PAGE})"
    )


def _has_batches(folder: Path, kind: Kind) -> bool:
    return any((folder / f"{name}{end}").is_file() for name in kind.batches for end in ("", ".bin"))


def _unpacked(folder: Path) -> Iterator[tuple[str, IO[bytes]]]:
    for file in sorted(folder.iterdir()):
        if file.is_file():
            with file.open("rb") as stream:
                yield file.name, stream


def _packed(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Iterate over the files in an archive sequentially, without extracting them to disk."""
    with tarfile.open(archive) as packed:
        for member in packed:
            stream = packed.extractfile(member) if member.isreg() else None
            if stream is not None:
                yield PurePosixPath(member.name).name, stream


def _pickled(kind: Kind, stream: IO[bytes]) -> Batch:
    content = read_arrays(stream)
    if not isinstance(content, dict):
        raise ValueError("it does not contain a dict")
    entries = {key.decode() if isinstance(key, bytes) else key: content[key] for key in content}
    for key in ("data", kind.label):
        if key not in entries:
            raise ValueError(f"it has no '{key}'")
    pixels, labels = entries["data"], np.asarray(entries[kind.label])
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2:
        raise ValueError("its data are not a two-dimensional array of bytes")
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError("its labels are not a list of integers")
    return _checked(kind, pixels, labels)


def _binary(kind: Kind, stream: IO[bytes]) -> Batch:
    data, record = stream.read(), kind.label_bytes + PIXELS
    if len(data) % record:
        raise ValueError(f"it has {len(data)} bytes (allowed: a multiple of {record})")
    table = np.frombuffer(data, dtype=np.uint8).reshape(-1, record)
    return _checked(kind, table[:, kind.label_bytes :].copy(), table[:, kind.label_bytes - 1])


def _checked(kind: Kind, pixels: Any, labels: Any) -> Batch:
    if not len(pixels):
        raise ValueError("it has no images")
    if pixels.shape[1] != PIXELS:
        raise ValueError(f"its images have {pixels.shape[1]} bytes (allowed: {PIXELS})")
    if len(labels) != len(pixels):
        raise ValueError(f"it has {len(pixels)} images, but {len(labels)} labels")
    for label in (labels.min(), labels.max()):
        if not 0 <= label < kind.classes:
            raise ValueError(f"it has the label {label} (allowed: 0 to {kind.classes - 1})")
    images = torch.from_numpy(np.ascontiguousarray(pixels)).view(-1, *IMAGE_SHAPE)
    return images, torch.from_numpy(labels.astype(np.int64))


@contextmanager
def _errors_of(place: Path, kind: Kind) -> Iterator[None]:
    """Convert exceptions into errors that name the file, since damaged files raise many kinds."""
    try:
        yield
    except DsxError:
        raise
    except Exception as error:
        raise_out_of_memory(error)
        if isinstance(error, OSError) and error.strerror:
            raise DsxError(f"{place}: cannot be read: {error.strerror}") from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DsxError(f"{place}: is damaged, or not of {kind.name}: {reason}") from error
