"""Migrations agree with the schema, are atomic, and do not affect the tables of Optuna."""

import multiprocessing
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, MetaData

import dsx
from dsx.errors import StorageError
from dsx.store.database.engine import open_database
from dsx.store.database.migration import MIGRATIONS, latest_version
from dsx.store.database.schema import VERSION_TABLE, Base, belongs_to_dsx
from tests.search.spaces import STATIC

LATEST = latest_version(MIGRATIONS)
NEXT = f"""
import os
import signal
import sqlalchemy as sa
from alembic import op

revision, down_revision = "{LATEST + 1}", "{LATEST}"

def upgrade():
    op.create_table("dsx_notes", sa.Column("text", sa.Text(), primary_key=True))
    op.add_column("dsx_trials", sa.Column("note", sa.Text(), nullable=True))
    # Other tables refer to this one; SQLite copies it.
    with op.batch_alter_table("dsx_designs") as table:
        table.alter_column("model", existing_type=sa.String(255), type_=sa.Text())
"""
FAILS, KILLED = "    raise RuntimeError('half-way')\n", "    os.kill(os.getpid(), signal.SIGKILL)\n"


def with_next(folder: Path, end: str = "") -> Path:
    """Create a folder of migrations with another one, whose function ends with given lines."""
    migrations = shutil.copytree(MIGRATIONS, folder / f"migrations{len(list(folder.iterdir()))}")
    (migrations / "versions" / f"{LATEST + 1:04}_next.py").write_text(NEXT + end)
    return migrations


@pytest.fixture(params=["storage", "postgres_storage"])
def empty(request: pytest.FixtureRequest) -> str:
    """An empty database of each kind."""
    url: str = request.getfixturevalue(request.param)
    return url


def contents(url: str) -> dict[str, list[Sequence[Any]]]:
    """Return the rows of all tables, including those of Optuna."""
    engine, metadata = sqlalchemy.create_engine(url), MetaData()
    metadata.reflect(engine)
    with engine.connect() as connection:
        return {
            name: sorted(map(tuple, connection.execute(sqlalchemy.select(table))), key=repr)
            for name, table in metadata.tables.items()
        }


def differences(engine: Engine) -> list[Any]:
    """Return the changes with which Alembic would convert a database to the schema."""
    options = {"version_table": VERSION_TABLE, "include_name": belongs_to_dsx}
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, Base.metadata))


def together(*work: Callable[[], object]) -> list[BaseException]:
    """Run functions in threads that start at once, and return their errors."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(work))

    def run(function: Callable[[], object]) -> None:
        barrier.wait()
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,)) for function in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_the_migrations_create_the_schema(empty: str) -> None:
    assert differences(open_database(empty, create=True)) == []
    assert contents(empty)[VERSION_TABLE] == [(str(LATEST),)]


def test_tables_of_other_programs_are_not_compared(storage: str) -> None:
    optuna.create_study(storage=storage)
    engine = open_database(storage, create=True, adopt=True)
    assert differences(engine) == []
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE dsx_unknown (name TEXT)")
    assert len(differences(engine)) == 1


def test_a_database_of_dsx_and_optuna_is_migrated_without_loss(empty: str, tmp_path: Path) -> None:
    dsx.search(STATIC, trials=3, storage=empty)
    before, study = contents(empty), optuna.load_study(study_name="static", storage=empty)
    migrations = with_next(tmp_path)
    with pytest.raises(StorageError, match=rf"version {LATEST}, and .* reads {LATEST + 1} \("):
        open_database(empty, create=False, migrations=migrations)
    assert contents(empty) == before

    open_database(empty, create=True, migrations=migrations)
    after = contents(empty)
    assert after.pop("dsx_notes") == []
    assert after.pop(VERSION_TABLE) == [(str(LATEST + 1),)]
    assert before.pop(VERSION_TABLE) == [(str(LATEST),)]
    after["dsx_trials"] = [row[:-1] for row in after["dsx_trials"]]
    assert after == before and len(before["alembic_version"]) == 1
    open_database(empty, create=False, migrations=migrations)
    loaded = optuna.load_study(study_name="static", storage=empty)
    assert loaded.get_trials() == study.get_trials()
    for create in (False, True):
        with pytest.raises(
            StorageError, match=rf"version {LATEST + 1}, .* 1 to {LATEST} \(update dsx\)"
        ):
            open_database(empty, create=create)


def test_a_study_of_schema_version_1_is_resumed(empty: str) -> None:
    dsx.search(STATIC, trials=2, storage=empty)
    engine = sqlalchemy.create_engine(empty)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE dsx_studies DROP COLUMN deploy")
        connection.exec_driver_sql("ALTER TABLE dsx_measurements DROP COLUMN examples")
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '1'")
    before = contents(empty)["dsx_studies"]
    with pytest.raises(StorageError, match=rf"version 1, and .* reads {LATEST} \(`dsx search` mig"):
        dsx.front("static", storage=empty)
    assert len(dsx.search(STATIC, trials=3, storage=empty).entries) == 3
    assert contents(empty)["dsx_studies"] == [(*row, None) for row in before]
    assert differences(engine) == []


def test_foreign_keys_are_checked_after_a_migration(storage: str, tmp_path: Path) -> None:
    engine = open_database(storage, create=True)
    with sqlalchemy.create_engine(storage).begin() as connection:
        connection.exec_driver_sql("INSERT INTO dsx_forms VALUES ('lost', '', '{}', '', '{}')")
    with pytest.raises(StorageError, match=r"the table dsx_forms refers to .* of dsx_devices"):
        open_database(storage, create=True, migrations=with_next(tmp_path))
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM dsx_forms")
    engine = open_database(storage, create=True, migrations=with_next(tmp_path))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_a_failed_migration_changes_nothing(empty: str, tmp_path: Path) -> None:
    failing = with_next(tmp_path, FAILS)
    with pytest.raises(RuntimeError, match="half-way"):
        open_database(empty, create=True, migrations=failing)
    assert contents(empty) == {}
    open_database(empty, create=True)
    before = contents(empty)
    with pytest.raises(RuntimeError, match="half-way"):
        open_database(empty, create=True, migrations=failing)
    assert contents(empty) == before


@pytest.mark.parametrize("exists", [False, True])
def test_a_killed_migration_is_repeated(empty: str, tmp_path: Path, exists: bool) -> None:
    if exists:
        open_database(empty, create=True)
    before = contents(empty)
    options = {"create": True, "migrations": with_next(tmp_path, KILLED)}
    spawning = multiprocessing.get_context("spawn")
    process = spawning.Process(target=open_database, args=(empty,), kwargs=options)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert contents(empty) == before
    open_database(empty, create=True, migrations=with_next(tmp_path))
    assert contents(empty)[VERSION_TABLE] == [(str(LATEST + 1),)]


def test_concurrent_processes_migrate_once(empty: str, tmp_path: Path) -> None:
    open_database(empty, create=True)
    migrations = with_next(tmp_path)
    work = [lambda: open_database(empty, create=True, migrations=migrations)] * 8
    assert together(*work) == []
    assert contents(empty)[VERSION_TABLE] == [(str(LATEST + 1),)]


def test_several_databases_can_be_created_at_once(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path}/{number}.db" for number in range(8)]
    assert together(*(partial(open_database, url, create=True) for url in urls)) == []
    assert [differences(open_database(url, create=False)) for url in urls] == 8 * [[]]


def test_a_folder_with_a_percent_sign_is_found(storage: str, tmp_path: Path) -> None:
    folder = tmp_path / "100%(here)s"
    folder.mkdir()
    open_database(storage, create=True, migrations=with_next(folder))
    assert contents(storage)[VERSION_TABLE] == [(str(LATEST + 1),)]


def test_only_a_migration_imports_alembic(storage: str) -> None:
    open_database(storage, create=True)
    program = (
        "import sys\n"
        "from dsx.store.database import open_database\n"
        f"for create in (False, True): open_database({storage!r}, create=create)\n"
        "assert 'alembic' not in sys.modules\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
