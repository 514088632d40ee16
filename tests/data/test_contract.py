"""The contract of every dataset in dsx/data: a new file is tested here because it exists."""

import importlib
import inspect
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dsx.data import Data, Dataset, Split, open_data
from dsx.lookup import find, names
from tests.data.writers import write_cifar, write_folder, write_parquet

DATASETS = names(Dataset)


def _parquet(folder: Path) -> dict[str, Any]:
    write_parquet(folder / "data/train-00000-of-00002.parquet", [0, 1, 2, 3] * 5)
    write_parquet(folder / "data/train-00001-of-00002.parquet", [3, 2, 1, 0] * 5, seed=1)
    write_parquet(folder / "data/validation-00000-of-00001.parquet", [0, 1, 2, 3] * 4, seed=2)
    return {"root": str(folder), "size": 24, "classes": 4}


WRITERS: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    "cifar10": lambda folder: {
        "root": str(write_cifar(folder, 10, train=200, test=50)), "validation": 50,
    },
    "cifar100": lambda folder: {
        "root": str(write_cifar(folder, 100, train=600, test=200)), "validation": 200,
    },
    "folder": lambda folder: {"root": str(write_folder(folder)), "size": 24, "classes": 3},
    "parquet": _parquet,
}  # fmt: skip
"""Arguments, and the files they name, of what has no data of its own."""


@pytest.fixture(params=DATASETS)
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def arguments(name: str, tmp_path: Path) -> dict[str, Any]:
    return WRITERS[name](tmp_path) if name in WRITERS else {}


@pytest.fixture
def data(name: str, arguments: dict[str, Any]) -> Data:
    return open_data(name, arguments)


def images(split: Split, size: int = 64) -> torch.Tensor:
    """Give all images of a split as the network takes them."""
    return torch.cat([some for some, _ in split.batches(torch.arange(len(split)), size)])


def test_splits_are_what_is_known_before_they_are_loaded(data: Data) -> None:
    for split in data.splits.parts.values():
        found = images(split)
        assert found.shape == (len(split), *data.image_shape)
        assert found.dtype == torch.float32
        assert found.isfinite().all()
        assert split.labels.dtype == torch.int64
        assert split.labels.shape == (len(split),)
        assert set(split.labels.tolist()) <= set(range(data.classes))
    assert set(data.splits.train.labels.tolist()) == set(range(data.classes))


def test_contents_are_those_of_the_splits(data: Data) -> None:
    assert data.contents is not None
    contents = data.contents()
    assert len(contents.classes) == data.classes
    assert list(data.class_names) in ([], list(contents.classes))
    for name, split in data.splits.parts.items():
        counts = torch.bincount(split.labels, minlength=data.classes)
        assert contents.splits[name].images_per_class == counts.tolist()
        assert contents.splits[name].source


def test_training_images_are_normalised(data: Data) -> None:
    found = images(data.splits.train).double()
    assert found.mean().abs() < 1e-3
    deviation = (found - found.mean((0, 2, 3), keepdim=True)).square().mean((0, 2, 3)).sqrt()
    assert (deviation - 1).abs().max() < 1e-3


def test_batches_follow_the_order_that_is_asked_for(data: Data) -> None:
    split = data.splits.train
    everything, order = images(split), torch.randperm(len(split))[:23]
    batches = list(split.batches(order, 10))
    assert [len(some) for some, _ in batches] == [len(labels) for _, labels in batches] == [
        10, 10, 3
    ]  # fmt: skip
    assert torch.equal(torch.cat([some for some, _ in batches]), everything[order])
    assert torch.equal(torch.cat([labels for _, labels in batches]), split.labels[order])


def test_a_batch_can_be_changed_without_harm(data: Data) -> None:
    split = data.splits.train
    before = images(split)
    for some, labels in split.batches(torch.arange(len(split)), 16):
        some.zero_()
        labels.zero_()
    assert torch.equal(images(split), before)
    assert split.labels.any()


def test_splits_are_the_same_every_time(
    data: Data, name: str, arguments: dict[str, Any]
) -> None:  # fmt: skip
    first = data.splits
    torch.manual_seed(7)
    np.random.seed(7)
    again = unwrapped(open_data(name, arguments))
    assert first.fingerprint == again.fingerprint
    for split, other in zip(first.parts.values(), again.parts.values(), strict=True):
        assert split.fingerprint == other.fingerprint
        assert torch.equal(images(split), images(other))
        assert torch.equal(split.labels, other.labels)


def unwrapped(data: Data) -> Any:
    """Load splits, past any cache."""
    return inspect.unwrap(data.load)()


def test_splits_have_no_image_in_common(data: Data) -> None:
    texts = [
        {image.numpy().tobytes() for image in images(split)}
        for split in data.splits.parts.values()
    ]  # fmt: skip
    assert len(set.union(*texts)) == sum(map(len, texts)) == sum(
        len(split) for split in data.splits.parts.values()
    )  # fmt: skip


def test_fingerprints_are_short_and_differ(data: Data) -> None:
    prints = [split.fingerprint for split in data.splits.parts.values()]
    assert len({*prints, data.splits.fingerprint}) == 4
    for text in (*prints, data.splits.fingerprint):
        assert len(text) == 12
        int(text, 16)


def test_loading_leaves_random_numbers_alone(name: str, arguments: dict[str, Any]) -> None:
    torch_state, python_state = torch.get_rng_state(), random.getstate()
    numpy_state = np.random.get_state(legacy=False)
    splits = unwrapped(open_data(name, arguments))
    next(splits.train.batches(torch.arange(9), 3))
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert random.getstate() == python_state
    assert repr(np.random.get_state(legacy=False)) == repr(numpy_state)


OPEN = """
import sys
from dsx.data import open_data
data = open_data({name!r}, {arguments!r})
assert len(data.image_shape) == 3 and data.classes > 1
heavy = sorted({{"PIL", "pyarrow", "sklearn", "pandas", "matplotlib"}} & sys.modules.keys())
assert not heavy, heavy
"""


def test_opening_reads_no_files_and_imports_little(name: str, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {}
    if name in WRITERS:
        arguments = WRITERS[name](tmp_path) | {"root": str(tmp_path / "not there")}
    command = [sys.executable, "-c", OPEN.format(name=name, arguments=arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_each_file_names_its_source(name: str) -> None:
    module = importlib.import_module(f"dsx.data.{name}")
    assert "Source:" in (module.__doc__ or "")


def test_each_argument_is_documented(name: str) -> None:
    opens = find(Dataset, name).open
    for parameter in inspect.signature(opens).parameters:
        assert f"    {parameter}: " in (inspect.getdoc(opens) or "")
