"""Rows of the results, and their description in a sentence."""

from typing import Any

import pytest

from dsx.bench.zoo.catalogue import Architecture
from dsx.bench.zoo.rows import describe, row

NETWORK = Architecture(library="timm", name="resnet18", side=64)
FINDINGS: dict[str, Any] = {
    "counted_side": 160, "params": 11_689_512, "params_counted": 11_689_512,
    "params_published": 11_690_000, "flops": 925_798_400, "flops_counted": 925_798_400,
    "flops_published": 930_000_000, "slots": 20, "excluded": 0, "untraced": None,
    "trace_agrees": True, "norms": 20,
    "norms_folded": 20, "norms_left": 0, "difference": 4.9e-7, "model_py": "written",
    "eager_ms": 6.0, "deployed_ms": 5.0, "flagged": False, "seconds": 9.5,
}  # fmt: skip


def test_a_correct_network_is_described_in_one_sentence() -> None:
    assert describe(row(NETWORK, FINDINGS)) == (
        "timm resnet18: 11,689,512 params (equal); 925,798,400 flops (equal); 20 slots; 20 of 20 "
        "batch norms folded; outputs equal (5e-07); model.py written; 5.0 ms, 1.2 times as fast "
        "as in eager"
    )


@pytest.mark.parametrize(
    ("name", "value", "verdict"),
    [
        ("params_counted", 11_689_513, "params_equal"),
        ("params_published", 11_700_000, "params_equal"),
        ("flops_counted", 925_798_401, "flops_equal"),
        ("difference", 0.0011, "outputs_equal"),
        ("difference", float("nan"), "outputs_equal"),
    ],
)
def test_differences_are_reported(name: str, value: float, verdict: str) -> None:
    good, bad = row(NETWORK, FINDINGS), row(NETWORK, {**FINDINGS, name: value})
    assert (good[verdict], bad[verdict]) == ("yes", "no")
    assert "different" in describe(bad)


def test_missing_published_numbers_are_empty() -> None:
    unpublished = {**FINDINGS, "params_published": None, "flops_published": None}
    found = row(NETWORK, unpublished)
    assert (found["params_published"], found["params_equal"]) == ("", "yes")


def test_the_row_of_a_failed_network_has_the_same_keys_and_states_the_reason() -> None:
    failed = row(NETWORK, {"failed": "counting: DsxError: no", "seconds": 1.0})
    assert list(failed) == list(row(NETWORK, FINDINGS))
    assert describe(failed) == "timm resnet18: counting: DsxError: no"
    assert {type(value) for value in failed.values()} <= {str, int, float}
