"""Backends compared, as table, JSON and CSV."""

import csv
import io
import json

import pytest

from dsx.errors import Unsupported
from dsx.report.design.backends import backends_document, print_backends
from dsx.search.design.compare_backends import BackendLatency
from tests.report.single import latency, space

LINES = [
    BackendLatency(backend="eager", latency=latency(1.0, stored=True)),
    BackendLatency(backend="onnxruntime", latency=latency(0.25, converged=False)),
    BackendLatency(backend="openvino", latency=Unsupported("needs the package openvino")),
]


def printed(capsys: pytest.CaptureFixture[str], format: str) -> str:
    print_backends(space(), LINES, format)
    return capsys.readouterr().out


def test_a_line_for_each_backend(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "table").splitlines()
    assert [line.split() for line in lines[:4]] == [
        ["backend", "latency", "of", "eager", "measured"],
        ["eager", "1.00", "±0.02", "ms", "100%", "stored", "11-24", "12:05"],
        ["onnxruntime", "0.250", "±0.005", "ms~", "25%", "now"],
        ["openvino", "-", "not", "available"],
    ]
    assert lines[4:] == [
        "~ time budget exhausted before the interval converged",
        "openvino: not available: needs the package openvino",
        "batch 8, float32, 2 threads, portable, cpu",
    ]


def test_json_and_csv_are_complete(capsys: pytest.CaptureFixture[str]) -> None:
    eager, fast, missing = json.loads(json.dumps(backends_document(LINES)))
    assert (eager["ratio"], eager["stored"], eager["reason"]) == (1, True, "")
    assert (fast["value"], fast["ratio"], fast["converged"]) == (0.25, 0.25, False)
    assert missing.keys() == fast.keys() == eager.keys()
    assert (missing["value"], missing["reason"]) == (None, "needs the package openvino")
    table = list(csv.DictReader(io.StringIO(printed(capsys, "csv"))))
    assert [row["value"] for row in table] == ["1", "0.25", ""]
