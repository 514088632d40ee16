"""Energy: millijoules of one forward pass of the deployed network.

All that the processor (RAPL) or the GPU (NVML) uses while it runs pass after pass, idle power
included; what other processes use at the time is in it too.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from dsx.analysis import Energy, Measurement, Provenance
from dsx.conv import Run
from dsx.errors import WorkFailed
from dsx.measure.candidate import Candidate
from dsx.measure.machine import load as busy
from dsx.measure.machine import throttling as throttle
from dsx.measure.machine.energy_counters import (
    Meter,
    NvmlMeter,
    RaplMeter,
    absent_nvml,
    absent_rapl,
)
from dsx.measure.metrics._base import Metric
from dsx.measure.run_settings import run_settings
from dsx.measure.timing.device_lock import exclusive, lock_name
from dsx.measure.timing.statistics import median_interval
from dsx.process import torch_threads
from dsx.space import SearchSpace

PROTOCOL = {"version": 1, "windows": 8, "window_seconds": 0.25, "idle_seconds": 0.5}


def read(candidate: Candidate) -> Measurement:
    """Run the deployed network for two seconds, and read the counter around each eighth of it."""
    on_gpu = candidate.space.file.measure.device == "cuda"
    return read_by(NvmlMeter() if on_gpu else RaplMeter(), candidate)


def read_by(meter: Meter, candidate: Candidate) -> Measurement:
    """Measure a candidate while nobody else times or trains.

    Args:
        meter: Tells the energy of the space's device.
        candidate: What to run.

    Returns:
        Millijoules, with what the machine did meanwhile.
    """
    measure = candidate.space.file.measure
    gpu = torch.cuda.current_device() if measure.device == "cuda" else None
    with torch_threads(measure.threads):
        run = candidate.run if gpu is None else _finished(candidate.run)
        with exclusive(lock_name(measure.device), candidate.on_lock_wait), torch.inference_mode():
            before, events = busy.look(), throttle.events()
            found = measure_energy(run, meter)
            throttled = throttle.throttled(events, gpu)
            noisy, machine = busy.since(before)
    provenance = replace(
        found.provenance,
        noisy=noisy,
        machine=throttled.of(machine),
        deployment=candidate.deployment,
    )
    return replace(found, provenance=provenance)


def _finished(run: Run) -> Run:
    """Wait for the GPU after each pass, so that a window holds the passes that it counts."""

    def both() -> None:
        run()
        torch.cuda.synchronize()

    return both


def measure_energy(
    run: Run,
    meter: Meter,
    window_seconds: float = PROTOCOL["window_seconds"],
    idle_seconds: float = PROTOCOL["idle_seconds"],
) -> Measurement:
    """Measure the energy of one call.

    Args:
        run: What to call.
        meter: Tells the energy.
        window_seconds: How long one sample takes at least.
        idle_seconds: How long the machine is left alone before, to see what it uses then.

    Returns:
        Millijoules of one call, from whole windows; the power before and meanwhile is in its
        provenance.

    Raises:
        WorkFailed: If the counter stands still.
    """
    run()
    meter.spent()
    begin = time.perf_counter()
    time.sleep(idle_seconds)
    idle_watts = meter.spent() / 1000 / (time.perf_counter() - begin)
    samples, calls, energy, start = [], 0, 0.0, time.perf_counter()
    for _ in range(int(PROTOCOL["windows"])):
        own, spent = _window(run, meter, window_seconds)
        samples.append(spent / own)
        calls, energy = calls + own, energy + spent
    watts = energy / 1000 / (time.perf_counter() - start)
    if energy <= 0:
        raise WorkFailed(f"energy_mj: the {meter.name} counter of this machine stands still")
    value, low, high = median_interval(samples)
    facts = Energy(meter=meter.name, idle_watts=idle_watts, watts=watts, calls=calls)
    return Measurement(
        value=value,
        low=low,
        high=high,
        samples=samples,
        provenance=Provenance(energy=facts),
    )


def _window(run: Run, meter: Meter, seconds: float) -> tuple[int, float]:
    """Call until a time is over; give the number of calls and their millijoules."""
    meter.spent()
    calls, end = 0, time.perf_counter() + seconds
    while calls == 0 or time.perf_counter() < end:
        run()
        calls += 1
    return calls, meter.spent()


def protocol(space: SearchSpace) -> Mapping[str, Any]:
    """How it is run, and how long."""
    return {**PROTOCOL, **run_settings(space.file.measure)}


def absent(space: SearchSpace) -> str:
    """Say why this machine does not tell the energy of the processor that runs the network."""
    return absent_nvml() if space.file.measure.device == "cuda" else absent_rapl()


METRIC = Metric(
    unit="mJ", direction="minimize", stage="timed", read=read, protocol=protocol, absent=absent
)
