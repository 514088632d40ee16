"""Real processes that time and train on the same machine, with real locks."""

import multiprocessing
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from dsx.measure.timing import device_lock as lock
from dsx.measure.timing.device_lock import exclusive
from tests.cli.running import PATIENCE_SECONDS
from tests.measure.candidates import SMALL, SPECS, candidate

NOBODY, GIVE_UP_SECONDS = 65534, 60.0

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.measure.prepared"])
"""Processes are forked from one that has imported most of dsx already."""


class Other:
    """Another process with a connection to it; it is killed at the end of the context.

    Args:
        work: Function to be run in the process; its first argument is the process's end of the
            connection.
        arguments: Further arguments of the function.
    """

    def __init__(self, work: Callable[..., None], *arguments: object) -> None:
        self.line, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=work, args=(theirs, *arguments))
        self.process.start()
        theirs.close()

    def __enter__(self) -> "Other":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.join()
        self.line.close()

    def hear(self) -> Any:
        """Wait for the next message of the process."""
        assert self.line.poll(PATIENCE_SECONDS), "no message received"
        return self.line.recv()

    def say(self, words: object) -> None:
        """Send a message to the process."""
        self.line.send(words)

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)


@contextmanager
def held_by_other(folder: Path) -> Iterator[tuple[Callable[[], None], list[str]]]:
    """Hold the exclusive lock of the CPU in another process until this one waits for it.

    Yields:
        Function to be called when waiting begins, and the list of its calls.
    """
    calls: list[str] = []
    with Other(time_once, folder, "cpu") as other:
        assert other.hear() == "held"

        def waiting() -> None:
            calls.append("waiting")
            other.say("go on")

        # Limits the duration of a test in which the function is not called.
        giving_up = threading.Timer(GIVE_UP_SECONDS, other.say, ["go on"])
        giving_up.start()
        yield waiting, calls
        giving_up.cancel()


class Log:
    """A log of several processes in chronological order.

    Args:
        file: File of the log.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def note(self, words: str) -> None:
        """Append a line atomically."""
        out = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(out, f"{words}\n".encode())
        os.close(out)

    @property
    def lines(self) -> list[str]:
        """All lines so far."""
        return self.file.read_text().splitlines() if self.file.exists() else []


def time_once(line: Connection, folder: Path, device: str, as_nobody: bool = False) -> None:
    """Hold the exclusive lock of a device until a message is received; report each step."""
    lock.FOLDER = folder
    if as_nobody:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    with exclusive(device, lambda: line.send("waiting")):
        line.send("held")
        line.recv()
    line.send("free")


def time_often(line: Connection, folder: Path, log: Log, turns: int) -> None:
    """Hold the exclusive lock of the CPU several times, and log each time."""
    lock.FOLDER = folder
    line.send("ready")
    line.recv()
    for _ in range(turns):
        with exclusive("cpu"):
            log.note(f"begin {os.getpid()}")
            # Long enough for another process to start, if it could.
            torch.randn(64, 64).square().sum()
            log.note(f"end {os.getpid()}")
    line.send("done")


def time_with_children(line: Connection, folder: Path) -> None:
    """Hold the lock of the CPU, start child processes that outlive it, and send their ids."""
    lock.FOLDER = folder
    with exclusive("cpu"):
        reader, writer = os.pipe()
        pid = os.fork()
        if not pid:
            os.write(writer, b".")
            signal.pause()
        # Before that, the child may not have released the locks that it inherited.
        os.read(reader, 1)
        # The child inherits all open files.
        other = subprocess.Popen(["sleep", "600"], close_fds=False)
        line.send([pid, other.pid])
        line.recv()
    line.send("free")
    line.recv()


def train_on(line: Connection, folder: Path, log: Log, name: str, epochs: int) -> None:
    """Train a candidate, log each step, and send the final weights."""
    lock.FOLDER = folder
    torch.set_num_threads(1)
    one = candidate(SMALL.replace("epochs: 1", f"epochs: {epochs}"), SPECS)
    one.network.register_forward_pre_hook(lambda *_: log.note(f"step {name}"))
    line.send("ready")
    one.trained()
    line.send({name: tensor.tolist() for name, tensor in one.network.state_dict().items()})
