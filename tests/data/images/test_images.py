"""Images in memory and images decoded from disk give the same batches."""

from typing import Any

import numpy as np
import pytest
import torch

from dsx.data import Normalisation, Splits, TensorSplit
from dsx.data.images import images as module
from dsx.data.images.images import ImageLoader, sample_indices
from dsx.data.images.stream import StreamSplit
from dsx.errors import DsxError
from tests.data.images.test_decode import Bytes
from tests.data.images.test_deep import png16
from tests.data.writers import pictures, png

LABELS = np.arange(60) % 3
PIXELS = pictures(LABELS.tolist(), 16)
PLACES = [Bytes(png(pixels), str(number)) for number, pixels in enumerate(PIXELS)]
PARTS = {"train": np.arange(40), "validation": np.arange(40, 52), "test": np.arange(52, 60)}
ARGUMENTS: dict[str, Any] = {
    "size": 16, "channels": 3, "memory": 2, "workers": 2, "mean": None, "deviation": None,
}  # fmt: skip


def loader(**changes: Any) -> ImageLoader:
    return ImageLoader.of(**(ARGUMENTS | changes))


def splits(**changes: Any) -> Splits:
    return loader(**changes).splits(PLACES, LABELS, PARTS)


@pytest.mark.parametrize(
    "changes", [{}, {"size": 12, "channels": 1}, {"mean": [0.5] * 3, "deviation": [0.2] * 3}]
)
def test_memory_and_disk_give_the_same_bytes(changes: dict[str, Any]) -> None:
    memory, disk = splits(**changes), splits(memory=0, **changes)
    for one, other in zip(memory.parts.values(), disk.parts.values(), strict=True):
        assert isinstance(one, TensorSplit) and isinstance(other, StreamSplit)
        assert one.images.dtype == torch.uint8
        assert one.normalisation == other.normalisation
        order = torch.randperm(len(one))
        for mine, theirs in zip(one.batches(order, 5), other.batches(order, 5), strict=True):
            assert torch.equal(mine[0], theirs[0])
            assert torch.equal(mine[1], theirs[1])


def test_images_and_labels_match() -> None:
    found = splits()
    for part, numbers in PARTS.items():
        split = found.parts[part]
        assert isinstance(split, TensorSplit)
        assert torch.equal(split.images, torch.from_numpy(PIXELS[numbers]))
        assert split.labels.tolist() == LABELS[numbers].tolist()


def test_images_that_fit_are_loaded_into_memory() -> None:
    whole = 60 * 3 * 16 * 16
    assert loader(memory=whole / 2**30).fits(PARTS)
    assert not loader(memory=(whole - 1) / 2**30).fits(PARTS)
    assert isinstance(splits(memory=whole / 2**30).train, TensorSplit)
    assert isinstance(splits(memory=(whole - 1) / 2**30).train, StreamSplit)


def test_the_normalisation_is_that_of_the_training_images() -> None:
    expected = Normalisation.of(torch.from_numpy(PIXELS[:40]))
    for memory in (0, 2):
        for part in splits(memory=memory).parts.values():
            assert isinstance(part, TensorSplit | StreamSplit)
            assert part.normalisation == expected


def test_the_normalisation_of_many_images_is_that_of_a_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SAMPLE", 7)
    chosen = sample_indices(40)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == 7
    expected = Normalisation.of(torch.from_numpy(PIXELS[chosen]))
    for memory in (0, 2):
        train = splits(memory=memory).train
        assert isinstance(train, TensorSplit | StreamSplit)
        assert train.normalisation == expected


def test_a_given_normalisation_is_used() -> None:
    found = splits(mean=[0.5, 0.4, 0.3], deviation=[0.3, 0.2, 0.1]).test
    assert isinstance(found, TensorSplit) and found.normalisation is not None
    assert found.normalisation.mean == pytest.approx((127.5, 102, 76.5))
    assert found.normalisation.deviation == pytest.approx((76.5, 51, 25.5))


@pytest.mark.parametrize("memory", [0, 2])
def test_broken_images_are_named(memory: float) -> None:
    places = [*PLACES[:5], Bytes(b"?"), *PLACES[6:]]
    with pytest.raises(DsxError, match=r"^cat/1.jpg: cannot be decoded: a format that Pillow"):
        loader(memory=memory).splits(places, LABELS, PARTS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 0}, r"size: 0 \(allowed: an integer of at least 1\)"),
        ({"channels": 2}, r"channels: 2 \(allowed: 1 for grey, 3 for colour\)"),
        ({"channels": True}, r"channels: True \(allowed: 1 for grey, 3 for colour\)"),
        ({"memory": -1}, r"memory: -1 \(allowed: a number of at least 0\)"),
        ({"workers": 0}, r"workers: 0 \(allowed: an integer of at least 1\)"),
        ({"channels": 1, "mean": [0.5] * 3, "deviation": [0.5] * 3}, r"mean: .* \(allowed: 1 num"),
    ],
)
def test_invalid_arguments_are_rejected(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DsxError, match=f"^{message}"):
        loader(**changes)


def deep(values: Any, name: str = "") -> Bytes:
    return Bytes(png16(values), name)


GREY = pictures(LABELS.tolist(), 16, channels=1)
DEEP = [deep(pixels.transpose(1, 2, 0), str(number)) for number, pixels in enumerate(GREY)]
ONE: dict[str, Any] = {"channels": 1}


def deep_splits(places: list[Bytes] = DEEP, **changes: Any) -> Splits:
    return loader(**ONE | changes).splits(places, LABELS, PARTS)


@pytest.mark.parametrize("memory", [0, 2])
def test_deep_images_of_low_values_equal_8_bit_images(memory: float) -> None:
    shallow = [Bytes(png(pixels), str(number)) for number, pixels in enumerate(GREY.repeat(3, 1))]
    expected = loader(**ONE).splits(shallow, LABELS, PARTS)
    found = deep_splits(memory=memory)
    assert found.notes == [
        "the range from black to white of pixels with more than 8 bits is [0, 255], the range of "
        "the training images (pixel_range in data_args specifies another one)"
    ]
    for part, split in found.parts.items():
        order = torch.arange(len(split))
        for mine, theirs in zip(
            split.batches(order, 9), expected.parts[part].batches(order, 9), strict=True
        ):
            assert torch.equal(mine[0], theirs[0])
    assert not expected.notes
    assert not deep_splits(pixel_range=[0, 255]).notes


@pytest.mark.parametrize("given", [{}, {"mean": [0.5], "deviation": [0.2]}])
@pytest.mark.parametrize("memory", [0, 2])
def test_one_range_is_determined_from_all_training_images(
    memory: float, given: dict[str, Any]
) -> None:
    bright = GREY.astype(int)
    bright[7] *= 16
    places = [deep(pixels.transpose(1, 2, 0)) for pixels in bright]
    splits = deep_splits(places, memory=memory, **given)
    (note,) = splits.notes
    assert "is [0, 4095], " in note
    ((pixels, _),) = splits.train.batches(torch.arange(40), 40)
    # All images have the same factor, so that a dark image remains dark.
    assert pixels[7].mean() > pixels[np.arange(40) != 7].max()


def test_the_range_is_part_of_the_identity() -> None:
    given: dict[str, Any] = {"mean": [0.5], "deviation": [0.2]}
    for memory in (0, 2):
        prints = {
            deep_splits(memory=memory, pixel_range=pixel_range, **given).fingerprint
            for pixel_range in (None, [0, 255], [0, 255.0], [0, 300], [-1, 255])
        }
        assert len(prints) == 3


def test_the_fingerprint_of_an_8_bit_stream_is_stable() -> None:
    given: dict[str, Any] = {"mean": [0.5] * 3, "deviation": [0.2] * 3, "memory": 0}
    assert splits(**given).fingerprint == "78500822650e"


@pytest.mark.parametrize("memory", [0, 2])
def test_pixels_outside_of_the_training_range_are_rejected(memory: float) -> None:
    shallow = [Bytes(png(pixels)) for pixels in GREY.repeat(3, 1)]
    places = [*shallow[:45], *DEEP[45:]]
    with pytest.raises(DsxError, match=r"16-bit pixels, whose range is not known"):
        list(deep_splits(places, memory=memory).validation.batches(torch.arange(12), 4))
    bright = deep(GREY[50].transpose(1, 2, 0).astype(int) * 2)
    with pytest.raises(
        DsxError, match=r"are outside of \[0, 255\], the range of the training images"
    ):
        found = deep_splits([*DEEP[:50], bright, *DEEP[51:]], memory=memory)
        list(found.validation.batches(torch.arange(12), 4))


@pytest.mark.parametrize("memory", [0, 2])
def test_a_range_that_leaves_too_few_levels_is_rejected(memory: float) -> None:
    values = GREY.astype(int)
    values[0, 0, 0, 0] = 65535  # a single hot pixel
    places = [deep(pixels.transpose(1, 2, 0)) for pixels in values]
    with pytest.raises(
        DsxError,
        match=r"^pixel range \[0, 65535\] of the training images is too large for 8 bits: 99 % "
        r"of the pixels have one of \d values of 256 \(specify",
    ):
        deep_splits(places, memory=memory)
    assert not deep_splits(places, memory=memory, pixel_range=[0, 255]).notes


@pytest.mark.parametrize("memory", [0, 2])
def test_a_broken_deep_image_is_named(memory: float) -> None:
    broken = Bytes(DEEP[3].data[:-60])
    with pytest.raises(DsxError, match=r"^cat/1.jpg: cannot be decoded: "):
        deep_splits([*DEEP[:3], broken, *DEEP[4:]], memory=memory)
