"""The latency of one design in several backends, each under its own protocol."""

from pathlib import Path

import pytest

from dsx import search
from dsx.activity import Kind
from dsx.analysis.measurement import exact
from dsx.conv import ConvSpec
from dsx.errors import DsxError, Unsupported
from dsx.lookup import find, names
from dsx.measure import Metric
from dsx.measure.backends import Backend
from dsx.measure.metrics.latency_ms import NAME as LATENCY
from dsx.search.design.compare_backends import BackendLatency, compare_backends
from dsx.search.design.measure_design import DesignMeasurement, MetricResult
from dsx.search.loop import FinalTiming
from dsx.search.plan import plan_metrics
from dsx.space import SearchSpace
from dsx.space.measure_settings import with_measure_settings
from dsx.space.space import build_space
from dsx.store.measurements.measurements import open_measurements
from tests.search.looking import Following, measured, trained
from tests.search.spaces import LEARNED, TIMED

TRAIN = "train: {epochs: 1, batch_size: 128, learning_rate: 0.2}"


def quick(file: Path, measure: str = "budget_seconds: 0.1") -> SearchSpace:
    text = file.read_text().replace(TRAIN, f"{TRAIN}\nmeasure: {{{measure}}}")
    return build_space(file.stem, file.name, text)


def known(single: DesignMeasurement, *backends: str) -> None:
    """Store latencies as if they had been measured."""
    for backend in backends:
        space = with_measure_settings(single.space, backend=backend)
        metrics = {LATENCY: find(Metric, LATENCY)}
        plan = plan_metrics(space, metrics, single.measurements, learned=False)
        single.add(plan, single.candidate(space, single.design), LATENCY, exact(1.0))


def stored(lines: list[BackendLatency]) -> dict[str, bool]:
    return {
        line.backend: isinstance(line.latency, MetricResult) and line.latency.stored
        for line in lines
    }


def test_stored_latencies_are_found_also_by_a_search_in_that_backend(storage: str) -> None:
    space = quick(TIMED)
    first = compare_backends(
        DesignMeasurement(space, space.baseline, open_measurements(storage)), ["onnxruntime"]
    )
    assert stored(first) == {"eager": False, "onnxruntime": False}
    again = compare_backends(
        DesignMeasurement(space, space.baseline, open_measurements(storage)),
        ["onnxruntime", "eager"],
    )
    assert stored(again) == {"eager": True, "onnxruntime": True}
    assert [line.backend for line in again] == ["eager", "onnxruntime"]
    fresh = DesignMeasurement(space, space.baseline, open_measurements(storage), fresh=True)
    assert stored(compare_backends(fresh, ["eager"])) == {"eager": False}
    assert sorted(measured(storage).values()) == [1, 2]
    follow = Following()
    there = quick(TIMED, "budget_seconds: 0.1, backend: onnxruntime")
    # On an idle machine, flagged timings would be repeated at the end.
    once = FinalTiming(designs=0)
    search(there, trials=1, storage=storage, report=follow, final_timing=once)
    assert Kind.TIMING not in {told.event.kind for told in follow.told}


def test_all_skips_unsupported_backends(storage: str) -> None:
    space = quick(TIMED, "channels_last: true")
    single = DesignMeasurement(space, space.baseline, open_measurements(storage))
    known(single, "eager", "compile")
    lines = compare_backends(single, ["all"])
    assert {line.backend for line in lines} == set(names(Backend))
    assert stored(lines)["eager"] and stored(lines)["compile"]
    (openvino,) = (line.latency for line in lines if line.backend == "openvino")
    assert isinstance(openvino, Unsupported)
    assert "openvino chooses the memory layout" in openvino.reason
    assert lines[0].backend == "eager"


@pytest.mark.parametrize(
    ("backend", "measure", "problem"),
    [
        ("onnxrunime", "batch: 1", "backend: no backend called 'onnxrunime' (allowed: compile, "),
        ("openvino", "channels_last: true", "backend: no effect: the backend openvino"),
    ],
)
def test_an_unsupported_backend_is_rejected_in_one_line(
    storage: str, backend: str, measure: str, problem: str
) -> None:
    space = quick(TIMED, measure)
    with pytest.raises(DsxError) as caught:
        compare_backends(
            DesignMeasurement(space, space.baseline, open_measurements(storage)), [backend]
        )
    assert str(caught.value).startswith(problem)


def test_learned_shapes_are_trained_first(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    space = quick(LEARNED)
    design = space.design({"stages.0.conv1": ConvSpec(kernel_shape="learned", block_in=4)})
    with pytest.raises(DsxError, match=r"^the design has learned shapes"):
        compare_backends(
            DesignMeasurement(space, design, open_measurements(storage)), ["onnxruntime"]
        )
    trainings = trained(monkeypatch)
    single = DesignMeasurement(space, design, open_measurements(storage), train=True)
    (line,) = compare_backends(single, ["eager"])
    assert isinstance(line.latency, MetricResult)
    assert len(trainings) == 1
