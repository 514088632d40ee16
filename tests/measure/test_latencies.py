"""Latencies of several candidates by interleaved timing."""

import pytest

from dsx.conv import ConvSpec
from dsx.measure import Candidate
from dsx.measure.backends import Backend, eager
from dsx.measure.latencies import read_latencies
from dsx.space.remeasured import remeasured
from tests.measure.facts import deployment
from tests.measure.work import spin
from tests.space.texts import changed, space

QUICK = changed("measure: {batch: 1}", "measure: {batch: 1, budget_seconds: 0.05}")

ELSEWHERE = Backend(prepare=eager.prepare, clock="process")
"""A backend with the clock of one that uses its own threads."""


@pytest.mark.timing
@pytest.mark.parametrize("other", ["eager", f"{__name__}:ELSEWHERE"])
def test_each_candidate_gets_its_own_latency_and_forms(other: str) -> None:
    loaded = space(QUICK)
    design = loaded.design({"stages.0.conv1": ConvSpec(kernel_shape="cross")})
    fast = Candidate(loaded, design)
    slow = Candidate(remeasured(loaded, backend=other), loaded.baseline)
    # A replacement for a network that takes many times as long.
    slow.__dict__["run"] = lambda: spin(0.01)
    for candidates in ([fast, slow], [slow, fast]):
        readings = read_latencies(candidates)
        found = dict(zip(map(id, candidates), readings, strict=True))
        assert found[id(slow)].value > 3 * found[id(fast)].value
        assert list(deployment(found[id(fast)]).forms) == ["stages.0.conv1"]
        assert deployment(found[id(slow)]).forms == {}
        assert {deployment(reading).untraced for reading in readings} == {None}


def test_no_candidates() -> None:
    assert read_latencies([]) == []
