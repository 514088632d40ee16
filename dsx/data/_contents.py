"""The contents of a data set: its classes, the images of each split, and their source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsx.errors import short

NAMED = 5
"""Largest number of classes that a message names."""


@dataclass(frozen=True, kw_only=True)
class SplitContents:
    """The images of one split.

    Args:
        images_per_class: Number of images of each class.
        source: Where the images come from, such as "folder 'train'".
    """

    images_per_class: list[int]
    source: str

    @property
    def images(self) -> int:
        """Number of images."""
        return sum(self.images_per_class)


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The contents of a data set.

    Args:
        classes: Names of the classes.
        splits: Contents of each split.
    """

    classes: Sequence[str]
    splits: Mapping[str, SplitContents]

    @classmethod
    def of(
        cls,
        classes: Sequence[str],
        labels: Mapping[str, npt.NDArray[np.int64]],
        sources: Mapping[str, str],
    ) -> "Contents":
        """Count the images of each class in each split.

        Args:
            classes: Names of the classes.
            labels: Class of each image, for each split.
            sources: Where the images of each split come from.

        Returns:
            The contents.
        """
        return cls(
            classes=classes,
            splits={
                part: SplitContents(
                    images_per_class=np.bincount(of_part, minlength=len(classes)).tolist(),
                    source=sources[part],
                )
                for part, of_part in labels.items()
            },
        )

    def to_json(self) -> dict[str, object]:
        """Return plain values for a JSON document."""
        return {
            "classes": list(self.classes),
            "splits": {
                part: {
                    "images": split.images,
                    "images_per_class": split.images_per_class,
                    "source": split.source,
                }
                for part, split in self.splits.items()
            },
        }


def counted_classes(count: int, names: Sequence[str]) -> str:
    """Write the number of classes, and their names where they are known.

    Args:
        count: Number of classes.
        names: Names of the classes; empty if they are not known.

    Returns:
        Such as "2 classes (cat, dog)".
    """
    word = "class" if count == 1 else "classes"
    return f"{count:,} {word}" + (f" ({named(names)})" if names else "")


def numbered(count: int) -> list[str]:
    """Name classes that have no names by their numbers.

    Args:
        count: Number of classes.

    Returns:
        The names, "0", "1" and so on.
    """
    return [str(label) for label in range(count)]


def named(names: Sequence[str]) -> str:
    """List names for a message; of many the first ones.

    Args:
        names: At least one name.

    Returns:
        Such as "ant, bee, cat, dog, eel and 95 more".
    """
    listed = ", ".join(map(short, names[:NAMED]))
    return listed + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")
