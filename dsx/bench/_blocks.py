"""Contenders in processes of their own, that work in turn: block by block, one at a time.

Whatever slows the machine down hits all alike, and no contender changes the process of another
one: its allocator, its threads, what it has cached.
"""

import multiprocessing
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType

import torch

from dsx.errors import WorkFailed
from dsx.measure.latency_ms import median_interval

THREADS = 1
Block = Callable[[], int]
"""Does one block of work, and says how much was done."""


@dataclass(frozen=True)
class Sample:
    """One block.

    Args:
        done: How much was done.
        cpu: Seconds of CPU time.
        wall: Seconds.
    """

    done: int
    cpu: float
    wall: float

    @property
    def speed(self) -> float:
        """What is done in a second of CPU time."""
        return self.done / self.cpu


def in_turn(contenders: Mapping[str, Callable[[], Block]], rounds: int) -> dict[str, list[Sample]]:
    """Let contenders work in turn; each has one block to warm up.

    Args:
        contenders: By name what prepares a block, in its process; can be pickled.
        rounds: Blocks of each.

    Returns:
        The samples of each, round by round.

    Raises:
        WorkFailed: If one of them fails.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(_Worker(name, prepare))
            for name, prepare in contenders.items()
        }
        for number in range(rounds + 1):
            for name, worker in workers.items():
                sample = worker.block()
                if number:
                    samples[name].append(sample)
    return samples


def ratio(ours: list[Sample], theirs: list[Sample]) -> tuple[float, float, float]:
    """Compare speeds, round by round.

    Args:
        ours: Samples of one contender.
        theirs: Of the other one, from the same rounds.

    Returns:
        How many times as fast it is: the median over the rounds, and its 95 % interval.
    """
    return median_interval(
        [one.speed / other.speed for one, other in zip(ours, theirs, strict=True)]
    )


class _Worker:
    """A contender's process."""

    def __init__(self, name: str, prepare: Callable[[], Block]) -> None:
        self.name = name
        # Spawned, not forked: nothing of this process is in it.
        context = multiprocessing.get_context("spawn")
        self.ours, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, prepare), daemon=True)
        self.process.start()
        theirs.close()

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.terminate()
        self.process.join()
        self.ours.close()

    def block(self) -> Sample:
        """Let it do one block."""
        try:
            self.ours.send(True)
            answer = self.ours.recv()
        except (EOFError, OSError) as error:
            raise WorkFailed(f"{self.name}: its process has ended") from error
        if not isinstance(answer, Sample):
            raise WorkFailed(f"{self.name}: {answer}")
        return answer


def _serve(connection: Connection, prepare: Callable[[], Block]) -> None:
    """Do one block each time that the other end asks for it."""
    torch.set_num_threads(THREADS)
    try:
        block = prepare()
        while connection.recv():
            cpu, wall = time.process_time(), time.perf_counter()
            done = block()
            connection.send(Sample(done, time.process_time() - cpu, time.perf_counter() - wall))
    # Whatever goes wrong here belongs into the process that asked.
    except Exception as error:
        connection.send(f"{type(error).__name__}: {error}")
