"""Division of images into training, validation and test."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsx.data._arguments import check_fraction, check_integer
from dsx.data._contents import named
from dsx.errors import DsxError

Numbers = npt.NDArray[np.int64]

PARTS = ("train", "validation", "test")
_PART_OF = {
    "train": "train", "validation": "validation", "val": "validation", "valid": "validation",
    "test": "test", "training": "train", "trn": "train", "dev": "validation",
    "eval": "validation", "evaluation": "validation", "testing": "test", "tst": "test",
}  # fmt: skip
PART_NAMES = ", ".join(_PART_OF)
"""Names of splits, for messages."""

_NAME = re.compile(
    rf"({'|'.join(sorted(_PART_OF, key=len, reverse=True))})s?"
    r"(?:[ _.-]*(?:data[ _.-]*sets?|data|sets?|splits?|images?|imgs?|pictures?|photos?|files?))?"
    r"[ _.-]*[0-9]*"
)


def parse_part(name: str) -> str | None:
    """Return the split that the name of a folder, file or table denotes, ignoring case.

    A name denotes a split if it is one of a few words, optionally followed by "set", "data",
    "images" or the like and by a number: `Training`, `test_set`, `val2017`.

    Args:
        name: Name without folders and extension.

    Returns:
        The split; None if the name does not denote one.
    """
    found = _NAME.fullmatch(name.lower())
    return found and _PART_OF[found[1]]


def find_parts(name: str) -> set[str]:
    """Find the splits that the words of a name denote: `seg_train`, `train-00000`.

    Args:
        name: Name of a file or folder.

    Returns:
        The splits.
    """
    parts = map(parse_part, re.split(r"[^a-z]+", name.lower()))
    return {part for part in parts if part}


_INSIDE = _PART_OF | {
    "trainval": "train", "validate": "validation", "evaluate": "validation",
    "validierung": "validation", "evaluierung": "validation",
}  # fmt: skip
"""Words that denote splits inside of longer words; some of them occur only there."""
_WORD = re.compile(rf"({'|'.join(sorted(_INSIDE, key=len, reverse=True))})s?")
_OTHER_WORDS = frozenset({"able", "ed", "ee", "ees", "er", "ers", "or", "ors"})
"""Suffixes that change the meaning of a word: trainer and tester do not denote splits."""


def find_counterparts(names: Iterable[str]) -> set[str]:
    """Find names that differ only in the word that denotes a split: `trainA`, `testA`.

    The word may be anywhere in the name (`Trainingsdaten`, `Testdaten`; `myTrain`, `myTest`). Case
    and characters other than letters are ignored.

    Args:
        names: Distinct names.

    Returns:
        The names that have a counterpart for another split among the names.
    """
    groups: defaultdict[tuple[str, str], defaultdict[str, set[str]]]
    groups = defaultdict(lambda: defaultdict(set))
    for name in names:
        letters = "".join(filter(str.isalpha, name.lower()))
        for found in _WORD.finditer(letters):
            before, after = letters[: found.start()], letters[found.end() :]
            if after not in _OTHER_WORDS:
                groups[before, after][_INSIDE[found[1]]].add(name)
    return set().union(*(set().union(*by.values()) for by in groups.values() if len(by) > 1))


@dataclass(frozen=True, kw_only=True)
class Fractions:
    """Fractions of each class that are sampled for missing splits.

    Args:
        validation: Fraction for validation.
        test: Fraction for test.
        seed: Random seed of the sampling.

    Raises:
        DsxError: If a value is not allowed, or no images remain for training.
    """

    validation: float
    test: float
    seed: int

    def __post_init__(self) -> None:
        total = check_fraction("validation", self.validation) + check_fraction("test", self.test)
        if total >= 1:
            given = f"validation: {self.validation}, test: {self.test}"
            raise DsxError(f"{given} (allowed: a sum below 1; the rest is for training)")
        check_integer("split_seed", self.seed, 0, 2**32 - 1)


def complete_parts(
    found: Mapping[str, Numbers], labels: Numbers, names: Sequence[str], shares: Fractions
) -> dict[str, Numbers]:
    """Complete the splits that were found.

    Existing splits are unchanged. If only the test split is missing, it consists of half of the
    validation images; any other missing split is a fraction of the training images. Images are
    sampled within each class with a fixed seed, at least one of each class.

    Args:
        found: Numbers of the images of each split that was found, including `train`.
        labels: Class of each image.
        names: Names of the classes.
        shares: Fractions of each class that are sampled.

    Returns:
        Numbers of the images of all three splits, each in ascending order.

    Raises:
        DsxError: If a split is empty, or a class has too few images or none for training.
    """
    for part, numbers in found.items():
        if not len(numbers):
            raise DsxError(f"the {part} split is empty")
    parts = dict(found)
    sample = _Sampler(labels, names, shares.seed)
    if "validation" in parts and "test" not in parts:
        sampled = sample(parts["validation"], {"test": 0.5}, "validation")
    else:
        fractions = {"validation": shares.validation, "test": shares.test}
        missing = {part: value for part, value in fractions.items() if part not in parts}
        sampled = sample(parts["train"], missing, "train")
    parts |= sampled
    trained = set(labels[parts["train"]].tolist())
    for part in PARTS[1:]:
        for label in np.unique(labels[parts[part]]):
            if label not in trained:
                raise DsxError(f"class '{names[label]}' has {part} images, but no training images")
    return {part: np.sort(parts[part]) for part in PARTS}


@dataclass(frozen=True)
class _Sampler:
    """Sampler of fractions of images, class by class."""

    labels: Numbers
    names: Sequence[str]
    seed: int

    def __call__(
        self, numbers: Numbers, shares: Mapping[str, float], rest: str
    ) -> dict[str, Numbers]:
        sampled: dict[str, list[Numbers]] = {part: [] for part in (*shares, rest)}
        for label in np.unique(self.labels[numbers]):
            members = numbers[self.labels[numbers] == label]
            # The legacy generator is stable across releases of numpy. Each class has its own, so
            # that an additional image of one class does not change the others.
            members = np.random.RandomState([self.seed, label]).permutation(members)
            counts = {
                part: max(1, round(fraction * len(members))) for part, fraction in shares.items()
            }
            if sum(counts.values()) >= len(members):
                raise DsxError(
                    f"class '{self.names[label]}': {len(members)} images in {rest} (allowed: "
                    f"enough for {' and '.join(counts)} and {rest})"
                )
            for part, count in counts.items():
                sampled[part].append(members[:count])
                members = members[count:]
            sampled[rest].append(members)
        return {part: np.concatenate(numbers) for part, numbers in sampled.items()}


def describe_sources(found: Mapping[str, str], shares: Fractions) -> dict[str, str]:
    """Describe the source of the images of each split, as completed by `complete_parts`.

    Args:
        found: Description of each split that was found, such as "folder 'train'".
        shares: Fractions of each class that are sampled.

    Returns:
        Description of each of the three splits.
    """
    described = dict(found)
    if "validation" in found and "test" not in found:
        described["test"] = f"half of {found['validation']}, sampled by class"
        described["validation"] = f"the other half of {found['validation']}"
    fractions = {"validation": shares.validation, "test": shares.test}
    for part, fraction in fractions.items():
        if part not in described:
            described[part] = f"{fraction:.3g} of {found['train']}, sampled by class"
            described["train"] = f"the rest of {found['train']}"
    return {part: described[part] for part in PARTS}


def find_missing_classes(
    parts: Mapping[str, Numbers], labels: Numbers, names: Sequence[str]
) -> list[str]:
    """Find the classes without training or validation images, which a search cannot evaluate.

    Args:
        parts: Numbers of the images of each split.
        labels: Class of each image.
        names: Names of the classes.

    Returns:
        One sentence for each of these two splits that has missing classes.
    """
    found = []
    for part in PARTS[:2]:
        counts = np.bincount(labels[parts[part]], minlength=len(names))
        if missing := [name for name, count in zip(names, counts, strict=True) if not count]:
            some = f"{len(missing):,} of the {len(names):,} classes ({named(missing)})"
            found.append(f"the {part} split has no images of {some}")
    return found
