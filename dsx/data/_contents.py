"""Contents of a dataset: its classes, the images of each split, and their source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsx.errors import short

NAMED = 5
"""Largest number of classes that a message names."""


@dataclass(frozen=True, kw_only=True)
class SplitContents:
    """Images of one split.

    Args:
        images_per_class: Number of images of each class.
        source: Source of the images, such as "folder 'train'".
    """

    images_per_class: list[int]
    source: str

    @property
    def images(self) -> int:
        """The number of images."""
        return sum(self.images_per_class)


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Contents of a dataset.

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
            sources: Source of the images of each split.

        Returns:
            The contents.
        """
        return cls(
            classes=classes,
            splits={
                part: SplitContents(
                    images_per_class=np.bincount(part_labels, minlength=len(classes)).tolist(),
                    source=sources[part],
                )
                for part, part_labels in labels.items()
            },
        )

    def to_json(self) -> dict[str, object]:
        """Return the contents as plain JSON values.

        Returns:
            Names of the classes, and the contents of each split.
        """
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
    """Return the number of classes, with their names if available.

    Args:
        count: Number of classes.
        names: Names of the classes; empty if they are not known.

    Returns:
        A phrase such as "2 classes (cat, dog)".
    """
    word = "class" if count == 1 else "classes"
    return f"{count:,} {word}" + (f" ({named(names)})" if names else "")


def number_classes(count: int) -> list[str]:
    """Return numbers as the names of classes that have none.

    Args:
        count: Number of classes.

    Returns:
        The names "0", "1" and so on.
    """
    return [str(label) for label in range(count)]


def named(names: Sequence[str]) -> str:
    """Join names for a message, of which only the first ones are listed.

    Args:
        names: One or more names.

    Returns:
        A phrase such as "ant, bee, cat, dog, eel and 95 more".
    """
    listed = ", ".join(map(short, names[:NAMED]))
    return listed + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")
