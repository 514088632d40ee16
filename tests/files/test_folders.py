"""Folders are written atomically, and replace only folders that may be replaced."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dsx.errors import DsxError
from dsx.files import files, folders
from dsx.files.files import SUFFIX
from tests.interrupts import interrupt_each_line


def source(folder: Path, text: str) -> Path:
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_text(text)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def texts(folder: Path) -> set[str]:
    return {file.read_text() for file in folder.iterdir()}


def accept(place: Path) -> None:
    """Accept that any folder is replaced."""


def refuse(place: Path) -> None:
    raise DsxError("not this one")


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return source(tmp_path / "source", "new")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def test_a_folder_appears_with_its_parents(new: Path, work: Path) -> None:
    folders.put(new, work / "x" / "y", refuse)
    assert texts(work / "x" / "y") == {"new"}
    assert (names(work / "x"), names(new)) == (["y"], ["a", "b"])


def test_an_empty_folder_is_filled(new: Path, work: Path) -> None:
    (work / "y").mkdir()
    folders.put(new, work / "y", refuse)
    assert (texts(work / "y"), names(work)) == ({"new"}, ["y"])


@pytest.mark.parametrize("in_one_step", [True, False])
def test_a_replaceable_folder_is_replaced(
    new: Path, work: Path, in_one_step: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not in_one_step:
        monkeypatch.setattr(folders, "_exchange", folders._exchange_by_renaming)
    source(work / "y", "old")
    folders.put(new, work / "y", accept)
    assert (texts(work / "y"), names(work)) == ({"new"}, ["y"])


def test_other_folders_are_not_replaced(new: Path, work: Path) -> None:
    source(work / "y", "user")
    with pytest.raises(DsxError, match="not this one"):
        folders.put(new, work / "y", refuse)
    (work / "z").write_text("user")
    with pytest.raises(NotADirectoryError, match="z"):
        folders.put(new, work / "z", accept)
    assert (texts(work / "y"), names(work)) == ({"user"}, ["y", "z"])


def test_a_file_added_at_the_last_moment_is_kept(new: Path, work: Path) -> None:
    source(work / "y", "old")

    def check(place: Path) -> None:
        if (place / "user").exists():
            raise DsxError("a file was added")
        (place / "user").write_text("user")

    with pytest.raises(DsxError, match="a file was added"):
        folders.put(new, work / "y", check)
    assert (texts(work / "y"), names(work)) == ({"old", "user"}, ["y"])


def test_folders_of_killed_processes_are_removed_and_those_of_running_ones_kept(
    new: Path, work: Path
) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from dsx.files.folders import temporary\n"
        "with temporary(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').write_text(''); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(work / "y")], check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = names(work)
    assert left.endswith(SUFFIX)
    with folders.temporary(work / "y") as living:
        folders.put(new, work / "y", refuse)
        assert names(work) == sorted([living.name, "y"])
    assert names(work) == ["y"]


def test_an_interrupt_at_any_line_leaves_no_folder_behind(work: Path) -> None:
    def begin() -> None:
        with folders.temporary(work / "y"):
            assert names(work)
            sys.settrace(None)

    assert interrupt_each_line(files, begin) > 10
    assert interrupt_each_line(folders, begin) > 4
    assert names(work) == []


def test_a_folder_has_the_permissions_of_the_umask(new: Path, work: Path) -> None:
    old = os.umask(0o027)
    try:
        folders.put(new, work / "y", refuse)
    finally:
        os.umask(old)
    modes = [path.stat().st_mode & 0o777 for path in (work / "y", work / "y" / "a")]
    assert modes == [0o750, 0o640]
