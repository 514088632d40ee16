"""Runner of the `dsx` command in real processes, whose output is read, and which may be killed."""

import contextlib
import functools
import json
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 120
NOTHING: Mapping[str, str] = {}
DATED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")
"""Start of a line of progress."""


@dataclass(frozen=True)
class Ended:
    """A process that has ended: its exit code (negative if killed by that signal) and its output.

    `err` excludes the dated lines of progress, which depend on the load of the machine.
    """

    code: int
    out: str
    err: str
    progress: str = ""

    @property
    def json(self) -> Any:
        """Output on stdout, parsed as JSON."""
        return json.loads(self.out)


class Running:
    """A running process, started by `start`."""

    def __init__(self, pid: int, out: Path, err: Path) -> None:
        self.pid = pid
        self._out, self._err = out, err

    def wait(self) -> Ended:
        """Wait until the process ends."""
        until(lambda: self.code is not None, f"process {self.pid} ends")
        assert self.code is not None
        lines = _read(self._err).splitlines(keepends=True)
        dated = [line for line in lines if DATED.match(line)]
        others = [line for line in lines if not DATED.match(line)]
        return Ended(self.code, _read(self._out), "".join(others), "".join(dated))

    @functools.cached_property
    def _codes(self) -> list[int]:
        return []

    @property
    def code(self) -> int | None:
        """Exit code of the process; None while it runs."""
        if not self._codes:
            code = _ask({"poll": self.pid})
            self._codes.extend([] if code is None else [code])
        return self._codes[0] if self._codes else None

    @property
    def err(self) -> str:
        """Output on stderr so far."""
        return _read(self._err)

    def signal(self, number: int) -> None:
        """Send a signal to the process, if it has not ended."""
        if self.code is None:
            os.kill(self.pid, number)


def start(
    *arguments: object,
    folder: Path,
    out: Path | None = None,
    err: Path | None = None,
    heed_permissions: bool = False,
    file_limit: int | None = None,
    memory_limit: int | None = None,
    killed_at: int | None = None,
    environment: Mapping[str, str] = NOTHING,
) -> Running:
    """Start `dsx`.

    Args:
        arguments: Words of the command line after `dsx`.
        folder: Working directory.
        out: File or device for stdout; by default a file that `wait` reads.
        err: File or device for stderr; by default a file that `wait` reads.
        heed_permissions: Whether file permissions apply to root as well.
        file_limit: Maximum size of a file in bytes, as on a full disk.
        memory_limit: Maximum address space of the process in bytes.
        killed_at: Number of the file operation in the folder before which the process is killed.
        environment: Environment variables in addition to PATH and HOME.

    Returns:
        The process.
    """
    files = [Path(tempfile.mkstemp()[1]) for _ in range(2)]
    for file in files:
        file.chmod(0o666)
    out, err = out or files[0], err or files[1]
    request = {
        "arguments": [str(argument) for argument in arguments],
        "folder": str(folder),
        "environment": {**plain_environment(), **environment},
        "out": str(out),
        "err": str(err),
        "heed_permissions": heed_permissions,
        "file_limit": file_limit,
        "memory_limit": memory_limit,
        "killed_at": killed_at,
    }
    return Running(_ask(request), out, err)


def dsx(
    *arguments: object,
    folder: Path,
    heed_permissions: bool = False,
    environment: Mapping[str, str] = NOTHING,
) -> Ended:
    """Run `dsx` until it ends; see `start`."""
    return start(
        *arguments, folder=folder, heed_permissions=heed_permissions, environment=environment
    ).wait()


def on_terminal(
    stream: str, *arguments: object, folder: Path, environment: Mapping[str, str] = NOTHING
) -> tuple[int, str]:
    """Run `dsx` until it ends, with a terminal as its stdout ("out") or stderr ("err").

    Returns:
        The exit code and the output on the terminal.
    """
    main, second = pty.openpty()
    os.set_blocking(main, False)
    terminal = Path(os.ttyname(second))
    shown = b""

    def ended() -> bool:
        nonlocal shown
        code = running.code
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(main, 65536):
                shown += chunk
        return code is not None

    running = start(
        *arguments,
        folder=folder,
        out=terminal if stream == "out" else None,
        err=terminal if stream == "err" else None,
        environment={"TERM": "xterm-256color", **environment},
    )
    until(ended, f"process {running.pid} ends")
    os.close(main)
    os.close(second)
    assert running.code is not None
    return running.code, shown.decode()


def fresh(
    *arguments: str, folder: Path, environment: Mapping[str, str] = NOTHING
) -> subprocess.Popen[str]:
    """Start `dsx` in a new interpreter, as a shell does, with pipes for stdout and stderr."""
    return subprocess.Popen(
        [sys.executable, "-m", "dsx", *arguments],
        cwd=folder,
        env={**plain_environment(), "PYTHONSAFEPATH": "1", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def plain_environment() -> dict[str, str]:
    """Return an environment with the dsx under test and without variables that configure it."""
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR")},
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < end, f"timed out: {what}"
        time.sleep(0.005)


def one_line(ended: Ended, code: int) -> str:
    """Check that a command failed with one line on stderr, and return the line."""
    assert (ended.code, ended.out, ended.err.count("\n")) == (code, "", 1), ended
    assert ended.err.startswith("dsx: ")
    return ended.err.removeprefix("dsx: ").rstrip("\n")


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


@functools.cache
def _zygote() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("zygote.py"))],
        env=plain_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C in the terminal of the tests must reach the tests only.
        start_new_session=True,
    )


def _ask(request: Mapping[str, object]) -> Any:
    zygote = _zygote()
    assert zygote.stdin is not None and zygote.stdout is not None
    print(json.dumps(request), file=zygote.stdin, flush=True)
    answer = zygote.stdout.readline()
    assert answer, "the server that starts processes has ended"
    return json.loads(answer)


INTERRUPT, KILL, END = signal.SIGINT, signal.SIGKILL, signal.SIGTERM
