"""Summaries of the studies of a database."""

import os
from pathlib import Path

from dsx import search
from dsx.store.database.engine import open_database
from dsx.store.lease.lease import claim
from dsx.store.studies.studies import list_studies
from tests.search.looking import trials
from tests.search.spaces import STATIC


def test_the_newest_study_is_last(finished: str) -> None:
    lines = list_studies(open_database(finished, create=False))
    assert [(line.name, line.space, line.complete) for line in lines] == [
        ("static", "static", 6),
        ("tiny", "tiny", 4),
    ]
    for line in lines:
        assert line.trials == len(trials(finished, line.name)) > line.complete
        assert line.running == ""


def test_the_process_of_a_study_is_listed_only_while_it_runs(storage: str, tmp_path: Path) -> None:
    search(STATIC, trials=1, storage=storage)
    engine = open_database(storage, create=False)
    with claim(open_database(storage, create=True), "static"):
        (line,) = list_studies(engine)
        assert line.running.endswith(f":{os.getpid()}")
    (line,) = list_studies(engine)
    assert line.running == ""


def test_an_empty_database_has_no_studies(storage: str) -> None:
    assert list_studies(open_database(storage, create=True)) == []
