"""Files are written atomically, and replace only files that may be replaced."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dsx.activity import Event, Kind, active
from dsx.errors import WorkFailed
from dsx.files import files
from dsx.files.files import (
    SUFFIX,
    locked_folder,
    locked_temporary,
    open_regular,
    remove_abandoned,
    write,
    writing,
)
from tests.interrupts import interrupt_each_line


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_file_is_written(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "text ü", replace=False)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "text ü"
    assert names(tmp_path) == ["a.txt"]


def test_a_file_has_the_permissions_of_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write(tmp_path / "a", b"", replace=False)
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_an_existing_file_is_kept_unless_it_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("user")
    with pytest.raises(FileExistsError, match="a"):
        write(tmp_path / "a", "new", replace=False)
    assert (tmp_path / "a").read_text() == "user"
    assert names(tmp_path) == ["a"]
    write(tmp_path / "a", "new", replace=True)
    assert (tmp_path / "a").read_text() == "new"


def test_a_failure_leaves_only_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(ZeroDivisionError), writing(tmp_path / "a", replace=True) as partial:
        partial.write_text("half")
        _ = 1 / 0
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_temporary_files_of_a_killed_process_are_removed_by_the_next(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from dsx.files.files import writing\n"
        "with writing(Path(sys.argv[1]), replace=True) as partial:\n"
        "    partial.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = names(tmp_path)
    assert left.endswith(SUFFIX)
    write(tmp_path / "a", "whole", replace=True)
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127, "x" * 101, "x" * 100])
def test_a_long_name_leaves_room_for_a_temporary_one(tmp_path: Path, name: str) -> None:
    def create(path: Path) -> int:
        path.touch()
        return os.open(path, os.O_RDONLY)

    def keep(path: Path) -> None:
        """Leave the file, as a killed process does."""

    with locked_temporary(tmp_path / name, create, keep) as partial:
        assert len(os.fsencode(partial.name)) <= 143
    remove_abandoned(tmp_path / f"{name[:-1]}y")
    assert names(tmp_path) == [partial.name]
    write(tmp_path / name, "whole", replace=False)
    assert names(tmp_path) == [name]


def test_an_interrupt_at_any_line_leaves_no_file_behind(tmp_path: Path) -> None:
    def begin() -> None:
        with writing(tmp_path / "a", replace=True):
            assert names(tmp_path)
            sys.settrace(None)

    assert interrupt_each_line(files, begin) > 10
    assert names(tmp_path) == ["a"]


def test_a_folder_that_another_process_writes_to_is_waited_for(tmp_path: Path) -> None:
    begun: list[Event] = []
    with locked_folder(tmp_path):
        looking = threading.Timer(0.1, lambda: begun.extend(step.event for step in active()))
        looking.start()
        problem = rf"^another process is writing to '{tmp_path}' \(waited for 0\.3 s\)$"
        with pytest.raises(WorkFailed, match=problem), locked_folder(tmp_path, 0.3):
            raise AssertionError("held twice")
        looking.join()
    assert begun == [Event(kind=Kind.WAITING_FOR_FOLDER, detail=str(tmp_path))]
    with locked_folder(tmp_path, 0):
        pass


def test_temporary_files_of_a_running_process_are_kept(tmp_path: Path) -> None:
    with writing(tmp_path / "a", replace=True) as partial:
        write(tmp_path / "a", "the other", replace=True)
        assert partial.exists()
        partial.write_text("this one")
    assert (tmp_path / "a").read_text() == "this one"


@pytest.mark.parametrize("name", [".a.12345678.part", ".b.12345678.dsx-part", ".a.x.dsx-part"])
def test_files_of_other_names_are_not_touched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("user")
    write(tmp_path / "a", "", replace=False)
    assert (tmp_path / name).read_text() == "user"


def test_only_regular_files_are_opened_without_blocking(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "link").symlink_to("a")
    for name in ("a", "link"):
        with open_regular(tmp_path / name) as file:
            assert file.read() == b"content"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    special = {".": "folder", "pipe": "FIFO", "zero": "device", "/dev/tty": "device"}
    for name, kind in special.items():
        with pytest.raises(OSError, match=f"a {kind}, not a regular file"):
            open_regular(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="none"):
        open_regular(tmp_path / "none")


def test_a_file_that_is_replaced_while_it_is_opened_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").touch()
    opened = os.open

    def too_late(path: Path, flags: int) -> int:
        path.unlink()
        os.mkfifo(path)
        return opened(path, flags)

    monkeypatch.setattr(os, "open", too_late)
    with pytest.raises(OSError, match="a FIFO, not a regular file"):
        open_regular(tmp_path / "a")
