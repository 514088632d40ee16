"""A study is opened and looked up once per command."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event

from dsx.cli import archive, export, measure, pareto, refine
from dsx.errors import StorageError
from dsx.search.refining.refine import refine_study
from dsx.store.database.schema import FormRow
from dsx.store.studies.study import Study
from tests.search.looking import rows

LOOKUP = "ORDER BY dsx_studies.created_at"


@dataclass
class Seen:
    """The engines that connected to a database, and their statements."""

    engines: list[Engine] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)

    @property
    def lookups(self) -> int:
        return sum(LOOKUP in statement for statement in self.statements)


@contextmanager
def watched() -> Iterator[Seen]:
    seen = Seen()

    def connected(connection: Connection) -> None:
        if connection.engine not in seen.engines:
            seen.engines.append(connection.engine)

    def executed(connection: Connection, cursor: object, statement: str, *_: object) -> None:
        seen.statements.append(statement)

    event.listen(Engine, "engine_connect", connected)
    event.listen(Engine, "before_cursor_execute", executed)
    try:
        yield seen
    finally:
        event.remove(Engine, "engine_connect", connected)
        event.remove(Engine, "before_cursor_execute", executed)


READERS: dict[str, Callable[[str, Path], None]] = {
    "archive": lambda storage, out: archive.archive("tiny", out / "archive", storage=storage),
    "export": lambda storage, out: export.export("tiny", "baseline", out / "x", storage=storage),
    "pareto": lambda storage, out: pareto.pareto("tiny", storage=storage),
}


@pytest.mark.parametrize("command", READERS)
def test_a_reading_command_opens_the_database_once(
    finished: str, tmp_path: Path, command: str
) -> None:
    with watched() as seen:
        READERS[command](finished, tmp_path)
    assert (len(seen.engines), seen.lookups) == (1, 1)


def test_a_front_with_its_proxies_opens_the_database_once(open_study: str) -> None:
    with watched() as seen:
        pareto.pareto("quick", proxies=True, storage=open_study)
    assert (len(seen.engines), seen.lookups) == (1, 1)


WRITERS: dict[str, Callable[[str], None]] = {
    "measure": lambda storage: measure.measure(
        study="tiny", pick="baseline", metric=["params"], storage=storage
    ),
    "refine": lambda storage: refine.refine("tiny", time="0s", storage=storage),
}


@pytest.mark.parametrize("command", WRITERS)
def test_a_writing_command_checks_the_file_and_opens_it_once(copied: str, command: str) -> None:
    with watched() as seen:
        WRITERS[command](copied)
    read_only = [engine for engine in seen.engines if "mode" in engine.url.query]
    assert (len(read_only), seen.lookups) == (1, 1)


def test_opening_a_study_to_read_it_writes_nothing(finished: str) -> None:
    before = Path(finished.removeprefix("sqlite:///")).read_bytes()
    study = Study.open(finished, None)
    assert study.row.name == "tiny"
    assert study.measurements.read_only
    assert dict(study.form_cache) == {}
    assert rows(finished, FormRow) == []
    assert Path(finished.removeprefix("sqlite:///")).read_bytes() == before


def test_a_study_is_opened_for_writing_only_if_its_database_exists(tmp_path: Path) -> None:
    file = tmp_path / "none.db"
    with pytest.raises(StorageError, match=r"no database at .*none\.db"):
        refine_study(None, 0.0, storage=f"sqlite:///{file}")
    assert not file.exists()


def test_the_weights_of_a_study_are_those_of_its_own_training(finished: str) -> None:
    tiny, static = Study.open(finished, "tiny"), Study.open(finished, "static")
    assert (bool(tiny.weights.training), static.weights.training) == (True, "")
