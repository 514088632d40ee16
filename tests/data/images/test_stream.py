"""Images that are decoded when they are needed: order, threads, and errors."""

import io
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dsx.data import Normalisation
from dsx.data.images.decode import Decoder, Place
from dsx.data.images.stream import AHEAD, SLICE, StreamSplit, check, decode_batches
from dsx.errors import DsxError
from tests.data.writers import pictures, png

COUNT = 50
PIXELS = pictures([n % 5 for n in range(COUNT)], 12)
DECODER = Decoder(size=12, channels=3)
HALF = Normalisation(mean=[100.0, 110, 120], deviation=[50.0, 60, 70])


@dataclass(frozen=True)
class Shelf:
    """Place that can be slow or broken, and that records accesses."""

    number: int
    data: bytes
    opened: list[int]
    wait: float = 0

    @property
    def identity(self) -> str:
        """The number and the size."""
        return f"{self.number}:{len(self.data)}"

    def open(self) -> BinaryIO:
        """Open the bytes."""
        self.opened.append(self.number)
        time.sleep(self.wait)
        return io.BytesIO(self.data)

    def __str__(self) -> str:
        return f"pictures/{self.number}.png"


def shelves(broken: Sequence[int] = (), wait: float = 0) -> tuple[list[Place], list[int]]:
    """Build places, and the list of the numbers of opened places."""
    opened: list[int] = []
    places: list[Place] = [
        Shelf(number, b"broken" if number in broken else png(pixels), opened, wait)
        for number, pixels in enumerate(PIXELS)
    ]
    return places, opened


def stream(places: list[Place], workers: int = 2) -> StreamSplit:
    return StreamSplit(
        places=places,
        labels=torch.arange(COUNT) % 5,
        decoder=DECODER,
        normalisation=HALF,
        workers=workers,
    )


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    yield
    assert not threads()


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("dsx-decode")]


@given(
    st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=80), st.integers(1, 40),
    st.integers(1, 4),
)  # fmt: skip
def test_images_follow_the_requested_order(order: list[int], size: int, workers: int) -> None:
    split = stream(shelves()[0], workers)
    batches = list(split.batches(torch.tensor(order), size))
    assert [len(labels) for _, labels in batches[:-1]] == [size] * (len(batches) - 1)
    images = torch.cat([some for some, _ in batches])
    assert torch.equal(images, HALF(torch.from_numpy(PIXELS[order])))
    assert torch.cat([labels for _, labels in batches]).tolist() == [n % 5 for n in order]


def test_the_next_batches_are_decoded_in_advance() -> None:
    places, opened = shelves()
    batches = stream(places).batches(torch.arange(COUNT), 5)
    next(batches)
    deadline = time.monotonic() + 30
    while len(opened) < 5 * (1 + AHEAD) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert sorted(opened) == list(range(5 * (1 + AHEAD)))
    batches.close()  # type: ignore[attr-defined]


def test_all_threads_work_on_a_batch() -> None:
    found, lock = set(), threading.Lock()

    class Watched(Shelf):
        def open(self) -> BinaryIO:
            with lock:
                found.add(threading.get_ident())
            return super().open()

    places = [Watched(n, png(pixels), [], 0.01) for n, pixels in enumerate(PIXELS)]
    list(decode_batches([places], DECODER, 3))
    assert len(found) == 3
    assert threading.get_ident() not in found


def test_nothing_is_decoded_before_it_is_asked_for() -> None:
    places, opened = shelves()
    stream(places).batches(torch.arange(COUNT), 5)
    assert not opened


def test_threads_end_when_the_iterator_is_deleted() -> None:
    places, opened = shelves(wait=0.01)
    batches = stream(places).batches(torch.arange(COUNT), COUNT // 2)
    next(batches)
    assert threads()
    del batches
    assert not threads()
    # Started work is completed, queued work is cancelled.

    assert len(opened) <= COUNT // 2 + 3 * SLICE


def test_threads_end_when_the_caller_fails() -> None:
    with pytest.raises(KeyboardInterrupt):
        for _ in stream(shelves()[0]).batches(torch.arange(COUNT), 5):
            raise KeyboardInterrupt
    assert not threads()


def test_threads_end_when_waiting_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dsx.data.images.stream._wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(stream(shelves()[0]).batches(torch.arange(COUNT), 5))
    assert not threads()


def test_a_broken_image_is_named_in_its_batch() -> None:
    batches = stream(shelves([17])[0]).batches(torch.arange(COUNT), 5)
    for _ in range(3):
        next(batches)
    with pytest.raises(DsxError, match=r"^pictures/17.png: cannot be decoded: a format that P"):
        next(batches)
    assert not threads()


def test_broken_images_of_a_batch_are_listed() -> None:
    places, _ = shelves([1, 3, 20, 40, 44])
    message = r"^pictures/1.png: .*; pictures/3.png: .*; pictures/20.png: .*; and 2 more$"
    with pytest.raises(DsxError, match=message):
        list(decode_batches([places], DECODER, 2))
    with pytest.raises(DsxError, match=message):
        check(places, DECODER, 2)


def test_a_bug_is_not_reported_as_a_broken_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: Any, place: Place) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(Decoder, "decode", failing)
    with pytest.raises(ZeroDivisionError, match="ours"):
        next(stream(shelves()[0]).batches(torch.arange(COUNT), 5))


def test_a_check_reads_all_images() -> None:
    places, opened = shelves()
    check(places, DECODER, 2)
    assert sorted(opened) == list(range(COUNT))


def test_batches_may_have_different_sizes() -> None:
    places = shelves()[0]
    found = [
        len(some) for some in decode_batches([places[:3], places[3:4], places[4:]], DECODER, 2)
    ]
    assert found == [3, 1, COUNT - 4]


def test_the_fingerprint_depends_on_the_whole_content() -> None:
    split = stream(shelves()[0])
    fingerprint = split.fingerprint
    assert stream(shelves(wait=0.1)[0], workers=5).fingerprint == fingerprint
    changes: list[dict[str, Any]] = [
        {"places": split.places[::-1]},
        {"places": shelves([3])[0]},
        {"labels": split.labels.flip(0)},
        {"decoder": Decoder(size=13, channels=3)},
        {"decoder": Decoder(size=12, channels=1)},
        {"normalisation": Normalisation(mean=[0.0] * 3, deviation=[1.0] * 3)},
    ]
    found = {replace(split, **change).fingerprint for change in changes}
    assert len(found | {fingerprint}) == 1 + len(changes)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
def test_batches_move_to_a_gpu() -> None:
    split = stream(shelves()[0])
    for images, labels in split.batches(torch.arange(COUNT), 5, "cuda"):
        assert images.device.type == labels.device.type == "cuda"
    (last,) = split.batches(torch.arange(COUNT), COUNT, "cuda")
    expected = HALF(torch.from_numpy(np.asarray(PIXELS)))
    torch.testing.assert_close(last[0].cpu(), expected)
