"""Noise check: whether this machine is idle and stable enough for measurements."""

import statistics
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass

import torch

from dsx.conv import rounds_until
from dsx.errors import parameter
from dsx.measure.machine import throttling
from dsx.measure.machine.device import Device
from dsx.measure.machine.load import Load, load_since, read_counters
from dsx.measure.timing.clock import clock_for
from dsx.measure.timing.device_lock import exclusive, lock_name
from dsx.measure.timing.reference_workload import ReferenceWorkload
from dsx.measure.timing.statistics import spread
from dsx.process import torch_threads

GROUP_SECONDS = 0.25
STEADY, DRIFTED, STOLEN = 0.05, 0.2, 0.02


@dataclass(frozen=True, kw_only=True)
class NoiseCheck:
    """Result of a noise check.

    Args:
        reference_ms: Median time of the reference workload.
        drift: `reference_ms` divided by the reference time.
        block_spread: Range from the 10th to the 90th percentile of single blocks, divided by their
            median.
        reading_spread: The same range for medians over 0.25 s, which is the length of a reading.
        load: Load of the machine by other processes.
        throttled: Whether the processor was throttled; None if this is unknown.
    """

    reference_ms: float
    drift: float
    block_spread: float
    reading_spread: float
    load: Load
    throttled: bool | None

    @property
    def is_stable(self) -> bool:
        """Whether measurements at this time are comparable with each other."""
        return not self.load.noisy and self.reading_spread <= STEADY and not self.throttled

    def advice(self, device: Device) -> list[str]:
        """Return advice on how to reduce the noise.

        Args:
            device: This machine.

        Returns:
            Recommendations; none if the machine is stable.
        """
        found = [
            f"{one.process} (process {one.pid}) uses {one.cores:g} cores: wait for it or stop it"
            for one in self.load.machine.heavy
        ]
        if self.load.noisy and not self.load.machine.heavy:
            found.append("processes that are not visible from here use CPU time")
        if (self.load.machine.stolen or 0.0) > STOLEN:
            found.append("other virtual machines use CPU time of this one: use a dedicated host")
        if self.throttled:
            found.append("the processor is throttled: let it cool down, or raise its power limit")
        if "powersave" in device.power:
            found.append(
                "the CPU governor is powersave: run `cpupower frequency-set -g performance`"
            )
        if abs(self.drift - 1) > DRIFTED:
            found.append(
                f"the reference workload takes {self.drift:.2f} times its reference time: if this "
                "is still the case when the machine is idle, re-calibrate it "
                f"({parameter('calibrate', True)}) before starting a new study"
            )
        if not found and not self.is_stable:
            found.append(
                "no cause is visible from here: wait, or check what else runs on the host of this "
                "machine"
            )
        return found


def check_noise(
    reference_times: MutableMapping[str, float],
    seconds: float = 2.0,
    on_lock_wait: Callable[[], None] | None = None,
    group_seconds: float = GROUP_SECONDS,
) -> NoiseCheck:
    """Time the reference workload with one thread and determine the load of the machine.

    Args:
        reference_times: Reference times in milliseconds by situation; a missing one is measured
            and added.
        seconds: Duration of the check.
        on_lock_wait: Function that is called if another process holds the device lock.
        group_seconds: Duration of one simulated reading.

    Returns:
        The result.
    """
    clock = clock_for("cpu", 1, "thread")
    with torch_threads(1), torch.inference_mode(), exclusive(lock_name("cpu"), on_lock_wait):
        reference_workload = ReferenceWorkload(clock, 1)
        reference = reference_workload.reference(reference_times, lambda: None)
        throttled, before = throttling.events(), read_counters()
        groups = [
            [reference_workload.time() for _ in rounds_until(time.perf_counter() + group_seconds)]
            for _ in rounds_until(time.perf_counter() + seconds)
        ]
        after = read_counters()
    blocks = [block for group in groups for block in group]
    median = statistics.median(blocks)
    return NoiseCheck(
        reference_ms=median,
        drift=median / reference,
        block_spread=spread(blocks),
        reading_spread=spread([statistics.median(group) for group in groups]),
        load=load_since(before, after),
        throttled=throttling.throttled(throttled).throttled,
    )
