"""Images that are decoded by several threads, once or each time they are needed.

Threads are used instead of processes: Pillow releases the global interpreter lock while it decodes
and resizes, so that threads scale equally well without the overhead of processes.
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
from dsx.data._arguments import join_problems
from dsx.data._split import Normalisation, Split
from dsx.data.images.decode import Decoder, Pixels, Place, formats
from dsx.data.images.deep import Extent, UnknownRange
from dsx.errors import DsxError

AHEAD = 3
"""Number of batches that are decoded in advance."""

SLICE = 8
"""Number of images that a thread decodes at once: few, so that all threads share a batch."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StreamSplit(Split):
    """Split whose images are decoded from disk when they are needed.

    Args:
        places: Location of each of the N images.
        labels: Class of each image, (N,) int64.
        decoder: Decoder of the images.
        normalisation: Normalisation of the pixels.
        workers: Number of threads that decode images.
    """

    places: Sequence[Place]
    labels: Tensor
    decoder: Decoder
    normalisation: Normalisation
    workers: int

    def batches(
        self, order: Tensor, size: int, device: torch.device | str = "cpu"
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Iterate over images in a given order, while the next batches are decoded.

        Args:
            order: Numbers of the images, (M,) int64; any subset in any order.
            size: Number of images in a batch; the last batch may be smaller.
            device: Device of the batches.

        Yields:
            Images (B, C, H, W) float32, normalised for the network, and labels (B,).

        Raises:
            DsxError: If an image cannot be decoded; names it.
        """
        chunks = torch.split(order.cpu(), size)
        batches = ([self.places[number] for number in chunk.tolist()] for chunk in chunks)
        # Pinned memory is copied to a GPU asynchronously.
        pinned = torch.device(device).type == "cuda"
        with closing(decode_batches(batches, self.decoder, self.workers, pinned)) as stream:
            for chunk, pixels in zip(chunks, stream, strict=True):
                copied = pixels.to(device, non_blocking=True)
                yield self.normalisation(copied), self.labels[chunk].to(device)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits: a hash of the identities, labels and decoding of images."""
        digest = hashlib.sha256(repr((self.decoder, self.normalisation)).encode())
        if self.decoder.pixel_range is not None:
            digest.update(repr(self.decoder.pixel_range.identity).encode())
        for place in self.places:
            digest.update(place.identity.encode("utf-8", "surrogateescape") + b"\0")
        digest.update(self.labels.numpy().data)
        return digest.hexdigest()[:12]


def decode_batches(
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
        workers: Number of threads that decode images.
        pinned: Whether to decode into pinned memory, which is copied to a GPU asynchronously.
        step: Activity to be advanced by the number of decoded images.

    Yields:
        Pixels, (B, C, H, W) uint8.

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
    """Check that files are images by reading their headers.

    Args:
        places: Locations of the images.
        decoder: Decoder of the images.
        workers: Number of threads that read the headers.

    Raises:
        DsxError: If files are not images; names them.
    """
    kind, count = Kind.CHECKING_IMAGES, len(places)
    with _threads(workers) as pool, activity(kind, count, "image") as step:
        _wait(_start(pool, places, decoder, None), step)


def find_extent(places: Sequence[Place], decoder: Decoder, workers: int) -> Extent | None:
    """Compute the extent of the pixels of images.

    Args:
        places: Locations of the images.
        decoder: Decoder of the images.
        workers: Number of threads that decode images.

    Returns:
        The extent of all pixels with more than 8 bits; None if there are none.

    Raises:
        DsxError: If images cannot be decoded; names them.
    """
    found: Extent | None = None
    problems: list[str] = []
    slices = [places[at : at + SLICE] for at in range(0, len(places), SLICE)]
    kind, count = Kind.FINDING_PIXEL_RANGE, len(places)
    with _threads(workers) as pool, activity(kind, count, "image") as step:
        for extents, errors in pool.map(functools.partial(_extents, decoder), slices):
            problems += errors
            for extent in extents:
                found = extent if found is None else found | extent
            step.advance(step.done + SLICE)
    if problems:
        raise DsxError(join_problems(problems))
    return found


def _extents(decoder: Decoder, places: Sequence[Place]) -> tuple[list[Extent], list[str]]:
    found, problems = [], []
    for place in places:
        try:
            found.append(decoder.find_extent(place))
        except DsxError as error:
            problems.append(str(error))
    return [extent for extent in found if extent is not None], problems


@contextmanager
def _threads(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Start threads, and cancel queued work at the end."""
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
    """Decode images into memory, or only check them, and return the error messages."""
    problems = []
    for number, place in enumerate(places):
        try:
            if pixels is None:
                decoder.check(place)
            else:
                np.copyto(pixels[number], decoder.decode(place))
        except UnknownRange:
            # Not an error of this image: the caller determines the range and starts again.

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
        raise DsxError(join_problems(problems))
