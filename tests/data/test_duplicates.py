"""Images that occur in several splits are counted, and only those of equal size are hashed."""

from collections.abc import Sequence

import numpy as np
import pytest

from dsx.data._duplicates import LIMIT, SAMPLE, find_duplicates

Content = Sequence[bytes]


def run_duplicates(
    train: Content,
    validation: Content,
    test: Content = (),
    readable: dict[str, list[int]] | None = None,
) -> tuple[str, list[int]]:
    """Return the note, and the numbers of the images that were hashed."""
    content = [*train, *validation, *test]
    ends = np.cumsum([0, len(train), len(validation), len(test)])
    names = ("train", "validation", "test")
    parts = {name: np.arange(ends[n], ends[n + 1]) for n, name in enumerate(names)}
    hashed: list[int] = []

    def digests(numbers: Sequence[int]) -> list[str]:
        hashed.extend(numbers)
        return [content[number].hex() for number in numbers]

    sizes = np.array([len(each) for each in content])
    if readable is None:
        return find_duplicates(parts, sizes, digests), hashed
    drawn = {part: np.array(numbers) for part, numbers in readable.items()}
    return find_duplicates(parts, sizes, digests, drawn), hashed


@pytest.mark.parametrize(
    ("train", "validation", "test", "counts"),
    [
        ([b"a", b"b"], [b"c"], [b"d"], {}),
        ([b"a", b"b"], [b"a", b"c"], [b"d"], {"validation training": (1, 2)}),
        ([b"a", b"a"], [b"a", b"a"], [b"d"], {"validation training": (2, 2)}),
        ([b"a"], [b"c"], [b"d", b"a"], {"test training": (1, 2)}),
        ([b"a"], [b"c"], [b"c", b"d"], {"test validation": (1, 2)}),
        ([b"a"], [b"a"], [b"a"],
         dict.fromkeys(["validation training", "test training", "test validation"], (1, 1))),
    ],
)  # fmt: skip
def test_each_pair_of_splits_is_counted(
    train: Content, validation: Content, test: Content, counts: dict[str, tuple[int, int]]
) -> None:
    words = [
        f"{count} of the {of} {pair.split()[0]} images are also {pair.split()[1]} images"
        for pair, (count, of) in counts.items()
    ]
    assert run_duplicates(train, validation, test)[0] == ", ".join(words)


def test_only_images_of_equal_size_in_different_splits_are_hashed() -> None:
    assert run_duplicates([b"a", b"a", b"bb"], [b"ccc", b"dd"], [b"eeee"]) == ("", [2, 4])


def test_a_large_dataset_is_sampled_as_the_note_states() -> None:
    train = [b"%d" % number for number in range(LIMIT)]
    validation = [*train[: 2 * SAMPLE], *(b"v%d" % number for number in range(2 * SAMPLE))]
    note, hashed = run_duplicates(train, validation, [b"t"])
    count, _, rest = note.partition(" of ")
    assert rest == (
        "a sample of 2,000 of the 8,000 validation images are also training images, "
        "0 of the 1 test images are also training images"
    )
    assert int(count.replace(",", "")) == pytest.approx(SAMPLE / 2, abs=150)
    assert len(hashed) < 1.1 * LIMIT


def test_training_images_that_are_not_compared_are_stated() -> None:
    train = [b"%06d" % number for number in range(3 * LIMIT)]
    note, hashed = run_duplicates(train, train[: 2 * SAMPLE], [b"t"])
    count, _, rest = note.partition(" of ")
    assert rest == (
        "a sample of 2,000 of the 4,000 validation images are also training images (compared with "
        "a sample of 50,000 of the 150,000 training images), "
        "0 of the 1 test images are also training images"
    )
    assert int(count) == pytest.approx(SAMPLE / 3, abs=150)
    assert len(hashed) <= LIMIT + SAMPLE


def test_training_images_of_another_size_are_not_sampled() -> None:
    train = [*(b"%06d" % number for number in range(LIMIT + 10)), b"other", b"size"]
    note, _ = run_duplicates(train, train[:2], [b"t"])
    assert " of the 2 validation images are also training images (compared with a sample of " in (
        note
    )
    assert "50,000 of the 50,010 training images of equal size), 0 of the 1 test" in note


def test_only_readable_images_are_hashed_as_the_note_states() -> None:
    train = [b"%06d" % number for number in range(LIMIT)]
    validation = train[:10]
    readable = {"train": [3, 4, 5], "validation": [LIMIT + 4, LIMIT + 9], "test": [LIMIT + 10]}
    note, hashed = run_duplicates(train, validation, train[:1], readable)
    assert note == (
        "1 of a sample of 2 of the 10 validation images are also training images (compared with a "
        "sample of 3 of the 50,000 training images), 0 of the 1 test images are also training "
        "images (compared with a sample of 3 of the 50,000 training images)"
    )
    assert hashed == sorted(number for numbers in readable.values() for number in numbers)
