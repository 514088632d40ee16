"""The device: a fingerprint that stays, and that every difference changes."""

import dataclasses
import json
import re
import subprocess
import sys
from typing import Any

import torch

from dsx.measure import Device, this_device

HERE = Device(
    processor="A 1", cores=2, memory_gib=24, system="Linux x86_64", python="3.11.2", torch="2.13.0"
)


def test_a_fingerprint_never_changes() -> None:
    """Whoever changes it orphans every measurement in every user's database."""
    assert HERE.fingerprint == "74c708ef8e1b"


def test_every_field_changes_the_fingerprint() -> None:
    found = {HERE.fingerprint}
    values: dict[str, Any] = dataclasses.asdict(HERE)
    for name, value in values.items():
        other = value + 1 if isinstance(value, int) else f"{value}+"
        found.add(Device(**(values | {name: other})).fingerprint)
    assert len(found) == 1 + len(values)
    assert all(re.fullmatch("[0-9a-f]{12}", one) for one in found)


def test_this_machine_is_described() -> None:
    device = this_device()
    assert device.torch == torch.__version__
    assert device.python == sys.version.split()[0]
    assert device.cores >= 1
    assert device.memory_gib >= 1
    assert all(str(value) for value in dataclasses.astuple(device))
    assert json.loads(json.dumps(dataclasses.asdict(device))) == dataclasses.asdict(device)


def test_another_process_finds_the_same_device() -> None:
    code = "from dsx.measure import this_device; print(this_device().fingerprint)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == this_device().fingerprint
