"""Searches on a network of the zoo, and their description in a sentence."""

from typing import Any

import pytest

from dsx.bench.zoo.catalogue import SMALL_ZOO, Architecture
from dsx.bench.zoo.searches import TRIALS, describe_front, run_search


def design(id: str, on_front: bool, latency: float, flops: int) -> dict[str, Any]:
    metrics = {"latency_ms": latency, "flops": flops, "params": 2 * flops}
    values = {name: {"value": value} for name, value in metrics.items()}
    return {"id": id, "on_front": on_front, "metrics": values}


def test_a_search_is_described_relative_to_the_baseline() -> None:
    designs = [design("a", False, 2.0, 100), design("b", True, 1.5, 40), design("c", True, 3.0, 25)]
    assert describe_front({"baseline": "a", "designs": designs}) == (
        "3 designs, 2 on the front; least: latency_ms 75%, flops 25%, params 25% of the baseline"
    )


@pytest.mark.slow
def test_a_search_without_training_finds_designs() -> None:
    (network,) = (each for each in SMALL_ZOO if each.library == "dsx")
    assert run_search(network, 0.02).startswith(f"{TRIALS} designs, ")


@pytest.mark.slow
def test_the_reason_of_a_failed_search_is_returned() -> None:
    network = Architecture(library="dsx", name="small_cnm", side=8)
    reason = run_search(network, 0.02)
    assert reason.startswith("dsx: ") and "no architecture called 'dsx small_cnm'" in reason
    assert run_search(network, 0.02, most_seconds=0.0) == "took more than 0 s"
