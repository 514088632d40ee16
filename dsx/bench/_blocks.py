"""Contenders in processes of their own, that work in turn: block by block, one at a time.

Whatever slows the machine down hits all alike, and no contender changes the process of another
one: its allocator, its threads, what it has cached.
"""

import multiprocessing
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection

import torch

from dsx.errors import WorkFailed
from dsx.measure.timing import median_interval

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


@dataclass(frozen=True)
class _Failure:
    """An error in the process of a contender.

    Args:
        reason: Type and message of the error.
        traceback: Traceback of the error.
    """

    reason: str
    traceback: str


Samples = dict[str, list[Sample]]


class Contenders:
    """The processes, one for each contender; to be used as a context.

    Args:
        names: Of the contenders.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)

    def __enter__(self) -> "Contenders":
        self.workers = {name: _Worker(name) for name in self.names}
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self.workers.values():
            worker.end()

    def in_turn(self, work: Mapping[str, Callable[[], Block]], rounds: int) -> Samples:
        """Let the contenders work in turn; each has one block to warm up.

        Args:
            work: By name what prepares a contender's block, in its process; can be pickled.
            rounds: Blocks of each.

        Returns:
            The samples of each, round by round.

        Raises:
            WorkFailed: If one of them fails.
        """
        for name, prepare in work.items():
            self.workers[name].ask(prepare)
        samples: Samples = {name: [] for name in work}
        for number in range(rounds + 1):
            for name in work:
                sample = self.workers[name].ask(None)
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

    def __init__(self, name: str) -> None:
        self.name = name
        # Spawned, not forked: nothing of this process is in it.
        context = multiprocessing.get_context("spawn")
        self.ours, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()

    def end(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.join()
        self.ours.close()

    def ask(self, prepare: Callable[[], Block] | None) -> Sample:
        """Let it prepare a block, or do the one that it has prepared."""
        try:
            self.ours.send(prepare)
            answer: Sample | _Failure = self.ours.recv()
        except (EOFError, OSError) as error:
            raise WorkFailed(f"{self.name}: its process has ended") from error
        if isinstance(answer, _Failure):
            failed = WorkFailed(f"{self.name}: {answer.reason}")
            # Its traceback is of another process; `dsx --debug` shows notes.
            failed.add_note(answer.traceback)
            raise failed
        return answer


def _serve(connection: Connection) -> None:
    """Prepare blocks and do them, each when the other end asks for it."""
    torch.set_num_threads(THREADS)
    block: Block | None = None
    while True:
        prepare = connection.recv()
        try:
            cpu, wall = time.process_time(), time.perf_counter()
            if prepare is not None:
                block, done = prepare(), 0
            else:
                assert block is not None
                done = block()
            connection.send(Sample(done, time.process_time() - cpu, time.perf_counter() - wall))
        # Whatever goes wrong here belongs into the process that asked.
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}"
            connection.send(_Failure(reason, traceback.format_exc()))
