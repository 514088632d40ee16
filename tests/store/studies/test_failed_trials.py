"""The failed trials of studies, with their tracebacks."""

from pathlib import Path

import pytest

from dsx import search
from dsx.analysis import TrialState
from dsx.errors import StorageError
from dsx.search.loop import Progress
from dsx.store.database.engine import open_database
from dsx.store.studies.failed_trials import load_failed
from tests.search.looking import Following
from tests.search.spaces import TINY, varied

FRAGILE = "model: tests.search.models:Fragile\nmodel_args: {error: KeyError}"


def two_failed(progress: Progress) -> bool:
    return progress.counts.get(TrialState.FAILED, 0) == 2


def test_a_failed_trial_has_the_traceback_of_the_failed_code(storage: str, tmp_path: Path) -> None:
    space = varied(TINY, tmp_path, "model: small_cnn\nmodel_args: {width: 4}", FRAGILE)
    with pytest.raises(KeyboardInterrupt):
        search(space, trials=3, storage=storage, report=Following(two_failed))
    engine = open_database(storage, create=False)
    (study,) = load_failed(engine, None)
    assert load_failed(engine, "tiny") == [study]
    (reason,) = study.reasons
    assert study.name == "tiny" and reason.trials == tuple(t.number for t in study.trials)
    for trial in study.trials:
        assert len(trial.design) == 12 and trial.description
        assert trial.reason == "KeyError: 'out of memory:\\nno 2 GiB left'"
        assert 'tests/search/models.py", line ' in trial.traceback
        assert trial.traceback.endswith("KeyError: 'out of memory:\\nno 2 GiB left'\n")
        # Errors that wrap the error of the network only repeat it.
        assert "TrialFailed" not in trial.traceback


def test_a_study_without_failures_and_an_unknown_study(finished: str) -> None:
    engine = open_database(finished, create=False)
    assert [(study.name, study.trials) for study in load_failed(engine, None)] == [
        ("static", ()), ("tiny", ())
    ]  # fmt: skip
    with pytest.raises(StorageError, match=r"^no study called 'tinny' .* Did you mean 'tiny'\?$"):
        load_failed(engine, "tinny")
