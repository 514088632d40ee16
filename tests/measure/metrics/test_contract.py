"""The contract of every metric in dsx/measure: a new file is tested automatically."""

import functools
import inspect
import json
import math

import pytest

from dsx.analysis.measurement import Provenance, from_json, to_json
from dsx.errors import Unsupported
from dsx.lookup import find, names
from dsx.measure import Measurement, Metric
from dsx.measure.metrics._base import STAGES
from tests.measure.candidates import SMALL, SPECS, candidate
from tests.space.space_files import space

METRICS = names(Metric)
HERE = [name for name in METRICS if find(Metric, name).unsupported(space(SMALL)) is None]
"""Metrics that this machine can measure."""

UNITS = ("ms", "mb", "mj")
STATIC = [name for name in METRICS if find(Metric, name).stage == "static"]


@functools.cache
def readings(name: str) -> tuple[Measurement, Measurement]:
    """Measure the baseline and a redesigned network."""
    metric = find(Metric, name)
    return metric.read(candidate()), metric.read(candidate(specs=SPECS))


def test_expected_metrics_exist() -> None:
    named = {"params", "flops", "bits", "latency_ms", "peak_memory_mb", "energy_mj", "accuracy"}
    named |= {"deployed_flops", "deployed_params"}
    assert named <= set(METRICS)


def test_only_energy_depends_on_the_machine_and_projection_on_pretrained_weights() -> None:
    assert {*METRICS} - {*HERE} <= {"energy_mj", "projected_accuracy"}


@pytest.mark.parametrize("name", METRICS)
def test_the_reason_why_a_metric_is_unsupported_is_one_line(name: str) -> None:
    problem = find(Metric, name).unsupported(space(SMALL))
    if problem is not None:
        assert isinstance(problem, Unsupported)
        assert problem.reason == " ".join(problem.reason.split())
        assert problem.reason.startswith(("cannot be measured", "needs "))


@pytest.mark.parametrize("name", METRICS)
def test_record_is_complete(name: str) -> None:
    metric = find(Metric, name)
    assert metric.direction in ("minimize", "maximize")
    assert metric.stage in STAGES
    assert metric.unit == metric.unit.strip()
    module = inspect.getmodule(metric.read)
    assert module is not None
    assert (module.__doc__ or "").lower().startswith(name.partition("_")[0])


@pytest.mark.parametrize("name", METRICS)
def test_unit_in_the_name_matches_the_unit(name: str) -> None:
    _, _, suffix = name.rpartition("_")
    unit = find(Metric, name).unit.lower()
    assert (suffix in UNITS or unit in UNITS) == (suffix == unit)


@pytest.mark.parametrize("name", HERE)
def test_reading_is_finite_and_within_its_interval(name: str) -> None:
    for reading in readings(name):
        assert math.isfinite(reading.value)
        assert 0 <= reading.low <= reading.value <= reading.high < math.inf
        assert all(math.isfinite(sample) for sample in reading.samples)
        if reading.examples is not None:
            assert reading.examples.values.mean() == pytest.approx(reading.value)


@pytest.mark.parametrize("name", HERE)
def test_provenance_is_plain_json(name: str) -> None:
    for reading in readings(name):
        assert from_json(Provenance, to_json(reading.provenance)) == reading.provenance
        for plain in (to_json(reading.provenance), list(reading.samples), reading.value):
            assert json.loads(json.dumps(plain, allow_nan=False)) == plain


@pytest.mark.parametrize("name", METRICS)
def test_a_protocol_is_plain_json_with_a_version(name: str) -> None:
    protocol = find(Metric, name).protocol(space())
    assert json.loads(json.dumps(protocol)) == protocol
    assert protocol["version"] >= 1


@pytest.mark.parametrize("name", STATIC)
def test_static_metrics_are_exact_and_reproducible(name: str) -> None:
    for first, specs in zip(readings(name), ({}, SPECS), strict=True):
        assert first.low == first.value == first.high
        assert find(Metric, name).read(candidate(specs=specs)) == first


@pytest.mark.parametrize("name", STATIC)
def test_static_metrics_need_no_weights(name: str) -> None:
    redesigned = candidate(specs=SPECS)
    find(Metric, name).read(redesigned)
    assert not {"deployed", "splits", "network"} & set(vars(redesigned))


@pytest.mark.parametrize("name", METRICS)
def test_protocol_contains_what_the_value_depends_on(name: str) -> None:
    metric = find(Metric, name)
    protocols = [
        metric.protocol(space(text))
        for text in (
            SMALL,
            SMALL.replace("epochs: 1", "epochs: 2"),
            SMALL.replace("seed: 0", "seed: 1"),
            SMALL.replace("batch: 1}", "batch: 2}"),
            SMALL.replace("batch: 1}", "dtype: float64}"),
        )
    ]
    differs = [protocol != protocols[0] for protocol in protocols[1:]]
    assert (
        differs
        == {
            "static": [False, False, False, False],
            "timed": [False, False, True, True],
            "projected": [False, True, False, False],
            "trained": [True, True, False, False],
        }[metric.stage]
    )
