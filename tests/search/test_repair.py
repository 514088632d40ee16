"""A study with inconsistent tables is repaired by the next search without repeated measurements."""

import sqlite3
from contextlib import closing

import optuna
import pytest

from dsx import front, search
from dsx.search.sampling.encoding import parameters, sample
from dsx.search.sampling.study import StudySampler
from dsx.space import SearchSpace, load_space
from dsx.store.database.engine import open_database
from dsx.store.database.schema import MeasurementRow
from tests.search.looking import measured, rows, states, trials
from tests.search.spaces import LEARNED, STATIC


def change(storage: str, *statements: str) -> None:
    with closing(sqlite3.connect(storage.removeprefix("sqlite:///"))) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def told(storage: str) -> list[tuple[int, str, object]]:
    study = optuna.load_study(study_name="static", storage=storage)
    return [(trial.number, trial.state.name, trial.values) for trial in study.trials]


@pytest.mark.parametrize("space", [STATIC, LEARNED])
def test_the_parameters_of_a_design_sample_it_again(storage: str, space: object) -> None:
    loaded = load_space(str(space))
    sampler = StudySampler(open_database(storage, create=True), "s", loaded.file.objectives, seed=0)
    for _ in range(5):
        design = sample(loaded, sampler.ask(at_random=True).suggest)
        found = parameters(loaded, design)
        assert found is not None
        assert _drawn(loaded, found) == design.id


def _drawn(space: SearchSpace, found: object) -> str:
    assert isinstance(found, dict)
    return sample(space, lambda name, options: found[name]).id


def test_missing_trials_are_added_to_optuna_again(copied: str) -> None:
    before, drawn, numbers = told(copied), trials(copied, "static"), measured(copied)
    optuna.delete_study(study_name="static", storage=copied)
    shown = front("static", storage=copied)
    search(STATIC, trials=6, storage=copied)
    ended = [one for one in before if one[1] in ("COMPLETE", "PRUNED")]
    assert [one for one in told(copied) if one[1] in ("COMPLETE", "PRUNED")] == ended
    now = trials(copied, "static")
    assert [(row.number, row.design, row.state) for row in now] == [
        (row.number, row.design, row.state) for row in drawn
    ]
    assert (measured(copied), front("static", storage=copied)) == (numbers, shown)
    more = search(STATIC, trials=8, storage=copied)
    assert len(more.entries) == 8


def test_only_what_is_missing_is_measured_again(copied: str) -> None:
    before = rows(copied, MeasurementRow)
    design = front("static", storage=copied).entries[-1].id
    change(
        copied,
        f"UPDATE dsx_measurements SET value = 'x' WHERE design = '{design}' AND metric = 'flops'",
    )
    damaged = front("static", storage=copied)
    assert damaged.conditions["damaged"].startswith("left out dsx_measurements, row")
    assert design not in {entry.id for entry in damaged.entries}
    repaired = search(STATIC, trials=6, storage=copied)
    assert design in {entry.id for entry in repaired.entries}
    with closing(sqlite3.connect(copied.removeprefix("sqlite:///"))) as connection:
        assert connection.execute("SELECT count(*) FROM dsx_measurements").fetchone() == (
            len(before) + 1,
        )


def test_a_trial_whose_design_is_lost_is_replaced_by_another(copied: str) -> None:
    last = trials(copied, "static")[-1]
    assert last.state == "complete"
    change(
        copied,
        f"DELETE FROM dsx_designs WHERE id = '{last.design}'",
        "DELETE FROM trial_params WHERE trial_id = (SELECT max(trial_id) FROM trials WHERE "
        "study_id = (SELECT study_id FROM studies WHERE study_name = 'static'))",
    )
    found = search(STATIC, trials=6, storage=copied)
    assert len(found.entries) == 6
    assert states(copied, "static")["complete"] == 6
    assert trials(copied, "static")[last.number].reason == "its design is lost"
