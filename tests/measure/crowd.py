"""Other processes that time and train on the same machine: real ones, with real locks."""

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

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.measure.prepared"])


class Other:
    """Another process, and a line to talk to it; ends with the block that it stands for.

    Args:
        work: What it does; is given its end of the line.
        arguments: What else it is given.
    """

    def __init__(self, work: Callable[..., None], *arguments: object) -> None:
        self.line, theirs = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=work, args=(theirs, *arguments))
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
        """Wait for what it says next."""
        assert self.line.poll(PATIENCE_SECONDS), "waited in vain"
        return self.line.recv()

    def say(self, words: object) -> None:
        """Tell it something."""
        self.line.send(words)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)


@contextmanager
def kept(folder: Path) -> Iterator[tuple[Callable[[], None], list[str]]]:
    """Let another process keep the CPU until somebody waits for it.

    Yields:
        To be called by who waits; and what has been called.
    """
    told: list[str] = []
    with Other(time_once, folder, "cpu") as other:
        assert other.hear() == "held"

        def waiting() -> None:
            told.append("waiting")
            other.say("go on")

        # A test must not wait for ever because nobody is told.
        giving_up = threading.Timer(GIVE_UP_SECONDS, other.say, ["go on"])
        giving_up.start()
        yield waiting, told
        giving_up.cancel()


class Log:
    """What several processes did, in the order of time.

    Args:
        file: Where they write it.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def note(self, words: str) -> None:
        """Write a line, at once and whole."""
        out = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(out, f"{words}\n".encode())
        os.close(out)

    @property
    def lines(self) -> list[str]:
        """All lines so far."""
        return self.file.read_text().splitlines() if self.file.exists() else []


def time_once(line: Connection, folder: Path, device: str, as_nobody: bool = False) -> None:
    """Keep a device until told to go on; says what it does."""
    lock.FOLDER = folder
    if as_nobody:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    with exclusive(device, lambda: line.send("waiting")):
        line.send("held")
        line.recv()
    line.send("free")


def time_often(line: Connection, folder: Path, log: Log, turns: int) -> None:
    """Keep the CPU some times, and note when."""
    lock.FOLDER = folder
    line.send("ready")
    line.recv()
    for _ in range(turns):
        with exclusive("cpu"):
            log.note(f"begin {os.getpid()}")
            # Time enough for another one to come in, if it could.
            torch.randn(64, 64).square().sum()
            log.note(f"end {os.getpid()}")
    line.send("done")


def time_with_children(line: Connection, folder: Path) -> None:
    """Keep the CPU, and start processes that live on; says their ids."""
    lock.FOLDER = folder
    with exclusive("cpu"):
        reader, writer = os.pipe()
        pid = os.fork()
        if not pid:
            os.write(writer, b".")
            signal.pause()
        # Until then it may not have had the time to let go of what it was born with.
        os.read(reader, 1)
        # Of no use to it, but all files that are open come along.
        other = subprocess.Popen(["sleep", "600"], close_fds=False)
        line.send([pid, other.pid])
        line.recv()
    line.send("free")
    line.recv()


def train_on(line: Connection, folder: Path, log: Log, name: str, epochs: int) -> None:
    """Train a candidate, and note each step; says the weights in the end."""
    lock.FOLDER = folder
    torch.set_num_threads(1)
    one = candidate(SMALL.replace("epochs: 1", f"epochs: {epochs}"), SPECS)
    one.network.register_forward_pre_hook(lambda *_: log.note(f"step {name}"))
    line.send("ready")
    one.trained()
    line.send({name: tensor.tolist() for name, tensor in one.network.state_dict().items()})
