"""Opening a database: concurrently, for reading only, and with every kind of failure."""

import threading
from pathlib import Path

import optuna
import pytest
import sqlalchemy

from dsx.errors import StorageError
from dsx.store.database.engine import database_id, open_database, parse_url, sqlite_file
from dsx.store.database.schema import VERSION_TABLE, Base, StudyRow
from tests.cli.running import INTERRUPT, dsx, one_line, start, until
from tests.search.looking import rows
from tests.search.spaces import STATIC, THREE

IN_MEMORY = (
    "sqlite://",
    "sqlite:///",
    "sqlite:///:memory:",
    "sqlite:///file::memory:?uri=true",
    "sqlite:///file:x?mode=memory&cache=shared&uri=true",
)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_tables_are_created_once(storage: str, tmp_path: Path) -> None:
    engine = open_database(storage, create=True)
    tables = set(sqlalchemy.inspect(engine).get_table_names())
    assert tables == {VERSION_TABLE, *Base.metadata.tables}
    open_database(storage, create=True)
    assert rows(storage, StudyRow) == []


def test_folders_are_created_for_a_writer_only(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/a/b/dsx.db"
    with pytest.raises(StorageError, match=r"^no database at .*/a/b/dsx\.db; `dsx search` creates"):
        open_database(storage, create=False)
    assert names(tmp_path) == []
    open_database(storage, create=True)
    assert "dsx.db" in names(tmp_path / "a" / "b")


def test_a_writer_uses_a_write_ahead_log(storage: str) -> None:
    with open_database(storage, create=True).connect() as connection:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 1), ("foreign_keys", 1)):
            assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value


def test_a_reader_cannot_write(storage: str) -> None:
    open_database(storage, create=True)
    refusal = pytest.raises(sqlalchemy.exc.OperationalError, match="readonly database")
    with open_database(storage, create=False).connect() as connection, refusal:
        connection.exec_driver_sql("DELETE FROM dsx_studies")


def test_a_reader_reads_while_another_writes(storage: str) -> None:
    writer = open_database(storage, create=True)
    with writer.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        connection.exec_driver_sql("DELETE FROM dsx_studies")
        reader = open_database(storage, create=False)
        with reader.connect() as other:
            assert other.exec_driver_sql("SELECT count(*) FROM dsx_studies").scalar() == 0


@pytest.mark.parametrize(
    ("storage", "problem"),
    [
        ("nothing", r"storage: 'nothing' is not a database URL \(write sqlite:///path"),
        (
            "mysql://u:s3cret@h/x",
            r"unsupported kind of database 'mysql' \(allowed: sqlite:///path",
        ),
        ("postgresql+nothing://u:s3cret@h/x", r"//u:\*\*\*@h/x cannot be opened: Can't load plug"),
        (
            "postgresql://u:s3cret@/x?host=/nowhere",
            r"postgresql://u:\*\*\*@/x\?host=%2Fnowhere cannot be opened: connection",
        ),
        ("sqlite:////dev/null/x.db", "cannot be opened: .*"),
        *((url, "is a database in memory") for url in IN_MEMORY),
    ],
)
@pytest.mark.parametrize("create", [False, True])
def test_a_database_that_cannot_be_opened_is_rejected(
    storage: str, problem: str, create: bool
) -> None:
    if "null" in storage and not create:
        problem = "no database at"
    with pytest.raises(StorageError, match=problem) as refused:
        open_database(storage, create=create)
    assert "s3cret" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("create", [False, True])
def test_a_file_that_is_not_a_database_is_rejected(tmp_path: Path, create: bool) -> None:
    file = tmp_path / "no.db"
    file.write_text("this is not a database, though it is long enough to be one")
    with pytest.raises(StorageError, match=r"no\.db cannot be opened: file is not a database$"):
        open_database(f"sqlite:///{file}", create=create)
    with pytest.raises(StorageError, match="cannot be opened: it is a folder"):
        open_database(f"sqlite:///{tmp_path}", create=create)
    assert not tmp_path.with_name(f"{tmp_path.name}.lock").exists()


def test_a_database_of_another_program_contains_no_studies(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    engine = sqlalchemy.create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE things (name TEXT)")
    with pytest.raises(StorageError, match=r"other\.db contains no studies"):
        open_database(f"sqlite:///{file}", create=False)


@pytest.mark.parametrize(
    ("storage", "file"),
    [
        ("sqlite:///studies/dsx.db", Path("studies/dsx.db")),
        ("sqlite:////a/b.db", Path("/a/b.db")),
        ("sqlite+pysqlite:///b.db", Path("b.db")),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("sqlite:///file:b.db?uri=true", None),
        ("postgresql://h/x", None),
    ],
)
def test_the_file_behind_a_url(storage: str, file: Path | None) -> None:
    assert sqlite_file(parse_url(storage)) == file


def test_eight_processes_can_open_a_new_database_at_once(tmp_path: Path) -> None:
    arguments = ("search", STATIC, "--trials", 1, "--storage", f"sqlite:///{tmp_path}/dsx.db")
    racing = [start(*arguments, "--study", f"s{n}", folder=tmp_path) for n in range(8)]
    for process in racing:
        ended = process.wait()
        assert ended.code in (0, 1) and "finished: 1 completed" in ended.err, ended.err
    listed = dsx("ls", "--json", "--storage", f"sqlite:///{tmp_path}/dsx.db", folder=tmp_path).json
    assert [row["designs"] for row in listed["studies"]] == 8 * [1]


def test_many_threads_can_create_the_tables(storage: str) -> None:
    problems: list[BaseException] = []

    def make() -> None:
        try:
            open_database(storage, create=True)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_readers_work_in_a_read_only_folder(tmp_path: Path) -> None:
    dsx("search", STATIC, "--trials", 2, folder=tmp_path)
    studies = tmp_path / "studies"
    for place in (*studies.iterdir(), studies):
        place.chmod(0o555)
    before = names(studies)
    for command in ("ls", "pareto", "doctor"):
        ended = dsx(command, "--json", folder=tmp_path, heed_permissions=True)
        assert ended.code in (0, 1) and "cannot" not in ended.err, ended
        assert "static" in ended.out or "1 studies" in ended.out
    assert names(studies) == before
    refusal = one_line(dsx("search", STATIC, folder=tmp_path, heed_permissions=True), 2)
    assert "sqlite:///studies/dsx.db cannot be opened: " in refusal
    studies.chmod(0o755)


def test_readers_work_while_a_search_runs(tmp_path: Path) -> None:
    running = start("search", STATIC, "--trials", 500, folder=tmp_path)

    def read() -> bool:
        ended = dsx("pareto", "--json", folder=tmp_path, heed_permissions=True)
        assert ended.code in (0, 1) or "no database at" in ended.err or "contains no" in ended.err
        return bool(ended.out) and bool(ended.json["designs"])

    until(read, "a reader sees the first designs")
    assert running.code is None
    running.signal(INTERRUPT)
    assert running.wait().code == 130


def test_a_database_keeps_its_id(tmp_path: Path) -> None:
    one = f"sqlite:///{tmp_path}/one.db"
    first = database_id(open_database(one, create=True))
    assert len(first) == 32
    assert database_id(open_database(one, create=True)) == first
    other = open_database(f"sqlite:///{tmp_path}/other.db", create=True)
    assert database_id(other) != first


def _of_another_program(file: Path) -> str:
    engine = sqlalchemy.create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE customers (name TEXT)")
    return f"sqlite:///{file}"


def _tables(storage: str) -> set[str]:
    return set(sqlalchemy.inspect(sqlalchemy.create_engine(storage)).get_table_names())


def test_a_database_of_another_program_is_unchanged(tmp_path: Path) -> None:
    storage = _of_another_program(tmp_path / "other.db")
    before = (tmp_path / "other.db").read_bytes()
    refusal = r"other\.db: it holds tables of another program \(customers\) and none of dsx"
    with pytest.raises(StorageError, match=refusal):
        open_database(storage, create=True)
    refused = one_line(dsx("search", STATIC, "--storage", storage, folder=tmp_path), 2)
    assert "--adopt" in refused
    measured = ("measure", STATIC, "--metric", "params", "--storage", storage)
    assert "none of dsx" in one_line(dsx(*measured, folder=tmp_path), 2)
    assert (tmp_path / "other.db").read_bytes() == before
    assert names(tmp_path) == ["other.db"]


def test_a_database_of_another_program_is_adopted_on_demand(tmp_path: Path) -> None:
    storage = _of_another_program(tmp_path / "other.db")
    arguments = ("search", THREE, "--trials", 1, "--storage", storage)
    assert dsx(*arguments, "--adopt", folder=tmp_path).code == 0
    assert {"customers", "dsx_studies", "studies"} <= _tables(storage)
    # No longer needed, since the database now has tables of dsx.
    assert dsx(*arguments, folder=tmp_path).code == 0


def test_a_database_of_optuna_is_adopted_on_demand(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/optuna.db"
    optuna.create_study(study_name="three", storage=storage).optimize(lambda trial: 1.0, 2)
    arguments = ("search", THREE, "--trials", 1, "--storage", storage)
    refused = one_line(dsx(*arguments, folder=tmp_path), 2)
    assert "it holds tables of Optuna (alembic_version, studies, study_directions and " in refused
    taken = dsx(*arguments, "--adopt", folder=tmp_path)
    assert taken.code == 2 and "has an Optuna study 'three' that dsx did not create" in taken.err
    assert len(optuna.load_study(study_name="three", storage=storage).trials) == 2
    assert dsx(*arguments, "--study", "other", folder=tmp_path).code == 0
    assert set(optuna.get_all_study_names(storage)) == {"three", "other"}


def test_foreign_tables_with_names_of_optuna_are_not_adopted(tmp_path: Path) -> None:
    storage = _of_another_program(tmp_path / "other.db")
    with sqlalchemy.create_engine(storage).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE trials (patient TEXT)")
    with pytest.raises(StorageError, match="its table trials was created neither by dsx nor"):
        open_database(storage, create=True, adopt=True)
    assert _tables(storage) == {"customers", "trials"}


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE dsx_schema_version SET version_num = '99'", r"version 99, .* \(update dsx\)"),
        ("UPDATE dsx_schema_version SET version_num = 'v1'", r"damaged: .* 'v1' \(allowed: 1"),
        ("UPDATE dsx_schema_version SET version_num = 0", r"damaged: .* '0' \(allowed: 1"),
        ("INSERT INTO dsx_schema_version VALUES ('99')", r"dsx_schema_version has 2 rows \(al"),
        ("DELETE FROM dsx_schema_version", r"dsx_schema_version has 0 rows \(allowed: 1\)"),
        ("INSERT INTO dsx_database VALUES ('x')", r"dsx_database has 2 rows \(allowed: 1\)"),
        ("DELETE FROM dsx_database", r"dsx_database has 0 rows \(allowed: 1\)"),
        ("DROP TABLE dsx_database", "damaged: dsx_database is missing"),
    ],
)
@pytest.mark.parametrize("create", [False, True])
def test_a_newer_or_damaged_version_is_rejected(
    storage: str, statement: str, problem: str, create: bool
) -> None:
    with open_database(storage, create=True).begin() as connection:
        connection.exec_driver_sql(statement)
    before = _tables(storage)
    with pytest.raises(StorageError, match=problem):
        open_database(storage, create=create)
    assert _tables(storage) == before


def test_a_database_from_before_schema_versions_is_rejected(copied: str) -> None:
    with open_database(copied, create=True).begin() as connection:
        connection.exec_driver_sql("DROP TABLE dsx_schema_version")
    for with_number in (False, True):
        if with_number:
            with sqlalchemy.create_engine(copied).begin() as connection:
                connection.exec_driver_sql("ALTER TABLE dsx_database ADD COLUMN schema INTEGER")
        for create in (False, True):
            with pytest.raises(StorageError, match="of dsx without schema versions"):
                open_database(copied, create=create)
    assert VERSION_TABLE not in _tables(copied)


@pytest.mark.parametrize("table", sorted(Base.metadata.tables.keys() - {"dsx_database"}))
def test_a_missing_table_is_created_by_a_writer(storage: str, table: str) -> None:
    with open_database(storage, create=True).begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE {table}")
    with pytest.raises(StorageError, match=f"the table {table} is missing"):
        open_database(storage, create=False)
    open_database(storage, create=True)
    assert table in _tables(storage)


def test_an_unknown_required_column_is_rejected(storage: str) -> None:
    with open_database(storage, create=True).begin() as connection:
        connection.exec_driver_sql("DROP TABLE dsx_leases")
        connection.exec_driver_sql(
            "CREATE TABLE dsx_leases (study TEXT, token TEXT, counter INTEGER, host TEXT, "
            "pid INTEGER, badge TEXT NOT NULL)"
        )
    with pytest.raises(StorageError, match="dsx_leases has an unknown column badge"):
        open_database(storage, create=True)


def test_a_log_without_its_database_is_kept(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/dsx.db"
    log = tmp_path / "dsx.db-wal"
    log.write_bytes(bytes(100))
    for create_empty in (False, True):
        if create_empty:
            (tmp_path / "dsx.db").touch()
        with pytest.raises(StorageError, match=r"its write-ahead log dsx\.db-wal is not"):
            open_database(storage, create=True)
    assert log.read_bytes() == bytes(100)
