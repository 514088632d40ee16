"""Splits: images and their classes in batches, and a split whose images are in memory."""

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
"""Number of pixels that are counted at once, which fit into the cache."""


class Split(ABC):
    """Images and their classes.

    Args:
        labels: Class of each image, (N,) int64.
    """

    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def batches(
        self, order: Tensor, size: int, device: torch.device | str = "cpu"
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Iterate over images in a given order.

        Args:
            order: Numbers of the images, (M,) int64; any subset in any order.
            size: Number of images in a batch; the last batch may be smaller.
            device: Device of the batches.

        Yields:
            Images (B, C, H, W) float32, normalised for the network, and labels (B,).
        """

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits: a hash of the images and labels."""


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """Normalisation to mean 0 and standard deviation 1 in each channel over the training images.

    Args:
        mean: Mean of each channel, in the units of the stored pixels.
        deviation: Standard deviation of each channel.

    Raises:
        DsxError: If the numbers of means and deviations differ or are 0, or a value is not finite
            or a deviation not positive.
    """

    mean: Sequence[float]
    deviation: Sequence[float]

    def __post_init__(self) -> None:
        for name in ("mean", "deviation"):
            # A single type, so that equal values have equal texts in a fingerprint.
            object.__setattr__(self, name, tuple(float(x) for x in getattr(self, name)))
        if len(self.mean) != len(self.deviation) or not self.mean:
            numbers = f"{len(self.mean)} means and {len(self.deviation)} deviations"
            raise DsxError(f"normalisation: {numbers} (allowed: one of each per channel)")
        if not all(map(math.isfinite, (*self.mean, *self.deviation))) or min(self.deviation) <= 0:
            given = f"mean {list(self.mean)}, deviation {list(self.deviation)}"
            raise DsxError(f"normalisation: {given} (allowed: finite numbers, deviations above 0)")

    @classmethod
    def of(cls, pixels: Tensor) -> "Normalisation":
        """Compute the exact mean and standard deviation of images.

        Args:
            pixels: Images, (N, C, H, W) uint8.

        Returns:
            The normalisation; a constant channel has deviation 1.
        """
        assert pixels.dtype == torch.uint8 and len(pixels)
        channels, values = pixels.shape[1], np.arange(256)
        counts = np.zeros((channels, 256), dtype=np.int64)
        for chunk in torch.split(pixels, max(1, CHUNK // pixels[0].numel())):
            for channel in range(channels):
                row = chunk[:, channel].flatten().numpy()
                counts[channel] += np.bincount(row, minlength=256)
        size = pixels[:, 0].numel()
        # Integer arithmetic up to the division avoids cancellation.
        sums = [(int(count @ values), int(count @ values**2)) for count in counts]
        spread = [math.sqrt(squares * size - total**2) / size for total, squares in sums]
        return cls(
            mean=[total / size for total, _ in sums], deviation=[value or 1.0 for value in spread]
        )

    def __call__(self, images: Tensor) -> Tensor:
        """Return normalised images (B, C, H, W) of any dtype as a new float32 tensor."""
        mean, deviation = (
            torch.tensor(values, device=images.device)[:, None, None]
            for values in (self.mean, self.deviation)
        )
        return images.to(torch.float32, copy=True).sub_(mean).div_(deviation)


@dataclass(frozen=True, kw_only=True, eq=False)
class TensorSplit(Split):
    """Split whose images are in memory.

    Args:
        images: Images, (N, C, H, W): of a floating-point type, normalised for the network and
            stored as float32, or uint8 pixels with a normalisation.
        labels: Class of each image, (N,), of an integer type, stored as int64.
        normalisation: Normalisation of the images in their units; None if they are normalised.

    Raises:
        DsxError: If the type or shape of the images or labels is not supported, or their numbers
            differ.
    """

    images: Tensor
    labels: Tensor
    normalisation: Normalisation | None = None
    _copies: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        _check_images(self.images, self.normalisation)
        _check_labels(self.labels, len(self.images))
        if self.images.is_floating_point():
            object.__setattr__(self, "images", self.images.float())
        object.__setattr__(self, "labels", self.labels.long())

    def batches(
        self, order: Tensor, size: int, device: torch.device | str = "cpu"
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Iterate over images in a given order; all images are copied to the device only once.

        Args:
            order: Numbers of the images, (M,) int64; any subset in any order.
            size: Number of images in a batch; the last batch may be smaller.
            device: Device of the batches.

        Yields:
            Images (B, C, H, W) float32, normalised for the network, and labels (B,).
        """
        images, labels = self._at(str(device))
        for selected in torch.split(order.to(labels.device), size):
            batch = images[selected]
            if self.normalisation is not None:
                batch = self.normalisation(batch)
            yield batch, labels[selected]

    def _at(self, device: str) -> tuple[Tensor, Tensor]:
        if device not in self._copies:
            self._copies[device] = self.images.to(device), self.labels.to(device)
        return self._copies[device]

    @functools.cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits: a hash of the images and labels."""
        digest = hashlib.sha256(repr((self.images.shape, self.normalisation)).encode())
        for tensor in (self.images, self.labels):
            digest.update(tensor.contiguous().cpu().numpy().data)
        return digest.hexdigest()[:12]


def _check_images(images: object, normalisation: Normalisation | None) -> None:
    if not isinstance(images, Tensor):
        given = type(images).__name__
        raise DsxError(f"images: a {given} (allowed: a torch.Tensor, as from torch.from_numpy)")
    shape = " x ".join(map(str, images.shape)) or "a single number"
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise DsxError(f"images: {shape} (allowed: images x channels x rows x columns)")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise DsxError(f"images: {_dtype(images)} (allowed: a floating-point type, or uint8)")
    if images.dtype == torch.uint8 and normalisation is None:
        raise DsxError("images: uint8 pixels require a normalisation (Normalisation.of(images))")
    if images.is_floating_point() and not images.isfinite().all():
        raise DsxError("images: some pixels are NaN or infinite")
    if normalisation is not None and len(normalisation.mean) != images.shape[1]:
        given = f"{len(normalisation.mean)} channels"
        raise DsxError(f"normalisation: {given} (allowed: {images.shape[1]}, as in the images)")


def _check_labels(labels: object, images: int) -> None:
    if not isinstance(labels, Tensor):
        given = type(labels).__name__
        raise DsxError(f"labels: a {given} (allowed: a torch.Tensor, as from torch.tensor)")
    if labels.dtype == torch.bool or labels.is_floating_point() or labels.is_complex():
        raise DsxError(f"labels: {_dtype(labels)} (allowed: an integer type)")
    if labels.ndim != 1:
        raise DsxError(f"labels: {labels.ndim} dimensions (allowed: one number per image)")
    if len(labels) != images:
        raise DsxError(f"{images} images, but {len(labels)} labels")


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
