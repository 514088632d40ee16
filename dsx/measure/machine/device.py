"""Device: the machine on which metrics are measured."""

import functools
import math
import os
import platform
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import torch

from dsx.measure.machine import nvml as _nvml
from dsx.measure.machine.power import power_settings
from dsx.plain import canonical_hash


@dataclass(frozen=True, kw_only=True)
class Device:
    """The properties of a machine that affect measured values.

    Properties that vary by themselves, such as clock frequency, temperature and load, are excluded.

    Args:
        processor: Model name of the processor.
        cores: Number of logical cores that this process may use.
        memory_gib: Main memory in GiB, rounded.
        system: Operating system and machine architecture.
        python: Version of Python.
        torch: Version of torch.
        torch_build: Commit of torch, its instruction set and its libraries.
        cpu_quota: CPU quota of the container in cores; None without a limit.
        power: Power settings of the processor; empty if unknown.
        gpu: Models, memory, driver and power limits of the GPUs that torch sees; empty without
            GPUs.
    """

    processor: str
    cores: int
    memory_gib: int
    system: str
    python: str
    torch: str
    torch_build: str = ""
    cpu_quota: float | None = None
    power: str = ""
    gpu: str = ""

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits; measurements of different fingerprints are not comparable."""
        # Unknown properties are omitted, so that a new property does not change other devices.
        facts = {name: value for name, value in asdict(self).items() if value not in ("", None)}
        return canonical_hash(facts)


@functools.cache
def this_device() -> Device:
    """Describe this machine.

    Returns:
        The device, which is the same for the whole process.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores, quota = allowed or 1, cpu_quota()
    return Device(
        processor=_processor(),
        cores=cores if quota is None else min(cores, math.ceil(quota)),
        memory_gib=round(psutil.virtual_memory().total / 2**30),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        torch=str(torch.__version__),
        torch_build=_torch_build(),
        cpu_quota=None if quota is None or quota >= cores else quota,
        power=power_settings(),
        gpu="; ".join(_gpu(number) for number in range(torch.cuda.device_count())),
    )


def crowded(threads: int) -> str | None:
    """Check whether more threads are requested than there are cores.

    Args:
        threads: Number of threads.

    Returns:
        A note for the user; None if there are enough cores.
    """
    cores = this_device().cores
    if threads <= cores:
        return None
    available = f"{cores} cores" if cores > 1 else "one core"
    return f"note: {threads} threads on {available}: they compete, so that timings are unreliable"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Hardware", "cpu model"):
                return " ".join(value.split())
    return platform.processor() or platform.machine()


def _torch_build() -> str:
    """Return the properties, other than the version, that determine which code torch runs."""
    facts = [f"git {torch.version.git_version[:10]}", torch.backends.cpu.get_cpu_capability()]
    onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    mkl = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    facts += ["oneDNN" if onednn else "no oneDNN", "MKL" if mkl else "no MKL"]
    if torch.cuda.is_available():
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        facts.append(f"CUDA {torch.version.cuda}, cuDNN {cudnn}")
    return ", ".join(facts)


def _gpu(number: int) -> str:
    properties = torch.cuda.get_device_properties(number)
    limit = _nvml.power_limit_watts(number)
    facts = [properties.name, f"{round(properties.total_memory / 2**30)} GiB", _driver()]
    facts.append("" if limit is None else f"limit {limit} W")
    return ", ".join(fact for fact in facts if fact)


def _driver(version: Path = Path("/proc/driver/nvidia/version")) -> str:
    # Not read from NVML, because installing its package must not change the fingerprint.
    text = version.read_text() if version.exists() else ""
    found = re.search(r"Kernel Module.*?(\d+(?:\.\d+)+)", text)
    return f"driver {found[1]}" if found else ""


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Return the CPU time that this process may use by the control groups of Linux.

    Args:
        root: Folder that contains /proc and /sys.

    Returns:
        Number of cores: the minimum over all groups that contain this process; None without a
        limit.
    """
    listed = root / "proc/self/cgroup"
    if not listed.exists():
        return None
    quotas = []
    for line in listed.read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        if not controllers:
            quotas += _quotas_above(root / "sys/fs/cgroup", group, _quota_v2)
        elif "cpu" in controllers.split(","):
            quotas += _quotas_above(root / "sys/fs/cgroup/cpu", group, _quota_v1)
    return min(quotas, default=None)


def _quotas_above(mount: Path, group: str, read: Callable[[Path], float | None]) -> list[float]:
    """Read the quotas of a group and of all visible groups that contain it."""
    inside = mount / group.lstrip("/")
    # In a container, the root of the tree is its own group, which has another name outside.
    folders = [folder for folder in (inside, *inside.parents) if folder.is_relative_to(mount)]
    found = [read(folder) for folder in folders]
    return [quota for quota in found if quota is not None]


def _quota_v2(folder: Path) -> float | None:
    file = folder / "cpu.max"
    if not file.exists():
        return None
    limit, period = file.read_text().split()
    return None if limit == "max" else int(limit) / int(period)


def _quota_v1(folder: Path) -> float | None:
    limit, period = folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us"
    if not (limit.exists() and period.exists()):
        return None
    allowed = int(limit.read_text())
    return None if allowed < 0 else allowed / int(period.read_text())
