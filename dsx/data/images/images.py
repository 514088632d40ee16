"""From encoded images to splits: decoded once into memory, or again and again from disk."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from dsx.activity import Kind, activity
from dsx.data._arguments import amount, given_normalisation, whole
from dsx.data._base import Data, Splits
from dsx.data._split import Normalisation, Split, TensorSplit
from dsx.data._splits import Numbers
from dsx.data.images.decode import Decoder, Place
from dsx.data.images.deep import UnknownRange, given_range
from dsx.data.images.stream import StreamSplit, decoded, extent
from dsx.errors import DsxError

SAMPLE = 2000
"""Training images of which the mean and the deviation are taken, at most."""

LEAST_LEVELS = 4
"""Smallest number of levels of 256 that 99 % of the pixels span, unless the range is stated."""

LOOKED_AT = 200
"""Training images, at most, whose depth and whose levels are looked at."""


@dataclass(frozen=True, kw_only=True)
class Handling:
    """What is done with images, wherever they come from.

    Args:
        decoder: Decoder of the images.
        normalisation: Normalisation of the pixels; None for that of the training images.
        memory: GiB that the decoded images of all splits may take; more are streamed.
        workers: Threads that decode.
    """

    decoder: Decoder
    normalisation: Normalisation | None
    memory: float
    workers: int

    @classmethod
    def of(
        cls, size: object, channels: object, memory: object, workers: object, mean: object,
        deviation: object, pixel_range: object = None,
    ) -> "Handling":  # fmt: skip
        """Check the arguments of a space.

        Args:
            size: Rows and columns of what the network takes.
            channels: 3 for RGB, 1 for grey.
            memory: GiB that the decoded images may take.
            workers: Threads that decode.
            mean: Mean of each channel, in units from 0 to 1, or None.
            deviation: Standard deviation of each channel, or None.
            pixel_range: Values of black and white of pixels of more than 8 bits, or None.

        Returns:
            The handling.

        Raises:
            DsxError: At the first that is not allowed.
        """
        if type(channels) is not int or channels not in (1, 3):
            raise DsxError(f"channels: {channels!r} (allowed: 1 for grey, 3 for colour)")
        return cls(
            decoder=Decoder(
                size=whole("size", size, 1),
                channels=channels,
                pixel_range=given_range(pixel_range),
            ),
            normalisation=given_normalisation(mean, deviation, channels),
            memory=amount("memory", memory),
            workers=whole("workers", workers, 1),
        )

    def data(
        self, classes: int, load: Callable[[], Splits], inspect: Callable[[], list[str]]
    ) -> Data:
        """Describe data whose images are handled like this.

        Args:
            classes: Number of classes.
            load: Function that loads the splits.
            inspect: Function that returns what a user should know about the files.

        Returns:
            The data.
        """
        return Data(load=load, image_shape=self.decoder.shape, classes=classes, inspect=inspect)

    def fits(self, parts: Mapping[str, Numbers]) -> bool:
        """Check whether the images of all splits are decoded into memory.

        Args:
            parts: Numbers of the images of each split.
        """
        images = sum(map(len, parts.values()))
        return images * int(np.prod(self.decoder.shape)) <= self.memory * 2**30

    def splits(
        self, places: Sequence[Place], labels: Numbers, parts: Mapping[str, Numbers]
    ) -> Splits:
        """Make the splits.

        Args:
            places: Location of each image.
            labels: Class of each image.
            parts: Numbers of the images of each split.

        Returns:
            The splits: all in memory if they fit there, else all streamed.

        Raises:
            DsxError: If images cannot be decoded; names them.
        """
        in_memory = self.fits(parts)
        of_parts = {part: [places[n] for n in numbers] for part, numbers in parts.items()}
        of_labels = {part: torch.from_numpy(labels[numbers]) for part, numbers in parts.items()}

        def make(handling: Handling) -> dict[str, Split]:
            how = handling._in_memory if in_memory else handling._streamed
            return how(of_parts, of_labels)

        notes = []
        try:
            made = make(self)
        except UnknownRange as error:
            # Only now, so that images of 8 bits are decoded once.
            ranged = self._ranged(of_parts["train"], error)
            made = make(ranged)
            notes.append(
                "pixels of more than 8 bits are read from black to white over "
                f"{ranged.decoder.pixel_range}, the range of the training images (pixel_range in "
                "data_args states another one)"
            )
        return Splits(
            train=made["train"], validation=made["validation"], test=made["test"], notes=notes
        )

    def _ranged(self, train: Sequence[Place], error: UnknownRange) -> "Handling":
        """Take the range of the training images, which no other image and no order changes."""
        found = extent(train, self.decoder, self.workers)
        if found is None:
            raise DsxError(f"{error}; no training image has such pixels") from error
        return replace(self, decoder=replace(self.decoder, pixel_range=found.range()))

    def _check_levels(self, train: torch.Tensor) -> None:
        """Refuse a range that is not stated if it leaves too little of the training images."""
        pixel_range = self.decoder.pixel_range
        if pixel_range is None or pixel_range.stated:
            return
        some = train[:: math.ceil(len(train) / LOOKED_AT)].numpy()
        below = np.cumsum(np.bincount(some.flatten(), minlength=256)) / some.size
        low, high = np.searchsorted(below, (0.005, 0.995)).tolist()
        if high - low < LEAST_LEVELS:
            raise DsxError(
                f"pixels over {pixel_range}, the range of the training images, hardly differ in 8 "
                f"bits: 99 % of them have one of {high - low + 1} values of 256 (state the range "
                "that matters, such as pixel_range: [0, 4095])"
            )

    def _in_memory(
        self, places: Mapping[str, list[Place]], labels: Mapping[str, torch.Tensor]
    ) -> dict[str, Split]:
        with activity(Kind.DECODING_IMAGES, sum(map(len, places.values())), "image") as step:
            whole_parts = decoded(places.values(), self.decoder, self.workers, step=step)
            pixels = dict(zip(places, whole_parts, strict=True))
        some = pixels["train"][sample(len(pixels["train"]))]
        self._check_levels(some)
        normalisation = self.normalisation or Normalisation.of(some)
        return {
            part: TensorSplit(images=pixels[part], labels=labels[part], normalisation=normalisation)
            for part in places
        }

    def _streamed(
        self, places: Mapping[str, list[Place]], labels: Mapping[str, torch.Tensor]
    ) -> dict[str, Split]:
        train = places["train"]
        chosen = [train[number] for number in sample(len(train))]
        if self.normalisation is not None:
            # Whether a range is needed, and whether it is a good one, is known from a few.
            chosen = chosen[:: math.ceil(len(chosen) / LOOKED_AT)]
            if not any(map(self.decoder.is_deep, chosen)):
                chosen = []
        normalisation = self.normalisation
        if chosen:
            with activity(Kind.DECODING_IMAGES, len(chosen), "image") as step:
                (pixels,) = decoded([chosen], self.decoder, self.workers, step=step)
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


def sample(count: int) -> list[int]:
    """Draw the numbers of a few images, always the same ones, in rising order."""
    chosen: list[int] = np.sort(np.random.RandomState(0).permutation(count)[:SAMPLE]).tolist()
    return chosen
