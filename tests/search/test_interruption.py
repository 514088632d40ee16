"""Interruption at any moment by Ctrl-C, kill and kill -9: no measurement is lost."""

import random
import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState as OptunaState

from dsx import front, search
from dsx.activity import Kind
from dsx.analysis import TrialState
from dsx.store.database.schema import LeaseRow, MeasurementRow
from tests.cli.running import END, INTERRUPT, KILL, dsx, start
from tests.search.looking import Following, rows, states, trials, weight_files
from tests.search.spaces import QUICK, STATIC, TINY

STORAGE = "studies/dsx.db"
Numbers = dict[tuple[str, str, str], tuple[float, float, float]]


def numbers(storage: str) -> Numbers:
    """Return all measurements; only flagged timings may be repeated."""
    found: Numbers = {}
    for row in rows(storage, MeasurementRow):
        key = (row.design, row.metric, row.protocol)
        assert key not in found or row.metric == "latency_ms"
        found.setdefault(key, (row.value, row.low, row.high))
    return found


def check_end(storage: str, study: str, complete: int) -> None:
    """Check that an interrupted and resumed study is complete."""
    found = front(study, storage=storage)
    assert len(found.entries) == complete
    ended = states(storage, study)
    assert ended[TrialState.COMPLETE] == complete
    assert ended["running"] == ended["failed"] == 0
    designs = {row.design for row in trials(storage, study) if row.state == TrialState.INTERRUPTED}
    assert designs <= {entry.id for entry in found.entries} | {
        row.design for row in trials(storage, study) if row.state == "rejected"
    }
    assert rows(storage, LeaseRow) == []
    told = optuna.load_study(study_name=study, storage=storage).trials
    assert not [trial for trial in told if trial.state == OptunaState.RUNNING]
    done = [trial for trial in told if trial.state == OptunaState.COMPLETE]
    assert len({tuple(sorted(trial.params.items())) for trial in done}) == complete
    trained = "accuracy" in found.objectives
    kept = found.front_ids | {found.baseline} if trained else set()
    perhaps = {entry.id for entry in found.possible} if trained else set()
    files = weight_files(storage, study)
    assert {file.suffix for file in files.values()} <= {".safetensors"}
    assert kept <= files.keys() <= kept | perhaps


@pytest.mark.parametrize("phase", [Kind.SAMPLING, Kind.COUNTING, Kind.TIMING, Kind.TRAINING])
@pytest.mark.parametrize("complete", [0, 1])
def test_ctrl_c_in_each_phase(storage: str, phase: Kind, complete: int) -> None:
    follow = Following(lambda told: (told.complete, told.event.kind) == (complete, phase))
    with pytest.raises(KeyboardInterrupt):
        search(QUICK, trials=2, storage=storage, report=follow)
    before = numbers(storage)
    assert rows(storage, LeaseRow) == []
    assert states(storage, "quick")["running"] == 0
    search(QUICK, trials=2, storage=storage)
    assert before.items() <= numbers(storage).items()
    check_end(storage, "quick", 2)


@pytest.mark.slow
@pytest.mark.parametrize("number", [INTERRUPT, END])
def test_ctrl_c_and_kill_at_any_moment(tmp_path: Path, number: int) -> None:
    storage = f"sqlite:///{tmp_path}/{STORAGE}"
    arguments = ("search", QUICK, "--trials", 3)
    before: Numbers = {}
    for _ in range(4):
        running = start(*arguments, folder=tmp_path)
        time.sleep(random.uniform(0.02, 0.6))
        running.signal(number)
        ended = running.wait()
        if ended.code != 130:
            assert ended.code == 0, ended
            break
        *_, line = ended.err.splitlines()
        assert (ended.out, "Traceback" in ended.err) == ("", False), ended
        assert line == (
            "dsx: interrupted; all measurements are saved. To resume: "
            f"dsx search {QUICK} --trials 3"
        )
        after = numbers(storage) if dsx("ls", folder=tmp_path).code == 0 else {}
        assert before.items() <= after.items()
        before = after
    assert dsx(*arguments, folder=tmp_path).code == 0
    assert before.items() <= numbers(storage).items()
    check_end(storage, "quick", 3)


@pytest.mark.slow
@pytest.mark.parametrize(("space", "complete"), [(TINY, 5), (STATIC, 8)])
def test_kill_9_at_any_moment(tmp_path: Path, space: Path, complete: int) -> None:
    storage = f"sqlite:///{tmp_path}/{STORAGE}"
    arguments = ("search", space, "--trials", complete)
    before: Numbers = {}
    for _ in range(6):
        running = start(*arguments, folder=tmp_path)
        time.sleep(random.uniform(0.1, 1.2))
        running.signal(KILL)
        ended = running.wait()
        if ended.code != -KILL:
            assert ended.code == 0, ended
            break
        after = numbers(storage) if dsx("ls", folder=tmp_path).code == 0 else {}
        assert before.items() <= after.items()
        before = after
    assert dsx(*arguments, folder=tmp_path).code == 0
    assert before.items() <= numbers(storage).items()
    check_end(storage, space.stem, complete)
