"""One design next to the baseline, as table, JSON and CSV."""

import csv
import dataclasses
import io
import json

import pytest

from dsx.analysis.measurement import DeploymentFacts, exact
from dsx.lookup import find
from dsx.measure import Metric
from dsx.report.design.measured import conditions, heading, norm_notes, print_measured
from dsx.search.design.measure_design import Measured
from tests.report.single import crossed, measured, number, space

ABOUT = {"study": "mine", "outside": ["stem.0"]}


def test_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    of = space()
    print_measured(of, crossed(of), measured(), "table", ABOUT)
    title, header, *rows = capsys.readouterr().out.splitlines()
    assert title == f"mine: cross; 6x keep ({crossed(of).id})"
    assert [line.split() for line in (header, *rows[:3])] == [
        ["metric", "this", "design", "baseline", "ratio", "measured"],
        ["params", "1.20", "k", "2.40", "k", "50%", "now"],
        ["flops", "31.0", "M", "62.0", "M", "50%", "now"],
        ["latency", "0.500", "±0.010", "ms~", "1.00", "±0.02", "ms!", "50%", "now"],
    ]
    assert max(len(line.rstrip()) for line in (header, *rows[:3])) <= 80
    assert rows[3:] == [
        "baseline: params, flops stored; latency_ms measured now",
        "~ time budget exhausted before the interval converged",
        "! measured while other processes loaded the machine",
        "flops in multiply-adds",
        "energy_mj: cannot be measured on this machine",
        "deployed as 1x shifted, 1x dense",
        "batch 8, float32, 2 threads, eager, portable, cpu",
    ]


def with_deployed(flops: int) -> Measured:
    """Add the FLOPs of the deployed networks."""
    found = measured()
    return dataclasses.replace(
        found,
        metrics={**found.metrics, "deployed_flops": find(Metric, "deployed_flops")},
        design={**found.design, "deployed_flops": number(exact(flops))},
        baseline={**found.baseline, "deployed_flops": number(exact(62_000_000))},
    )


def test_counts_of_the_deployed_network_are_shown_where_they_differ(
    capsys: pytest.CaptureFixture[str],
) -> None:
    of = space()
    print_measured(of, crossed(of), with_deployed(31_000_000), "table", ABOUT)
    assert "deployed flops " not in capsys.readouterr().out
    print_measured(of, crossed(of), with_deployed(62_000_000), "table", ABOUT)
    (line,) = (x for x in capsys.readouterr().out.splitlines() if x.startswith("deployed flops "))
    assert line.split() == ["deployed", "flops", "62.0", "M", "62.0", "M", "100%", "now"]
    print_measured(of, crossed(of), with_deployed(31_000_000), "json", ABOUT)
    names = [row["metric"] for row in json.loads(capsys.readouterr().out)["metrics"]]
    assert "deployed_flops" in names


def test_the_baseline_alone_has_no_second_column(capsys: pytest.CaptureFixture[str]) -> None:
    of = space()
    alone = dataclasses.replace(measured(), baseline={}, unsupported={})
    print_measured(of, of.baseline, alone, "table", {})
    title, header, *rows = capsys.readouterr().out.splitlines()
    assert title == heading(of, of.baseline) == f"mine: the baseline ({of.baseline.id})"
    assert header.split() == ["metric", "this", "design", "measured"]
    assert not any("baseline" in row for row in rows)


def test_json_and_csv_are_complete(capsys: pytest.CaptureFixture[str]) -> None:
    of = space()
    print_measured(of, crossed(of), measured(), "json", ABOUT)
    document = json.loads(capsys.readouterr().out)
    assert document.keys() >= {
        *ABOUT,
        "schema_version",
        "space",
        "design",
        "baseline",
        "description",
    }
    assert document["measure"]["batch"] == 8
    assert document["unsupported"] == {"energy_mj": "cannot be measured on this machine"}
    params, _, latency = document["metrics"]
    assert params == {
        "metric": "params", "unit": "", "value": 1200, "low": 1200, "high": 1200, "readings": 1,
        "converged": True, "noisy": False, "stored": False, "measured_at": "2026-11-24T12:05:30Z",
        "ratio": 0.5,
        "baseline_value": 2400, "baseline_low": 2400, "baseline_high": 2400,
        "baseline_readings": 1, "baseline_converged": True, "baseline_noisy": False,
        "baseline_stored": True,
        "baseline_measured_at": "2026-11-24T12:05:30Z",
    }  # fmt: skip
    assert (latency["converged"], latency["baseline_noisy"], latency["low"]) == (False, True, 0.49)
    print_measured(of, crossed(of), measured(), "csv", ABOUT)
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["metric"] for row in rows] == ["params", "flops", "latency_ms"]
    assert set(rows[0]) == set(params)


def test_stored_results_have_a_timestamp(capsys: pytest.CaptureFixture[str]) -> None:
    of, found = space(), measured()
    old = {name: dataclasses.replace(number, stored=True) for name, number in found.design.items()}
    stored = dataclasses.replace(found, design=old, baseline=old)
    print_measured(of, crossed(of), stored, "table", {})
    out = capsys.readouterr().out
    assert out.count("stored 11-24 12:05") == 3
    assert "baseline: everything stored\n" in out
    latency = old["latency_ms"]
    estimate = dataclasses.replace(latency.estimate, readings=3)
    several = dataclasses.replace(latency, estimate=estimate)
    stored = dataclasses.replace(found, design={**old, "latency_ms": several}, baseline=old)
    print_measured(of, crossed(of), stored, "table", {})
    out = capsys.readouterr().out
    assert out.count("stored 11-24 12:05 x3\n") == 1
    assert "\nxN: median of N measurements" in out


def test_the_measurement_settings() -> None:
    assert conditions(space()) == "batch 8, float32, 2 threads, eager, portable, cpu"


def test_unfolded_batch_norms_are_noted_once() -> None:
    none = DeploymentFacts()
    folded = DeploymentFacts(folded_norms=3)
    unfolded = DeploymentFacts(folded_norms=2, unfolded_norms=1)
    assert list(norm_notes([none, folded])) == []
    note = "batch norms: 1 of 3 is not folded into a convolution for timing"
    assert list(norm_notes([none, unfolded, unfolded])) == [note]
