"""Construction of splits from encoded images, which are decoded once into memory or when needed."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from dsx.activity import Kind, activity
from dsx.data._arguments import check_integer, check_non_negative, parse_normalisation
from dsx.data._base import Data, Splits
from dsx.data._split import Normalisation, Split, TensorSplit
from dsx.data._splits import Numbers
from dsx.data.images.decode import Decoder, Place
from dsx.data.images.deep import UnknownRange, parse_range
from dsx.data.images.stream import StreamSplit, decode_batches, find_extent
from dsx.errors import DsxError

SAMPLE = 2000
"""Largest number of training images from which mean and standard deviation are computed."""

LEAST_LEVELS = 4
"""Smallest number of the 256 levels that 99 % of the pixels must span, unless the range is
specified by the user."""

INSPECTED = 200
"""Largest number of training images whose depth and levels are inspected."""


@dataclass(frozen=True, kw_only=True)
class ImageLoader:
    """Loader that decodes and normalises images from any source.

    Args:
        decoder: Decoder of the images.
        normalisation: Normalisation of the pixels; None for that of the training images.
        memory: Memory limit for the decoded images of all splits in GiB; if it is exceeded, images
            are decoded when needed.
        workers: Number of threads that decode images.
    """

    decoder: Decoder
    normalisation: Normalisation | None
    memory: float
    workers: int

    @classmethod
    def of(
        cls, size: object, channels: object, memory: object, workers: object, mean: object,
        deviation: object, pixel_range: object = None,
    ) -> "ImageLoader":  # fmt: skip
        """Build a loader from the arguments in a space file.

        Args:
            size: Height and width of the input of the network.
            channels: 3 for RGB, 1 for grey.
            memory: Memory limit for decoded images in GiB.
            workers: Number of threads that decode images.
            mean: Mean of each channel in units from 0 to 1, or None.
            deviation: Standard deviation of each channel in the same units, or None.
            pixel_range: Values of black and white of pixels with more than 8 bits, or None.

        Returns:
            The loader.

        Raises:
            DsxError: If an argument is not allowed.
        """
        if type(channels) is not int or channels not in (1, 3):
            raise DsxError(f"channels: {channels!r} (allowed: 1 for grey, 3 for colour)")
        return cls(
            decoder=Decoder(
                size=check_integer("size", size, 1),
                channels=channels,
                pixel_range=parse_range(pixel_range),
            ),
            normalisation=parse_normalisation(mean, deviation, channels),
            memory=check_non_negative("memory", memory),
            workers=check_integer("workers", workers, 1),
        )

    def data(
        self, classes: int, load: Callable[[], Splits], inspect: Callable[[], list[str]]
    ) -> Data:
        """Build the description of a dataset whose images are loaded by this loader.

        Args:
            classes: Number of classes.
            load: Function that loads the splits.
            inspect: Function that returns notes for the user about the files.

        Returns:
            The data.
        """
        return Data(load=load, image_shape=self.decoder.shape, classes=classes, inspect=inspect)

    def fits(self, parts: Mapping[str, Numbers]) -> bool:
        """Check whether the decoded images of all splits fit into the memory limit.

        Args:
            parts: Numbers of the images of each split.
        """
        images = sum(map(len, parts.values()))
        return images * int(np.prod(self.decoder.shape)) <= self.memory * 2**30

    def splits(
        self, places: Sequence[Place], labels: Numbers, parts: Mapping[str, Numbers]
    ) -> Splits:
        """Build the splits.

        Args:
            places: Location of each image.
            labels: Class of each image.
            parts: Numbers of the images of each split.

        Returns:
            The splits, all of which are either in memory or decoded when needed.

        Raises:
            DsxError: If images cannot be decoded; names them.
        """
        in_memory = self.fits(parts)
        split_places = {part: [places[n] for n in numbers] for part, numbers in parts.items()}
        split_labels = {part: torch.from_numpy(labels[numbers]) for part, numbers in parts.items()}

        def build(loader: ImageLoader) -> dict[str, Split]:
            method = loader._in_memory if in_memory else loader._streamed
            return method(split_places, split_labels)

        notes = []
        try:
            built = build(self)
        except UnknownRange as error:
            # Computed only if it is needed, so that images of 8 bits are decoded once.
            ranged = self._ranged(split_places["train"], error)
            built = build(ranged)
            notes.append(
                "the range from black to white of pixels with more than 8 bits is "
                f"{ranged.decoder.pixel_range}, the range of the training images (pixel_range in "
                "data_args specifies another one)"
            )
        return Splits(
            train=built["train"], validation=built["validation"], test=built["test"], notes=notes
        )

    def _ranged(self, train: Sequence[Place], error: UnknownRange) -> "ImageLoader":
        """Return a loader with the range of the training images."""
        found = find_extent(train, self.decoder, self.workers)
        if found is None:
            raise DsxError(
                f"{error}; no training image has pixels with more than 8 bits"
            ) from error
        return replace(self, decoder=replace(self.decoder, pixel_range=found.range()))

    def _check_levels(self, train: torch.Tensor) -> None:
        """Raise an error if a detected range leaves too few levels for the training images."""
        pixel_range = self.decoder.pixel_range
        if pixel_range is None or pixel_range.stated:
            return
        inspected = train[:: math.ceil(len(train) / INSPECTED)].numpy()
        below = np.cumsum(np.bincount(inspected.flatten(), minlength=256)) / inspected.size
        low, high = np.searchsorted(below, (0.005, 0.995)).tolist()
        if high - low < LEAST_LEVELS:
            raise DsxError(
                f"pixel range {pixel_range} of the training images is too large for 8 bits: 99 % "
                f"of the pixels have one of {high - low + 1} values of 256 (specify the relevant "
                "range, such as pixel_range: [0, 4095])"
            )

    def _in_memory(
        self, places: Mapping[str, list[Place]], labels: Mapping[str, torch.Tensor]
    ) -> dict[str, Split]:
        with activity(Kind.DECODING_IMAGES, sum(map(len, places.values())), "image") as step:
            batches = decode_batches(places.values(), self.decoder, self.workers, step=step)
            pixels = dict(zip(places, batches, strict=True))
        sample = pixels["train"][sample_indices(len(pixels["train"]))]
        self._check_levels(sample)
        normalisation = self.normalisation or Normalisation.of(sample)
        return {
            part: TensorSplit(images=pixels[part], labels=labels[part], normalisation=normalisation)
            for part in places
        }

    def _streamed(
        self, places: Mapping[str, list[Place]], labels: Mapping[str, torch.Tensor]
    ) -> dict[str, Split]:
        train = places["train"]
        sample = [train[number] for number in sample_indices(len(train))]
        if self.normalisation is not None:
            # A few images suffice to check whether a range is required and suitable.
            sample = sample[:: math.ceil(len(sample) / INSPECTED)]
            if not any(map(self.decoder.is_deep, sample)):
                sample = []
        normalisation = self.normalisation
        if sample:
            with activity(Kind.DECODING_IMAGES, len(sample), "image") as step:
                (pixels,) = decode_batches([sample], self.decoder, self.workers, step=step)
            self._check_levels(pixels)
            normalisation = normalisation or Normalisation.of(pixels)
        assert normalisation is not None
        return {
            part: StreamSplit(
                places=places[part],
                labels=labels[part],
                decoder=self.decoder,
                normalisation=normalisation,
                workers=self.workers,
            )
            for part in places
        }


def sample_indices(count: int) -> list[int]:
    """Sample the numbers of a few images with a fixed seed.

    Args:
        count: Number of images.

    Returns:
        The sampled numbers in ascending order.
    """
    sample: list[int] = np.sort(np.random.RandomState(0).permutation(count)[:SAMPLE]).tolist()
    return sample
