"""Measurement of one design and the baseline, which shares stored measurements with searches."""

import math
import statistics
from collections import Counter
from pathlib import Path

import pytest
import torch
from sqlalchemy import select
from sqlalchemy.orm import Session

from dsx import search
from dsx.activity import Event, Kind
from dsx.conv import ConvSpec
from dsx.errors import DsxError, Unsupported, WorkFailed
from dsx.measure import Candidate
from dsx.search.design.measure_design import DesignMeasurement, Measured
from dsx.search.design.selection import load_selected
from dsx.space import Design, SearchSpace, load_space
from dsx.space.measure_settings import with_measure_settings
from dsx.space.space import build_space
from dsx.store.database.engine import open_database
from dsx.store.database.schema import MeasurementRow
from dsx.store.measurements.measurements import open_measurements
from dsx.store.studies.study import Study
from tests.measure.facts import deployment
from tests.search.looking import Following, measured, rows, trained
from tests.search.spaces import LEARNED, TIMED, TINY, varied
from tests.space.space_files import with_rules

CHEAP = {"bits", "flops", "params", "latency_ms", "peak_memory_mb"}
CHEAP |= {"deployed_flops", "deployed_params"}
QUICK = "train: {epochs: 1, batch_size: 128, learning_rate: 0.2}\nmeasure: {budget_seconds: 0.05}"
TRAIN = "train: {epochs: 1, batch_size: 128, learning_rate: 0.2}"
CROSS = ConvSpec(kernel_shape="cross")


def quick(file: Path) -> SearchSpace:
    return build_space(file.stem, file.name, file.read_text().replace(TRAIN, QUICK))


def crossed(space: SearchSpace) -> Design:
    names = [slot.name for slot in space.analysis.slots if slot.name.startswith("stages.2")]
    return space.design(dict.fromkeys(names, CROSS))


def taken(storage: str) -> Counter[tuple[str, str]]:
    """Count the measurements of each design and metric."""
    return Counter((row.design, row.metric) for row in rows(storage, MeasurementRow))


def sources(found: Measured) -> set[bool]:
    return {number.stored for number in [*found.design.values(), *found.baseline.values()]}


def test_all_metrics_without_training_are_measured_by_default(storage: str) -> None:
    space = quick(TIMED)
    design = crossed(space)
    single = DesignMeasurement(space, design, open_measurements(storage))
    found = single.measure([])
    assert found.metrics.keys() | found.unsupported.keys() == CHEAP | {
        "energy_mj",
        "projected_accuracy",
    }
    assert found.metrics.keys() >= CHEAP
    assert found.design.keys() == found.baseline.keys() == found.metrics.keys()
    for one, numbers in ((design, found.design), (space.baseline, found.baseline)):
        counts = space.cost(one).numbers
        assert {name: numbers[name].newest.value for name in counts} == counts
    assert sources(found) == {False}
    forms = deployment(found.design["latency_ms"].newest).forms
    assert forms.keys() == design.changed.keys()


def test_stored_metrics_are_measured_again_only_if_requested(storage: str) -> None:
    space = quick(TIMED)
    design = crossed(space)
    first = DesignMeasurement(space, design, open_measurements(storage)).measure([])
    again = DesignMeasurement(space, design, open_measurements(storage)).measure([])
    assert sources(again) == {True}
    assert set(taken(storage).values()) == {1}
    for name, number in again.design.items():
        assert number.newest.value == first.design[name].newest.value
        assert abs((number.measured_at - first.design[name].measured_at).total_seconds()) < 60
    fresh = DesignMeasurement(space, design, open_measurements(storage), fresh=True).measure(
        ["latency_ms"]
    )
    assert sources(fresh) == {False}
    counts = taken(storage)
    assert counts[design.id, "latency_ms"] == counts[space.baseline.id, "latency_ms"] == 2
    assert counts[design.id, "params"] == 1
    newest = (
        DesignMeasurement(space, design, open_measurements(storage))
        .measure(["latency_ms"])
        .design["latency_ms"]
    )
    assert newest.newest.value == fresh.design["latency_ms"].newest.value
    both = [run.design["latency_ms"].estimate for run in (first, fresh)]
    if not any(value.flagged for value in both):
        assert newest.estimate.readings == 2
        assert newest.estimate.value == statistics.median(value.value for value in both)
    assert newest.measured_at > again.design["latency_ms"].measured_at


def test_the_baseline_is_measured_alone(storage: str) -> None:
    space = quick(TIMED)
    found = DesignMeasurement(space, space.baseline, open_measurements(storage)).measure(["params"])
    assert found.design.keys() == {"params"}
    assert not found.baseline


def test_a_search_finds_what_was_measured_here(storage: str) -> None:
    space = quick(TIMED)
    design = crossed(space)
    wanted = ["accuracy", "latency_ms", "params", "flops", "bits"]
    DesignMeasurement(space, design, open_measurements(storage), train=True).measure(wanted)
    follow = Following()
    found = search(space, trials=3, storage=storage, report=follow)
    assert design.id in {entry.id for entry in found.entries}
    # One of three designs was not stored; at the end the search may repeat flagged timings.
    done = Counter(told.event.kind for told in follow.told)
    assert (done[Kind.COUNTING], done[Kind.TIMING], done[Kind.TRAINING]) == (3, 1, 1)


def test_what_a_search_measured_is_found_here(storage: str) -> None:
    space = quick(TIMED)
    front = search(space, trials=3, storage=storage)
    before = measured(storage)
    for entry in front.entries:
        design = load_selected(Study.open(storage, None), entry.id).design
        wanted = ["accuracy", "latency_ms", "params", "flops", "bits"]
        found = DesignMeasurement(space, design, open_measurements(storage)).measure(wanted)
        assert sources(found) == {True}
        for name, number in found.design.items():
            assert number.estimate == entry.metrics[name]
    assert measured(storage) == before


def test_other_measurement_settings_are_another_protocol(storage: str) -> None:
    space = quick(TIMED)
    DesignMeasurement(space, space.baseline, open_measurements(storage)).measure([])
    other = DesignMeasurement(
        with_measure_settings(space, batch=2), space.baseline, open_measurements(storage)
    ).measure([])
    stored = {name for name, number in other.design.items() if number.stored}
    assert stored == {"bits", "flops", "params"}


def test_training_requires_permission(storage: str) -> None:
    space = quick(TINY)
    with pytest.raises(DsxError, match=r"^metric: accuracy of the baseline is known only after"):
        DesignMeasurement(space, space.baseline, open_measurements(storage)).measure(["accuracy"])
    assert measured(storage) == Counter()
    found = DesignMeasurement(
        space, space.baseline, open_measurements(storage), train=True
    ).measure([])
    assert found.metrics.keys() >= CHEAP | {"accuracy"}
    # It is stored now, so that no training is needed.
    again = DesignMeasurement(space, space.baseline, open_measurements(storage)).measure(
        ["accuracy"]
    )
    assert again.design["accuracy"].stored


def learned_design(space: SearchSpace) -> Design:
    return space.design({"stages.0.conv1": ConvSpec(kernel_shape="learned", block_in=4)})


def test_learned_shapes_are_trained_before_any_measurement(
    storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = quick(LEARNED)
    design = learned_design(space)
    with pytest.raises(
        DsxError, match=r"^the design has learned shapes, which are known only after"
    ):
        DesignMeasurement(space, design, open_measurements(storage)).measure(["params"])
    with pytest.raises(
        DsxError, match=r"^the design has learned shapes, which are known only after"
    ):
        DesignMeasurement(space, design, open_measurements(storage)).layers()
    trainings = trained(monkeypatch)
    found = DesignMeasurement(space, design, open_measurements(storage), train=True).measure([])
    assert trainings
    layers, _ = DesignMeasurement(space, design, open_measurements(storage), train=True).layers()
    assert layers.layers[1].form != "conv"
    with torch.random.fork_rng():
        candidate = Candidate(space, design)
        expected = space.analysis.cost_of(candidate.trained())
    assert found.design["params"].newest.value == expected.params
    again = DesignMeasurement(space, design, open_measurements(storage)).measure([])
    assert {number.stored for number in again.design.values()} == {True}


def test_metrics_of_learned_shapes_are_of_one_training(storage: str) -> None:
    space = quick(LEARNED)
    design = learned_design(space)
    DesignMeasurement(space, design, open_measurements(storage), train=True).measure(["params"])
    found = DesignMeasurement(space, design, open_measurements(storage), train=True).measure(
        ["params", "accuracy"]
    )
    # The accuracy requires training, which determines the shapes and the counts again.
    assert {number.stored for number in found.design.values()} == {False}
    # The counts of that training are stored with it, regardless of the requested metrics.
    assert {metric for one, metric in taken(storage) if one == design.id} == {
        "accuracy", "bits", "flops", "params",
    }  # fmt: skip


def test_known_learned_shapes_need_no_training(storage: str) -> None:
    space = quick(LEARNED)
    design = learned_design(space)
    trained = Candidate(space, design).trained()
    events: list[Event] = []
    weights = trained.state_dict()
    single = DesignMeasurement(
        space, design, open_measurements(storage), weights=weights, on_status=events.append
    )
    found = single.measure(["latency_ms", "params"])
    assert sources(found) == {False} and Kind.TRAINING not in {event.kind for event in events}
    assert found.design["params"].newest.value == space.analysis.cost_of(trained).params


@pytest.mark.parametrize(
    ("metric", "problem"),
    [
        ("latency", "metric: no metric called 'latency' (allowed: accuracy, "),
        ("projected_accuracy", "metric: projected_accuracy needs pretrained weights"),
        ("tests.search.metrics:missing", "metric: no attribute of tests.search.metrics called"),
    ],
)
def test_an_unsupported_metric_is_rejected_in_one_line(
    storage: str, metric: str, problem: str
) -> None:
    space = quick(TIMED)
    with pytest.raises(DsxError) as caught:
        DesignMeasurement(space, space.baseline, open_measurements(storage)).measure([metric])
    assert str(caught.value).startswith(problem)


def test_a_value_that_is_not_a_number_is_not_stored(storage: str) -> None:
    space = quick(TIMED)
    single = DesignMeasurement(space, space.baseline, open_measurements(storage))
    with pytest.raises(WorkFailed, match=r"^tests\.search\.metrics:value_nan is nan$"):
        single.measure(["tests.search.metrics:value_nan"])
    assert measured(storage) == Counter()


def test_a_failing_network_is_reported_in_one_line(storage: str, tmp_path: Path) -> None:
    fragile = "model: tests.search.models:Fragile\nmodel_args: {error: KeyError, always: false}"
    file = varied(TINY, tmp_path, "model: small_cnn\nmodel_args: {width: 4}", fragile)
    space = load_space(file)
    with pytest.raises(WorkFailed, match=r"^KeyError: ") as caught:
        DesignMeasurement(space, crossed(space), open_measurements(storage), train=True).measure(
            ["params", "accuracy"]
        )
    assert "\n" not in str(caught.value)
    # Earlier measurements are kept.
    assert {metric for one, metric in taken(storage) if one == crossed(space).id} == {"params"}


def test_an_interrupted_measurement_keeps_completed_metrics(storage: str) -> None:
    space = quick(TIMED)

    def stop(event: Event) -> None:
        if event.detail == "peak_memory_mb":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        DesignMeasurement(
            space, space.baseline, open_measurements(storage), on_status=stop
        ).measure([])
    kept = {metric for _, metric in taken(storage)}
    assert kept == CHEAP - {"peak_memory_mb"}


def test_uncountable_metrics_are_reported_unless_requested(storage: str) -> None:
    model = "tests.measure.metrics.test_deployed_flops:Unfollowed"
    text = with_rules("{match: '*', groups: [2]}", model=model).replace("{width: 8}", "{}")
    of = build_space("own", "own.yaml", text.replace("{batch: 1}", "{budget_seconds: 0.05}"))
    found = DesignMeasurement(of, of.baseline, open_measurements(storage)).measure([])
    reason = "the operator counter cannot trace the network: TypeError: no tracing, please"
    assert found.unsupported["deployed_flops"] == Unsupported(reason)
    assert "deployed_flops" not in found.metrics
    assert found.metrics.keys() == found.design.keys() >= {"deployed_params", "latency_ms"}
    with pytest.raises(WorkFailed, match="cannot trace the network"):
        DesignMeasurement(of, of.baseline, open_measurements(storage)).measure(["deployed_flops"])


def test_layers_of_a_design_and_the_baseline(storage: str) -> None:
    space = quick(TIMED)
    found, standing = DesignMeasurement(space, crossed(space), open_measurements(storage)).layers()
    assert len(found.layers) == len(standing.layers) == len(space.analysis.slots) + 1
    (alone,) = DesignMeasurement(space, space.baseline, open_measurements(storage)).layers()
    assert math.isclose(alone.ms, sum(layer.ms.value for layer in alone.layers))
    with Session(open_database(storage, create=False)) as session:
        assert session.scalars(select(MeasurementRow)).all() == []
