"""Ways to damage a database: by hand, by other programs, by disks."""

import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

PAGE = 4096
STUDY = "quick"
TRIAL = f"study = '{STUDY}' AND number = 1"
DESIGN = f"(SELECT design FROM dsx_trials WHERE {TRIAL})"
LATENCY = f"metric = 'latency_ms' AND design = {DESIGN}"
ACCURACY = f"metric = 'accuracy' AND design = {DESIGN}"


@dataclass(frozen=True)
class Damage:
    """One way to damage a database.

    Args:
        name: Short description.
        do: Function that damages the database file.
        heals: Whether a search must complete the study again, so that its front is complete.
    """

    name: str
    do: Callable[[Path], None]
    heals: bool = False


def sql(*statements: str) -> Callable[[Path], None]:
    """Damage a database by statements, without the checks of its schema."""

    def do(file: Path) -> None:
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA foreign_keys=OFF")
            connection.execute("PRAGMA writable_schema=ON")
            connection.execute(
                "UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE type = 'table'"
            )
            connection.commit()
        with closing(sqlite3.connect(file)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    return do


def _cell(table: str, column: str, where: str, heals: bool, **values: str) -> list[Damage]:
    return [
        Damage(
            f"{table}.{column} is {name}",
            sql(f"UPDATE dsx_{table} SET {column} = {value} WHERE {where}"),
            heals,
        )
        for name, value in values.items()
    ]


NULL, TEXT, BLOB, BROKEN = "NULL", "'fast\x1b[31m\n'", "x'00ff10'", "'{\"noisy\": '"
INFINITE, OBJECT, LIST = "9e999", "'{}'", "'[1, 2]'"

VALUES = [
    *_cell(
        "measurements",
        "value",
        LATENCY,
        True,
        null=NULL,
        infinite=INFINITE,
        minus_infinite="-9e999",
        text=TEXT,
        blob=BLOB,
    ),
    *_cell("measurements", "value", ACCURACY, True, null=NULL, text=TEXT, beyond_the_interval="7"),
    *_cell("measurements", "low", LATENCY, True, null=NULL, text=TEXT, above_the_value="1e9"),
    *_cell("measurements", "high", LATENCY, True, infinite=INFINITE, blob=BLOB),
    *_cell(
        "measurements",
        "provenance",
        LATENCY,
        True,
        null=NULL,
        no_json=BROKEN,
        a_list=LIST,
        a_number="7",
        a_blob=BLOB,
        wrong_inside='\'{"deployment": {"forms": [1]}}\'',
    ),
    *_cell(
        "measurements",
        "provenance",
        "metric = 'flops'",
        True,
        unknown="'{\"unknown_operators\": 3}'",
        wrong_inside='\'{"operators": {"unknown_operators": 3}}\'',
    ),
    *_cell("measurements", "samples", LATENCY, True, null=NULL, five_bytes="x'0102030405'"),
    *_cell("measurements", "samples", LATENCY, False, a_text="'abcd'"),
    *_cell("measurements", "measured_at", LATENCY, False, null=NULL, text="'yesterday'"),
    *_cell("measurements", "metric", LATENCY, True, null=NULL, another="'speed'"),
    *_cell("measurements", "design", LATENCY, True, unknown="'0123456789ab'"),
    *_cell("measurements", "protocol", LATENCY, True, unknown="'0123456789ab'", a_blob=BLOB),
    *_cell("measurements", "device", LATENCY, True, unknown="'0123456789ab'"),
    *_cell(
        "designs",
        "spec",
        f"id = {DESIGN}",
        True,
        no_json=BROKEN,
        a_list=LIST,
        null=NULL,
        wrong_inside="'{\"a\": 1}'",
    ),
    *_cell(
        "designs",
        "spec",
        f"id = {DESIGN}",
        False,
        of_nothing=OBJECT,
        no_dial='\'{"stem": {"shape": 1}}\'',
    ),
    *_cell("designs", "description", f"id = {DESIGN}", True, null=NULL, a_blob=BLOB),
    *_cell("designs", "model_args", f"id = {DESIGN}", True, no_json=BROKEN),
    *_cell(
        "protocols",
        "settings",
        "metric = 'latency_ms'",
        True,
        no_json=BROKEN,
        a_list=LIST,
        null=NULL,
    ),
    *_cell("protocols", "metric", "metric = 'latency_ms'", True, another="'speed'"),
    *_cell("devices", "facts", "1", True, no_json=BROKEN, empty=OBJECT, null=NULL, a_list=LIST),
    *_cell(
        "studies", "space_text", "1", False, empty="''", no_yaml="'a: ['", null=NULL, a_blob=BLOB
    ),
    *_cell(
        "studies",
        "objectives",
        "1",
        False,
        no_json=BROKEN,
        empty=OBJECT,
        null=NULL,
        down='\'{"accuracy": "down"}\'',
        never_measured='\'{"beauty": "maximize"}\'',
    ),
    *_cell(
        "studies",
        "metrics",
        "1",
        False,
        no_json=BROKEN,
        empty=OBJECT,
        null=NULL,
        without_units="'{\"accuracy\": {}}'",
    ),
    *_cell("studies", "reference", "1", True, empty=OBJECT, of_one="'{\"accuracy\": 0.5}'"),
    *_cell("studies", "reference", "1", False, no_json=BROKEN, of_words='\'{"accuracy": "x"}\''),
    *_cell("studies", "baseline", "1", False, unknown="'0123456789ab'", null=NULL),
    *_cell("studies", "device", "1", False, unknown="'0123456789ab'"),
    *_cell("studies", "seed", "1", False, text=TEXT),
    *_cell("studies", "deploy", "1", True, null=NULL),
    *_cell("studies", "deploy", "1", False, another="'auto'", a_blob=BLOB),
    *_cell("studies", "created_at", "1", False, text=TEXT, null=NULL),
    *_cell("studies", "name", "1", False, null=NULL, a_blob=BLOB),
    *_cell("trials", "state", TRIAL, False, another="'nonsense'", null=NULL),
    *_cell("trials", "feasible", TRIAL, False, text=TEXT, null=NULL),
    *_cell("trials", "number", TRIAL, False, text=TEXT),
    *_cell("trials", "design", TRIAL, True, null=NULL, unknown="'0123456789ab'"),
    *_cell("trials", "ended_at", TRIAL, False, text=TEXT),
    *_cell("forms", "seconds", "1", True, no_json=BROKEN, null=NULL),
    *_cell("forms", "form", "1", True, unknown="'magic'", null=NULL),
    *_cell("reference_times", "milliseconds", "1", True, zero="0", text=TEXT, infinite=INFINITE),
    *_cell(
        "schema_version",
        "version_num",
        "1",
        False,
        newer="'9'",
        older="'0'",
        null=NULL,
        a_blob=BLOB,
    ),
    *_cell("database", "id", "1", False, null=NULL, a_blob=BLOB),
]


def _drop_column(table: str, column: str) -> Callable[[Path], None]:
    """Copy a table without one of its columns, as an older program would."""

    def do(file: Path) -> None:
        with closing(sqlite3.connect(file)) as connection:
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            kept = ", ".join(name for name in names if name != column)
            connection.execute(f"CREATE TABLE copy AS SELECT {kept} FROM {table}")
            connection.execute(f"DROP TABLE {table}")
            connection.execute(f"ALTER TABLE copy RENAME TO {table}")
            connection.commit()

    return do


TABLES = [
    Damage(
        "one measurement row is missing",
        sql(f"DELETE FROM dsx_measurements WHERE {ACCURACY}"),
        True,
    ),
    Damage(
        "a count is missing",
        sql(f"DELETE FROM dsx_measurements WHERE metric = 'params' AND design = {DESIGN}"),
        True,
    ),
    Damage(
        "a design has no measurements",
        sql(f"DELETE FROM dsx_measurements WHERE design = {DESIGN}"),
        True,
    ),
    Damage("there are no measurements", sql("DELETE FROM dsx_measurements"), True),
    Damage("a design is missing", sql(f"DELETE FROM dsx_designs WHERE id = {DESIGN}"), True),
    Damage("there are no designs", sql("DELETE FROM dsx_designs"), True),
    Damage("there are no protocols", sql("DELETE FROM dsx_protocols"), True),
    Damage("there are no devices", sql("DELETE FROM dsx_devices"), True),
    Damage("a trial is missing", sql(f"DELETE FROM dsx_trials WHERE {TRIAL}"), True),
    Damage("there are no trials", sql("DELETE FROM dsx_trials"), True),
    Damage("the study is missing", sql("DELETE FROM dsx_studies"), True),
    Damage("there is no version", sql("DELETE FROM dsx_schema_version")),
    Damage("there are two versions", sql("INSERT INTO dsx_schema_version VALUES ('7')")),
    Damage(
        "another column in place of the version",
        sql("ALTER TABLE dsx_schema_version RENAME COLUMN version_num TO name"),
    ),
    Damage(
        "another column in place of the id",
        sql("ALTER TABLE dsx_database RENAME COLUMN id TO name"),
    ),
    Damage("there is no id", sql("DELETE FROM dsx_database")),
    Damage("there are two ids", sql("INSERT INTO dsx_database VALUES ('x')")),
    Damage("a new column", sql("ALTER TABLE dsx_trials ADD COLUMN note TEXT"), True),
    Damage(
        "a new column with a default",
        sql("ALTER TABLE dsx_trials ADD COLUMN note TEXT NOT NULL DEFAULT ''"),
        True,
    ),
    *(
        Damage(f"no column {table}.{column}", _drop_column(table, column))
        for table, column in (
            ("dsx_measurements", "provenance"),
            ("dsx_studies", "reference"),
            ("dsx_trials", "feasible"),
            ("studies", "study_name"),
            ("trials", "state"),
        )
    ),
    *(
        Damage(f"no table {table}", sql(f"DROP TABLE {table}"), heals)
        for table, heals in (
            ("dsx_measurements", True),
            ("dsx_designs", True),
            ("dsx_trials", True),
            ("dsx_trial_details", True),
            ("dsx_studies", True),
            ("dsx_protocols", True),
            ("dsx_devices", True),
            ("dsx_forms", True),
            ("dsx_reference_times", True),
            ("dsx_database", False),
            ("dsx_schema_version", False),
            ("studies", False),
            ("trials", True),
            ("trial_params", True),
            ("version_info", True),
            ("alembic_version", True),
        )
    ),
]

ONE = "(SELECT trial_id FROM trials WHERE number = 1)"
OPTUNA = [
    Damage(
        "Optuna's study is deleted",
        sql(
            *(
                f"DELETE FROM {table}"
                for table in (
                    "studies",
                    "study_directions",
                    "study_system_attributes",
                    "trials",
                    "trial_params",
                    "trial_values",
                    "trial_system_attributes",
                )
            )
        ),
        True,
    ),
    Damage(
        "Optuna's trials are deleted",
        sql("DELETE FROM trials", "DELETE FROM trial_params", "DELETE FROM trial_values"),
        True,
    ),
    Damage(
        "one of Optuna's trials is deleted",
        sql(
            f"DELETE FROM trial_params WHERE trial_id = {ONE}",
            f"DELETE FROM trial_values WHERE trial_id = {ONE}",
            "DELETE FROM trials WHERE number = 1",
        ),
        True,
    ),
    Damage("Optuna's values are deleted", sql("DELETE FROM trial_values"), True),
    Damage("Optuna's parameters are deleted", sql("DELETE FROM trial_params"), True),
    Damage("Optuna's directions are deleted", sql("DELETE FROM study_directions"), True),
    Damage(
        "Optuna's directions are others",
        sql("UPDATE study_directions SET direction = 'MINIMIZE'"),
        True,
    ),
    Damage(
        "a state that Optuna does not know",
        sql("UPDATE trials SET state = 'LOST' WHERE number = 1"),
    ),
    Damage(
        "Optuna's numbers are text", sql("UPDATE trials SET number = 'one' WHERE number = 1"), True
    ),
    Damage(
        "Optuna's distributions are not JSON",
        sql("UPDATE trial_params SET distribution_json = '{'"),
        True,
    ),
    Damage(
        "Optuna's study has another name", sql("UPDATE studies SET study_name = 'another'"), True
    ),
    Damage("Optuna's trials run", sql("UPDATE trials SET state = 'RUNNING'"), True),
    Damage(
        "a revision that Optuna does not know",
        sql("UPDATE alembic_version SET version_num = 'v99.0.0'"),
    ),
]


def _cut(share: float, more: int) -> Callable[[Path], None]:
    def do(file: Path) -> None:
        size = int(file.stat().st_size * share) // PAGE * PAGE + more
        os.truncate(file, size)

    return do


def _overwrite(first: int, count: int, seed: int | None = None) -> Callable[[Path], None]:
    """Overwrite bytes by zeros or by random bytes."""

    def do(file: Path) -> None:
        with file.open("r+b") as opened:
            opened.seek(first)
            opened.write(bytes(count) if seed is None else random.Random(seed).randbytes(count))

    return do


def _replace(content: bytes) -> Callable[[Path], None]:
    def do(file: Path) -> None:
        file.write_bytes(content)

    return do


def _scatter(seed: int) -> Callable[[Path], None]:
    """Overwrite 200 bytes at random positions."""

    def do(file: Path) -> None:
        drawn = random.Random(seed)
        with file.open("r+b") as opened:
            for _ in range(200):
                opened.seek(drawn.randrange(100, file.stat().st_size))
                opened.write(drawn.randbytes(1))

    return do


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _loop(file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


def _foreign(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
        connection.commit()


def _log_without_file(file: Path) -> None:
    file.rename(file.with_name(f"{file.name}-wal"))


def _wrong_log(file: Path) -> None:
    file.with_name(f"{file.name}-wal").write_bytes(random.Random(3).randbytes(5 * PAGE))


FILES = [
    Damage("cut within a page", _cut(0.5, 1234)),
    Damage("cut between pages", _cut(0.5, 0)),
    Damage("cut to one page", _cut(0.0, PAGE)),
    Damage("cut within the header", _cut(0.0, 50)),
    Damage("a byte more", _cut(1.0, 1)),
    Damage("empty", _replace(b"")),
    Damage("a text file", _replace(b"accuracy,latency\n" * 1000)),
    Damage("zeros", _replace(bytes(20 * PAGE))),
    Damage("no header", _overwrite(0, 16, seed=1)),
    Damage("another page size", _overwrite(16, 2, seed=2)),
    Damage("the schema is zeros", _overwrite(100, PAGE - 100)),
    Damage("the schema is noise", _overwrite(100, PAGE - 100, seed=4)),
    *(
        Damage(f"page {page} is noise", _overwrite(page * PAGE, PAGE, seed=page))
        for page in (2, 5, 9, 14, 20, 30)
    ),
    *(Damage(f"bytes are scattered, seed {seed}", _scatter(seed)) for seed in range(4)),
    Damage("a folder", _folder),
    Damage("a link to itself", _loop),
    Damage("a database of another program", _foreign),
    Damage("a log without its file", _log_without_file),
    Damage("a log of something else", _wrong_log, True),
]

ALL = [*VALUES, *TABLES, *OPTUNA, *FILES]
