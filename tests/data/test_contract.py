"""The contract of every dataset in dsx/data: a new file is tested here because it exists."""

import inspect

import pytest
import torch

from dsx.data import Dataset, Split
from dsx.lookup import find, names

DATASETS = names(Dataset)


def parts(name: str) -> dict[str, Split]:
    """Load the splits of a dataset by name."""
    splits = find(Dataset, name).load()
    return {"train": splits.train, "validation": splits.validation, "test": splits.test}


@pytest.mark.parametrize("name", DATASETS)
def test_splits_are_what_the_record_says(name: str) -> None:
    dataset = find(Dataset, name)
    for split in parts(name).values():
        assert split.images.shape == (len(split), *dataset.image_shape)
        assert split.labels.shape == (len(split),)
        assert split.images.dtype == torch.float32
        assert split.labels.dtype == torch.int64
        assert split.images.isfinite().all()
        assert set(split.labels.tolist()) == set(range(dataset.classes))


@pytest.mark.parametrize("name", DATASETS)
def test_training_images_are_normalised(name: str) -> None:
    images = parts(name)["train"].images
    assert images.mean().abs() < 1e-3
    assert (images.std() - 1).abs() < 1e-3


@pytest.mark.parametrize("name", DATASETS)
def test_splits_are_the_same_every_time(name: str) -> None:
    before = parts(name)
    torch.manual_seed(7)
    load = find(Dataset, name).load
    again = inspect.unwrap(load)()  # past the cache
    for split, other in zip(before.values(), (again.train, again.validation, again.test),
                            strict=True):  # fmt: skip
        assert torch.equal(split.images, other.images)
        assert torch.equal(split.labels, other.labels)


@pytest.mark.parametrize("name", DATASETS)
def test_loading_leaves_random_numbers_alone(name: str) -> None:
    state = torch.get_rng_state()
    inspect.unwrap(find(Dataset, name).load)()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", DATASETS)
def test_each_file_names_its_source(name: str) -> None:
    module = inspect.getmodule(find(Dataset, name).load)
    assert module is not None
    assert "Source:" in (module.__doc__ or "")
