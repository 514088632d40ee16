"""Images that are decoded when they are needed, or once, by several threads.

Threads, not processes: Pillow decodes and resamples without Python's lock, so that they scale as
well, and nothing has to be started, sent, shared or ended.
"""

import functools
import hashlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dsx.activity import Activity, Kind, activity
from dsx.data._arguments import together
from dsx.data._split import Normalisation, Split
from dsx.data.images.decode import Decoder, Pixels, Place, formats
from dsx.data.images.deep import Extent, UnknownRange
from dsx.errors import DsxError

AHEAD = 3
"""Batches that are being decoded while one is worked on."""

SLICE = 8
"""Images that a thread decodes at once: few, so that all threads work on the next batch."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StreamSplit(Split):
    """Images that lie on disk.

    Args:
        places: Location of each of the N images.
        labels: (N,) int64.
        decoder: Decoder of the images.
        normalisation: Normalisation of the pixels.
        workers: Threads that decode.
    """

    places: Sequence[Place]
    labels: Tensor
    decoder: Decoder
    normalisation: Normalisation
    workers: int

    def batches(
        self, order: Tensor, size: int, device: torch.device | str = "cpu"
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Go through images in an order; the next batches are decoded meanwhile.

        Raises:
            DsxError: If an image cannot be decoded; names it.
        """
        chunks = torch.split(order.cpu(), size)
        wanted = ([self.places[number] for number in chunk.tolist()] for chunk in chunks)
        # From pinned memory pixels move to a GPU while it computes.
        pinned = torch.device(device).type == "cuda"
        with closing(decoded(wanted, self.decoder, self.workers, pinned)) as stream:
            for chunk, pixels in zip(chunks, stream, strict=True):
                moved = pixels.to(device, non_blocking=True)
                yield self.normalisation(moved), self.labels[chunk].to(device)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits of the images' names, sizes and labels, and the decoding."""
        digest = hashlib.sha256(repr((self.decoder, self.normalisation)).encode())
        if self.decoder.pixel_range is not None:
            digest.update(repr(self.decoder.pixel_range.identity).encode())
        for place in self.places:
            digest.update(place.identity.encode("utf-8", "surrogateescape") + b"\0")
        digest.update(self.labels.numpy().data)
        return digest.hexdigest()[:12]


def decoded(
    batches: Iterable[Sequence[Place]],
    decoder: Decoder,
    workers: int,
    pinned: bool = False,
    step: Activity | None = None,
) -> Generator[Tensor]:
    """Decode batches of images.

    Args:
        batches: Locations of the images of each batch.
        decoder: Decoder of the images.
        workers: Threads that decode.
        pinned: Whether the batches lie in memory that a GPU reads directly.
        step: Activity to be advanced by the number of decoded images.

    Yields:
        (B, C, H, W) uint8.

    Raises:
        UnknownRange: If pixels have more than 8 bits, and the decoder has no range.
        DsxError: If images cannot be decoded; names them.
    """
    waiting: deque[tuple[Tensor, list[Future[list[str]]]]] = deque()
    with _threads(workers) as pool:
        for places in batches:
            pixels = torch.empty(len(places), *decoder.shape, dtype=torch.uint8, pin_memory=pinned)
            waiting.append((pixels, _start(pool, places, decoder, pixels.numpy())))
            if len(waiting) > AHEAD:
                yield _finished(*waiting.popleft(), step)
        while waiting:
            yield _finished(*waiting.popleft(), step)


def check(places: Sequence[Place], decoder: Decoder, workers: int) -> None:
    """Look at the heads of the files of images.

    Args:
        places: Locations of the images.
        decoder: Decoder of the images.
        workers: Threads that look.

    Raises:
        DsxError: If some are no images; names them.
    """
    kind, count = Kind.CHECKING_IMAGES, len(places)
    with _threads(workers) as pool, activity(kind, count, "image") as step:
        _wait(_start(pool, places, decoder, None), step)


def extent(places: Sequence[Place], decoder: Decoder, workers: int) -> Extent | None:
    """Find the extent of the pixels of images.

    Args:
        places: Locations of the images.
        decoder: Decoder of the images.
        workers: Threads that decode.

    Returns:
        The extent of all pixels of more than 8 bits; None if there are none.

    Raises:
        DsxError: If some images cannot be decoded; names them.
    """
    found: Extent | None = None
    problems: list[str] = []
    slices = [places[at : at + SLICE] for at in range(0, len(places), SLICE)]
    kind, count = Kind.FINDING_PIXEL_RANGE, len(places)
    with _threads(workers) as pool, activity(kind, count, "image") as step:
        for some, wrong in pool.map(functools.partial(_extent, decoder), slices):
            problems += wrong
            for each in some:
                found = each if found is None else found | each
            step.advance(step.done + SLICE)
    if problems:
        raise DsxError(together(problems))
    return found


def _extent(decoder: Decoder, places: Sequence[Place]) -> tuple[list[Extent], list[str]]:
    found, problems = [], []
    for place in places:
        try:
            found.append(decoder.extent(place))
        except DsxError as error:
            problems.append(str(error))
    return [each for each in found if each is not None], problems


@contextmanager
def _threads(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Start threads, and let them drop what waits when it is no longer wanted."""
    formats()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="dsx-decode")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _start(
    pool: ThreadPoolExecutor, places: Sequence[Place], decoder: Decoder, pixels: Pixels | None
) -> list[Future[list[str]]]:
    return [
        pool.submit(
            _work,
            places[at : at + SLICE],
            decoder,
            None if pixels is None else pixels[at : at + SLICE],
        )
        for at in range(0, len(places), SLICE)
    ]


def _work(places: Sequence[Place], decoder: Decoder, pixels: Pixels | None) -> list[str]:
    """Decode images into memory, or only check them; say what is wrong with some."""
    problems = []
    for number, place in enumerate(places):
        try:
            if pixels is None:
                decoder.check(place)
            else:
                np.copyto(pixels[number], decoder.decode(place))
        except UnknownRange:
            # Not about this image: the caller finds the range, and begins again.
            raise
        except DsxError as error:
            problems.append(str(error))
    return problems


def _finished(
    pixels: Tensor, futures: Iterable[Future[list[str]]], step: Activity | None
) -> Tensor:
    _wait(futures, step)
    return pixels


def _wait(futures: Iterable[Future[list[str]]], step: Activity | None) -> None:
    problems = []
    for future in futures:
        problems += future.result()
        if step is not None:
            step.advance(step.done + SLICE)
    if problems:
        raise DsxError(together(problems))
