"""SIGKILL during commands that write: no file of the user changes, and the next run completes.

By default, cheap commands and the writing step of expensive commands are killed; with `--long`,
each command is killed 30 times, half of the times before a file operation.
"""

import contextlib
import json
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from dsx.files.ownership import is_signed, read_sealed, sha256
from tests.cli.running import KILL, PATIENCE_SECONDS, Ended, dsx, start
from tests.measure.crowd import CONTEXT
from tests.robustness.conftest import Tally
from tests.robustness.writing_steps import copy, save
from tests.search.spaces import QUICK, STATIC

LONG, TRIALS = 30, 6
MINE = {"mine.txt": "mine", "kept/notes.md": "mine", "studies/mine.csv": "mine"}
"""Files of the user next to those of dsx."""


def whole_plot(folder: Path) -> bool:
    file = folder / "front.html"
    return not file.exists() or is_signed(file.read_bytes())


def whole_study(folder: Path) -> bool:
    """Check that each file is complete, and written by this run or an earlier one."""
    kept = folder / "kept"
    files = [file for file in kept.iterdir() if not file.name.startswith(".")]
    files = [file for file in files if file.name not in ("notes.md", "study.json")]
    record = read_sealed(kept / "study.json")
    if record is None:
        return not files
    known = [record["files"], record.get("replaced", {})]
    return all(
        sha256(file.read_bytes()) in [each.get(file.name) for each in known] for file in files
    )


def whole_space(folder: Path) -> bool:
    file = folder / "draft.yaml"
    return not file.exists() or file.read_text() == STATIC.read_text()


def whole_export(folder: Path) -> bool:
    return not (folder / "chosen").exists() or whole_earlier_export(folder)


def whole_earlier_export(folder: Path) -> bool:
    manifest = read_sealed(folder / "chosen" / "manifest.json")
    return manifest is not None and manifest["files"] == {
        file.name: sha256(file.read_bytes())
        for file in (folder / "chosen").iterdir()
        if file.name != "manifest.json"
    }


def whole_cache(folder: Path) -> bool:
    file = folder / "cache" / "dsx" / "reference_times.json"
    return not file.exists() or isinstance(json.loads(file.read_text()), dict)


def whole_database(folder: Path) -> bool:
    """Check the integrity of a database with SQLite."""
    return asked(folder, "PRAGMA integrity_check") == [("ok",)] and not asked(
        folder, "PRAGMA foreign_key_check"
    )


def whole_search(folder: Path) -> bool:
    """Check that no trial exists twice, and that there are not more than requested."""
    numbers = asked(folder, "SELECT number FROM dsx_trials WHERE study = 'new' AND feasible")
    return len(numbers) <= TRIALS and not asked(
        folder,
        "SELECT 1 FROM dsx_measurements GROUP BY design, metric, protocol, device "
        "HAVING count(*) > 1",
    )


def asked(folder: Path, query: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(folder / "studies" / "dsx.db")) as database:
        return database.execute(query).fetchall()


@dataclass(frozen=True, kw_only=True)
class Case:
    """A command that writes.

    Args:
        words: Words of the command line after `dsx`.
        whole: Function that checks that the output in a folder is absent or complete.
        again: Whether the folder of one run is used by the next.
        prepare: Function that prepares a folder.
    """

    words: Sequence[object]
    whole: Callable[[Path], bool] = whole_database
    again: bool = True
    prepare: Sequence[object] = ()


CASES = {
    "search": Case(
        words=["search", STATIC, "--study", "new", "--trials", TRIALS],
        whole=whole_search,
        again=False,
    ),
    "export": Case(words=["export", "quick"], whole=whole_export, again=False),
    "export --force": Case(
        words=["export", "quick", "--force"],
        whole=whole_earlier_export,
        prepare=["export", "quick"],
    ),
    "archive": Case(words=["archive", "static", "--out", "kept"], whole=whole_study),
    "pareto --plot": Case(words=["pareto", "static", "--plot", "front.html"], whole=whole_plot),
    "space --write": Case(
        words=["space", STATIC, "--write", "draft.yaml"], whole=whole_space, again=False
    ),
    "measure": Case(words=["measure", QUICK, "--fresh"]),
    "doctor --calibrate": Case(words=["doctor", "--calibrate"], whole=whole_cache),
    "refine": Case(words=["refine", "quick", "--for", "3s"]),
}
SHORT = {"archive": 1, "pareto --plot": 3, "space --write": 1}
"""Number of kills of each command by default."""


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of static metrics."""
    return searched_in(tmp_path_factory.mktemp("static"), STATIC)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that also contains a study with training and timing."""
    folder = searched_in(tmp_path_factory.mktemp("trained"), STATIC)
    return searched_in(folder, QUICK)


def searched_in(folder: Path, space: Path) -> Path:
    assert run(folder, "search", space, "--trials", 3).code == 0
    return folder


def environment(folder: Path) -> dict[str, str]:
    (folder / "temporary").mkdir(exist_ok=True)
    return {"TMPDIR": str(folder / "temporary"), "XDG_CACHE_HOME": str(folder / "cache")}


def run(folder: Path, *words: object) -> Ended:
    return dsx(*words, folder=folder, environment=environment(folder))


def killed(folder: Path, words: Sequence[object], moment: float | int) -> bool:
    """Run a command and kill it after some seconds (float), or before a file operation (int).

    Returns:
        Whether it was killed before it ended.
    """
    operation = moment if isinstance(moment, int) else None
    running = start(*words, folder=folder, killed_at=operation, environment=environment(folder))
    if operation is None:
        end = time.monotonic() + moment
        while running.code is None and time.monotonic() < end:
            time.sleep(0.005)
        running.signal(KILL)
    ended = running.wait()
    assert ended.code in (0, -signal.SIGKILL), ended
    return ended.code != 0


def moments(seconds: float) -> Iterator[float | int]:
    """Return times of kills, alternating between file operations and arbitrary times."""
    while True:
        yield random.randint(1, 12)
        yield random.uniform(0.0, seconds)


def check_kills(
    case: Case, kind: str, kills: int, source: Path, folder: Path, tally: Tally
) -> None:
    shutil.copytree(source, folder)
    for name, text in MINE.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    if case.prepare:
        assert run(folder, *case.prepare).code == 0
    work, began = folder, time.monotonic()
    if case.again:
        assert run(folder, *case.words).code == 0
    # An estimate is enough: commands that end before they are killed do not count.
    seconds = time.monotonic() - began if case.again else 2.0
    left, found = kills, moments(seconds)
    while left:
        if not case.again:
            work = folder.with_name(f"{folder.name}-{left}")
            shutil.copytree(folder, work, dirs_exist_ok=True)
        if not killed(work, case.words, next(found)):
            shutil.rmtree(work) if work != folder else None
            continue
        left -= 1
        right = case.whole(work) and whole_database(work) and keeps_mine(work)
        ended = run(work, *case.words)
        right = right and succeeded(ended) and case.whole(work) and keeps_mine(work)
        right = right and not list(work.rglob("*.dsx-part"))
        tally(f"kills of {kind}", right)
        assert right, (case, ended)


def succeeded(ended: Ended) -> bool:
    """Check that a command succeeded, or that the killed one had completed its output."""
    return ended.code == 0 or (ended.code == 2 and "exists" in ended.err)


def keeps_mine(folder: Path) -> bool:
    return all((folder / name).read_text() == text for name, text in MINE.items())


@pytest.mark.parametrize("name", SHORT)
def test_after_a_kill(name: str, searched: Path, tmp_path: Path, tally: Tally) -> None:
    check_kills(CASES[name], name, SHORT[name], searched, tmp_path / "work", tally)


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_after_each_of_many_kills(name: str, trained: Path, tmp_path: Path, tally: Tally) -> None:
    check_kills(CASES[name], name, LONG, trained, tmp_path / "work", tally)


def killed_in(work: Callable[..., None], *arguments: object) -> int:
    """Run a function in a process that may kill itself.

    Returns:
        The exit code of the process, negative for a signal.
    """
    process = CONTEXT.Process(target=work, args=arguments)
    process.start()
    process.join(PATIENCE_SECONDS)
    assert process.exitcode is not None, "the process does not end"
    return process.exitcode


def filled(folder: Path, text: str) -> None:
    folder.mkdir(parents=True)
    for name in ("model.py", "weights"):
        (folder / name).write_text(text)


@pytest.mark.parametrize("kind", ["export", "export --force"])
def test_a_kill_before_each_file_operation_of_the_writing_step_of_an_export(
    kind: str, tmp_path: Path, tally: Tally
) -> None:
    replaced, operation, code = kind == "export --force", 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        operation += 1
        folder = tmp_path / str(operation)
        filled(folder / "source", "new")
        if replaced:
            filled(folder / "chosen", "old")
        code = killed_in(copy, folder, operation)
        assert code in (0, -signal.SIGKILL)
        there = {file.read_text() for file in (folder / "chosen").glob("*")}
        right = there in ({"new"}, {"old"} if replaced else set())
        copy(folder)
        right = right and sorted(entry.name for entry in folder.iterdir()) == ["chosen", "source"]
        right = right and {file.read_text() for file in (folder / "chosen").iterdir()} == {"new"}
        if code:
            tally(f"kills of {kind}: writing step", right)
        assert right, operation
    # A folder is created, two files are copied, the folder is renamed.
    assert operation > 4


def test_two_kills_before_each_file_operation_of_the_writing_step_of_a_saved_study(
    tmp_path: Path, tally: Tally
) -> None:
    operation, codes = 0, [-signal.SIGKILL]
    while -signal.SIGKILL in codes:
        operation += 1
        folder = tmp_path / str(operation)
        (folder / "kept").mkdir(parents=True)
        save(folder, "first")
        # Twice with different contents: files of the first kill are recognised after the second.
        codes = [killed_in(save, folder, text, operation) for text in ("second", "third")]
        assert set(codes) <= {0, -signal.SIGKILL}
        save(folder, "last")
        record = read_sealed(folder / "kept" / "study.json")
        right = record is not None and "replaced" not in record
        names = sorted(entry.name for entry in (folder / "kept").iterdir())
        right = right and names == ["a.csv", "b.md", "study.json"]
        right = right and (folder / "kept" / "a.csv").read_text() == "a.csvlast"
        if codes[0]:
            tally("kills of archive: writing step", right)
        assert right, operation
    # Three files are created, written and renamed, and one of them again.
    assert operation > 12
