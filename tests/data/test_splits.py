"""Division of images into training, validation and test."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsx.data._splits import (
    PARTS,
    Fractions,
    Numbers,
    complete_parts,
    describe_sources,
    find_counterparts,
    find_missing_classes,
    find_parts,
    parse_part,
)
from dsx.errors import DsxError

NAMES = ["ant", "bee", "cat"]


def shares(**changes: Any) -> Fractions:
    return Fractions(**({"validation": 0.1, "test": 0.1, "seed": 0} | changes))


def numbers(*values: int) -> Numbers:
    return np.array(values, dtype=np.int64)


def classes(*counts: int) -> Numbers:
    return np.repeat(np.arange(len(counts)), counts)


@given(
    st.lists(st.integers(4, 40), min_size=1, max_size=3), st.floats(0.01, 0.5),
    st.floats(0.01, 0.4), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_each_class_is_divided_by_the_fractions(
    counts: list[int], validation: float, test: float, seed: int
) -> None:
    labels = classes(*counts)
    everything = np.arange(len(labels))
    wanted = Fractions(validation=validation, test=test, seed=seed)
    most = sum(max(1, round(share * min(counts))) for share in (validation, test))
    if most >= min(counts):
        with pytest.raises(DsxError, match=r"^class '\w+': \d+ images in train \(allowed: "):
            complete_parts({"train": everything}, labels, NAMES, wanted)
        return
    parts = complete_parts({"train": everything}, labels, NAMES, wanted)
    assert list(parts) == list(PARTS)
    assert sorted(np.concatenate(list(parts.values()))) == everything.tolist()
    for label, count in enumerate(counts):
        drawn = {part: int((labels[parts[part]] == label).sum()) for part in PARTS}
        assert drawn["validation"] == max(1, round(validation * count))
        assert drawn["test"] == max(1, round(test * count))
    for part in parts.values():
        assert (np.diff(part) > 0).all()
    again = complete_parts({"train": everything}, labels, NAMES, wanted)
    assert all((again[part] == parts[part]).all() for part in PARTS)


def test_another_seed_samples_other_images() -> None:
    labels = classes(50, 50)
    found = [
        complete_parts({"train": np.arange(100)}, labels, NAMES, shares(seed=seed))["test"].tolist()
        for seed in (0, 1)
    ]
    assert found[0] != found[1]


def test_the_sampling_is_stable() -> None:
    """Accuracies of other splits are not comparable with those in existing databases."""
    parts = complete_parts({"train": np.arange(30)}, classes(10, 20), NAMES, shares())
    assert parts["validation"].tolist() == [3, 17, 25]
    assert parts["test"].tolist() == [7, 21, 29]


def test_an_additional_image_of_one_class_does_not_change_the_others() -> None:
    parts = []
    for count in (20, 21):
        found = complete_parts(
            {"train": np.arange(20 + count)}, classes(count, 20), NAMES, shares()
        )
        parts.append([n - count for n in found["test"] if n >= count])
    assert parts[0] == parts[1]


def test_existing_splits_are_unchanged() -> None:
    given_parts = {"train": numbers(0, 3), "validation": numbers(1, 4), "test": numbers(2, 5)}
    parts = complete_parts(given_parts, classes(3, 3), NAMES, shares())
    assert {part: parts[part].tolist() for part in PARTS} == {
        "train": [0, 3], "validation": [1, 4], "test": [2, 5]
    }  # fmt: skip


def test_without_test_images_half_of_the_validation_images_are_used() -> None:
    labels = np.concatenate([classes(5, 5), classes(6, 3)])
    given_parts = {"train": np.arange(10), "validation": np.arange(10, 19)}
    parts = complete_parts(given_parts, labels, NAMES, shares())
    assert parts["train"].tolist() == list(range(10))
    assert sorted([*parts["validation"], *parts["test"]]) == list(range(10, 19))
    assert np.bincount(labels[parts["test"]]).tolist() == [3, 2]
    assert np.bincount(labels[parts["validation"]]).tolist() == [3, 1]


def test_without_validation_images_some_training_images_are_used() -> None:
    labels = np.concatenate([classes(10, 10), classes(2, 2)])
    given_parts = {"train": np.arange(20), "test": np.arange(20, 24)}
    parts = complete_parts(given_parts, labels, NAMES, shares(validation=0.3))
    assert parts["test"].tolist() == [20, 21, 22, 23]
    assert sorted([*parts["train"], *parts["validation"]]) == list(range(20))
    assert np.bincount(labels[parts["validation"]]).tolist() == [3, 3]


def test_a_class_may_be_missing_in_a_split() -> None:
    given_parts = {"train": numbers(0, 2, 4), "validation": numbers(1), "test": numbers(3)}
    parts = complete_parts(given_parts, numbers(0, 0, 1, 1, 2), NAMES, shares())
    assert {part: of.tolist() for part, of in parts.items()} == {
        part: of.tolist() for part, of in given_parts.items()
    }


def test_three_images_suffice_for_one_per_split() -> None:
    parts = complete_parts({"train": np.arange(3)}, classes(3), NAMES, shares())
    assert [len(parts[part]) for part in PARTS] == [1, 1, 1]


@pytest.mark.parametrize(
    ("given_parts", "labels", "message"),
    [
        ({"train": np.arange(7)}, classes(5, 2), "class 'bee': 2 images in train .allowed: enough"
         " for validation and test and train"),
        ({"train": np.arange(2), "test": numbers(2, 3)}, numbers(0, 1, 0, 1),
         "class 'ant': 1 images in train .allowed: enough for validation and train"),
        ({"train": np.arange(2), "validation": numbers(2, 3)}, numbers(0, 1, 0, 1),
         "class 'ant': 1 images in validation .allowed: enough for test and validation"),
        ({"train": numbers(0), "validation": numbers(1), "test": numbers(2)}, numbers(0, 2, 1),
         "class 'cat' has validation images, but no training images$"),
        ({"train": numbers(0), "validation": numbers(1), "test": numbers(2)}, numbers(0, 0, 1),
         "class 'bee' has test images, but no training images$"),
    ],
)  # fmt: skip
def test_too_few_images_are_rejected(
    given_parts: dict[str, Numbers], labels: Numbers, message: str
) -> None:
    with pytest.raises(DsxError, match=f"^{message}"):
        complete_parts(given_parts, labels, NAMES, shares())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validation": 0}, r"validation: 0 \(allowed: a number between 0 and 1\)"),
        ({"test": "a"}, r"test: 'a' \(allowed: a number between 0 and 1\)"),
        ({"validation": 0.6, "test": 0.4}, r"validation: 0.6, test: 0.4 \(allowed: a sum below 1"),
        ({"seed": -1}, r"split_seed: -1 \(allowed: an integer from 0 to 4294967295\)"),
    ],
)
def test_invalid_fractions_are_rejected(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DsxError, match=f"^{message}"):
        shares(**changes)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("train", "train"), ("TRAINING", "train"), ("Train_Set", "train"), ("trainset", "train"),
        ("train-images", "train"), ("training data", "train"), ("train2017", "train"),
        ("trn", "train"), ("val", "validation"), ("valid", "validation"), ("dev", "validation"),
        ("Validation_Data_Set", "validation"), ("eval", "validation"), ("tests", "test"),
        ("testing", "test"), ("tst", "test"), ("test_images_2", "test"), ("trainer", None),
        ("train_station", None), ("seg_train", None), ("valley", None), ("testimony", None),
        ("", None), ("set", None), ("images", None),
    ],
)  # fmt: skip
def test_names_of_splits_are_parsed(name: str, part: str | None) -> None:
    assert parse_part(name) == part


def test_names_of_splits_are_found_among_words() -> None:
    assert find_parts("seg_train/TEST-0.x") == {"train", "test"}
    assert find_parts("trainers and valleys") == set()


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"train": "A"}, ("the rest of A", "0.1 of A, sampled by class",
                          "0.25 of A, sampled by class")),
        ({"train": "A", "test": "C"}, ("the rest of A", "0.1 of A, sampled by class", "C")),
        ({"train": "A", "validation": "B"}, ("A", "the other half of B",
                                             "half of B, sampled by class")),
        ({"train": "A", "validation": "B", "test": "C"}, ("A", "B", "C")),
    ],
)  # fmt: skip
def test_sources_describe_sampled_splits(found: dict[str, str], expected: tuple[str, ...]) -> None:
    assert describe_sources(found, shares(test=0.25)) == dict(zip(PARTS, expected, strict=True))


def test_classes_without_images_for_a_search_are_named() -> None:
    parts = {"train": numbers(0, 1), "validation": numbers(2), "test": numbers(3)}
    assert find_missing_classes(parts, numbers(0, 1, 0, 0), ["ant", "bee"]) == [
        "the validation split has no images of 1 of the 2 classes (bee)"
    ]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["trainA", "testA", "trainB"], {"trainA", "testA"}),
        (["Trainingsdaten", "TEST_daten", "daten"], {"Trainingsdaten", "TEST_daten"}),
        (["contestTrain", "contestTest", "contest"], {"contestTrain", "contestTest"}),
        (["trainX", "trainingX"], set()),
        (["valA", "devA"], set()),
        (["trainer", "tester", "developer", "evaluator", "validator"], set()),
        (["testudo", "vallhund", "valley", "trainee", "oval"], set()),
        ([], set()),
    ],
)
def test_counterparts_differ_only_in_the_word_for_a_split(
    names: list[str], found: set[str]
) -> None:
    assert find_counterparts(names) == found
