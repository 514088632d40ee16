"""Interleaved blocks of work of several contenders, each in a separate process.

A disturbance of the machine affects all contenders equally, and no contender affects the allocator,
threads or caches of another one.
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
"""Runs one block of work and returns the number of processed items."""


@dataclass(frozen=True)
class Sample:
    """The timing of one block.

    Args:
        done: Number of processed items.
        cpu: CPU time in seconds.
        wall: Wall time in seconds.
    """

    done: int
    cpu: float
    wall: float

    @property
    def speed(self) -> float:
        """Number of processed items per second of CPU time."""
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
    """A context that holds one process for each contender.

    Args:
        names: Names of the contenders.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)

    def __enter__(self) -> "Contenders":
        self.workers = {name: _Worker(name) for name in self.names}
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self.workers.values():
            worker.stop()

    def run_interleaved(self, work: Mapping[str, Callable[[], Block]], rounds: int) -> Samples:
        """Run the blocks of all contenders round by round, after one warm-up block each.

        Args:
            work: Picklable function by contender that prepares a block in the contender's process.
            rounds: Number of blocks of each contender.

        Returns:
            The samples of each contender in the order of the rounds.

        Raises:
            WorkFailed: If a contender fails.
        """
        for name, prepare in work.items():
            self.workers[name].request(prepare)
        samples: Samples = {name: [] for name in work}
        for number in range(rounds + 1):
            for name in work:
                sample = self.workers[name].request(None)
                if number:
                    samples[name].append(sample)
        return samples


def ratio(ours: list[Sample], theirs: list[Sample]) -> tuple[float, float, float]:
    """Compute the ratio of the speeds of two contenders.

    Args:
        ours: Samples of the first contender.
        theirs: Samples of the second contender from the same rounds.

    Returns:
        The median ratio over the rounds and its 95 % confidence interval.
    """
    return median_interval(
        [one.speed / other.speed for one, other in zip(ours, theirs, strict=True)]
    )


class _Worker:
    """The process of a contender."""

    def __init__(self, name: str) -> None:
        self.name = name
        # Spawned, not forked: it inherits no state of this process.
        context = multiprocessing.get_context("spawn")
        self.ours, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()

    def stop(self) -> None:
        """Terminate the process."""
        self.process.terminate()
        self.process.join()
        self.ours.close()

    def request(self, prepare: Callable[[], Block] | None) -> Sample:
        """Request that the process prepare a block, or run the block that it has prepared."""
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
    """Prepare and run blocks at the request of the other end."""
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
        # Every error is reported to the process that requested the block.
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}"
            connection.send(_Failure(reason, traceback.format_exc()))
