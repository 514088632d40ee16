"""The latency of one design in several backends, each number under the protocol of its own."""

from pathlib import Path

import pytest

from dsx import search
from dsx.conv import ConvSpec
from dsx.errors import DsxError
from dsx.lookup import names
from dsx.measure.backends import Backend
from dsx.space import SearchSpace
from dsx.space.space import build_space
from dsx.study.backends import compare_backends
from dsx.study.single import Single
from tests.study.looking import measured
from tests.study.spaces import LEARNED, TIMED

TRAIN = "train: {epochs: 1, batch_size: 128, learning_rate: 0.2}"


def quick(file: Path, measure: str = "budget_seconds: 0.1") -> SearchSpace:
    text = file.read_text().replace(TRAIN, f"{TRAIN}\nmeasure: {{{measure}}}")
    return build_space(file.stem, file.name, text)


def test_eager_comes_first_and_known_numbers_are_found(storage: str) -> None:
    space = quick(TIMED)
    first = compare_backends(Single(space, space.baseline, storage), ["onnxruntime"])
    assert [line.backend for line in first] == ["eager", "onnxruntime"]
    assert [line.number is not None and line.number.stored for line in first] == [False, False]
    again = compare_backends(Single(space, space.baseline, storage), ["onnxruntime", "eager"])
    assert [line.number is not None and line.number.stored for line in again] == [True, True]
    assert set(measured(storage).values()) == {1}
    fresh = Single(space, space.baseline, storage, fresh=True)
    lines = compare_backends(fresh, ["eager"])
    assert [line.number is not None and line.number.stored for line in lines] == [False]


def test_a_search_in_that_backend_finds_the_number(storage: str) -> None:
    space = quick(TIMED)
    compare_backends(Single(space, space.baseline, storage), ["onnxruntime"])
    before = measured(storage)
    search(quick(TIMED, "budget_seconds: 0.1, backend: onnxruntime"), trials=1, storage=storage)
    after = measured(storage)
    assert len(before) == 2
    assert all(after[key] == 1 for key in before)
    assert [metric for _, metric, _ in after].count("latency_ms") == 2


def test_all_passes_over_what_cannot_be_used(storage: str) -> None:
    # In float64 some backends do not compute.
    space = quick(TIMED, "budget_seconds: 0.1, channels_last: true")
    lines = compare_backends(Single(space, space.baseline, storage), ["all"])
    assert {line.backend for line in lines} == set(names(Backend))
    reasons = {line.backend: line.reason for line in lines if line.number is None}
    assert "lays its tensors out by itself" in reasons["openvino"]
    assert lines[0].backend == "eager" and lines[0].number is not None


@pytest.mark.parametrize(
    ("backend", "measure", "problem"),
    [
        ("onnxrunime", "batch: 1", "--backend: no backend called 'onnxrunime' (allowed: compile, "),
        ("openvino", "channels_last: true", "--backend: openvino lays its tensors out by itself"),
    ],
)
def test_a_backend_that_cannot_be_used_is_one_line(
    storage: str, backend: str, measure: str, problem: str
) -> None:
    space = quick(TIMED, measure)
    with pytest.raises(DsxError) as caught:
        compare_backends(Single(space, space.baseline, storage), [backend])
    assert str(caught.value).startswith(problem)


def test_learned_shapes_are_trained_once_for_all_of_them(storage: str) -> None:
    space = quick(LEARNED)
    design = space.design({"stages.0.conv1": ConvSpec(kernel_shape="learned", block_in=4)})
    with pytest.raises(DsxError, match=r"^the design has learned shapes"):
        compare_backends(Single(space, design, storage), ["onnxruntime"])
    said: list[str] = []
    single = Single(space, design, storage, train=True, doing=said.append)
    lines = compare_backends(single, ["onnxruntime"])
    assert all(line.number is not None for line in lines)
    assert said.count("training, 100% done") == 1
