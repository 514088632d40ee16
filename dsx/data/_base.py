"""What a dataset is, and how a space names one."""

import functools
import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from dsx.errors import DsxError, unknown
from dsx.lookup import find, load


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
            device: Where the batches are wanted.

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
        mean: Of each channel, in the units of the stored pixels.
        deviation: Of each channel.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise (B, C, H, W) of any number type to float32."""
        mean, deviation = (
            torch.tensor(each, device=images.device)[:, None, None]
            for each in (self.mean, self.deviation)
        )
        return images.float().sub_(mean).div_(deviation)


@dataclass(frozen=True, kw_only=True, eq=False)
class TensorSplit(Split):
    """Images that lie in memory.

    Args:
        images: (N, C, H, W); float32 as the network takes them, or raw pixels of any type.
        labels: (N,) int64.
        normalisation: Of raw pixels; None where nothing is left to be done.
    """

    images: Tensor
    labels: Tensor
    normalisation: Normalisation | None = None
    _places: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict, init=False, repr=False)

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


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The three fixed parts of a dataset.

    Args:
        train: What the weights are trained on.
        validation: What accuracy is measured on during a search.
        test: What no search ever sees; only an export reads it.
    """

    train: Split
    validation: Split
    test: Split

    @functools.cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits of what a search sees: training and validation."""
        both = self.train.fingerprint + self.validation.fingerprint
        return hashlib.sha256(both.encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True)
class Data:
    """A dataset with its arguments, known before it is loaded.

    Args:
        load: Gives the splits, the same ones every time; a DsxError says what is wrong with them.
        image_shape: Channels, rows, columns.
        classes: Number of classes.
    """

    load: Callable[[], Splits]
    image_shape: tuple[int, int, int]
    classes: int

    @classmethod
    def of(cls, splits: Splits) -> "Data":
        """Know what is known of loaded splits.

        Args:
            splits: The splits.

        Returns:
            The data: as many classes as the labels have.
        """
        images, _ = next(splits.train.batches(torch.arange(1), 1))
        classes = 1 + max(int(part.labels.max()) for part in (splits.train, splits.validation))
        channels, rows, columns = images.shape[1:]
        return cls(load=lambda: splits, image_shape=(channels, rows, columns), classes=classes)

    @functools.cached_property
    def splits(self) -> Splits:
        """The splits, loaded when first asked for, and checked."""
        splits = self.load()
        for name in ("train", "validation", "test"):
            labels = getattr(splits, name).labels
            if not len(labels):
                raise DsxError(f"the {name} split is empty")
            for label in (int(labels.min()), int(labels.max())):
                if not 0 <= label < self.classes:
                    raise DsxError(
                        f"the {name} split has the label {label} (allowed: 0 to "
                        f"{self.classes - 1}, since there are {self.classes} classes)"
                    )
        return splits


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A kind of dataset.

    Args:
        open: From the arguments that a space gives it (`data_args`) to the data; reads no more
            than it has to.
    """

    open: Callable[..., Data]


def open_data(name: str, arguments: Mapping[str, Any]) -> Data:
    """Find a dataset, and what is known of it before it is loaded.

    Args:
        name: A file in `dsx/data`, or `package.module:callable` for any callable that returns
            Splits or Data.
        arguments: What it is called with.

    Returns:
        The data.

    Raises:
        DsxError: If there is no such dataset, it takes other arguments, or something is wrong
            with the data.
    """
    found = load(name) if ":" in name else find(Dataset, name)
    opens = found.open if isinstance(found, Dataset) else found
    if not callable(opens):
        raise DsxError(f"'{name}' is a {type(found).__name__}, not something that can be called")
    _check_arguments(name, opens, arguments)
    try:
        opened = opens(**arguments)
    except DsxError:
        raise
    # The user's own code, on the user's own data: whatever it raises is about these.
    except Exception as error:
        if not isinstance(found, Dataset):
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise DsxError(f"{name} fails: {reason}") from error
        raise
    if isinstance(opened, Splits):
        return Data.of(opened)
    if not isinstance(opened, Data):
        raise DsxError(f"{name} returns a {type(opened).__name__}, not Splits")
    return opened


def _check_arguments(name: str, opens: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Refuse arguments that a dataset does not take, and ask for those that it has to have."""
    parameters = inspect.signature(opens).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    allowed = [parameter.name for parameter in parameters]
    for word in given:
        if word not in allowed:
            raise DsxError(f"{name}: {unknown('argument', word, allowed)}")
    for parameter in parameters:
        if parameter.default is parameter.empty and parameter.name not in given:
            raise DsxError(f"{name}: needs the argument '{parameter.name}'")
