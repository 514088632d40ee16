"""Sentinel: a small fixed network that tells how fast the machine is at the moment.

It is timed between the blocks of whatever is measured, on the same clock and with as many threads.
How long it takes on this machine in calm moments is its *reference*, taken once; what it takes
later, over the reference, is the drift of the machine.

Made of convolutions, several of one size as the networks measured here have them: what slows these
down (a neighbour on the shared cache, a lower clock) slows the sentinel down alike. A matrix
product or a copy of memory does not follow them.
"""

import functools
import itertools
import json
import statistics
from collections.abc import MutableMapping

import torch
from torch import nn

from dsx.conv.timing import Run
from dsx.measure.clock import Clock

VERSION = 1
COPIES = 4
"""Where a network lies in memory makes it a percent faster or slower: several take turns."""
CALIBRATION_CALLS = 600


class Sentinel:
    """The fixed network, ready to be timed.

    Args:
        clock: What it is timed by.
        threads: How many torch uses.
    """

    def __init__(self, clock: Clock, threads: int) -> None:
        self.clock = clock
        self.threads = threads
        copies = _copies(clock.device)
        self._turns = itertools.cycle(copies)
        for run in copies * 3:
            run()

    @property
    def situation(self) -> str:
        """What its reference depends on, beside the machine, as canonical JSON."""
        facts = {"sentinel": VERSION, "clock": self.clock.name, "threads": self.threads}
        return json.dumps(facts, sort_keys=True)

    def time(self, calls: int = 1) -> float:
        """Give the median milliseconds of some calls."""
        return self.clock.time(next(self._turns), calls).own

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


@functools.cache
def _copies(device: str) -> list[Run]:
    with torch.random.fork_rng(), torch.inference_mode(False), torch.no_grad():
        torch.manual_seed(0)
        return [_network(device) for _ in range(COPIES)]


def _network(device: str) -> Run:
    network = nn.Sequential(
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1, groups=32),
        nn.Conv2d(32, 64, 1),
        nn.ReLU(),
        nn.Conv2d(64, 32, 3, padding=1),
        nn.ReLU(),
    )
    return functools.partial(network.eval().to(device), torch.randn(4, 16, 16, 16).to(device))
