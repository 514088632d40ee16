"""Divide images into training, validation and test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsx.data._arguments import share, whole
from dsx.errors import DsxError

Numbers = npt.NDArray[np.int64]

PARTS = ("train", "validation", "test")
WORDS = {"train": "train", "validation": "validation", "val": "validation",
         "valid": "validation", "test": "test"}  # fmt: skip
"""What a folder or a file may call a part."""


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
