"""Deviations of given latencies, and real searches of a tiny space."""

import math
import sys
from pathlib import Path

import pytest

from dsx.bench import _searches
from dsx.bench.latency import TINY
from dsx.errors import WorkFailed

E = math.e


def test_deviations_are_computed_for_common_designs() -> None:
    alone = {"a": 1.0, "b": 2.0, "c": 3.0}
    again = {"a": E**0.1, "b": 2 * E**-0.3, "c": 3.0, "d": 9.0}
    together = [{"a": E**0.1}, {"b": 2 * E**0.2, "c": 3 * E**-0.4}]
    separate, concurrent, ratio = _searches.deviation_figures(alone, again, together)
    assert [separate.value, concurrent.value, ratio.value] == pytest.approx([0.1, 0.2, 2.0])
    assert separate.made_from == concurrent.made_from == "3 pairs of latencies"
    assert (ratio.machine, ratio.goal) == ("2 concurrent", _searches.GOAL)


def test_searches_without_common_designs_are_reported() -> None:
    with pytest.raises(WorkFailed, match=r"have no design in common$"):
        _searches.deviation_figures({"a": 1.0}, {"b": 1.0}, [{"a": 1.0}])


def test_a_real_search_measures_latency(tmp_path: Path) -> None:
    (found,) = _searches.run_searches(TINY.space, [tmp_path / "0.db"], 1)
    assert len(found) == 1
    assert all(value > 0 for value in found.values())


def test_the_reason_of_a_failed_search_is_reported(tmp_path: Path) -> None:
    failing = (sys.executable, "-c", "import sys; print('first', file=sys.stderr); sys.exit('no')")
    with pytest.raises(WorkFailed, match=r"search of the benchmark failed: no$"):
        _searches.run_searches("digits", [tmp_path / "a.db"], 1, command=failing)
