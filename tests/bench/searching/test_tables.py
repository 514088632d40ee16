"""Rows of searches, and their summary over seeds."""

from dsx.bench._base import Row
from dsx.bench._figures import Goal
from dsx.bench.searching.contests import BARE
from dsx.bench.searching.merit import Judge
from dsx.bench.searching.tables import TITLE, run_rows, tables
from tests.bench.searching.records import OBJECTIVES, found, record

GOAL = Goal(sign=">=", bound=4.0)
BASELINE = found("base", 0.9, 100.0, 1.0)
JUDGE = Judge(objectives=OBJECTIVES, latencies={"base": 2.0, "a": 1.0}, baseline=BASELINE)


def rows(seed: int, seconds: float, test: float = 0.89) -> list[Row]:
    bare = record(BARE, BASELINE, found("a", 0.89, 50.0, 30.0), seed=seed)
    ours = record("dsx screening", BASELINE, found("a", test, 50.0, seconds), seed=seed)
    return list(run_rows("made up", GOAL, [bare, ours], JUDGE))


def test_a_row_describes_a_search() -> None:
    bare, ours = rows(3, 5.0)
    assert bare.keys() == ours.keys()
    expected = {"space": "made up", "contender": "dsx screening", "seed": 3, "designs": 2}
    expected |= {"repeated": 3, "cpu_s": 6.0, "wall_s": 11.0, "sampling_cpu_s": 0.5, "goal": ">= 4"}
    expected |= {"hypervolume_cpu_ratio": 6.0, "tight_passed_after_designs": 2, "timed_cpu_s": 0.0}
    assert expected.items() <= ours.items()
    _, never = rows(0, 5.0, test=0.885)
    assert never["tight_cpu_ratio"] == "" and never["tight_passed_after_designs"] == ""


def test_the_summary_has_median_quartiles_and_the_searches_that_never_pass() -> None:
    found = [*rows(0, 5.0), *rows(1, 10.0), *rows(2, 3.0)]
    summary, tight = tables(found)[TITLE]
    assert summary == {
        "space": "made up", "contender": "dsx screening", "volume": "hypervolume", "seeds": 3,
        "CPU": 6.0, "quartiles": "4.5 to 8.0", "wall": 6.0, "worst": 3.0, "never": 0,
        "goal": ">= 4", "met": "yes",
    }  # fmt: skip
    assert tight["volume"] == "tight"
    summary, _ = tables([*found, *rows(3, 5.0, test=0.7)])[TITLE]
    assert (summary["never"], summary["worst"], summary["met"]) == (1, 0.0, "no")
    assert len(tables(found)["Searches"]) == 6
