"""Rows: what counts as equal, and the sentence about a network."""

from typing import Any

import pytest

from dsx.bench.zoo.catalogue import Architecture
from dsx.bench.zoo.rows import row, say

NETWORK = Architecture(library="timm", name="resnet18", side=64)
FINDINGS: dict[str, Any] = {
    "counted_side": 160, "params": 11_689_512, "params_counted": 11_689_512,
    "params_published": 11_690_000, "flops": 925_798_400, "flops_counted": 925_798_400,
    "flops_published": 930_000_000, "slots": 20, "excluded": 0, "untraced": None,
    "trace_agrees": True, "norms": 20,
    "norms_folded": 20, "norms_left": 0, "difference": 4.9e-7, "model_py": "written",
    "eager_ms": 6.0, "deployed_ms": 5.0, "flagged": False, "seconds": 9.5,
}  # fmt: skip


def test_a_network_that_is_right_is_a_sentence() -> None:
    assert say(row(NETWORK, FINDINGS)) == (
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
def test_what_differs_is_not_equal(name: str, value: float, verdict: str) -> None:
    good, bad = row(NETWORK, FINDINGS), row(NETWORK, {**FINDINGS, name: value})
    assert (good[verdict], bad[verdict]) == ("yes", "no")
    assert "different" in say(bad)


def test_numbers_that_nobody_publishes_are_left_out() -> None:
    unpublished = {**FINDINGS, "params_published": None, "flops_published": None}
    found = row(NETWORK, unpublished)
    assert (found["params_published"], found["params_equal"]) == ("", "yes")


def test_a_network_that_failed_has_the_same_keys_and_names_the_reason() -> None:
    failed = row(NETWORK, {"failed": "counting: DsxError: no", "seconds": 1.0})
    assert list(failed) == list(row(NETWORK, FINDINGS))
    assert say(failed) == "timm resnet18: counting: DsxError: no"
    assert {type(value) for value in failed.values()} <= {str, int, float}
