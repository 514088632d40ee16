"""Every invalid input leads to one line, exit code 2, and an unchanged folder."""

import os
import random
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.cli.running import KILL, Ended, dsx, start
from tests.robustness.bad_inputs import PASSWORD, SPACE, BadInput, bad_inputs
from tests.robustness.conftest import Tally
from tests.search.spaces import STATIC

CASES = bad_inputs()
LONGEST = 310
"""Maximum length of a line, including "dsx: "."""
SHORT = 80
"""Cases that run by default."""
SECONDS = 60
"""Seconds after which a case is considered to hang."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a finished study and a FIFO, which the cases do not change."""
    place = tmp_path_factory.mktemp("bad")
    assert dsx("search", STATIC, "--trials", 3, folder=place).code == 0
    (place / "tiny.yaml").write_text(SPACE)
    os.mkfifo(place / "link.yaml")
    before = content(place)
    yield place
    assert content(place) == before


def content(folder: Path) -> dict[str, bytes | None]:
    """Read every regular file below a folder; other entries have no content."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if path.name != "__pycache__" and path.suffix not in (".pyc", ".db-shm", ".db-wal")
    }


def ended_in_time(case: BadInput, folder: Path) -> Ended:
    """Run a case; a process that hangs is killed."""
    running = start(*case.words, folder=folder, environment=case.environment)
    end = time.monotonic() + SECONDS
    while running.code is None and time.monotonic() < end:
        time.sleep(0.002)
    running.signal(KILL)
    return running.wait()


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 300
    assert len({repr(case) for case in CASES}) == len(CASES)


def parameters() -> Iterator[ParameterSet]:
    """Mark all cases as long, except a sample that is the same in every run."""
    short = set(random.Random(0).sample(range(len(CASES)), SHORT))
    for number, case in enumerate(CASES):
        marks = [] if number in short else [pytest.mark.long]
        yield pytest.param(case, id=f"{number} {case.name}", marks=marks)


@pytest.mark.parametrize("case", list(parameters()))
def test_a_bad_input_is_refused_in_one_line(case: BadInput, folder: Path, tally: Tally) -> None:
    for name, text in case.files.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    before = content(folder)
    ended = ended_in_time(case, folder)
    after = content(folder)
    for name in case.files:
        (folder / name).unlink()
    for name in after.keys() - before.keys():
        place = folder / name
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
    problems = {
        "exit code": ended.code != case.code,
        "stdout": ended.out != "",
        "lines": ended.err.count("\n") != 1 or not ended.err.startswith("dsx: "),
        "length": len(ended.err) > LONGEST,
        "control characters": not ended.err.removesuffix("\n").isprintable(),
        "password": PASSWORD in ended.err,
        "message": not re.search(case.match, ended.err.removeprefix("dsx: ")),
        "files": after != before,
    }
    wrong = [problem for problem, found in problems.items() if found]
    tally("bad inputs", not wrong)
    assert not wrong, (wrong, ended.code, ended.out[:200], ended.err[-1500:])
