"""Splits in memory: their validation, batches, normalisation and fingerprint."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dsx.data import Normalisation, TensorSplit
from dsx.errors import DsxError

PIXELS = torch.randint(0, 256, (5, 2, 3, 4), generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 1, 0])
HALF = Normalisation(mean=[127.5, 100], deviation=[50, 20])


def split(**changes: Any) -> TensorSplit:
    """Build a split of five images with some changes."""
    content: dict[str, Any] = {
        "images": PIXELS.to(torch.uint8),
        "labels": LABELS,
        "normalisation": HALF,
    }
    return TensorSplit(**(content | changes))


def test_pixels_are_normalised_in_batches() -> None:
    ((images, labels),) = split().batches(torch.tensor([4, 0]), 2)
    mean, deviation = torch.tensor([127.5, 100])[:, None, None], torch.tensor([50.0, 20])
    assert torch.equal(images, (PIXELS[[4, 0]] - mean) / deviation[:, None, None])
    assert images.dtype == torch.float32
    assert labels.tolist() == [0, 0]


def test_images_without_normalisation_are_unchanged() -> None:
    images = torch.randn(5, 1, 2, 2)
    ((found, _),) = split(images=images, normalisation=None).batches(torch.arange(5), 5)
    assert torch.equal(found, images)


def test_a_normalisation_does_not_modify_its_argument() -> None:
    images = torch.ones(1, 2, 3, 3)
    HALF(images)
    assert (images == 1).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_floats_become_float32(dtype: torch.dtype) -> None:
    images = torch.ones(5, 2, 3, 4, dtype=dtype)
    ((found, _),) = split(images=images, normalisation=None).batches(torch.arange(5), 5)
    assert found.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32, torch.uint16, torch.int64])
def test_integer_labels_become_int64(dtype: torch.dtype) -> None:
    found = split(labels=LABELS.to(dtype)).labels
    assert found.dtype == torch.int64
    assert torch.equal(found, LABELS)


def test_images_are_copied_to_a_device_once() -> None:
    part = split()
    for _ in range(2):
        for images, labels in part.batches(torch.arange(5), 2, "meta"):
            assert images.device.type == labels.device.type == "meta"
    assert part._at("meta")[0] is part._at("meta")[0]


@pytest.mark.parametrize(
    "change",
    [
        {"images": PIXELS.to(torch.uint8).flip(0)},
        {"images": PIXELS.to(torch.uint8).view(5, 2, 4, 3)},
        {"labels": LABELS.flip(0) + 1},
        {"normalisation": Normalisation(mean=[127.5, 100], deviation=[50, 21])},
    ],
)
def test_the_fingerprint_depends_on_the_whole_content(change: dict[str, Any]) -> None:
    assert split().fingerprint == split().fingerprint
    assert split(**change).fingerprint != split().fingerprint


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"images": np.ones((5, 2, 3, 4))}, r"images: a ndarray \(allowed: .*torch.from_numpy"),
    ({"images": torch.ones(5, 3, 4)}, r"images: 5 x 3 x 4 \(allowed: images x channels x rows"),
    ({"images": torch.tensor(1.0)}, r"images: a single number \(allowed"),
    ({"images": torch.ones(5, 2, 0, 4)}, r"images: 5 x 2 x 0 x 4 \(allowed"),
    ({"images": PIXELS}, r"images: int64 \(allowed: a floating-point type, or uint8\)"),
    ({"images": PIXELS > 9}, r"images: bool \(allowed: a floating-point type, or uint8\)"),
    ({"normalisation": None}, r"images: uint8 pixels require a normalisation \(Normalisation.of"),
    ({"images": torch.full((5, 2, 3, 4), torch.nan)}, "images: some pixels are NaN"),
    ({"images": torch.ones(5, 3, 3, 4)}, "normalisation: 2 channels .allowed: 3,"),
    (
        {"labels": [0, 1, 2, 1, 0]},
        r"labels: a list \(allowed: a torch.Tensor, as from torch.tensor",
    ),
    ({"labels": LABELS.float()}, r"labels: float32 \(allowed: an integer type\)"),
    ({"labels": LABELS > 1}, r"labels: bool \(allowed: an integer type\)"),
    ({"labels": LABELS[:, None]}, r"labels: 2 dimensions \(allowed: one number per image\)"),
    ({"labels": LABELS[:4]}, "5 images, but 4 labels$"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_invalid_splits_are_rejected(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DsxError, match=f"^{message}"):
        split(**change)


@pytest.mark.parametrize(
    ("mean", "deviation", "message"),
    [
        ([1, 2], [1], r"2 means and 1 deviations \(allowed: one of each per channel\)"),
        ([], [], "0 means and 0 deviations"),
        ([1], [0], r"mean \[1.0\], deviation \[0.0\] \(allowed: finite numbers, deviations above"),
        ([float("nan")], [1], r"mean \[nan\]"),
        ([1], [float("inf")], r"mean \[1.0\], deviation \[inf\]"),
    ],
)
def test_invalid_normalisations_are_rejected(mean: Any, deviation: Any, message: str) -> None:
    with pytest.raises(DsxError, match=f"^normalisation: {message}"):
        Normalisation(mean=mean, deviation=deviation)


@given(st.integers(1, 70), st.integers(1, 3), st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_the_normalisation_of_pixels_is_exact(n: int, c: int, side: int, seed: int) -> None:
    pixels = torch.from_numpy(
        np.random.RandomState(seed).randint(0, 256, (n, c, side, 3)).astype(np.uint8)
    )
    found = Normalisation.of(pixels)
    table = pixels.double().transpose(0, 1).flatten(1)
    deviation = table.std(1, correction=0)
    expected = torch.where(deviation == 0, 1.0, deviation)
    torch.testing.assert_close(torch.tensor(found.mean).double(), table.mean(1), rtol=1e-6, atol=0)
    torch.testing.assert_close(
        torch.tensor(found.deviation).double(), expected, rtol=1e-6, atol=1e-9
    )


def test_a_constant_channel_is_only_shifted() -> None:
    pixels = torch.full((3, 1, 2, 2), 255, dtype=torch.uint8)
    images: Tensor = Normalisation.of(pixels)(pixels)
    assert not images.any()
