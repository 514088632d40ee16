"""The front as JSON and CSV."""

import csv
import io
import json
from dataclasses import replace

import pytest

from dsx.analysis.front import Front
from dsx.analysis.reasons import Outcomes, Reason
from dsx.report.front.rows import as_csv, as_json, document


def test_the_keys_of_the_document(two: Front) -> None:
    read = json.loads(as_json(two))
    assert read == document(two)
    assert read["schema_version"] == 4
    assert (read["study"], read["space"]) == ("vgg16-3", "vgg16")
    assert read["objectives"] == {"flops": "minimize", "accuracy": "maximize"}
    assert read["units"]["flops"] == "multiply-adds"
    assert read["conditions"] == {"device": "Xeon, 1 thread, float32, batch 1"}
    assert read["baseline"] == two.baseline
    assert read["knee"] == two.knee.id == read["designs"][3]["id"]
    assert read["hypervolume"] == two.hypervolume
    assert [design["trial"] for design in read["designs"]] == list(range(9))
    assert [d["trial"] for d in read["designs"] if d["on_front"]] == [1, 2, 3, 4, 7]
    assert [d["trial"] for d in read["designs"] if not d["feasible"]] == [8]


def test_a_design_in_the_document(two: Front) -> None:
    design = json.loads(as_json(two))["designs"][4]
    assert design.pop("metrics").keys() == two.entries[4].metrics.keys()
    assert design == {
        "id": "477895000004",
        "trial": 4,
        "on_front": True,
        "membership": "certain",
        "probability": 1.0,
        "feasible": True,
        "device": "",
        "spec": {"conv2": {"kernel_shape": "cross", "groups": 4}},
        "description": "6x learned d0.25 [rigid]",
        "redesigned": 4,
        "fallbacks": 1,
        "deployed": None,
        "deployed_counts": {},
        "missing": {},
    }


def test_counts_are_integers_and_infinite_values_are_null(incomplete: Front) -> None:
    text = as_json(incomplete)
    assert "Infinity" not in text and "NaN" not in text
    read = json.loads(text)
    metrics = read["designs"][0]["metrics"]
    assert metrics["latency_ms"].items() >= {"value": None, "low": 0.1, "high": None}.items()
    assert '"value": 1000,' in text
    assert read["designs"][-1]["metrics"] == {}
    assert read["baseline"] is None


def test_a_study_without_a_feasible_design_has_a_document(infeasible: Front) -> None:
    read = json.loads(as_json(infeasible))
    assert (read["knee"], read["hypervolume"], len(read["designs"])) == (None, 0, 1)


def sampled(name: str) -> list[str]:
    """List the columns of a metric with intervals."""
    more = ("low", "high", "seeds", "readings", "converged", "noisy")
    return [name, *(f"{name}_{column}" for column in more)]


def test_csv_has_the_same_rows(two: Front) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(two))))
    assert list(rows[0]) == [
        *("id", "trial", "on_front", "membership", "probability", "feasible"),
        "flops",
        *sampled("accuracy"),
        "params",
        "bits",
        *sampled("latency_ms"),
        "peak_memory_mb",
        "description",
    ]
    for row, entry in zip(rows, two.entries, strict=True):
        assert (row["id"], row["trial"], row["description"]) == (
            entry.id,
            str(entry.trial),
            entry.description,
        )
        assert (row["on_front"] == "true") == (entry in two.on_front)
        assert row["membership"] == two.membership[entry.id]
        assert float(row["probability"]) == pytest.approx(two.probability[entry.id], abs=0.0006)
        assert (row["feasible"] == "true") == entry.feasible
        for name, value in entry.metrics.items():
            assert float(row[name]) == value.value
        assert float(row["accuracy_low"]) == entry.metrics["accuracy"].low
        assert float(row["latency_ms_high"]) == entry.metrics["latency_ms"].high
    assert rows[1]["flops"] == "20713472"


def test_missing_values_are_empty_in_csv(incomplete: Front) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(incomplete))))
    assert (rows[0]["latency_ms"], rows[0]["latency_ms_low"]) == ("", "0.1")
    assert rows[-1]["flops"] == rows[-1]["accuracy"] == ""


def test_values_have_seeds_readings_and_flags(flagged_front: Front) -> None:
    read = document(flagged_front)
    designs = {design["trial"]: design for design in read["designs"]}  # type: ignore[attr-defined]
    expected = {"seeds": 3, "readings": 4, "converged": True, "noisy": False}
    assert designs[4]["metrics"]["accuracy"].items() >= expected.items()
    expected = {"seeds": 1, "readings": 1, "converged": False, "noisy": True}
    assert designs[1]["metrics"]["latency_ms"].items() >= expected.items()
    assert {n: design["membership"] for n, design in designs.items() if n in (0, 1, 5, 6, 8)} == {
        **{0: "possible", 1: "certain", 5: "possible", 6: "no", 8: "no"}
    }
    assert read["devices"] == {"a" * 12: 1, "b" * 12: 2}
    assert designs[4]["device"] == "b" * 12


def test_csv_contains_seeds_readings_flags_and_the_device(flagged_front: Front) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(flagged_front))))
    assert [row["accuracy_seeds"] for row in rows] == list("111331111")
    first, second, *_ = rows
    assert (first["latency_ms_converged"], second["latency_ms_converged"]) == ("true", "false")
    assert (first["latency_ms_noisy"], second["latency_ms_noisy"]) == ("false", "true")
    assert rows[4]["accuracy_readings"] == "4"
    assert [row["device"][0] for row in rows] == list("aaaabaaaa")


def test_the_document_contains_the_failures(two: Front) -> None:
    outcomes = Outcomes(failed=1, failures=(Reason(text="KeyError: 3", trials=(7,)),))
    read = json.loads(as_json(replace(two, outcomes=outcomes)))
    assert read["failures"] == [{"reason": "KeyError: 3", "count": 1, "first": 7, "trials": [7]}]
    assert read["candidates"]["failed"] == 1
    assert read["notes"][0] == "1 candidate failed: 1 x KeyError: 3 (first: #7)"
    assert document(two)["failures"] == [] == document(two)["violations"]
