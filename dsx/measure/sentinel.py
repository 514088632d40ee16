"""Sentinel: a small fixed network that tells how fast the machine is at the moment.

It is timed between the blocks of whatever is measured, on the same clock and with as many threads.
How long it takes on this machine in calm moments is its *reference*, taken once; what it takes
later, over the reference, is the drift of the machine.

Made of convolutions, several of one size as the networks measured here have them: what slows these
down (a neighbour on the shared cache, a lower clock) slows the sentinel down alike. A matrix
product or a copy of memory does not follow them. It runs in the backend of what is measured where
that has code of its own, since the code of two libraries that take turns slows one another down.
"""

import functools
import itertools
import json
import statistics
from collections.abc import MutableMapping

import torch
from torch import nn

from dsx.conv.timing import Run
from dsx.lookup import find
from dsx.measure.backends import Backend, versions
from dsx.measure.clock import Clock

VERSION = 2
COPIES = 4
"""Where a network lies in memory makes it a percent faster or slower: several take turns."""
RUN_UP = 1
"""Calls before those that are timed: the caches are full of what ran before."""
CALIBRATION_CALLS = 300


class Sentinel:
    """The fixed network, ready to be timed.

    Args:
        clock: What it is timed by.
        threads: How many are used.
        backend: Of what is measured.
    """

    def __init__(self, clock: Clock, threads: int, backend: str = "eager") -> None:
        self.clock = clock
        self.threads = threads
        self.backend = sentinel_backend(backend)
        copies = _copies(clock.device, self.backend, threads)
        self._turns = itertools.cycle(copies)
        for run in copies * 3:
            run()

    @property
    def situation(self) -> str:
        """What its reference depends on, beside the machine, as canonical JSON."""
        facts = {
            "sentinel": VERSION,
            "backend": self.backend,
            "clock": self.clock.name,
            "threads": self.threads,
            **versions(self.backend),
        }
        return json.dumps(facts, sort_keys=True)

    def time(self, calls: int = 1) -> float:
        """Give the median milliseconds of some calls, after one that is not timed."""
        run = next(self._turns)
        for _ in range(RUN_UP):
            run()
        return self.clock.time(run, calls).own

    def reference(self, references: MutableMapping[str, float]) -> float:
        """Look its reference up; where there is none, take it now, which needs half a second.

        Args:
            references: By situation; may be added to.

        Returns:
            Milliseconds.
        """
        if self.situation not in references:
            references[self.situation] = self.calm()
        return references[self.situation]

    def calm(self) -> float:
        """Time many calls, and give the median of the faster half of them, in milliseconds."""
        times = sorted(self.time() for _ in range(CALIBRATION_CALLS))
        return statistics.median(times[: len(times) // 2])


def sentinel_backend(backend: str) -> str:
    """Say which backend the sentinel runs in, beside networks in a backend."""
    return backend if find(Backend, backend).own_sentinel else "eager"


@functools.cache
def _copies(device: str, backend: str, threads: int) -> list[Run]:
    with torch.random.fork_rng(), torch.inference_mode(False), torch.no_grad():
        torch.manual_seed(0)
        networks = [_network().to(device) for _ in range(COPIES)]
        sample = torch.randn(4, 16, 16, 16).to(device)
        return find(Backend, backend).prepare(networks, sample, threads)


def _network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1, groups=32),
        nn.Conv2d(32, 64, 1),
        nn.ReLU(),
        nn.Conv2d(64, 32, 3, padding=1),
        nn.ReLU(),
    ).eval()
