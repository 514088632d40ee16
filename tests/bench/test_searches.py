"""Searches: deviations by hand, and real searches of a tiny space."""

import math
import sys
from pathlib import Path

import pytest

from dsx.bench import _searches
from dsx.bench.latency import TINY
from dsx.errors import WorkFailed

E = math.e


def test_deviations_are_those_of_the_same_designs() -> None:
    alone = {"a": 1.0, "b": 2.0, "c": 3.0}
    again = {"a": E**0.1, "b": 2 * E**-0.3, "c": 3.0, "d": 9.0}
    together = [{"a": E**0.1}, {"b": 2 * E**0.2, "c": 3 * E**-0.4}]
    own, beside, ratio = _searches.figures(alone, again, together)
    assert [own.value, beside.value, ratio.value] == pytest.approx([0.1, 0.2, 2.0])
    assert own.made_from == beside.made_from == "3 pairs of latencies"
    assert (ratio.machine, ratio.goal) == ("2 at once", _searches.GOAL)


def test_searches_that_share_no_design_are_told() -> None:
    with pytest.raises(WorkFailed, match=r"have no design in common$"):
        _searches.figures({"a": 1.0}, {"b": 1.0}, [{"a": 1.0}])


def test_a_real_search_measures_latency(tmp_path: Path) -> None:
    (found,) = _searches.search(TINY.space, [tmp_path / "0.db"], 1)
    assert len(found) == 1
    assert all(value > 0 for value in found.values())


def test_a_search_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = (sys.executable, "-c", "import sys; print('first', file=sys.stderr); sys.exit('no')")
    monkeypatch.setattr(_searches, "COMMAND", failing)
    with pytest.raises(WorkFailed, match=r"^a search of the benchmark has failed: no$"):
        _searches.search("digits", [tmp_path / "a.db"], 1)
