"""The Optuna study: sampled options, reported constraints and names of parameters."""

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState as OptunaState

from dsx import search
from dsx.analysis import TrialState
from dsx.errors import StorageError
from dsx.search.sampling.encoding import sample
from dsx.search.sampling.study import StudySampler, exists
from dsx.space import SearchSpace, load_space
from dsx.store.database.engine import open_database
from tests.cli.running import dsx, one_line, start
from tests.search.looking import trials
from tests.search.spaces import STATIC, TINY


@pytest.fixture
def space() -> SearchSpace:
    return load_space(STATIC)


@pytest.fixture
def store(storage: str) -> StudySampler:
    return StudySampler(
        open_database(storage, create=True),
        "s",
        {"params": "minimize", "accuracy": "maximize"},
        seed=0,
    )


def told(storage: str, study: str) -> optuna.Study:
    return optuna.load_study(study_name=study, storage=storage)


def test_constraints_are_reported_to_the_sampler(storage: str, space: SearchSpace) -> None:
    found = search(space, trials=6, storage=storage, sampler="random")
    limit = 0.5 * space.cost(space.baseline).flops
    designs = {row.number: row for row in trials(storage, "static")}
    flops = {entry.trial: entry.metrics["flops"].value for entry in found.entries}
    seen = set()
    for trial in told(storage, "static").trials:
        state = designs[trial.number].state
        seen.add(state)
        assert set(trial.constraints) == {"flops"}
        if state == TrialState.COMPLETE:
            assert trial.state == OptunaState.COMPLETE
            assert trial.constraints["flops"] == pytest.approx(flops[trial.number] - limit)
        else:
            assert (state, trial.state) == (TrialState.REJECTED, OptunaState.PRUNED)
            assert trial.constraints["flops"] > 0
    assert seen == {TrialState.COMPLETE, TrialState.REJECTED}


def test_objectives_are_reported_in_their_order_and_direction(storage: str) -> None:
    found = search(TINY, trials=2, storage=storage)
    study = told(storage, "tiny")
    assert study.metric_names == ["accuracy", "params"]
    assert [way.name for way in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    values = {
        trial.number: trial.values for trial in study.trials if trial.state == OptunaState.COMPLETE
    }
    assert values == {
        entry.trial: [entry.metrics[name].value for name in ("accuracy", "params")]
        for entry in found.entries
    }


def test_parameters_are_named_after_slots(storage: str, space: SearchSpace) -> None:
    search(space, trials=4, storage=storage)
    slots = {choices.name for choices in space.slot_options}
    for trial in told(storage, "static").trials:
        assert trial.params.keys() == slots


def test_the_same_trial_number_gives_the_same_options(storage: str, space: SearchSpace) -> None:
    picks = []
    for name in ("one", "two"):
        store = StudySampler(
            open_database(storage, create=True), name, {"params": "minimize"}, seed=3
        )
        picks.append(sample(space, store.ask(at_random=False).suggest))
    assert picks[0] == picks[1]


def test_after_a_resume_other_designs_are_sampled(storage: str, space: SearchSpace) -> None:
    engine = open_database(storage, create=True)
    ids = []
    for _ in range(3):
        # A new sampler each time, as in a new process.
        trial = StudySampler(engine, "s", {"params": "minimize"}, seed=3).ask(at_random=False)
        ids.append(sample(space, trial.suggest).id)
        trial.complete({"params": 1.0}, {})
    assert len(set(ids)) == 3


def test_unfinished_trials_are_found_again(store: StudySampler, space: SearchSpace) -> None:
    trial = store.ask(at_random=False)
    design = sample(space, trial.suggest)
    (left,) = store.unfinished()
    assert (left.number, left.params) == (trial.number, trial.params)
    assert sample(space, left.suggest) == design
    left.fail()
    assert store.unfinished() == []
    store.enqueue(left.params)
    assert sample(space, store.ask(at_random=False).suggest) == design


def test_a_stored_trial_of_optuna_has_the_id_by_which_it_is_continued() -> None:
    """Optuna has no public way to continue a trial that another process has started."""
    study = optuna.create_study()
    study.ask()
    started = study.ask()
    (_, stored) = study.get_trials(states=(OptunaState.RUNNING,))
    continued = optuna.trial.Trial(study, stored._trial_id)
    assert continued.number == started.number == 1
    study.tell(continued, 0.5)
    assert [trial.state for trial in study.trials] == [OptunaState.RUNNING, OptunaState.COMPLETE]


def test_a_trial_without_parameters_is_completed(store: StudySampler, space: SearchSpace) -> None:
    first = space.slot_options[0].name
    store.enqueue({first: "keep"})
    trial = store.ask(at_random=True)
    sample(space, trial.suggest)
    assert trial.params[first] == "keep"
    assert len(trial.params) > 1


def test_the_version_of_the_tables_is_checked_once(storage: str) -> None:
    engine = open_database(storage, create=True)
    assert not exists(engine, "s")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'v99.0.0'")
    assert not exists(engine, "s")
    with pytest.raises(StorageError, match="the tables of Optuna cannot be used: The runtime"):
        exists(open_database(storage, create=True), "s")


def test_a_full_disk_is_reported_in_one_line_and_loses_nothing(tmp_path: Path) -> None:
    arguments = ("search", STATIC, "--trials", 10)
    full = start(*arguments, folder=tmp_path, file_limit=1_300_000).wait()
    *_, line = full.err.splitlines()
    assert (full.code, full.out, "Traceback" in full.err) == (1, "", False), full.err
    assert line.startswith("dsx: sqlite:///studies/dsx.db failed: ")
    assert line.endswith(" (everything measured before is saved)")
    before = _designs(tmp_path)
    assert dsx(*arguments, folder=tmp_path).code == 0
    after = _designs(tmp_path)
    assert before and before.items() <= after.items()


def _designs(folder: Path) -> dict[str, object]:
    document = dsx("pareto", "--json", folder=folder).json
    return {design["id"]: design["metrics"] for design in document["designs"]}


def test_an_initially_full_disk_is_reported_in_one_line(tmp_path: Path) -> None:
    ended = start("search", STATIC, folder=tmp_path, file_limit=1_000).wait()
    assert "cannot be opened: disk I/O error" in one_line(ended, 2)
