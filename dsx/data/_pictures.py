"""From encoded images to splits: decoded once into memory, or again and again from disk."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dsx.activity import activity
from dsx.data._arguments import amount, given_normalisation, whole
from dsx.data._base import Data, Splits
from dsx.data._decode import Decoder, Place
from dsx.data._parts import Numbers
from dsx.data._split import Normalisation, Split, TensorSplit
from dsx.data._stream import StreamSplit, decoded
from dsx.errors import DsxError

SAMPLE = 2000
"""Training images of which the mean and the deviation are taken, at most."""


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
        deviation: object,
    ) -> "Handling":  # fmt: skip
        """Check the arguments of a space.

        Args:
            size: Rows and columns of what the network takes.
            channels: 3 for RGB, 1 for grey.
            memory: GiB that the decoded images may take.
            workers: Threads that decode.
            mean: Mean of each channel, in units from 0 to 1, or None.
            deviation: Standard deviation of each channel, or None.

        Returns:
            The handling.

        Raises:
            DsxError: At the first that is not allowed.
        """
        if type(channels) is not int or channels not in (1, 3):
            raise DsxError(f"channels: {channels!r} (allowed: 1 for grey, 3 for colour)")
        return cls(
            decoder=Decoder(size=whole("size", size, 1), channels=channels),
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
        make = self._in_memory if self.fits(parts) else self._streamed
        made = make(
            {part: [places[number] for number in numbers] for part, numbers in parts.items()},
            {part: torch.from_numpy(labels[numbers]) for part, numbers in parts.items()},
        )
        return Splits(train=made["train"], validation=made["validation"], test=made["test"])

    def _in_memory(
        self, places: Mapping[str, list[Place]], labels: Mapping[str, torch.Tensor]
    ) -> dict[str, Split]:
        with activity("decoding images", sum(map(len, places.values())), "image") as step:
            whole_parts = decoded(places.values(), self.decoder, self.workers, step=step)
            pixels = dict(zip(places, whole_parts, strict=True))
        normalisation = self.normalisation or Normalisation.of(
            pixels["train"][sample(len(pixels["train"]))]
        )
        return {
            part: TensorSplit(images=pixels[part], labels=labels[part], normalisation=normalisation)
            for part in places
        }

    def _streamed(
        self, places: Mapping[str, list[Place]], labels: Mapping[str, torch.Tensor]
    ) -> dict[str, Split]:
        normalisation = self.normalisation
        if normalisation is None:
            some = [places["train"][number] for number in sample(len(places["train"]))]
            with activity("decoding images", len(some), "image") as step:
                (pixels,) = decoded([some], self.decoder, self.workers, step=step)
            normalisation = Normalisation.of(pixels)
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
