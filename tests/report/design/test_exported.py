"""The result of an export, as table, JSON and CSV."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from dsx.report.design.exported import print_bundle

MANIFEST: dict[str, Any] = {
    "schema_version": 2,
    "design": "0123456789ab",
    "description": "2x cross [bold]; 5x keep",
    "metrics": {
        "params": {"designed": 1234567, "exported": 2000000, "unit": ""},
        "accuracy": {
            "exported": 0.9805555,
            "searched": 0.98,
            "searched_low": 0.96,
            "searched_high": 0.99,
            "unit": "fraction",
        },
        "test_accuracy": {"exported": 0.97, "unit": "fraction"},
        "latency_ms": {
            "exported": 0.203,
            "low": 0.2,
            "high": 0.21,
            "searched": 0.218,
            "searched_low": 0.2,
            "searched_high": 0.25,
            "searched_noisy": True,
            "unit": "ms",
        },
        "peak_memory_mb": {"searched": 3.5, "unit": "MB"},
    },
    "outputs": {"images": 720, "largest_difference": 4.2e-7, "tolerance": 1e-3},
    "trained_for_export": False,
    "kernels": None,
    "folded_norms": 5,
    "unfolded_norms": 2,
    "not_verified": [{"check": "accuracy in bfloat16", "reason": "measured in [float32]"}],
    "files": {"design.yaml": "aa", "model.py": "bb"},
}


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_table(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    print_bundle(Path("chosen"), MANIFEST, "table")
    first, *table, noisy, counts, verified, norms, skipped, files = (
        capsys.readouterr().out.splitlines()
    )
    assert first == "chosen: 2x cross [bold]; 5x keep (design 0123456789ab)"
    assert [line.split() for line in table] == [
        ["metric", "searched", "exported"],
        ["params", "1,234,567", "2,000,000"],
        ["accuracy", "98.0", "±2", "%", "98.1", "%"],
        ["test", "accuracy", "97.0", "%"],
        ["latency", "0.218", "±0.03", "ms!", "0.203", "±0.007", "ms"],
        ["peak", "memory", "3.50", "MB"],
    ]
    assert max(map(len, table)) <= columns
    assert noisy.startswith("! measured while")
    assert counts.startswith("counts: searched are the live weights; exported are ")
    assert verified.startswith("verified in a fresh process on 720 images: ")
    assert "4e-07" in verified and verified.endswith("(allowed: 0.001)")
    assert norms == "batch norms: 2 of 7 are not folded into a convolution for timing"
    assert skipped == "not verified: accuracy in bfloat16: measured in [float32]"
    assert files == "files: design.yaml, model.py, manifest.json"


def test_equal_counts_are_not_explained(capsys: pytest.CaptureFixture[str]) -> None:
    same = {"params": {"designed": 1234567, "exported": 1234567, "unit": ""}}
    print_bundle(Path("chosen"), {**MANIFEST, "metrics": same}, "table")
    assert "counts:" not in capsys.readouterr().out


def test_batch_norms_are_not_mentioned_if_all_are_folded(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_bundle(Path("chosen"), {**MANIFEST, "unfolded_norms": 0}, "table")
    assert "batch norms:" not in capsys.readouterr().out


def test_the_kernels_of_native_forms_are_stated(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("kernels/__init__.py", "kernels/source/plan.h", "model.py")
    native = {"kernels": "0123abcd avx2", "files": dict.fromkeys(names, "aa")}
    print_bundle(Path("chosen"), {**MANIFEST, **native}, "table")
    *_, stated, files = capsys.readouterr().out.splitlines()
    assert stated.startswith(
        "native forms: the first load compiles the kernels with a C++ compiler"
    )
    assert files == "files: kernels/, model.py, manifest.json"


def test_json_is_the_manifest(capsys: pytest.CaptureFixture[str]) -> None:
    print_bundle(Path("chosen"), MANIFEST, "json")
    assert json.loads(capsys.readouterr().out) == MANIFEST


def test_csv_contains_the_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    print_bundle(Path("chosen"), MANIFEST, "csv")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert rows[1] == {"metric": "accuracy", "searched": "0.98", "exported": "0.9805555"}
    assert [row["metric"] for row in rows] == list(MANIFEST["metrics"])


DEPLOYED = {
    "flops": {"designed": 31, "unit": "multiply-adds"},
    "params": {"designed": 12, "exported": 12, "unit": ""},
    "deployed_flops": {"exported": 62, "unit": "multiply-adds"},
    "deployed_params": {"exported": 12, "unit": ""},
}
SIZES = {
    "payload": [{"tensor": "conv.weight", "params": 12, "bits": 384, "bytes": 48}],
    "not_stored": [
        {"tensor": "aux.weight", "reason": "the deployed network does not use it"},
        {"tensor": "aux.bias", "reason": "the deployed network does not use it"},
    ],
    "overhead": [
        {"name": "header of the file", "bytes": 1200},
        {"name": "bn.running_mean", "bytes": 16},
        {"name": "bn.running_var", "bytes": 16},
        {"name": "shift", "bytes": 4},
    ],
    "payload_bits": 384,
    "payload_bytes": 48,
    "overhead_bytes": 1236,
}


def test_counts_of_the_deployed_network_are_shown_where_they_differ(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_bundle(Path("chosen"), {**MANIFEST, "metrics": DEPLOYED}, "table")
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines()]
    assert ["deployed", "flops", "62"] in rows
    assert "deployed params" not in out
    assert "deployed: counts of the loaded network" in out
    assert "counts:" not in out


def test_the_weight_file_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    print_bundle(Path("chosen"), {**MANIFEST, "weights": SIZES}, "table")
    out = capsys.readouterr().out.splitlines()
    (line,) = (line for line in out if line.startswith("weights.safetensors: "))
    assert "48 bytes for 384 bits of the design, 1,236 bytes of overhead" in line
    assert "(1,200 header, 32 running statistics, 4 other; " in line
    assert "not stored: aux.weight and 1 more (the deployed network does not use it)" in out


def test_a_training_for_the_export_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    print_bundle(Path("chosen"), {**MANIFEST, "trained_for_export": True}, "table")
    assert "weights: trained for this export" in capsys.readouterr().out
