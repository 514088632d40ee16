"""The contract of every metric in dsx/measure: a new file is tested here because it exists."""

import functools
import inspect
import json
import math

import pytest

from dsx.analysis.measurement import Provenance, from_json, to_json
from dsx.lookup import find, names
from dsx.measure import Measurement, Metric
from dsx.measure.metrics._base import STAGES
from tests.measure.candidates import SMALL, SPECS, candidate
from tests.space.space_files import space

METRICS = names(Metric)
HERE = [name for name in METRICS if not find(Metric, name).absent(space(SMALL))]
"""Those that this machine can measure."""

UNITS = ("ms", "mb", "mj")
STATIC = [name for name in METRICS if find(Metric, name).stage == "static"]


@functools.cache
def readings(name: str) -> tuple[Measurement, Measurement]:
    """Measure the baseline and a redesigned network."""
    metric = find(Metric, name)
    return metric.read(candidate()), metric.read(candidate(specs=SPECS))


def test_the_metrics_of_the_design_exist() -> None:
    named = {"params", "flops", "bits", "latency_ms", "peak_memory_mb", "energy_mj", "accuracy"}
    named |= {"deployed_flops", "deployed_params"}
    assert named <= set(METRICS)


def test_only_energy_is_a_matter_of_the_machine() -> None:
    assert {*METRICS} - {*HERE} <= {"energy_mj"}


@pytest.mark.parametrize("name", METRICS)
def test_what_cannot_be_had_here_says_why_in_one_line(name: str) -> None:
    word = find(Metric, name).absent(space(SMALL))
    assert word == " ".join(word.split())
    assert not word or word.startswith("cannot be told")


@pytest.mark.parametrize("name", METRICS)
def test_a_record_is_complete(name: str) -> None:
    metric = find(Metric, name)
    assert metric.direction in ("minimize", "maximize")
    assert metric.stage in STAGES
    assert metric.unit == metric.unit.strip()
    module = inspect.getmodule(metric.read)
    assert module is not None
    assert (module.__doc__ or "").lower().startswith(name.partition("_")[0])


@pytest.mark.parametrize("name", METRICS)
def test_a_unit_that_is_in_the_name_is_the_unit(name: str) -> None:
    _, _, suffix = name.rpartition("_")
    unit = find(Metric, name).unit.lower()
    assert (suffix in UNITS or unit in UNITS) == (suffix == unit)


@pytest.mark.parametrize("name", HERE)
def test_a_reading_is_finite_and_inside_its_interval(name: str) -> None:
    for reading in readings(name):
        assert math.isfinite(reading.value)
        assert 0 <= reading.low <= reading.value <= reading.high < math.inf
        assert all(math.isfinite(sample) for sample in reading.samples)


@pytest.mark.parametrize("name", HERE)
def test_the_making_of_a_reading_is_plain_json(name: str) -> None:
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
def test_what_is_counted_is_exact_and_the_same_every_time(name: str) -> None:
    for first, specs in zip(readings(name), ({}, SPECS), strict=True):
        assert first.low == first.value == first.high
        assert find(Metric, name).read(candidate(specs=specs)) == first


@pytest.mark.parametrize("name", STATIC)
def test_what_is_counted_needs_no_weights(name: str) -> None:
    redesigned = candidate(specs=SPECS)
    find(Metric, name).read(redesigned)
    assert not {"deployed", "splits", "network"} & set(vars(redesigned))


@pytest.mark.parametrize("name", METRICS)
def test_a_protocol_tells_what_the_number_depends_on(name: str) -> None:
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
