"""Damaged databases: every command ends with results or with one line, never with a traceback."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.running import Ended, dsx
from tests.robustness import damages
from tests.robustness.conftest import Tally
from tests.robustness.damages import Damage
from tests.search.spaces import QUICK

KIND = "damaged databases"
SEARCH = ("search", QUICK, "--trials", 3)
READ = [
    ("ls",),
    ("doctor",),
    ("pareto",),
    ("archive", "--out", "saved"),
    ("pareto", "--proxies"),
    ("pareto", "--mix-devices", "--json"),
    ("export", "--pick", "#1"),
    ("measure", "--pick", "baseline", "--metric", "params"),
]
MOST_LINES = 4
"""Lines on stderr: progress, and the error in the last one."""


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study with three measured designs."""
    folder = tmp_path_factory.mktemp("sound")
    assert dsx(*SEARCH, folder=folder).code == 0
    return folder / "studies" / "dsx.db"


def damaged(sound: Path, folder: Path, damage: Damage) -> None:
    """Copy the study into a folder and damage its database."""
    file = folder / "studies" / "dsx.db"
    file.parent.mkdir()
    with closing(sqlite3.connect(sound)) as old, closing(sqlite3.connect(file)) as new:
        old.backup(new)
    damage.do(file)


def right(ended: Ended) -> bool:
    """Check that a command ended with results or with one line."""
    lines = ended.err.splitlines()
    said = [line for line in lines if line.startswith("dsx: ")]
    return (
        ended.code in (0, 1, 2)
        and "Traceback" not in ended.err
        and (len(lines) <= MOST_LINES or not ended.code)
        and len(said) == (ended.code != 0 and not ended.out)
        and not re.search(r"[\x00-\x09\x0b-\x1f]", ended.err)
    )


def check(ended: Ended, tally: Tally, what: str) -> None:
    tally(KIND, right(ended))
    assert right(ended), f"{what}: {ended}"


@pytest.mark.parametrize("damage", damages.ALL[::2], ids=lambda damage: damage.name)
def test_a_damaged_database_is_read_or_refused(
    damage: Damage, sound: Path, tmp_path: Path, tally: Tally
) -> None:
    damaged(sound, tmp_path, damage)
    check(dsx("pareto", "--format", "csv", folder=tmp_path), tally, "pareto")


@pytest.mark.long
@pytest.mark.parametrize("damage", damages.ALL, ids=lambda damage: damage.name)
def test_every_command_reads_or_refuses_a_damaged_database(
    damage: Damage, sound: Path, tmp_path: Path, tally: Tally
) -> None:
    damaged(sound, tmp_path, damage)
    for command in READ:
        check(dsx(*command, folder=tmp_path), tally, f"{command}")


SOME = (
    "one measurement row is missing",
    "Optuna's trials are deleted",
    "no column trials.state",
    "a link to itself",
)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(damage, id=damage.name, marks=[] if damage.name in SOME else pytest.mark.long)
        for damage in damages.ALL
    ],
)
def test_a_search_measures_again_what_is_damaged(
    damage: Damage, sound: Path, tmp_path: Path, tally: Tally
) -> None:
    damaged(sound, tmp_path, damage)
    ended = dsx(*SEARCH, "--json", folder=tmp_path)
    check(ended, tally, "search")
    assert not damage.heals or (ended.code, len(ended.json["designs"])) == (0, 3), ended
