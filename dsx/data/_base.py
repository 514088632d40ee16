"""Types of datasets, and their lookup by the name in a search space."""

import functools
import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from dsx.data._contents import Contents, counted_classes, number_classes
from dsx.data._split import Split
from dsx.errors import DataMissing, DsxError, raise_out_of_memory, short, unknown
from dsx.lookup import find, load
from dsx.plain import plain_fields

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The three fixed splits of a dataset.

    Args:
        train: Images on which the weights are trained.
        validation: Images on which the accuracy is measured during a search.
        test: Images that are never used in a search, only in an export.
        notes: Notes about faults of the files that do not prevent their use, such as validation
            images that are also training images; one sentence each.

    Raises:
        DsxError: If a part is not a split.
    """

    train: Split
    validation: Split
    test: Split
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name, part in self.parts.items():
            if not isinstance(part, Split):
                given = type(part).__name__
                raise DsxError(f"{name}: a {given} (allowed: a Split, such as a TensorSplit)")

    @property
    def parts(self) -> dict[str, Split]:
        """The splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @functools.cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits: a hash of the training and validation splits."""
        both = self.train.fingerprint + self.validation.fingerprint
        return hashlib.sha256(both.encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True)
class Data:
    """Dataset with its arguments, described before it is loaded.

    Args:
        load: Function that returns the splits, which must be the same in each call; it may raise a
            DsxError that describes a fault of the data.
        image_shape: Channels, rows and columns of an image.
        classes: Number of classes.
        inspect: Function that returns the notes of the splits without decoding images.
        class_names: Names of the classes; empty if they are not known before loading.
        contents: Function that returns the contents of the splits without decoding images; None if
            they are not known before loading.

    Raises:
        DsxError: If the image shape is not three positive integers, or there is no class.
    """

    load: Callable[[], Splits]
    image_shape: tuple[int, int, int]
    classes: int
    inspect: Callable[[], Sequence[str]] = lambda: ()
    class_names: Sequence[str] = ()
    contents: Callable[[], Contents] | None = None

    def __post_init__(self) -> None:
        plain_fields(self)
        shape = self.image_shape
        object.__setattr__(self, "image_shape", tuple(shape) if isinstance(shape, list) else shape)
        if not _are_whole(self.image_shape, 3):
            given = f"image_shape: {short(self.image_shape)}"
            raise DsxError(f"{given} (allowed: three positive integers: channels, rows, columns)")
        if not _are_whole((self.classes,), 1):
            raise DsxError(f"classes: {short(self.classes)} (allowed: a positive integer)")

    @classmethod
    def of(cls, splits: Splits) -> "Data":
        """Build the description of loaded splits.

        Args:
            splits: Loaded splits.

        Returns:
            The data; the number of classes is that of the labels for training and validation.

        Raises:
            DsxError: If a split is empty, or its labels are not integers.
        """
        for name, part in splits.parts.items():
            _check_labels(name, part.labels)
        classes = 1 + max(int(part.labels.max()) for part in (splits.train, splits.validation))
        names = number_classes(classes)
        sources = {name: f"Splits.{name}" for name in splits.parts}
        data = cls(load=lambda: splits, image_shape=_shape(splits.train), classes=classes)
        # Accessed through the property, which checks the labels.
        return replace(data, contents=lambda: describe_splits(data.splits, names, sources))

    @property
    def counted_classes(self) -> str:
        """The number of classes, with their names if available, for messages."""
        return counted_classes(self.classes, self.class_names)

    @functools.cached_property
    def splits(self) -> Splits:
        """The validated splits, loaded on first access.

        Raises:
            DsxError: If the data cannot be loaded, or do not match their description.
        """
        splits = self.load()
        if not isinstance(splits, Splits):
            raise DsxError(
                f"loading the data returned a {type(splits).__name__} (expected: Splits)"
            )
        for name, part in splits.parts.items():
            _check_labels(name, part.labels)
            for label in (int(part.labels.min()), int(part.labels.max())):
                if not 0 <= label < self.classes:
                    raise DsxError(
                        f"the {name} split has the label {label} (allowed: 0 to "
                        f"{self.classes - 1}, since there are {self.counted_classes})"
                    )
            if (shape := _shape(part)) != tuple(self.image_shape):
                given, allowed = (" x ".join(map(str, s)) for s in (shape, self.image_shape))
                raise DsxError(f"the {name} split has images of {given} (allowed: {allowed})")
        return splits


def _are_whole(values: object, number: int) -> bool:
    """Check whether a value is a tuple of N positive integers."""
    return (
        isinstance(values, tuple)
        and len(values) == number
        and all(type(value) is int and value >= 1 for value in values)
    )


def describe_splits(splits: Splits, names: Sequence[str], sources: Mapping[str, str]) -> Contents:
    """Return the contents of loaded splits.

    Args:
        splits: Loaded splits.
        names: Names of the classes.
        sources: Source of the images of each split.

    Returns:
        The contents.
    """
    labels = {name: part.labels.cpu().numpy() for name, part in splits.parts.items()}
    return Contents.of(names, labels, sources)


def _check_labels(name: str, labels: object) -> None:
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.ndim != 1:
        raise DsxError(f"the labels of the {name} split are not an int64 tensor of shape (N,)")
    if not len(labels):
        raise DsxError(f"the {name} split is empty")


def _shape(split: Split) -> tuple[int, int, int]:
    """Return the channels, rows and columns of the first image of a split."""
    images, _ = next(split.batches(torch.arange(1), 1))
    channels, rows, columns = images.shape[1:]
    return channels, rows, columns


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Registered kind of dataset.

    Args:
        open: Function from the arguments in a space file (`data_args`) to the data, which reads as
            little as possible.
    """

    open: Callable[..., Data]


def open_data(name: str, arguments: Mapping[str, Any]) -> Data:
    """Find a dataset and describe it without loading it.

    Args:
        name: Name of a file in `dsx/data`, or the import path `package.module:callable` of a
            callable that returns Splits or Data.
        arguments: Arguments with which the dataset is opened.

    Returns:
        The data.

    Raises:
        DsxError: If there is no such dataset, an argument is not allowed, or the data are invalid.
    """
    found = load(name) if ":" in name else find(Dataset, name)
    if isinstance(found, Dataset):
        _check_arguments(name, found.open, arguments)
        return found.open(**arguments)
    if not callable(found):
        raise DsxError(f"'{name}' is a {type(found).__name__}, which is not callable")
    _check_arguments(name, found, arguments)
    opened = _guarded(name, functools.partial(found, **arguments))
    if isinstance(opened, Splits):
        return _guarded(name, lambda: Data.of(opened))
    if not isinstance(opened, Data):
        raise DsxError(f"{name} returns a {type(opened).__name__}, not Splits")
    return replace(
        opened,
        load=lambda: _guarded(name, opened.load),
        inspect=lambda: _guarded(name, opened.inspect),
        contents=opened.contents and functools.partial(_guarded, name, opened.contents),
    )


def _guarded(name: str, work: Callable[[], T]) -> T:
    """Call user code and convert any exception, which is about the code or data of the user."""
    try:
        return work()
    except DataMissing as error:
        raise DataMissing(f"{name}: {error}") from error
    except DsxError as error:
        raise DsxError(f"{name}: {error}") from error
    except (Exception, SystemExit) as error:
        raise_out_of_memory(error)
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise DsxError(f"{name} fails: {reason}") from error


def _check_arguments(name: str, opens: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Raise an error for unknown and missing arguments of a dataset."""
    try:
        parameters = inspect.signature(opens).parameters.values()
    except ValueError:  # some callables that are implemented in C have no signature
        return
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    allowed = [parameter.name for parameter in named]
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    for argument in given:
        if argument not in allowed and not takes_any:
            none = f"no argument called '{argument}' (allowed: none)"
            raise DsxError(f"{name}: {unknown('argument', argument, allowed) if allowed else none}")
    for parameter in named:
        if parameter.default is parameter.empty and parameter.name not in given:
            raise DsxError(f"{name}: the argument '{parameter.name}' is required")
