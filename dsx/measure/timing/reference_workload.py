"""Reference workload: a small fixed network that is timed to determine the drift of the machine.

It is timed between the blocks of a measurement with the same clock and number of threads. Its
*reference time* is measured once, next to a network on an otherwise idle machine. Its current time
divided by the reference time is the drift.

A disturbance, such as a lower clock frequency or another process that uses the shared cache, slows
down two networks equally only if they are similar. Many small convolutions, whose weights are
evicted from the nearest cache between two calls, are affected 1.5 times as much as large
convolutions, which are compute-bound. There are therefore two reference workloads, fine and coarse
grained, and a space uses the one that is similar to its baseline. It runs in the measured backend
if that has its own kernels, because alternating between the code of two libraries slows both down.
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
"""Number of copies that are run cyclically; the location in memory changes the time by 1 %."""
CALIBRATION_CALLS, CALIBRATION_SECONDS = 300, 2.0
MIN_CALIBRATION_CALLS = 30
"""Minimum number of calls for a reference time, even if the network next to it is slow."""


class ReferenceWorkload:
    """The fixed network, ready to be timed.

    Args:
        clock: Clock of the measurement.
        threads: Number of threads of the measurement.
        backend: Backend of the measurement.
        workload: Workload class of the measured networks.
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
        """Canonical JSON of everything that the reference time depends on, except the machine."""
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
        """Time the next copy of the network.

        Args:
            calls: Number of calls.

        Returns:
            Median of the calls in milliseconds.
        """
        return self.clock.time(next(self._turns), calls).own

    def reference(self, reference_times: MutableMapping[str, float], neighbour: Run) -> float:
        """Look up the reference time, or measure it, which takes a second.

        Args:
            reference_times: Reference times in milliseconds by situation; a missing one is added.
            neighbour: Function that runs the measured network once.

        Returns:
            The reference time in milliseconds.
        """
        if self.situation not in reference_times:
            reference_times[self.situation] = self.calibrate(neighbour)
        return reference_times[self.situation]

    def calibrate(self, neighbour: Run) -> float:
        """Measure the reference time: the median of the faster half of many calls.

        Args:
            neighbour: Function that runs the measured network once. It is called before each call,
                because the caches after it determine the time of the reference workload.

        Returns:
            The reference time in milliseconds.
        """
        times: list[float] = []
        end = time.perf_counter() + CALIBRATION_SECONDS
        while len(times) < CALIBRATION_CALLS:
            if len(times) >= MIN_CALIBRATION_CALLS and time.perf_counter() >= end:
                break
            neighbour()
            times.append(self.time())
        return statistics.median(sorted(times)[: len(times) // 2])


def reference_backend(backend: str) -> str:
    """Return the backend of the reference workload.

    Args:
        backend: Backend of the measured networks.

    Returns:
        The same backend if it has its own reference workload, otherwise eager.
    """
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
    """Build a sequence of 3 x 3 convolutions, some of which halve the image."""
    layers: list[nn.Module] = []
    for index, (before, after) in enumerate(itertools.pairwise(channels)):
        stride = 2 if index in halving else 1
        layers += [nn.Conv2d(before, after, 3, stride=stride, padding=1), nn.ReLU()]
    return nn.Sequential(*layers).eval()
