"""The presence file proves the end of a holder only if it is certain."""

import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from dsx.files.files import SUFFIX, temporary_name
from dsx.store.database.engine import open_database
from dsx.store.lease import presence as presence_module
from dsx.store.lease.presence import BOOT_ID, Presence, database_file
from tests.interrupts import interrupt_each_line
from tests.measure.crowd import Other

TOKEN = "0123abcd"


@pytest.fixture
def engine(storage: str) -> Engine:
    return open_database(storage, create=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "dsx.db.s.lease"


def be_present(line: Connection, storage: str, forks: bool = False) -> None:
    """Create the file, optionally fork a child that keeps running, and send its id or 0."""
    presence = Presence(open_database(storage, create=True), "s")
    presence.show(TOKEN)
    pid = os.fork() if forks else 0
    if forks and not pid:
        signal.pause()
    line.send(pid)
    line.recv()


def test_a_holder_has_ended_only_after_it_was_killed(storage: str, engine: Engine) -> None:
    with Other(be_present, storage) as other:
        other.hear()
        assert not Presence(engine, "s").has_ended(TOKEN)
        other.signal(signal.SIGSTOP)
        assert not Presence(engine, "s").has_ended(TOKEN)
    assert Presence(engine, "s").has_ended(TOKEN)
    assert not Presence(engine, "s").has_ended("another token")
    assert not Presence(engine, "another").has_ended(TOKEN)


def test_a_temporary_file_of_a_killed_process_is_removed(engine: Engine, file: Path) -> None:
    left = temporary_name(file)
    left.touch()
    Presence(engine, "s").show(TOKEN)
    assert file.exists() and not left.exists()


def test_the_file_is_used_by_readers(storage: str, engine: Engine) -> None:
    with Other(be_present, storage) as other:
        other.hear()
    assert Presence(open_database(storage, create=False), "s").has_ended(TOKEN)


def test_a_holder_with_a_running_child_has_not_ended(storage: str, engine: Engine) -> None:
    with Other(be_present, storage, True) as other:
        child = other.hear()
    assert not Presence(engine, "s").has_ended(TOKEN)
    os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        TOKEN.encode(),
        f"{TOKEN} 00000000-0000-0000-0000-000000000000\n".encode(),
        f"{TOKEN} {BOOT_ID.read_text()}more".encode(),
    ],
    ids=["empty", "no boot id", "another machine", "more"],
)
def test_a_file_with_other_content_proves_nothing(
    engine: Engine, file: Path, content: bytes
) -> None:
    file.write_bytes(f"{TOKEN} {BOOT_ID.read_text()}".encode())
    assert Presence(engine, "s").has_ended(TOKEN)
    file.write_bytes(content)
    assert not Presence(engine, "s").has_ended(TOKEN)


def test_anything_but_a_regular_file_proves_nothing(engine: Engine, file: Path) -> None:
    presence = Presence(engine, "s")
    assert not presence.has_ended(TOKEN)
    os.mkfifo(file)
    assert not presence.has_ended(TOKEN)
    file.unlink()
    file.mkdir()
    assert not presence.has_ended(TOKEN)
    # A file that cannot be created is ignored.
    presence.show(TOKEN)
    presence.withdraw()
    assert [place.name for place in file.parent.iterdir() if "lease" in place.name] == [file.name]


def test_the_file_is_withdrawn_unless_another_holder_replaced_it(
    engine: Engine, file: Path
) -> None:
    old, new = Presence(engine, "s"), Presence(engine, "s")
    old.show(TOKEN)
    new.show("b")
    old.withdraw()
    assert file.read_bytes().startswith(b"b ")
    new.withdraw()
    assert not file.exists()


def test_a_foreign_study_name_does_not_leave_the_folder(engine: Engine, tmp_path: Path) -> None:
    presence = Presence(engine, "../../x")
    presence.show(TOKEN)
    assert (tmp_path / "dsx.db...%2F..%2Fx.lease").is_file()
    presence.withdraw()


def test_the_file_of_a_database(engine: Engine, storage: str, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "dsx.db")
    for one in (engine, open_database(storage, create=False)):
        assert database_file(one) == (tmp_path / "dsx.db").resolve()
    linked = create_engine(f"sqlite:///{tmp_path}/link.db")
    assert database_file(linked) == (tmp_path / "dsx.db").resolve()
    linked.dispose()
    measurements = create_engine("sqlite://")
    assert database_file(measurements) is None
    measurements.dispose()


def test_an_interrupt_at_any_line_leaves_no_temporary_file_behind(
    engine: Engine, file: Path
) -> None:
    def show() -> None:
        Presence(engine, "s").show(TOKEN)
        sys.settrace(None)

    assert interrupt_each_line(presence_module, show) > 10
    assert [path for path in file.parent.iterdir() if path.suffix == SUFFIX] == []
