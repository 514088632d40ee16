"""Duplicates: images that are in several parts of a data set, which makes an accuracy false."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dsx.data._splits import PARTS, Numbers

LIMIT = 50_000
"""Largest number of images of which all are compared."""

SAMPLE = 2_000
"""Images of validation, and of test, that are compared in a larger data set."""

_ADJECTIVE = {"train": "training", "validation": "validation", "test": "test"}


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    """A comparison of the images of a part with those of an earlier part.

    Args:
        later: Name of the part whose images are counted.
        earlier: Name of the part that should not hold them.
        asked: Numbers of the images that are looked for in the earlier part.
        among: Numbers of the images of the earlier part that they are compared with.
        cut: Description of the images from which `among` was drawn; empty if nothing was left out.
    """

    later: str
    earlier: str
    asked: Numbers
    among: Numbers
    cut: str


def is_sampled(parts: Mapping[str, Numbers]) -> bool:
    """Check whether only a sample of the images is compared, since there are too many.

    Args:
        parts: Numbers of the images of each part.
    """
    return sum(map(len, parts.values())) > LIMIT


def duplicates(
    parts: Mapping[str, Numbers],
    sizes: Numbers,
    digests: Callable[[Sequence[int]], Sequence[str]],
    readable: Mapping[str, Numbers] | None = None,
) -> str:
    """Count the images of validation and test that an earlier part has too.

    Args:
        parts: Numbers of the images of each part.
        sizes: (N,) size of each of the N images in bytes; only images of equal size are compared.
        digests: Function that returns a hash of the content of some images.
        readable: Numbers of the images of each part that may be hashed; by default all.

    Returns:
        One sentence; an empty string if there are no duplicates and all images were compared.
    """
    compared = list(_comparisons(parts, sizes, readable or parts))
    digest_of = _digested(compared, sizes, digests)
    found = []
    for each in compared:
        known = {digest_of[number] for number in each.among.tolist()}
        count = sum(digest_of.get(number, "") in known for number in each.asked.tolist())
        if count or (is_sampled(parts) and each.earlier == "train"):
            cut = f" (compared with {each.cut})" if each.cut else ""
            found.append(f"{count:,} of {_share(each.asked, parts[each.later], each.later)} are "
                         f"{_ADJECTIVE[each.earlier]} images too{cut}")  # fmt: skip
    return ", ".join(found)


def _comparisons(
    parts: Mapping[str, Numbers], sizes: Numbers, readable: Mapping[str, Numbers]
) -> Iterator[_Comparison]:
    sampled = is_sampled(parts)
    for later in PARTS[1:]:
        asked = _some(readable[later], SAMPLE) if sampled else readable[later]
        for earlier in PARTS[: PARTS.index(later)]:
            alike = readable[earlier][np.isin(sizes[readable[earlier]], sizes[asked])]
            among = _some(alike, LIMIT)
            whole, which = parts[earlier], ""
            # Where all images may be hashed, those of other sizes are known to be different.
            if len(readable[earlier]) == len(whole) > len(alike):
                whole, which = alike, " of equal size"
            yield _Comparison(
                later=later,
                earlier=earlier,
                asked=asked,
                among=among,
                cut=_share(among, whole, earlier) + which if len(among) < len(whole) else "",
            )


def _digested(
    compared: Sequence[_Comparison],
    sizes: Numbers,
    digests: Callable[[Sequence[int]], Sequence[str]],
) -> dict[int, str]:
    """Hash the images that have the size of an image of another part."""
    wanted: set[int] = set()
    for each in compared:
        wanted.update(each.among.tolist())
        wanted.update(each.asked[np.isin(sizes[each.asked], sizes[each.among])].tolist())
    ordered = sorted(wanted)
    return dict(zip(ordered, digests(ordered), strict=True))


def _some(numbers: Numbers, count: int) -> Numbers:
    """Draw some images, always the same ones."""
    return np.random.RandomState(0).permutation(numbers)[:count]


def _share(some: Numbers, of: Numbers, part: str) -> str:
    sample = f"a sample of {len(some):,} of " if len(some) < len(of) else ""
    return f"{sample}the {len(of):,} {_ADJECTIVE[part]} images"
