"""CIFAR-10 and CIFAR-100: the splits, and the arguments."""

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dsx.data import Normalisation, Splits, TensorSplit, open_data
from dsx.errors import DsxError
from tests.data.writers import write_cifar


@functools.cache
def archive(folder: Path, form: Any = "python") -> str:
    """Write 60 + 12 images, once."""
    return str(write_cifar(folder / form, 10, 60, 12, form))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cifar")


def load(folder: Path, **arguments: Any) -> Splits:
    return open_data("cifar10", {"root": archive(folder), "validation": 10} | arguments).splits


def rows(split: Any) -> list[bytes]:
    """Return each image and its label as bytes."""
    assert isinstance(split, TensorSplit)
    assert split.images.dtype == torch.uint8
    return [
        image.numpy().tobytes() + bytes([label])
        for image, label in zip(split.images, split.labels.tolist(), strict=True)
    ]


@given(st.integers(1, 59), st.integers(0, 2**32 - 1))
def test_validation_is_drawn_from_the_training_images(
    folder: Path, count: int, seed: int
) -> None:  # fmt: skip
    splits = load(folder, validation=count, split_seed=seed)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (60 - count, count, 12)
    everything = load(folder)
    assert rows(splits.test) == rows(everything.test)
    assert sorted(rows(splits.train) + rows(splits.validation)) == sorted(
        rows(everything.train) + rows(everything.validation)
    )


def test_the_draw_is_pinned(folder: Path) -> None:
    """Accuracies of other splits cannot be compared with those in users' databases."""
    splits = load(folder)
    order = np.random.RandomState(0).permutation(60)
    assert order[:10].tolist() == [26, 35, 59, 28, 11, 2, 34, 58, 40, 22]
    assert splits.validation.labels.tolist() == [n * 7 % 10 for n in order[:10]]
    assert load(folder, split_seed=1).validation.labels.tolist() == [
        n * 7 % 10 for n in np.random.RandomState(1).permutation(60)[:10]
    ]


def test_both_versions_give_the_same_splits(folder: Path) -> None:
    python, binary = load(folder), load(folder, root=archive(folder, "binary"))
    assert python.fingerprint == binary.fingerprint
    for one, other in zip(python.parts.values(), binary.parts.values(), strict=True):
        assert rows(one) == rows(other)


def test_the_training_split_alone_normalises(folder: Path) -> None:
    splits = load(folder)
    assert isinstance(splits.train, TensorSplit)
    for part in splits.parts.values():
        assert isinstance(part, TensorSplit)
        assert part.normalisation == Normalisation.of(splits.train.images)


def test_a_normalisation_can_be_given(folder: Path) -> None:
    test = load(folder, mean=[0.5, 0, 1], deviation=[0.5, 1, 1]).test
    assert isinstance(test, TensorSplit)
    ((images, _),) = test.batches(torch.arange(12), 12)
    expected = test.images.double() / 255
    expected[:, 0] = (expected[:, 0] - 0.5) / 0.5
    expected[:, 2] -= 1
    torch.testing.assert_close(images.double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"root": 7}, r"root: 7 \(allowed: a path\)"),
        ({"validation": 0}, r"validation: 0 \(allowed: an integer of at least 1\)"),
        ({"split_seed": -1}, r"split_seed: -1 \(allowed: an integer from 0 to 4294967295\)"),
        ({"mean": [0.5] * 3}, "deviation: missing, but mean is given"),
        ({"mean": [0.5], "deviation": [0.5]}, r"mean: \[0.5\] \(allowed: 3 numbers"),
    ],
)
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_wrong_arguments_are_refused_before_anything_is_read(
    name: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(DsxError, match=f"^{message}"):
        open_data(name, arguments)


def test_something_has_to_be_left_to_train_on(folder: Path) -> None:
    data = open_data("cifar10", {"root": archive(folder), "validation": 60})
    with pytest.raises(DsxError, match=r"^validation: 60 \(allowed: 1 to 59, since there are 60 t"):
        _ = data.splits


@pytest.mark.parametrize(("name", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_much_is_known_without_the_files(name: str, classes: int, tmp_path: Path) -> None:
    data = open_data(name, {"root": str(tmp_path)})
    assert (data.image_shape, data.classes) == ((3, 32, 32), classes)
    with pytest.raises(DsxError, match=f"^{tmp_path}: CIFAR-{classes} is missing .put cifar-"):
        _ = data.splits


@pytest.mark.parametrize("classes", [10, 100])
def test_the_default_root_is_data_where_dsx_is_called(
    classes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cifar(tmp_path / "data", classes, 20, 4, "binary", packed=False)
    monkeypatch.chdir(tmp_path)
    assert len(open_data(f"cifar{classes}", {"validation": 5}).splits.train) == 15


def test_the_pictures_of_the_writer_can_be_learnt(folder: Path) -> None:
    """The class whose mean training image is nearest is nearly always the right one."""
    splits = open_data("cifar10", {"root": archive(folder), "validation": 1}).splits
    assert isinstance(splits.train, TensorSplit) and isinstance(splits.test, TensorSplit)
    train, test = splits.train.images.double().flatten(1), splits.test.images.double().flatten(1)
    means = torch.stack([train[splits.train.labels == label].mean(0) for label in range(10)])
    found = torch.cdist(test, means).argmin(1)
    assert (found == splits.test.labels).double().mean() > 0.9


MEMORY = """
import json, pathlib
from dsx.data import open_data

def peak():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

data = open_data("cifar100", {{"root": {root!r}, "validation": 1000}})
before = peak()
sizes = [split.images.nbytes for split in data.splits.parts.values()]
print(json.dumps([peak() - before, sum(sizes)]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak memory is read as on Linux")
@pytest.mark.parametrize("form", ["python", "binary"])
def test_loading_takes_about_twice_the_memory_of_the_images(form: Any, tmp_path: Path) -> None:
    root = write_cifar(tmp_path, 100, 8000, 2000, form, packed=False)
    code = MEMORY.format(root=str(root))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )  # fmt: skip
    taken, size = json.loads(done.stdout)
    assert size == 10000 * 3072
    assert size < taken < 3 * size
