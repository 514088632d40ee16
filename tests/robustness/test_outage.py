"""Outage of a database server during a search: the search waits and loses nothing."""

import time
from collections import Counter
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState as OptunaState

from dsx.analysis import TrialState
from dsx.errors import StorageError
from dsx.store.database.schema import DeviceRow, LeaseRow, MeasurementRow
from tests.cli.running import Ended, Running, dsx, start, until
from tests.robustness.conftest import Tally
from tests.search.looking import measured, rows, states
from tests.search.postgres import Server
from tests.search.spaces import QUICK, STATIC, TINY

TRIALS = 12


def progress(running: Running) -> int:
    """Return the designs that a search has reported as complete."""
    lines = [line for line in running.err.splitlines() if " designs, " in line]
    return int(lines[-1].partition("/")[0].split()[-1]) if lines else -1


def ended_without(postgres: Server, running: Running) -> Ended:
    """Stop a server until a process has ended."""
    postgres.stop("fast")
    try:
        return running.wait()
    finally:
        postgres.start()


def begun(storage: str) -> bool:
    """Check whether a command has opened a new database and determined its device."""
    try:
        return bool(rows(storage, DeviceRow))
    except StorageError:
        return False


def check_end(storage: str, study: str) -> None:
    """Check that a study is complete, as without the outage."""
    assert Counter(measured(storage).values()).keys() == {1}
    ended = states(storage, study)
    assert (ended[TrialState.COMPLETE], ended["running"], ended["failed"]) == (TRIALS, 0, 0)
    assert rows(storage, LeaseRow) == []
    told = optuna.load_study(study_name=study, storage=storage).trials
    count = Counter(trial.state for trial in told)
    assert (count[OptunaState.RUNNING], count[OptunaState.COMPLETE]) == (0, TRIALS)


@pytest.mark.parametrize(
    ("space", "mode", "seconds"),
    [
        (STATIC, "immediate", 2),
        pytest.param(TINY, "fast", 2, marks=pytest.mark.long),
        pytest.param(STATIC, "fast", 60, marks=pytest.mark.long),
        pytest.param(TINY, "immediate", 60, marks=pytest.mark.long),
    ],
    ids=["static", "trained", "static long", "trained long"],
)
def test_a_search_waits_for_its_server(
    tmp_path: Path,
    postgres: Server,
    postgres_storage: str,
    tally: Tally,
    space: Path,
    mode: str,
    seconds: float,
) -> None:
    running = start(
        "search", space, "--trials", TRIALS, "--storage", postgres_storage, folder=tmp_path
    )
    until(lambda: progress(running) >= 3, "some designs are complete")
    before = [row.id for row in rows(postgres_storage, MeasurementRow)]
    postgres.stop(mode)
    try:
        time.sleep(seconds)
        assert running.code is None, running.err
    finally:
        postgres.start()
    ended = running.wait()
    right = ended.code in (0, 1) and "Traceback" not in ended.err
    tally("liveness", right)
    assert right, ended
    assert "cannot be reached; retrying for up to 10 min" in ended.err
    assert "can be reached again" in ended.err
    assert before == [row.id for row in rows(postgres_storage, MeasurementRow)][: len(before)]
    check_end(postgres_storage, space.stem)


@pytest.mark.long
def test_a_server_that_stays_away_ends_a_search_in_one_line(
    tmp_path: Path, postgres: Server, postgres_storage: str, tally: Tally
) -> None:
    running = start(
        *("search", STATIC, "--trials", 500, "--storage", postgres_storage),
        folder=tmp_path,
        environment={"DSX_STORAGE_TIMEOUT": "1s"},
    )
    until(lambda: progress(running) >= 0, "the search has started")
    ended = ended_without(postgres, running)
    *_, line = ended.err.splitlines()
    right = (
        ended.code == 1 and line.startswith("dsx: postgresql://") and "cannot be reached" in line
    )
    tally("liveness", right)
    assert right, ended
    assert "Traceback" not in ended.err
    # The lease still exists, but its counter is no longer incremented.
    assert len(rows(postgres_storage, LeaseRow)) == 1
    resumed = dsx("search", STATIC, "--trials", 3, "--storage", postgres_storage, folder=tmp_path)
    assert resumed.code in (0, 1) and "waiting for up to 15 s" in resumed.err, resumed


@pytest.mark.long
def test_a_server_that_stays_away_ends_a_measurement_in_one_line(
    tmp_path: Path, postgres: Server, postgres_storage: str, tally: Tally
) -> None:
    running = start(
        *("measure", QUICK, "--metric", "latency_ms", "--fresh", "--storage", postgres_storage),
        *("--storage-timeout", "1s"),
        folder=tmp_path,
    )
    until(lambda: begun(postgres_storage), "the database has its tables")
    ended = ended_without(postgres, running)
    *_, line = ended.err.splitlines()
    right = ended.code == 1 and line.startswith("dsx: postgresql://")
    tally("liveness", right)
    assert right and "Traceback" not in ended.err, ended
    assert "retrying for up to 1 s" in ended.err, ended
