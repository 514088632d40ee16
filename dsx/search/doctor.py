"""Examination of this machine and of a database for `dsx doctor`."""

import importlib.util
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

import torch

import dsx
from dsx.conv.native import Kernels, find_compiler, kernels
from dsx.conv.native.gpu import missing
from dsx.errors import StorageError, Unsupported
from dsx.measure import Device, this_device
from dsx.measure.machine import (
    throttle_events,
    unsupported_cpu_energy,
    unsupported_gpu_energy,
    unsupported_nvml,
)
from dsx.measure.timing import NoiseCheck, check_noise
from dsx.space import shipped_spaces
from dsx.store.database import display_url, open_database, parse_url
from dsx.store.measurements import Agreement, MachineReferenceTimes, load_agreement
from dsx.store.studies import list_studies

OPTIONAL = {
    "torchvision": "networks of torchvision as models",
    "optuna_dashboard": "dashboard of Optuna",
    "psycopg": "PostgreSQL databases",
    "onnxruntime": "backend, requires onnx and onnxscript",
    "onnx": "required by onnxruntime",
    "onnxscript": "required by onnxruntime",
    "openvino": "backend",
    "pynvml": "power limit, throttling and energy of NVIDIA GPUs",
    "triton": "kernels for NVIDIA GPUs",
}
"""Optional packages and their use."""


@dataclass(frozen=True, kw_only=True)
class Examination:
    """The result of an examination.

    Args:
        findings: Subject to a description of what was found.
        device: This device.
        kernels: Compiled kernels of dsx, or the reason why there are none.
        noise: Result of the noise check.
        repeated: Result of the A/A check over the database; None without a database.
    """

    findings: Mapping[str, str]
    device: Device
    kernels: Kernels | Unsupported
    noise: NoiseCheck
    repeated: Agreement | None


def examine(storage: str, calibrate: bool = False) -> Examination:
    """Examine this machine and a database, which takes a few seconds.

    Args:
        storage: SQLAlchemy URL of the database.
        calibrate: Whether to re-calibrate the reference workload of this machine; reference times
            in databases are kept.

    Returns:
        The findings.
    """
    device = this_device()
    reference_times = MachineReferenceTimes(device.fingerprint)
    forgotten = reference_times.reset() if calibrate else {}
    # A search that runs may add reference times of its own in the meantime.
    measured: dict[str, float] = {}
    found = check_noise(measured if calibrate else reference_times)
    reference_times.update(measured)
    database, repeated = _database(storage, device)
    compiled = kernels()
    findings = {
        **_hardware(device),
        "kernels": _kernels(compiled),
        "kernels for GPUs": _gpu_kernels(missing(torch.float32, torch.device("cuda"))),
        **(_calibrated(forgotten, measured) if calibrate else {}),
        **_noise(found, device),
        "fingerprint": device.fingerprint,
        **_software(),
        "database": database,
        "A/A check": "no readings" if repeated is None else repeated.words,
    }
    return Examination(
        findings=findings, device=device, kernels=compiled, noise=found, repeated=repeated
    )


def _hardware(device: Device) -> dict[str, str]:
    return {
        "dsx": dsx.__version__,
        "processor": device.processor,
        "cores": _cores(device),
        "power settings": device.power or "not reported by this system",
        "memory": f"{device.memory_gib} GiB",
        "system": device.system,
        "python": device.python,
        "torch": f"{device.torch} ({device.torch_build})",
        "torch threads": f"{torch.get_num_threads()} (a search uses the number in its space)",
        "gpu": device.gpu or "none",
        "energy": _energy(),
        "throttling": _throttling(),
    }


def _software() -> dict[str, str]:
    return {
        "compiler": shlex.join(compiler.command)
        if (compiler := find_compiler()) is not None
        else "none (required by the backend compile, and to install the kernels)",
        **{package: _package(package, use) for package, use in OPTIONAL.items()},
        "spaces": ", ".join(shipped_spaces()),
    }


def _cores(device: Device) -> str:
    if device.cpu_quota is None:
        return str(device.cores)
    return f"{device.cores} (the container limits the CPU time to {device.cpu_quota:g} cores)"


def _kernels(found: Kernels | Unsupported) -> str:
    if isinstance(found, Unsupported):
        return f"none: {found.reason}"
    others = [name for name in found.instruction_sets if name != found.instruction_set]
    threads = "several threads" if found.has_threads else "one thread (compiled without OpenMP)"
    possible = f" (also possible: {', '.join(others)})" * bool(others)
    return f"{found.instruction_set}{possible}, {threads}, compiled by {found.compiler}"


def _gpu_kernels(problem: Unsupported | None) -> str:
    return "Triton" if problem is None else f"none: {problem.reason}"


def _energy() -> str:
    no_rapl, no_nvml = unsupported_cpu_energy(), unsupported_gpu_energy()
    if no_rapl is not None and no_nvml is not None:
        return no_rapl.reason
    counters = {"processor (RAPL)": no_rapl, "GPU (NVML)": no_nvml}
    return ", ".join(name for name, problem in counters.items() if problem is None)


def _throttling() -> str:
    reported = {"processor": throttle_events() is not None, "GPU": unsupported_nvml() is None}
    devices = " and ".join(name for name, known in reported.items() if known)
    return f"detected on the {devices}" if devices else "not reported by this system"


def _calibrated(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, str]:
    """Describe the new reference time; those for other situations are measured when needed."""
    ((alone, milliseconds),) = now.items()
    previous = f"previously {before[alone]:.3f} ms" if alone in before else "previously none"
    others = len(before.keys() - {alone})
    later = f"; {others} more will be measured with the next timing of each" * bool(others)
    return {"reference time": f"re-calibrated: {milliseconds:.3f} ms ({previous}){later}"}


def _noise(found: NoiseCheck, device: Device) -> dict[str, str]:
    others = found.load.machine.others
    cores = "unknown" if others is None else f"{others:g} cores"
    return {
        "idle": "yes"
        if found.is_stable
        else "no: latencies measured now will be flagged as noisy or unconverged",
        "other processes": f"use {cores}" if others is not None else cores,
        "reference workload": f"{found.reference_ms:.3f} ms, drift {found.drift:.2f}; spread "
        f"{found.block_spread:.1%} between blocks, {found.reading_spread:.1%} between readings "
        "(10th to 90th percentile)",
        "advice": "; ".join(found.advice(device)) or "none",
    }


def _package(package: str, use: str) -> str:
    found = importlib.util.find_spec(package) is not None
    return f"{'installed' if found else 'not installed'} ({use})"


def _database(storage: str, device: Device) -> tuple[str, Agreement | None]:
    url = display_url(parse_url(storage))
    try:
        engine = open_database(storage, create=False)
    except StorageError as error:
        return str(error), None
    description = f"{url}, {len(list_studies(engine))} studies"
    return description, load_agreement(engine, device.fingerprint)
