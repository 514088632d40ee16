"""Quiet: whether this machine is quiet enough to be measured on, and what to do about it."""

import statistics
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass

import torch

from dsx.conv import rounds_until
from dsx.measure.machine import load as busy
from dsx.measure.machine import throttling as throttle
from dsx.measure.machine.device import Device
from dsx.measure.timing.clock import clock_for
from dsx.measure.timing.device_lock import exclusive, lock_name
from dsx.measure.timing.reference_workload import ReferenceWorkload
from dsx.measure.timing.statistics import spread
from dsx.process import torch_threads

GROUP_SECONDS = 0.25
STEADY, DRIFTED, STOLEN = 0.05, 0.2, 0.02


@dataclass(frozen=True, kw_only=True)
class Quiet:
    """How quiet the machine is.

    Args:
        sentinel_ms: Median of the sentinel now.
        drift: That over its reference.
        block_spread: From the 10th to the 90th percentile of single blocks, over their median.
        reading_spread: The same of medians of a quarter of a second, about a reading's length.
        load: Load of the machine by other processes.
        throttled: Whether the processor was slowed down; None where the machine does not tell.
    """

    reference_ms: float
    drift: float
    block_spread: float
    reading_spread: float
    load: busy.Load
    throttled: bool | None

    @property
    def enough(self) -> bool:
        """Whether numbers that are taken now can be compared with each other."""
        return not self.load.noisy and self.reading_spread <= STEADY and not self.throttled

    def advice(self, device: Device) -> list[str]:
        """Say what would make the machine quieter.

        Args:
            device: This machine.
        """
        found = [
            f"{one.process} (process {one.pid}) keeps {one.cores:g} cores at work: let it "
            "finish, or stop it"
            for one in self.load.machine.heavy
        ]
        if self.load.noisy and not self.load.machine.heavy:
            found.append("other work keeps cores busy that cannot be seen from here")
        if (self.load.machine.stolen or 0.0) > STOLEN:
            found.append("other virtual machines take time from this one: a dedicated host helps")
        if self.throttled:
            found.append("the processor slows itself down: let it cool, or raise its power limit")
        if "powersave" in device.power:
            found.append("powersave governs the clock: `cpupower frequency-set -g performance`")
        if abs(self.drift - 1) > DRIFTED:
            found.append(
                f"the sentinel takes {self.drift:.2f} times its reference: if that stays so on a "
                "quiet machine, take the reference anew (--calibrate) before a new study"
            )
        if not found and not self.enough:
            found.append(
                "nothing that can be seen from here disturbs: wait for a calmer moment, or look at "
                "what else the host of this machine runs"
            )
        return found


def look(
    reference_times: MutableMapping[str, float],
    seconds: float = 2.0,
    on_lock_wait: Callable[[], None] | None = None,
    group_seconds: float = GROUP_SECONDS,
) -> Quiet:
    """Watch the sentinel on one thread, and the machine beside it.

    Args:
        references: Milliseconds of the sentinel by its situation; may be added to.
        seconds: How long.
        on_lock_wait: Called if another process holds the device lock.
        group_seconds: Duration of one simulated reading.

    Returns:
        How quiet the machine is.
    """
    clock = clock_for("cpu", 1, "thread")
    with torch_threads(1), torch.inference_mode(), exclusive(lock_name("cpu"), on_lock_wait):
        reference_workload = ReferenceWorkload(clock, 1)
        reference = reference_workload.reference(reference_times, lambda: None)
        slowed, before = throttle.events(), busy.look()
        groups = [
            [reference_workload.time() for _ in rounds_until(time.perf_counter() + group_seconds)]
            for _ in rounds_until(time.perf_counter() + seconds)
        ]
        after = busy.look()
    blocks = [beat for group in groups for beat in group]
    middle = statistics.median(blocks)
    return Quiet(
        reference_ms=middle,
        drift=middle / reference,
        block_spread=spread(blocks),
        reading_spread=spread([statistics.median(group) for group in groups]),
        load=busy.since(before, after),
        throttled=throttle.throttled(slowed).throttled,
    )
