"""Divide images into training, validation and test."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsx.data._arguments import share, whole
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
"""Names of parts for messages."""

_NAME = re.compile(
    rf"({'|'.join(sorted(_PART_OF, key=len, reverse=True))})s?"
    r"(?:[ _.-]*(?:data[ _.-]*sets?|data|sets?|splits?|images?|imgs?|pictures?|photos?|files?))?"
    r"[ _.-]*[0-9]*"
)


def part_of(name: str) -> str | None:
    """Recognise what a folder, a file or a table calls a part, in upper or lower case.

    A name is that of a part if it is one of a few words, which "set", "data", "images" and the like
    and a number may follow: `Training`, `test_set`, `val2017`.

    Args:
        name: The name, without folders and suffix.

    Returns:
        The part; None if the name is not that of a part.
    """
    found = _NAME.fullmatch(name.lower())
    return found and _PART_OF[found[1]]


def parts_in(name: str) -> set[str]:
    """Find the parts that the single words of a name stand for: `seg_train`, `train-00000`.

    Args:
        name: The name.

    Returns:
        The parts.
    """
    parts = map(part_of, re.split(r"[^a-z]+", name.lower()))
    return {part for part in parts if part}


_INSIDE = _PART_OF | {
    "trainval": "train", "validate": "validation", "evaluate": "validation",
    "validierung": "validation", "evaluierung": "validation",
}  # fmt: skip
"""Words for parts inside of longer words, of which some occur only there."""
_WORD = re.compile(rf"({'|'.join(sorted(_INSIDE, key=len, reverse=True))})s?")
_OTHER_WORDS = frozenset({"able", "ed", "ee", "ees", "er", "ers", "or", "ors"})
"""Endings that make another word of one for a part: trainer and tester are no parts."""


def counterparts(names: Iterable[str]) -> set[str]:
    """Find the names that differ in the word for a part only: `trainA`, `testA`.

    The word may be anywhere in the name (`Trainingsdaten`, `Testdaten`; `myTrain`, `myTest`).
    Signs other than letters make no difference, and neither does the case.

    Args:
        names: Names, none of them twice.

    Returns:
        The names that have a counterpart, which stands for another part, among the others.
    """
    alike: defaultdict[tuple[str, str], defaultdict[str, set[str]]]
    alike = defaultdict(lambda: defaultdict(set))
    for name in names:
        word = "".join(filter(str.isalpha, name.lower()))
        for found in _WORD.finditer(word):
            before, after = word[: found.start()], word[found.end() :]
            if after not in _OTHER_WORDS:
                alike[before, after][_INSIDE[found[1]]].add(name)
    return set().union(*(set().union(*of.values()) for of in alike.values() if len(of) > 1))


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How much of each class is drawn for a part that is not there.

    Args:
        validation: Share for validation.
        test: Share for test.
        seed: Random seed of the draw.

    Raises:
        DsxError: If these are no such numbers, or nothing is left to train on.
    """

    validation: float
    test: float
    seed: int

    def __post_init__(self) -> None:
        total = share("validation", self.validation) + share("test", self.test)
        if total >= 1:
            given = f"validation: {self.validation}, test: {self.test}"
            raise DsxError(f"{given} (allowed: less than 1 together, the rest is for training)")
        whole("split_seed", self.seed, 0, 2**32 - 1)


def divide(
    found: Mapping[str, Numbers], labels: Numbers, names: Sequence[str], shares: Shares
) -> dict[str, Numbers]:
    """Complete the parts that were found.

    What is there as a part stays one. If only the test part is missing, it is half of the
    validation images; whatever else is missing is a share of the training images. What is
    drawn is drawn within each class, at random but always alike, at least one image of each.

    Args:
        found: Numbers of the images of each part that was found; at least `train`.
        labels: Class of each image.
        names: Names of the classes.
        shares: Shares of each class that are drawn.

    Returns:
        Numbers of the images of all three parts, each in rising order.

    Raises:
        DsxError: If a part is empty, or a class has too few images, or none to train on.
    """
    for part, numbers in found.items():
        if not len(numbers):
            raise DsxError(f"the {part} split is empty")
    parts = dict(found)
    draw = _Draw(labels, names, shares.seed)
    if "validation" in parts and "test" not in parts:
        drawn = draw(parts["validation"], {"test": 0.5}, "validation")
    else:
        wanted = {"validation": shares.validation, "test": shares.test}
        drawn = draw(
            parts["train"], {part: wanted[part] for part in wanted if part not in parts}, "train"
        )
    parts |= drawn
    trained = set(labels[parts["train"]].tolist())
    for part in PARTS[1:]:
        for label in np.unique(labels[parts[part]]):
            if label not in trained:
                raise DsxError(f"class '{names[label]}' has {part} images, but none to train on")
    return {part: np.sort(parts[part]) for part in PARTS}


@dataclass(frozen=True)
class _Draw:
    """Draws shares of images, class by class."""

    labels: Numbers
    names: Sequence[str]
    seed: int

    def __call__(
        self, numbers: Numbers, shares: Mapping[str, float], rest: str
    ) -> dict[str, Numbers]:
        drawn: dict[str, list[Numbers]] = {part: [] for part in (*shares, rest)}
        for label in np.unique(self.labels[numbers]):
            members = numbers[self.labels[numbers] == label]
            # The legacy generator promises the same numbers in every NumPy release; one for each
            # class, so that an image more in one leaves the others as they are.
            members = np.random.RandomState([self.seed, label]).permutation(members)
            counts = {
                part: max(1, round(part_of * len(members))) for part, part_of in shares.items()
            }
            if sum(counts.values()) >= len(members):
                raise DsxError(
                    f"class '{self.names[label]}': {len(members)} images in {rest} (allowed: "
                    f"enough to draw some for {' and '.join(counts)}, and keep some)"
                )
            for part, count in counts.items():
                drawn[part].append(members[:count])
                members = members[count:]
            drawn[rest].append(members)
        return {part: np.concatenate(each) for part, each in drawn.items()}


def sources(found: Mapping[str, str], shares: Shares) -> dict[str, str]:
    """Describe where the images of each part come from, as `divide` completes them.

    Args:
        found: Description of each part that was found, such as "folder 'train'".
        shares: Shares of each class that are drawn.

    Returns:
        Description of each of the three parts.
    """
    described = dict(found)
    if "validation" in found and "test" not in found:
        described["test"] = f"half of {found['validation']}, drawn from each class"
        described["validation"] = f"the other half of {found['validation']}"
    wanted = {"validation": shares.validation, "test": shares.test}
    for part, share_of in wanted.items():
        if part not in described:
            described[part] = f"{share_of:.3g} of {found['train']}, drawn from each class"
            described["train"] = f"the rest of {found['train']}"
    return {part: described[part] for part in PARTS}


def missing_classes(
    parts: Mapping[str, Numbers], labels: Numbers, names: Sequence[str]
) -> list[str]:
    """Name the classes that training or validation lacks, so that a search cannot judge them.

    Args:
        parts: Numbers of the images of each part.
        labels: Class of each image.
        names: Names of the classes.

    Returns:
        One sentence for each of these two parts that lacks classes.
    """
    found = []
    for part in PARTS[:2]:
        counts = np.bincount(labels[parts[part]], minlength=len(names))
        if missing := [name for name, count in zip(names, counts, strict=True) if not count]:
            some = f"{len(missing):,} of the {len(names):,} classes ({named(missing)})"
            found.append(f"the {part} split has no images of {some}")
    return found
