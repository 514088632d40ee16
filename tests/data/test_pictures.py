"""Images in memory and from disk give the same batches."""

from typing import Any

import numpy as np
import pytest
import torch

from dsx.data import Normalisation, Splits, TensorSplit
from dsx.data import _pictures as module
from dsx.data._pictures import Handling, sample
from dsx.data._stream import StreamSplit
from dsx.errors import DsxError
from tests.data.test_decode import Bytes
from tests.data.writers import pictures, png

LABELS = np.arange(60) % 3
PIXELS = pictures(LABELS.tolist(), 16)
PLACES = [Bytes(png(pixels), str(number)) for number, pixels in enumerate(PIXELS)]
PARTS = {"train": np.arange(40), "validation": np.arange(40, 52), "test": np.arange(52, 60)}
ARGUMENTS: dict[str, Any] = {
    "size": 16, "channels": 3, "memory": 2, "workers": 2, "mean": None, "deviation": None,
}  # fmt: skip


def handling(**changes: Any) -> Handling:
    return Handling.of(**(ARGUMENTS | changes))


def splits(**changes: Any) -> Splits:
    return handling(**changes).splits(PLACES, LABELS, PARTS)


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


def test_pictures_and_labels_stay_together() -> None:
    found = splits()
    for part, numbers in PARTS.items():
        split = found.parts[part]
        assert isinstance(split, TensorSplit)
        assert torch.equal(split.images, torch.from_numpy(PIXELS[numbers]))
        assert split.labels.tolist() == LABELS[numbers].tolist()


def test_what_fits_into_memory_is_put_there() -> None:
    whole = 60 * 3 * 16 * 16
    assert handling(memory=whole / 2**30).fits(PARTS)
    assert not handling(memory=(whole - 1) / 2**30).fits(PARTS)
    assert isinstance(splits(memory=whole / 2**30).train, TensorSplit)
    assert isinstance(splits(memory=(whole - 1) / 2**30).train, StreamSplit)


def test_the_training_pictures_normalise() -> None:
    expected = Normalisation.of(torch.from_numpy(PIXELS[:40]))
    for memory in (0, 2):
        for part in splits(memory=memory).parts.values():
            assert isinstance(part, TensorSplit | StreamSplit)
            assert part.normalisation == expected


def test_of_many_pictures_a_sample_normalises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE", 7)
    chosen = sample(40)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == 7
    expected = Normalisation.of(torch.from_numpy(PIXELS[chosen]))
    for memory in (0, 2):
        train = splits(memory=memory).train
        assert isinstance(train, TensorSplit | StreamSplit)
        assert train.normalisation == expected


def test_a_given_normalisation_is_taken() -> None:
    found = splits(mean=[0.5, 0.4, 0.3], deviation=[0.3, 0.2, 0.1]).test
    assert isinstance(found, TensorSplit) and found.normalisation is not None
    assert found.normalisation.mean == pytest.approx((127.5, 102, 76.5))
    assert found.normalisation.deviation == pytest.approx((76.5, 51, 25.5))


@pytest.mark.parametrize("memory", [0, 2])
def test_broken_pictures_are_named(memory: float) -> None:
    places = [*PLACES[:5], Bytes(b"?"), *PLACES[6:]]
    with pytest.raises(DsxError, match=r"^cat/1.jpg: cannot be decoded: no format that Pillow k"):
        handling(memory=memory).splits(places, LABELS, PARTS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 0}, r"size: 0 \(allowed: a whole number from 1\)"),
        ({"channels": 2}, r"channels: 2 \(allowed: 1 for grey, 3 for colour\)"),
        ({"channels": True}, r"channels: True \(allowed: 1 for grey, 3 for colour\)"),
        ({"memory": -1}, r"memory: -1 \(allowed: a number from 0\)"),
        ({"workers": 0}, r"workers: 0 \(allowed: a whole number from 1\)"),
        ({"channels": 1, "mean": [0.5] * 3, "deviation": [0.5] * 3}, r"mean: .* \(allowed: 1 num"),
    ],
)
def test_wrong_arguments_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DsxError, match=f"^{message}"):
        handling(**changes)
