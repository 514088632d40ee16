"""Datasets by name with arguments: those of dsx, and those of users."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dsx.data import Data, Dataset, Split, Splits, TensorSplit, open_data
from dsx.errors import DsxError


def part(labels: list[int], side: int = 4) -> TensorSplit:
    """Build a split of images of 1 x side x side."""
    images = torch.arange(len(labels) * side * side).float().view(-1, 1, side, side)
    return TensorSplit(images=images, labels=torch.tensor(labels, dtype=torch.int64))


def splits(most: int = 2, **changes: Any) -> Splits:
    """Build splits with labels up to a number, as a user would."""
    labels = list(range(most + 1))
    content: dict[str, Any] = {"train": part(labels), "validation": part([0]), "test": part([0])}
    return Splits(**(content | changes))


def as_data(classes: int = 3) -> Data:
    return Data(load=splits, image_shape=(1, 4, 4), classes=classes)


def late(problem: str) -> Data:
    def load() -> Splits:
        raise DsxError(problem) if problem.startswith("no") else ValueError(problem)

    return Data(load=load, image_shape=(1, 4, 4), classes=3)


def anything(**arguments: int) -> Splits:
    return splits(arguments["most"])


def several(*names: str, most: int) -> Splits:
    return splits(most + len(names))


def failing() -> Splits:
    raise KeyError("of\nmine")


def refusing() -> Splits:
    raise DsxError("no images")


def nothing() -> None:
    return None


def empty() -> Splits:
    return splits(test=part([]))


def unlabelled() -> Splits:
    found = splits()
    object.__setattr__(found.test, "labels", None)
    return found


RECORD = Dataset(open=as_data)
WORD = "a word"


def opened(name: str, **arguments: Any) -> Data:
    return open_data(f"{__name__}:{name}", arguments)


def test_splits_of_a_user_are_described() -> None:
    data = opened("splits", most=4)
    assert (data.image_shape, data.classes) == ((1, 4, 4), 5)
    assert data.splits.train.labels.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", ["as_data", "RECORD"])
def test_data_of_a_user_are_not_modified(name: str) -> None:
    assert opened(name).classes == 3
    assert opened(name, classes=5).classes == 5
    assert len(opened(name).splits.train) == 3


def test_keyword_arguments_are_passed() -> None:
    assert opened("anything", most=3).classes == 4
    assert opened("several", most=3).classes == 4


def test_a_callable_without_signature_is_called_with_the_given_arguments() -> None:
    with pytest.raises(DsxError, match=r"^builtins:dict returns a dict, not Splits$"):
        open_data("builtins:dict", {"most": 3})


def test_classes_are_those_of_training_and_validation() -> None:
    assert Data.of(splits(validation=part([4]))).classes == 5
    data = Data.of(splits(test=part([3])))
    assert data.classes == 3
    with pytest.raises(DsxError, match=r"test split has the label 3 \(allowed: 0 to 2, since"):
        _ = data.splits


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: open_data("digit", {}), r"no dataset called 'digit' \(allowed: .*\). Did you mean"),
    (lambda: open_data("a.b", {}), "'a.b' is not an import path"),
    (
        lambda: open_data("digits", {"root": "x"}),
        r"digits: no argument called 'root' \(allowed: none\)$",
    ),
    (lambda: open_data("cifar10", {"roo": "x"}), r"cifar10: no argument called 'roo' \(allowed: "),
    (lambda: open_data("folder", {}), "folder: the argument 'root' is required$"),
    (lambda: opened("WORD"), "'.*:WORD' is a str, which is not callable$"),
    (lambda: opened("as_data", clases=1), ".*no argument called 'clases' .*Did you mean 'classes'"),
    (lambda: opened("several"), ".*:several: the argument 'most' is required$"),
    (lambda: opened("failing"), r".*:failing fails: KeyError: 'of\\nmine'$"),
    (lambda: opened("refusing"), ".*:refusing: no images$"),
    (lambda: opened("nothing"), ".*:nothing returns a NoneType, not Splits$"),
    (lambda: opened("empty"), ".*:empty: the test split is empty$"),
    (lambda: opened("unlabelled"), r".*: the labels of the test split are not an int64 tensor"),
    (lambda: opened("splits", train=3), ".*:splits: train: a int .allowed: a Split, such as a"),
    (lambda: opened("late", problem="gone").splits, ".*:late fails: ValueError: gone$"),
    (lambda: opened("late", problem="none").splits, ".*:late: none$"),
]


@pytest.mark.parametrize(("work", "message"), WRONG)
def test_invalid_datasets_are_rejected_in_one_line(
    work: Callable[[], object], message: str
) -> None:
    with pytest.raises(DsxError, match=f"^{message}") as caught:
        work()
    assert "\n" not in str(caught.value)


def test_a_dataset_of_dsx_that_fails_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Data:
        raise KeyError("ours")

    monkeypatch.setattr("dsx.data.digits.DATASET", Dataset(open=broken))
    with pytest.raises(KeyError, match="ours"):
        open_data("digits", {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validation": part([])}, "the validation split is empty"),
        ({"train": part([0, 5])}, r"the train split has the label 5 \(allowed: 0 to 2, since"),
        ({"test": part([-1, 0])}, r"the test split has the label -1 \(allowed: 0 to 2, since"),
        ({"test": part([0], 5)}, r"the test split has images of 1 x 5 x 5 \(allowed: 1 x 4 x 4\)"),
    ],
)
def test_loaded_splits_are_checked(changes: dict[str, Any], message: str) -> None:
    data = Data(load=lambda: splits(**changes), image_shape=(1, 4, 4), classes=3)
    with pytest.raises(DsxError, match=f"^{message}"):
        _ = data.splits


def test_loaded_objects_other_than_splits_are_rejected() -> None:
    load: Any = nothing
    with pytest.raises(
        DsxError, match=r"^loading the data returned a NoneType \(expected: Splits\)$"
    ):
        _ = Data(load=load, image_shape=(1, 4, 4), classes=3).splits


def test_data_are_loaded_once() -> None:
    calls = []

    def load() -> Splits:
        calls.append(1)
        return splits()

    data = Data(load=load, image_shape=(1, 4, 4), classes=3)
    assert not calls
    assert data.splits is data.splits
    assert len(calls) == 1


class Counted(Split):
    """Split of a user-defined kind."""

    labels = torch.tensor([0, 1, 2])
    fingerprint = "abc"

    def batches(
        self, order: Tensor, size: int, device: torch.device | str = "cpu"
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images whose pixels are their number."""
        for chosen in torch.split(order, size):
            yield chosen.float().view(-1, 1, 1, 1).expand(-1, 1, 4, 4), self.labels[chosen]


@pytest.mark.parametrize(
    "labels", [[0, 1, 2], torch.tensor([0, 1]).int(), torch.zeros(2, 1).long()]
)
def test_all_splits_require_int64_labels(labels: Any) -> None:
    part = Counted()
    part.labels = labels
    with pytest.raises(DsxError, match=r"^the labels of the train split are not an int64 tensor"):
        Data.of(splits(train=part))


def test_other_kinds_of_splits_are_supported() -> None:
    data = Data.of(splits(train=Counted()))
    assert (data.image_shape, data.classes) == ((1, 4, 4), 3)
    assert len(data.splits.train) == 3


def test_a_fingerprint_depends_on_training_and_validation() -> None:
    assert splits().fingerprint == splits(test=part([1])).fingerprint
    assert splits().fingerprint != splits(validation=part([1])).fingerprint
    assert splits().fingerprint != splits(3).fingerprint
    turned = splits(train=part([0]), validation=part([0, 1, 2]))
    assert splits().fingerprint != turned.fingerprint


@pytest.mark.parametrize("shape", [np.array([1, 4, 4]), [1, 4, np.int64(4)], torch.Size((1, 4, 4))])
def test_shape_and_classes_may_be_numpy_numbers(shape: Any) -> None:
    data = Data(load=splits, image_shape=shape, classes=np.int64(3))  # type: ignore[arg-type]
    assert repr((data.image_shape, data.classes)) == "((1, 4, 4), 3)"
    assert data.splits.train.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"image_shape": (4, 4)},
            r"image_shape: \(4, 4\) \(allowed: three positive integers: channels",
        ),
        ({"image_shape": (1, 4, 0)}, "image_shape: .* three positive integers"),
        ({"classes": 3.5}, r"classes: 3.5 \(allowed: a positive integer\)"),
        ({"classes": np.int64(0)}, "classes: 0"),
    ],
)
def test_invalid_shapes_and_classes_are_rejected(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(DsxError, match=problem):
        dataclasses.replace(as_data(), **changes)


def test_contents_are_checked_like_the_splits() -> None:
    opened = Data.of(splits(test=part([-1])))
    assert opened.contents is not None
    with pytest.raises(DsxError, match="the test split has the label -1"):
        opened.contents()
