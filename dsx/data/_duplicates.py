"""Duplicates: images that are in several parts of a data set, which makes an accuracy false."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from dsx.data._parts import PARTS, Numbers

LIMIT = 50_000
"""Largest number of images of which all are compared."""

SAMPLE = 2_000
"""Images of validation, and of test, that are compared in a larger data set."""

_ADJECTIVE = {"train": "training", "validation": "validation", "test": "test"}


def duplicates(
    parts: Mapping[str, Numbers], sizes: Numbers, digests: Callable[[Sequence[int]], Sequence[str]]
) -> str:
    """Count the images of validation and test that an earlier part has too.

    Args:
        parts: Numbers of the images of each part.
        sizes: (N,) size of each of the N images in bytes; only images of equal size are compared.
        digests: Returns a hash of the content of some images.

    Returns:
        One sentence; an empty string if there are no duplicates and all images were compared.
    """
    sampled = sum(map(len, parts.values())) > LIMIT
    asked = {part: _some(parts[part], SAMPLE) if sampled else parts[part] for part in PARTS[1:]}
    digest_of = _digested(parts, asked, sizes, digests)
    found = []
    for later, earlier in _pairs():
        known = {digest_of[number] for number in parts[earlier].tolist() if number in digest_of}
        count = sum(digest_of.get(number, "") in known for number in asked[later].tolist())
        if count or (sampled and earlier == "train"):
            found.append(f"{_counted(count, asked[later], parts[later], later)} are "
                         f"{_ADJECTIVE[earlier]} images too")  # fmt: skip
    return ", ".join(found)


def _pairs() -> Iterator[tuple[str, str]]:
    yield from ((later, earlier) for later in PARTS[1:] for earlier in PARTS[: PARTS.index(later)])


def _digested(
    parts: Mapping[str, Numbers],
    asked: Mapping[str, Numbers],
    sizes: Numbers,
    digests: Callable[[Sequence[int]], Sequence[str]],
) -> dict[int, str]:
    """Hash the images that have the size of an image of another part."""
    wanted: set[int] = set()
    for later, earlier in _pairs():
        common = np.intersect1d(sizes[asked[later]], sizes[parts[earlier]])
        for numbers in (asked[later], parts[earlier]):
            alike = numbers[np.isin(sizes[numbers], common)]
            wanted.update(_some(alike, LIMIT).tolist())
    ordered = sorted(wanted)
    return dict(zip(ordered, digests(ordered), strict=True))


def _some(numbers: Numbers, count: int) -> Numbers:
    """Draw some images, always the same ones."""
    return np.random.RandomState(0).permutation(numbers)[:count]


def _counted(count: int, asked: Numbers, of: Numbers, part: str) -> str:
    sample = f"a sample of {len(asked):,} of " if len(asked) < len(of) else ""
    return f"{count:,} of {sample}the {len(of):,} {_ADJECTIVE[part]} images"
