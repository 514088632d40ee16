"""The benchmark of searches."""

from dsx.bench import search
from dsx.bench.searching.contests import BARE, CONTESTS
from dsx.bench.searching.tables import TITLE, tables
from dsx.space import load_space


def test_a_quick_trial_searches_the_simulated_world() -> None:
    reported: list[str] = []
    rows = search.run(True, reported.append)
    assert len(reported) == search.QUICK_SEEDS
    assert [row["contender"] for row in rows] == [BARE, "dsx screening"] * search.QUICK_SEEDS
    assert {row["designs"] for row in rows} == {search.QUICK}
    assert all(float(str(row["hypervolume"])) > 0 for row in rows)
    assert len(tables(rows)[TITLE]) == 2


def test_all_spaces_of_the_full_run_can_be_loaded() -> None:
    for contest in CONTESTS:
        space = load_space(contest.space)
        assert space.slot_options
        assert BARE in contest.seeds and "dsx screening" in contest.seeds
    assert sum(1 for contest in CONTESTS for _ in contest.searches) == 33 + 30 + 6 + 20
