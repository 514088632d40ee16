"""What a split is: images and their classes, as batches; and one whose images lie in memory."""

import functools
import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from dsx.errors import DsxError

CHUNK = 2**20
"""Pixels that are counted at once: few enough for the cache."""


class Split(ABC):
    """Some images and their classes.

    Args:
        labels: (N,) int64.
    """

    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def batches(
        self, order: Tensor, size: int, device: torch.device | str = "cpu"
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Go through images in an order.

        Args:
            order: Numbers of the images, (M,) int64; any of them, in any order.
            size: Images in a batch; the last one may have fewer.
            device: Device on which the batches are wanted.

        Yields:
            Images (B, C, H, W) float32, normalised as the network takes them, and labels (B,).
        """

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change when the images or the labels do."""


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """Mean 0 and deviation 1 in each channel, over the training images.

    Args:
        mean: Mean of each channel, in the units of the stored pixels.
        deviation: Standard deviation of each channel.

    Raises:
        DsxError: If there is not one of each for a channel, or one is not a number to divide by.
    """

    mean: Sequence[float]
    deviation: Sequence[float]

    def __post_init__(self) -> None:
        for name in ("mean", "deviation"):
            # As one type, so that equal numbers have one text, which goes into a fingerprint.
            object.__setattr__(self, name, tuple(float(x) for x in getattr(self, name)))
        if len(self.mean) != len(self.deviation) or not self.mean:
            numbers = f"{len(self.mean)} means and {len(self.deviation)} deviations"
            raise DsxError(f"normalisation: {numbers} (allowed: one of each for each channel)")
        if not all(map(math.isfinite, (*self.mean, *self.deviation))) or min(self.deviation) <= 0:
            given = f"mean {list(self.mean)}, deviation {list(self.deviation)}"
            raise DsxError(f"normalisation: {given} (allowed: finite numbers, deviations above 0)")

    @classmethod
    def of(cls, pixels: Tensor) -> "Normalisation":
        """Take the mean and the deviation of some images, exactly.

        Args:
            pixels: (N, C, H, W) uint8.

        Returns:
            Their normalisation; a channel that never changes is only shifted.
        """
        assert pixels.dtype == torch.uint8 and len(pixels)
        channels, values = pixels.shape[1], np.arange(256)
        counts = np.zeros((channels, 256), dtype=np.int64)
        for chunk in torch.split(pixels, max(1, CHUNK // pixels[0].numel())):
            for channel in range(channels):
                row = chunk[:, channel].flatten().numpy()
                counts[channel] += np.bincount(row, minlength=256)
        size = pixels[:, 0].numel()
        # In whole numbers up to the division, so that nothing cancels.
        sums = [(int(count @ values), int(count @ values**2)) for count in counts]
        spread = [math.sqrt(squares * size - total**2) / size for total, squares in sums]
        return cls(
            mean=[total / size for total, _ in sums], deviation=[each or 1.0 for each in spread]
        )

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise (B, C, H, W) of any number type to float32, in new memory."""
        mean, deviation = (
            torch.tensor(each, device=images.device)[:, None, None]
            for each in (self.mean, self.deviation)
        )
        return images.to(torch.float32, copy=True).sub_(mean).div_(deviation)


@dataclass(frozen=True, kw_only=True, eq=False)
class TensorSplit(Split):
    """Images that lie in memory.

    Args:
        images: (N, C, H, W); of a float type as the network takes them, kept as float32, or
            uint8 pixels with their normalisation.
        labels: (N,) of a whole-number type, kept as int64.
        normalisation: Normalisation of the images, in their units; None if they need none.

    Raises:
        DsxError: If the images or the labels are something else, or do not fit each other.
    """

    images: Tensor
    labels: Tensor
    normalisation: Normalisation | None = None
    _places: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        _check_images(self.images, self.normalisation)
        _check_labels(self.labels, len(self.images))
        if self.images.is_floating_point():
            object.__setattr__(self, "images", self.images.float())
        object.__setattr__(self, "labels", self.labels.long())

    def batches(
        self, order: Tensor, size: int, device: torch.device | str = "cpu"
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Go through images in an order; the images move to the device once."""
        images, labels = self._at(str(device))
        for chosen in torch.split(order.to(labels.device), size):
            some = images[chosen]
            if self.normalisation is not None:
                some = self.normalisation(some)
            yield some, labels[chosen]

    def _at(self, device: str) -> tuple[Tensor, Tensor]:
        if device not in self._places:
            self._places[device] = self.images.to(device), self.labels.to(device)
        return self._places[device]

    @functools.cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits of the images and the labels."""
        digest = hashlib.sha256(repr((self.images.shape, self.normalisation)).encode())
        for tensor in (self.images, self.labels):
            digest.update(tensor.contiguous().cpu().numpy().data)
        return digest.hexdigest()[:12]


def _check_images(images: object, normalisation: Normalisation | None) -> None:
    if not isinstance(images, Tensor):
        given = type(images).__name__
        raise DsxError(f"images: a {given} (allowed: a torch.Tensor; torch.from_numpy makes one)")
    shape = " x ".join(map(str, images.shape)) or "a single number"
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise DsxError(f"images: {shape} (allowed: images x channels x rows x columns)")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise DsxError(f"images: {_word(images)} (allowed: a float type, or uint8)")
    if images.dtype == torch.uint8 and normalisation is None:
        raise DsxError("images: uint8 pixels without a normalisation (Normalisation.of makes one)")
    if images.is_floating_point() and not images.isfinite().all():
        raise DsxError("images: not all of the pixels are finite numbers")
    if normalisation is not None and len(normalisation.mean) != images.shape[1]:
        given = f"of {len(normalisation.mean)} channels for images of {images.shape[1]}"
        raise DsxError(f"normalisation: {given}")


def _check_labels(labels: object, images: int) -> None:
    if not isinstance(labels, Tensor):
        given = type(labels).__name__
        raise DsxError(f"labels: a {given} (allowed: a torch.Tensor; torch.tensor makes one)")
    if labels.dtype == torch.bool or labels.is_floating_point() or labels.is_complex():
        raise DsxError(f"labels: {_word(labels)} (allowed: a whole-number type)")
    if labels.ndim != 1:
        raise DsxError(f"labels: {labels.ndim} dimensions (allowed: one number for each image)")
    if len(labels) != images:
        raise DsxError(f"{images} images, but {len(labels)} labels")


def _word(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
