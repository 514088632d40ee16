"""Energy: millijoules of one forward pass of the deployed network.

The network is run repeatedly while the energy counter of the processor (RAPL) or the GPU (NVML) is
read. The value includes idle power and the energy of other processes.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from dsx.analysis import Energy, Measurement, Provenance
from dsx.conv import Run
from dsx.errors import Unsupported, WorkFailed
from dsx.measure.candidate import Candidate
from dsx.measure.machine import load, throttling
from dsx.measure.machine.energy_counters import (
    Meter,
    NvmlMeter,
    RaplMeter,
    unsupported_cpu_energy,
    unsupported_gpu_energy,
)
from dsx.measure.metrics._base import Metric
from dsx.measure.run_settings import run_settings
from dsx.measure.timing.device_lock import exclusive, lock_name
from dsx.measure.timing.statistics import median_interval
from dsx.process import torch_threads
from dsx.space import SearchSpace

PROTOCOL = {"version": 1, "windows": 8, "window_seconds": 0.25, "idle_seconds": 0.5}


def read(candidate: Candidate) -> Measurement:
    """Measure the energy of a forward pass of a candidate.

    Args:
        candidate: The candidate.

    Returns:
        Millijoules of one forward pass.
    """
    on_gpu = candidate.space.file.measure.device == "cuda"
    return read_by(NvmlMeter() if on_gpu else RaplMeter(), candidate)


def read_by(meter: Meter, candidate: Candidate) -> Measurement:
    """Measure the energy of a forward pass while holding the device lock.

    Args:
        meter: Energy counter of the device of the space.
        candidate: The candidate.

    Returns:
        Millijoules of one forward pass; the provenance has the load of the machine.
    """
    measure = candidate.space.file.measure
    gpu = torch.cuda.current_device() if measure.device == "cuda" else None
    with torch_threads(measure.threads):
        run = candidate.run if gpu is None else _synchronised(candidate.run)
        with exclusive(lock_name(measure.device), candidate.on_lock_wait), torch.inference_mode():
            before, events = load.read_counters(), throttling.events()
            found = measure_energy(run, meter)
            throttled = throttling.throttled(events, gpu)
            noisy, machine = load.load_since(before)
    provenance = replace(
        found.provenance,
        noisy=noisy,
        machine=throttled.of(machine),
        deployment=candidate.deployment,
    )
    return replace(found, provenance=provenance)


def _synchronised(run: Run) -> Run:
    """Wait for the GPU after each pass, so that all passes of a window end within it."""

    def synchronised() -> None:
        run()
        torch.cuda.synchronize()

    return synchronised


def measure_energy(
    run: Run,
    meter: Meter,
    window_seconds: float = PROTOCOL["window_seconds"],
    idle_seconds: float = PROTOCOL["idle_seconds"],
) -> Measurement:
    """Measure the energy of one call.

    Args:
        run: Function to be called.
        meter: Energy counter.
        window_seconds: Minimum duration of a window of calls, which gives one sample.
        idle_seconds: Duration of the measurement of idle power before the calls.

    Returns:
        Millijoules of one call; the provenance has the idle power and the power during the calls.

    Raises:
        WorkFailed: If the counter does not increase.
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
        raise WorkFailed(f"energy_mj: the {meter.name} counter of this machine does not increase")
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
    """Call for some seconds; return the number of calls and their millijoules."""
    meter.spent()
    calls, end = 0, time.perf_counter() + seconds
    while calls == 0 or time.perf_counter() < end:
        run()
        calls += 1
    return calls, meter.spent()


def protocol(space: SearchSpace) -> Mapping[str, Any]:
    """Return the run settings, and the duration of the windows.

    Args:
        space: The space.

    Returns:
        Plain JSON values.
    """
    return {**PROTOCOL, **run_settings(space.file.measure)}


def unsupported(space: SearchSpace) -> Unsupported | None:
    """Check whether the energy of the device of a space can be measured.

    Args:
        space: The space.

    Returns:
        The reason why it cannot; None if it can.
    """
    return (
        unsupported_gpu_energy()
        if space.file.measure.device == "cuda"
        else unsupported_cpu_energy()
    )


METRIC = Metric(
    unit="mJ",
    direction="minimize",
    stage="timed",
    read=read,
    protocol=protocol,
    unsupported=unsupported,
)
