"""Duplicates: images that occur in several splits of a dataset, which invalidates an accuracy."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dsx.data._splits import PARTS, Numbers

LIMIT = 50_000
"""Largest number of images that are all compared."""

SAMPLE = 2_000
"""Number of validation and of test images that are compared in a larger dataset."""

_ADJECTIVE = {"train": "training", "validation": "validation", "test": "test"}


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    """Comparison of the images of a split with those of an earlier split.

    Args:
        later: Name of the split whose images are counted.
        earlier: Name of the split that should not contain them.
        asked: Numbers of the images that are searched in the earlier split.
        among: Numbers of the images of the earlier split with which they are compared.
        cut: Description of the images from which `among` was sampled; empty if it is complete.
    """

    later: str
    earlier: str
    asked: Numbers
    among: Numbers
    cut: str


def is_sampled(parts: Mapping[str, Numbers]) -> bool:
    """Check whether only a sample of the images is compared, because of their number.

    Args:
        parts: Numbers of the images of each split.
    """
    return sum(map(len, parts.values())) > LIMIT


def find_duplicates(
    parts: Mapping[str, Numbers],
    sizes: Numbers,
    digests: Callable[[Sequence[int]], Sequence[str]],
    readable: Mapping[str, Numbers] | None = None,
) -> str:
    """Count the validation and test images that also occur in an earlier split.

    Args:
        parts: Numbers of the images of each split.
        sizes: Size of each image in bytes, (N,); only images of equal size are compared.
        digests: Function that returns a hash of the content of each given image.
        readable: Numbers of the images of each split that may be hashed; by default all.

    Returns:
        One sentence; an empty string if there are no duplicates and all images were compared.
    """
    compared = list(_comparisons(parts, sizes, readable or parts))
    digest_of = _digest_images(compared, sizes, digests)
    found = []
    for each in compared:
        earlier = {digest_of[number] for number in each.among.tolist()}
        count = sum(digest_of.get(number, "") in earlier for number in each.asked.tolist())
        if count or (is_sampled(parts) and each.earlier == "train"):
            cut = f" (compared with {each.cut})" if each.cut else ""
            sample = _describe_sample(each.asked, parts[each.later], each.later)
            adjective = _ADJECTIVE[each.earlier]
            found.append(f"{count:,} of {sample} are also {adjective} images{cut}")
    return ", ".join(found)


def _comparisons(
    parts: Mapping[str, Numbers], sizes: Numbers, readable: Mapping[str, Numbers]
) -> Iterator[_Comparison]:
    sampled = is_sampled(parts)
    for later in PARTS[1:]:
        asked = _subsample(readable[later], SAMPLE) if sampled else readable[later]
        for earlier in PARTS[: PARTS.index(later)]:
            equal_size = readable[earlier][np.isin(sizes[readable[earlier]], sizes[asked])]
            among = _subsample(equal_size, LIMIT)
            population, qualifier = parts[earlier], ""
            # If all images may be hashed, images of other sizes cannot be duplicates.
            if len(readable[earlier]) == len(population) > len(equal_size):
                population, qualifier = equal_size, " of equal size"
            yield _Comparison(
                later=later,
                earlier=earlier,
                asked=asked,
                among=among,
                cut=_describe_sample(among, population, earlier) + qualifier
                if len(among) < len(population)
                else "",
            )


def _digest_images(
    compared: Sequence[_Comparison],
    sizes: Numbers,
    digests: Callable[[Sequence[int]], Sequence[str]],
) -> dict[int, str]:
    """Hash the images whose size equals that of an image of another split."""
    numbers: set[int] = set()
    for each in compared:
        numbers.update(each.among.tolist())
        numbers.update(each.asked[np.isin(sizes[each.asked], sizes[each.among])].tolist())
    ordered = sorted(numbers)
    return dict(zip(ordered, digests(ordered), strict=True))


def _subsample(numbers: Numbers, count: int) -> Numbers:
    """Sample images with a fixed seed."""
    return np.random.RandomState(0).permutation(numbers)[:count]


def _describe_sample(some: Numbers, of: Numbers, part: str) -> str:
    sample = f"a sample of {len(some):,} of " if len(some) < len(of) else ""
    return f"{sample}the {len(of):,} {_ADJECTIVE[part]} images"
