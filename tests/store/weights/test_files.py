"""Recorded files: only what dsx wrote and is unchanged is read or deleted."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dsx.store.database.engine import open_database
from dsx.store.database.schema import WeightFileRow
from dsx.store.weights.files import WeightFiles
from dsx.train.checkpoint import write
from tests.search.looking import rows

CONTENT = b"content"


@pytest.fixture
def files(storage: str, tmp_path: Path) -> WeightFiles:
    (tmp_path / "s" / "weights").mkdir(parents=True)
    return WeightFiles(open_database(storage, create=True), tmp_path)


def recorded(files: WeightFiles, written: bytes | None = CONTENT) -> WeightFileRow:
    row = files.record("s", "abc", "p", ".safetensors", CONTENT)
    if written is not None:
        files.path(row).write_bytes(written)
    return row


def link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def of_other_content(path: Path) -> None:
    path.write_bytes(CONTENT.upper())


CHANGES: dict[str, Callable[[Path], object]] = {
    "other content": of_other_content,
    "longer": lambda path: path.write_bytes(CONTENT + b"."),
    "folder": Path.mkdir,
    "dangling link": link_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to the file of a user": link_to("/etc/hostname"),
    "pipe": os.mkfifo,
}


def test_a_written_file_is_read_and_deleted(files: WeightFiles, storage: str) -> None:
    row = recorded(files)
    assert files.read(row) == CONTENT
    assert files.find() != []
    files.dispose(row)
    assert not files.path(row).exists()
    assert files.find() == rows(storage, WeightFileRow) == []


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_file_is_neither_read_nor_deleted(
    files: WeightFiles, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    row = recorded(files, None)
    path = files.path(row)
    CHANGES[name](path)
    for _ in range(2):
        assert files.read(row) is None
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == (name != "dangling link")
    assert all(line.startswith(f"{path} ") and "ignored" in line for line in messages)
    files.dispose(row)
    assert os.path.lexists(path)
    assert files.find() == []


def test_a_link_to_a_written_file_is_read_but_not_deleted(
    files: WeightFiles, tmp_path: Path
) -> None:
    row = recorded(files)
    moved = files.path(row).rename(tmp_path / "elsewhere")
    files.path(row).symlink_to(moved)
    assert files.read(row) == CONTENT
    files.dispose(row)
    assert files.path(row).is_symlink() and moved.read_bytes() == CONTENT


def test_only_undamaged_checkpoints_are_deleted(files: WeightFiles) -> None:
    row = files.record("s", "abc", "p", ".training", None)
    write(files.path(row), {"about": {"train": {}}, "ended": False, "x": torch.zeros(3)})
    files.dispose(row)
    assert not files.path(row).exists()
    row = files.record("s", "abc", "p", ".training", None)
    files.path(row).write_text("notes of a user")
    files.dispose(row)
    assert files.path(row).read_text() == "notes of a user"
    assert files.find() == []


def test_a_file_that_cannot_be_deleted_remains_recorded(
    files: WeightFiles, caplog: pytest.LogCaptureFixture
) -> None:
    row = recorded(files)
    folder = files.path(row).parent
    away = folder.rename(folder.with_name("away"))
    folder.touch()
    files.dispose(row)
    assert caplog.messages == [f"{files.path(row)} cannot be deleted: Not a directory"]
    assert [found.id for found in files.find()] == [row.id]
    folder.unlink()
    away.rename(folder)
    files.dispose(row)
    assert not files.path(row).exists()


def test_files_of_a_process_killed_while_writing_are_removed(
    files: WeightFiles, storage: str
) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from dsx.files.files import writing\n"
        "from dsx.store.database.engine import open_database\n"
        "from dsx.store.weights.files import WeightFiles\n"
        "files = WeightFiles(open_database(sys.argv[1], create=True), Path(sys.argv[2]))\n"
        "path = files.path(files.record('s', 'abc', 'p', '.safetensors', b'content'))\n"
        "with writing(path, replace=False) as partial:\n"
        "    partial.write_bytes(b'con'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", code, storage, str(files.root)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    folder = files.root / "s" / "weights"
    assert len(list(folder.iterdir())) == 1
    (row,) = files.find()
    assert files.read(row) is None
    files.dispose(row)
    assert list(folder.iterdir()) == []
    assert files.find() == []


def test_a_missing_folder_is_not_an_error(files: WeightFiles) -> None:
    row = recorded(files)
    shutil.rmtree(files.root / "s")
    assert files.read(row) is None
    files.dispose(row)
    assert files.find() == []
