"""Device: the fingerprint is stable and depends on every property."""

import dataclasses
import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from dsx.measure import Device, this_device
from dsx.measure.machine.device import _driver, cpu_quota
from tests.measure.files import tree

HERE = Device(
    processor="A 1", cores=2, memory_gib=24, system="Linux x86_64", python="3.11.2", torch="2.13.0"
)
ALL = dataclasses.replace(
    HERE,
    torch_build="git 0123456789, AVX512, oneDNN, MKL",
    cpu_quota=1.5,
    power="governor performance, boost on",
    gpu="A 100, 80 GiB, driver 550.54.15, limit 300 W",
)


def test_fingerprint_never_changes() -> None:
    """A change would invalidate all measurements in all databases."""
    assert HERE.fingerprint == "74c708ef8e1b"
    assert ALL.fingerprint == "8c8a4416f120"


def test_every_field_changes_the_fingerprint() -> None:
    found = {ALL.fingerprint}
    values: dict[str, Any] = dataclasses.asdict(ALL)
    for name, value in values.items():
        other = value + 1 if isinstance(value, int | float) else f"{value}+"
        found.add(Device(**(values | {name: other})).fingerprint)
    assert len(found) == 1 + len(values)
    assert all(re.fullmatch("[0-9a-f]{12}", one) for one in found)


def test_device_of_this_machine() -> None:
    device = this_device()
    assert device.torch == torch.__version__
    assert device.python == sys.version.split()[0]
    assert device.cores >= 1
    assert device.memory_gib >= 1
    assert device.processor
    assert device.system
    assert torch.backends.cpu.get_cpu_capability() in device.torch_build
    assert device.cpu_quota is None or 0 < device.cpu_quota < (psutil.cpu_count() or 1)
    assert bool(device.gpu) == torch.cuda.is_available()
    assert socket.gethostname() not in str(device)
    assert json.loads(json.dumps(dataclasses.asdict(device))) == dataclasses.asdict(device)


def test_device_is_the_same_in_another_process() -> None:
    code = "from dsx.measure import this_device; print(this_device().fingerprint)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == this_device().fingerprint


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15\n"
            "GCC version:  gcc version 11.4.0 (Ubuntu 11.4.0-1ubuntu1~22.04)\n",
            "driver 535.104.05",
        ),
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15  Release Build\n",
            "driver 550.54.15",
        ),
        ("", ""),
    ],
)
def test_driver_version_is_read_without_nvml(tmp_path: Path, text: str, driver: str) -> None:
    (tmp_path / "version").write_text(text)
    assert _driver(tmp_path / "version") == driver
    assert _driver(tmp_path / "nothing") == ""


SERVICE = "0::/work.slice/dsx.service\n"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        (
            # The parent group has a lower limit.
            {
                "proc/self/cgroup": SERVICE,
                "sys/fs/cgroup/work.slice/dsx.service/cpu.max": "400000 100000\n",
                "sys/fs/cgroup/work.slice/cpu.max": "50000 25000\n",
            },
            2.0,
        ),
        (
            # A group that is not visible inside a container, and the group of the container.
            {"proc/self/cgroup": SERVICE, "sys/fs/cgroup/cpu.max": "100000 100000\n"},
            1.0,
        ),
        (
            {
                "proc/self/cgroup": "9:memory:/\n4:cpu,cpuacct:/docker/abc\n0::/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "25000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            0.25,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
    ],
)
def test_minimum_of_quotas(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    assert cpu_quota(tree(tmp_path, files)) == quota
