"""The process: how it ends, whatever happens to it and wherever it is called."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.running import (
    DATED,
    INTERRUPT,
    dsx,
    fresh,
    on_terminal,
    one_line,
    plain_environment,
    start,
    until,
)
from tests.search.spaces import STATIC, TINY, varied

AGAIN = "dsx: interrupted; all measurements are saved. To resume: dsx search"


CLEANING = """
import sys, time, weakref
import dsx.__main__ as command

class Thing: pass

def clean_up(ref):
    print("cleaning up", file=sys.stderr, flush=True)
    time.sleep(1)

def work(stop):
    thing = Thing()
    ref = weakref.ref(thing, clean_up)
    del thing
    for _ in range(200):
        time.sleep(0.1)
    return 0

command._run = work
sys.argv = ["dsx", "search"]
command.main()
"""


def test_ctrl_c_is_not_lost_where_python_cannot_pass_it_on(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CLEANING], env=plain_environment(), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "cleaning up\n"
    time.sleep(0.1)
    process.send_signal(INTERRUPT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err and err.splitlines() == [AGAIN]


MISTAKEN = """
import sys, time
import dsx.__main__ as command
from dsx import cli
from dsx.errors import DsxError

def run_command(state):
    print("at work", file=sys.stderr, flush=True)
    try:
        time.sleep(20)
    except KeyboardInterrupt as error:
        raise DsxError("the network does not run") from error

cli.run_command = run_command
sys.argv = ["dsx", "search"]
command.main()
"""


def test_ctrl_c_that_is_taken_for_an_error_of_a_network_is_still_ctrl_c(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", MISTAKEN], env=plain_environment(), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "at work\n"
    process.send_signal(INTERRUPT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err.splitlines()) == (130, [AGAIN])


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.4, 0.9, 1.6])
def test_ctrl_c_while_it_loads(tmp_path: Path, seconds: float) -> None:
    # As the installed command does, and a word once it handles signals.
    script = """
import signal, sys
from dsx.__main__ import main

def noted(number, handler, install=signal.signal):
    install(number, handler)
    if number == signal.SIGTERM:
        print("up", file=sys.stderr, flush=True)

sys.argv[0] = "dsx"
signal.signal = noted
main()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, "search", str(TINY)],
        cwd=tmp_path,
        env=plain_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "up\n"
    time.sleep(seconds)
    process.send_signal(INTERRUPT)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, ""), err
    assert "Traceback" not in err
    assert err.splitlines()[-1] == f"{AGAIN} {TINY}"


def test_a_search_that_is_told_to_ignore_ctrl_c_does(tmp_path: Path) -> None:
    script = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); "
        "sys.argv[0] = 'dsx'; from dsx.__main__ import main; "
        "import os; os.kill(os.getpid(), signal.SIGINT); "
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "--version"],
        cwd=tmp_path,
        env=plain_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout[:4]) == (0, "dsx ")


def test_the_command_to_go_on_is_the_one_that_was_given(tmp_path: Path) -> None:
    storage = "sqlite:///a b.db"
    arguments = ("search", TINY, "--trials", 30, "--storage", storage)
    running = start(*arguments, folder=tmp_path)
    until(lambda: "0/30" in running.err, "it has begun")
    running.signal(INTERRUPT)
    *_, line = running.wait().err.splitlines()
    assert line == f"{AGAIN} {TINY} --trials 30 --storage '{storage}'"


def test_a_long_command_to_go_on_is_printed_whole(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/{'/'.join(['a  folder' * 9] * 4)}/x.db"
    arguments = ("search", TINY, "--trials", "30", "--storage", storage)
    running = start(*arguments, folder=tmp_path)
    until(lambda: "0/30" in running.err, "it has begun")
    running.signal(INTERRUPT)
    *_, line = running.wait().err.splitlines()
    command = line.partition("To resume: ")[2]
    assert shlex.split(command) == ["dsx", *map(str, arguments)]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["ls"],
        ["ls", "--json"],
        ["pareto"],
        ["pareto", "--format", "csv"],
        ["doctor"],
        ["search", str(STATIC), "--trials", "2"],
    ],
)
def test_a_closed_pipe_is_no_error_of_ours(tmp_path: Path, arguments: list[str]) -> None:
    dsx("search", STATIC, "--trials", 2, folder=tmp_path)
    reader, writer = os.pipe()
    os.close(reader)
    running = start(*arguments, folder=tmp_path, out=Path(f"/proc/{os.getpid()}/fd/{writer}"))
    ended = running.wait()
    os.close(writer)
    assert ended.code == 0
    assert "Traceback" not in ended.err
    assert "Exception ignored" not in ended.err


def test_work_that_a_closed_pipe_stops_on_its_way_does_not_look_done(tmp_path: Path) -> None:
    command = f"{sys.executable} -m dsx search {STATIC} --trials 30 2>&1 | grep -m1 ' 3/30 '; "
    done = subprocess.run(
        ["bash", "-c", command + "exit ${PIPESTATUS[0]}"],
        cwd=tmp_path,
        env=plain_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert DATED.match(done.stdout) and done.stdout.count("\n") == 1
    assert done.stderr == ""
    assert done.returncode == 141
    # What was measured is there.
    assert dsx("pareto", folder=tmp_path).code == 0


def test_head_takes_the_first_line(tmp_path: Path) -> None:
    dsx("search", STATIC, "--trials", 3, folder=tmp_path)
    command = f"{sys.executable} -m dsx pareto --json | head -1"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env=plain_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_a_traceback_is_shown_on_demand_only(tmp_path: Path) -> None:
    assert one_line(dsx("ls", folder=tmp_path), 2).startswith("no database at")
    for arguments, environment in ((("--debug", "ls"), {}), (("ls",), {"DSX_DEBUG": "1"})):
        ended = dsx(*arguments, folder=tmp_path, environment=environment)
        assert ended.code != 0
        assert "Traceback" in ended.err and "StorageError: no database at" in ended.err


@pytest.mark.parametrize("url", ["postgresql://u:s3/cret@h:no/d", "nosuch://h/d?password=s3/cret"])
def test_a_traceback_holds_no_password(tmp_path: Path, url: str) -> None:
    ended = dsx("--debug", "ls", "--storage", url, folder=tmp_path)
    assert "Traceback" in ended.err and "StorageError" in ended.err
    assert "s3" not in ended.err and "cret" not in ended.err


def test_the_command_to_resume_holds_no_password(tmp_path: Path) -> None:
    # SQLite ignores the parameter.
    storage = "sqlite:///a.db?password=s3 c/ret"
    running = start("search", TINY, "--trials", 30, "--storage", storage, folder=tmp_path)
    until(lambda: "0/30" in running.err, "it has begun")
    running.signal(INTERRUPT)
    ended = running.wait()
    assert ended.err.splitlines()[-1].endswith("--storage 'sqlite:///a.db?password=***'")
    assert "s3" not in ended.err


def test_a_mistake_of_ours_shows_where(tmp_path: Path) -> None:
    # A constraint on a metric whose code is broken in a network that is dsx's own.
    (tmp_path / "broken.py").write_text(
        "from dsx.measure import Metric\n"
        "METRIC = Metric(unit='', direction='minimize', stage='static', read=lambda c: c.nothing,\n"
        "                protocol=lambda space: {})\n"
    )
    space = varied(STATIC, tmp_path, "params: minimize", "'broken:METRIC': minimize")
    ended = dsx("search", space, folder=tmp_path)
    assert ended.code == 1
    assert "AttributeError: 'Candidate' object has no attribute 'nothing'" in ended.err


def test_it_runs_from_any_folder_whatever_lies_there(tmp_path: Path) -> None:
    for name in ("torch", "yaml", "random", "types", "dsx"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not this one')")
    process = fresh("space", "--json", folder=tmp_path)
    out, err = process.communicate()
    messages = [line for line in err.splitlines() if not DATED.match(line)]
    assert (process.returncode, messages, out[:1]) == (0, [], "{")


@pytest.mark.slow
def test_a_bar_is_shown_on_a_terminal(tmp_path: Path) -> None:
    environment = {"COLUMNS": "100"}
    arguments = ("search", TINY, "--trials", 6)
    code, text = on_terminal("err", *arguments, folder=tmp_path, environment=environment)
    assert code == 0
    assert "/6 designs" in text and "━" in text and "left · front" in text
    assert "training" in text
    assert "finished: 6 completed" in text
    # The cursor is shown again.
    assert "\x1b[?25h" in text
