"""Sentinel: a small fixed network that tells how fast the machine is at the moment.

It is timed between the blocks of whatever is measured, on the same clock and with as many threads.
How long it takes beside a network in calm moments is its *reference*, taken once; what it takes
later, over the reference, is the drift of the machine.

What slows a machine down (a neighbour on the shared cache, a lower clock) slows networks down
alike only if they are like each other. Many small convolutions, whose weights have left the nearest
cache by the next call, suffer one and a half times as much as large ones that fill a core with
sums. So there are two sentinels, of fine and of coarse grain, and each space has the one that is
like its baseline. It runs in the backend of what is measured where that has code of its own, since
the code of two libraries that take turns slows one another down.
"""

import functools
import itertools
import json
import statistics
import time
from collections.abc import Collection, MutableMapping, Sequence

import torch
from torch import nn

from dsx.conv import Run
from dsx.lookup import find
from dsx.measure.backends import Backend, versions
from dsx.measure.timing.clock import Clock
from dsx.measure.timing.workload_class import ALONE, Grain, WorkloadClass

VERSION = 3
COPIES: dict[Grain, int] = {"fine": 4, "coarse": 2}
"""Where a network lies in memory makes it a percent faster or slower: several take turns."""
CALIBRATION_CALLS, CALIBRATION_SECONDS = 300, 2.0
FEWEST_CALLS = 30
"""For a reference, beside a network that is slow."""


class ReferenceWorkload:
    """The fixed network, ready to be timed.

    Args:
        clock: What it is timed by.
        threads: How many are used.
        backend: Of what is measured.
        company: What is measured.
    """

    def __init__(
        self, clock: Clock, threads: int, backend: str = "eager", workload: WorkloadClass = ALONE
    ) -> None:
        self.clock = clock
        self.threads = threads
        self.backend = reference_backend(backend)
        self.workload = workload
        copies = _copies(clock.device, self.backend, threads, workload.grain)
        self._turns = itertools.cycle(copies)
        for run in copies * 3:
            run()

    @property
    def situation(self) -> str:
        """What its reference depends on, beside the machine, as canonical JSON."""
        facts = {
            "reference_workload": VERSION,
            "backend": self.backend,
            "clock": self.clock.name,
            "threads": self.threads,
            "grain": self.workload.grain,
            "network": self.workload.network,
            **versions(self.backend),
        }
        return json.dumps(facts, sort_keys=True)

    def time(self, calls: int = 1) -> float:
        """Give the median milliseconds of some calls."""
        return self.clock.time(next(self._turns), calls).own

    def reference(self, reference_times: MutableMapping[str, float], beside: Run) -> float:
        """Look its reference up; where there is none, take it now, which needs a second.

        Args:
            references: By situation; may be added to.
            beside: Runs once the network that it is timed beside.

        Returns:
            Milliseconds.
        """
        if self.situation not in reference_times:
            reference_times[self.situation] = self.calm(beside)
        return reference_times[self.situation]

    def calm(self, beside: Run) -> float:
        """Time many calls, and give the median of the faster half of them, in milliseconds.

        Args:
            beside: Run before each: what it leaves in the caches makes the sentinel slower.
        """
        times: list[float] = []
        end = time.perf_counter() + CALIBRATION_SECONDS
        while len(times) < CALIBRATION_CALLS:
            if len(times) >= FEWEST_CALLS and time.perf_counter() >= end:
                break
            beside()
            times.append(self.time())
        return statistics.median(sorted(times)[: len(times) // 2])


def reference_backend(backend: str) -> str:
    """Say which backend the sentinel runs in, beside networks in a backend."""
    return backend if find(Backend, backend).own_reference_workload else "eager"


@functools.cache
def _copies(device: str, backend: str, threads: int, grain: Grain) -> list[Run]:
    network, shape = {"fine": (_fine, (4, 16, 8, 8)), "coarse": (_coarse, (1, 64, 32, 32))}[grain]
    with torch.random.fork_rng(), torch.inference_mode(False), torch.no_grad():
        torch.manual_seed(0)
        networks = [network().to(device) for _ in range(COPIES[grain])]
        return find(Backend, backend).prepare(networks, torch.randn(shape).to(device), threads)


def _fine() -> nn.Module:
    return _stack((16, 32, 32, 64, 64, 128, 128), halving=(2, 4))


def _coarse() -> nn.Module:
    return _stack((64, 64, 128, 128, 256, 256), halving=(1, 3))


def _stack(channels: Sequence[int], halving: Collection[int]) -> nn.Module:
    """Stack 3 x 3 convolutions; some halve the image."""
    layers: list[nn.Module] = []
    for index, (before, after) in enumerate(itertools.pairwise(channels)):
        stride = 2 if index in halving else 1
        layers += [nn.Conv2d(before, after, 3, stride=stride, padding=1), nn.ReLU()]
    return nn.Sequential(*layers).eval()
