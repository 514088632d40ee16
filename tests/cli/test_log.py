"""Log messages are one printable line each, and do not break a bar."""

import logging
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsx.cli import show_log_messages
from dsx.report.text.console import _displaying
from dsx.report.text.progress import working
from tests.cli.running import KILL, dsx, start, until
from tests.robustness.hostile import ALL, harmless
from tests.search.spaces import STATIC


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """Start without a running progress bar, and restore the handlers afterwards."""
    log = logging.getLogger("dsx")
    before = log.handlers, log.propagate, log.level, logging.root.level
    assert not _displaying
    yield
    log.handlers, log.propagate, level, root_level = before
    log.setLevel(level)
    logging.root.setLevel(root_level)


def test_a_hostile_host_in_a_lease_cannot_command_a_terminal(tmp_path: Path) -> None:
    dsx("search", STATIC, "--trials", 1, folder=tmp_path)
    with sqlite3.connect(tmp_path / "studies" / "dsx.db") as connection:
        lease = ["static", "token", f"{ALL}\ndsx: all is well", 7, 0]
        columns = "study, token, host, pid, counter"
        connection.execute(f"INSERT INTO dsx_leases ({columns}) VALUES (?, ?, ?, ?, ?)", lease)
    running = start("search", STATIC, "--trials", 2, folder=tmp_path)
    until(lambda: "that process is alive" in running.err, "it reports why it waits")
    running.signal(KILL)
    ended = running.wait()
    (line,) = ended.err.splitlines()
    assert line.startswith("study 'static' is held by process 7 on ")
    assert harmless(ended.err)


@pytest.mark.usefixtures("logging_restored")
def test_a_log_message_has_no_password_and_is_shortened(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_log_messages()
    show_log_messages()
    # OpenVINO does the same.
    logging.root.setLevel(logging.ERROR)
    logging.getLogger("dsx.store").warning("postgresql://u:%s@h: %s", "s3cret", "x" * 999)
    out, err = capsys.readouterr()
    assert (out, len(err)) == ("", 300)
    assert err.startswith("postgresql://u:***@h: xxx")


@pytest.mark.usefixtures("logging_restored")
def test_a_log_message_is_printed_above_the_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    show_log_messages()
    with working("exporting"):
        time.sleep(0.3)
        logging.getLogger("dsx").warning("a message")
    _, err = capsys.readouterr()
    # The bar is erased before the message.
    assert "\x1b[2Ka message\n" in err
