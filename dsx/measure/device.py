"""Device: the machine that numbers are measured on."""

import functools
import hashlib
import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import torch


@dataclass(frozen=True, kw_only=True)
class Device:
    """What tells one machine from another, as far as it changes measured numbers.

    Args:
        processor: Model name.
        cores: Logical cores that this process may use.
        memory_gib: Main memory, rounded.
        system: Operating system and machine architecture.
        python: Version.
        torch: Version and build.
    """

    processor: str
    cores: int
    memory_gib: int
    system: str
    python: str
    torch: str

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits; numbers of different fingerprints are not compared."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@functools.cache
def this_device() -> Device:
    """Describe this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Device(
        processor=_processor(),
        cores=cores or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        torch=str(torch.__version__),
    )


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Hardware", "cpu model"):
                return " ".join(value.split())
    return platform.processor() or platform.machine()
