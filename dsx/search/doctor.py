"""Doctor: what this machine and this database offer a study."""

import importlib.util
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

import torch

import dsx
from dsx.errors import StorageError
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
    "torchvision": "its networks as models",
    "optuna_dashboard": "Optuna's own pages of a study",
    "psycopg": "PostgreSQL as the database",
    "onnxruntime": "a backend, with onnx and onnxscript",
    "onnx": "for onnxruntime",
    "onnxscript": "for onnxruntime",
    "openvino": "a backend",
    "pynvml": "power limit, throttling and energy of NVIDIA GPUs",
}


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What was found.

    Args:
        findings: In words, by subject.
        device: This machine.
        quiet: How quiet it is.
        repeated: Result of the A/A check over the database; None without a database.
    """

    findings: Mapping[str, str]
    device: Device
    quiet: NoiseCheck
    repeated: Agreement | None


def examine(storage: str, calibrate: bool = False) -> Examined:
    """Look at the machine; takes a few seconds, since its quietness is measured.

    Args:
        storage: The database that would be used.
        calibrate: Whether the sentinel's references are taken anew; databases keep those that they
            have.

    Returns:
        What was found.
    """
    device = this_device()
    reference_times = MachineReferenceTimes(device.fingerprint)
    forgotten = reference_times.reset() if calibrate else {}
    # A search that runs may add its own to those of the machine meanwhile.
    taken: dict[str, float] = {}
    found = check_noise(taken if calibrate else reference_times)
    reference_times.update(taken)
    database, repeated = _database(storage, device)
    findings = {
        **_offers(device),
        **(_calibrated(forgotten, taken) if calibrate else {}),
        **_quietness(found, device),
        "fingerprint": device.fingerprint,
        **_software(),
        "database": database,
        "A/A check": "no readings" if repeated is None else repeated.words,
    }
    return Examined(findings=findings, device=device, quiet=found, repeated=repeated)


def _offers(device: Device) -> dict[str, str]:
    return {
        "dsx": dsx.__version__,
        "processor": device.processor,
        "cores": _cores(device),
        "power settings": device.power or "not told by this system",
        "memory": f"{device.memory_gib} GiB",
        "system": device.system,
        "python": device.python,
        "torch": f"{device.torch} ({device.torch_build})",
        "torch threads": f"{torch.get_num_threads()} (a search uses as many as its space says)",
        "gpu": device.gpu or "none",
        "energy": _energy(),
        "throttling": _throttling(),
    }


def _software() -> dict[str, str]:
    return {
        "compiler": shutil.which("cc")
        or shutil.which("gcc")
        or "none (only the backend compile needs one)",
        **{package: _package(package, use) for package, use in OPTIONAL.items()},
        "spaces": ", ".join(shipped_spaces()),
    }


def _cores(device: Device) -> str:
    if device.cpu_quota is None:
        return str(device.cores)
    return f"{device.cores} (CPU time of {device.cpu_quota:g}: a limit of this container)"


def _energy() -> str:
    no_rapl, no_nvml = unsupported_cpu_energy(), unsupported_gpu_energy()
    if no_rapl is not None and no_nvml is not None:
        return no_rapl.reason
    counters = {"processor (RAPL)": no_rapl, "GPU (NVML)": no_nvml}
    return ", ".join(name for name, problem in counters.items() if problem is None)


def _throttling() -> str:
    told = {"processor": throttle_events() is not None, "GPU": unsupported_nvml() is None}
    there = " and ".join(of for of, known in told.items() if known)
    return f"noticed on the {there}" if there else "not told by this system"


def _calibrated(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, str]:
    """Say what became of the references; those of networks are taken when they are needed."""
    ((alone, milliseconds),) = now.items()
    was = f"{before[alone]:.3f} ms before" if alone in before else "there was none"
    others = len(before.keys() - {alone})
    beside = f"; {others} beside networks will be, with the next timing of each" * bool(others)
    return {"reference": f"taken anew: {milliseconds:.3f} ms ({was}){beside}"}


def _quietness(found: NoiseCheck, device: Device) -> dict[str, str]:
    others = found.load.machine.others
    told = "unknown" if others is None else f"{others:g} cores"
    return {
        "quiet": "yes" if found.is_stable else "no: latencies taken now will be marked, or wide",
        "others": f"{told} at work for other processes",
        "reference_workload": f"{found.reference_ms:.3f} ms, {found.drift:.2f} of its reference; spread "
        f"{found.block_spread:.1%} from block to block, {found.reading_spread:.1%} from reading "
        "to reading (10th to 90th percentile)",
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
    words = f"{url}, {len(list_studies(engine))} studies"
    return words, load_agreement(engine, device.fingerprint)
