"""Energy counters from trees of files like those of Linux."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from dsx.measure.machine.energy_counters import (
    NvmlMeter,
    RaplMeter,
    packages,
    unsupported_cpu_energy,
    unsupported_gpu_energy,
)
from tests.measure.files import tree

NOBODY = 65534


def domain(name: str, energy: int, end: int = 262_143_328_850) -> dict[str, str]:
    """Return the content of the files of an energy domain."""
    return {"name": f"{name}\n", "energy_uj": f"{energy}\n", "max_energy_range_uj": f"{end}\n"}


def powercap(root: Path, domains: dict[str, dict[str, str]]) -> Path:
    """Write the files of energy domains."""
    return tree(
        root,
        {f"{folder}/{file}": text for folder, own in domains.items() for file, text in own.items()},
    )


def machine(root: Path) -> Path:
    """Write two packages, one near the end of its range, and domains with the same energy."""
    return powercap(
        root,
        {
            "intel-rapl:0": domain("package-0", 1_000_000),
            "intel-rapl:0:0": domain("core", 700_000),
            "intel-rapl:0:1": domain("dram", 100_000),
            "intel-rapl:1": domain("package-1", 9_999_000, end=9_999_999),
            "intel-rapl:2": domain("psys", 3_000_000),
            "intel-rapl-mmio:0": domain("package-0", 1_000_000),
            "intel-rapl": {"enabled": "1\n"},
        },
    )


@contextmanager
def not_root() -> Iterator[None]:
    """Run the body without the rights of root."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


def test_only_whole_packages_are_counted(tmp_path: Path) -> None:
    assert [one.name for one in packages(machine(tmp_path))] == ["intel-rapl:0", "intel-rapl:1"]


def test_packages_are_summed_and_counters_wrap_around(tmp_path: Path) -> None:
    meter = RaplMeter(machine(tmp_path))
    assert meter.spent() == 0
    # 5 mJ of one package; 1 mJ to the end of the range of the other one and 2 mJ more.
    tree(tmp_path, {"intel-rapl:0/energy_uj": "1005000", "intel-rapl:1/energy_uj": "2000"})
    tree(tmp_path, {"intel-rapl:0:0/energy_uj": "704000", "intel-rapl:2/energy_uj": "3009000"})
    assert meter.spent() == 5 + 1 + 2
    assert meter.spent() == 0


def test_machine_without_a_counter_is_unsupported(tmp_path: Path) -> None:
    only = powercap(tmp_path, {"intel-rapl:0": domain("psys", 1)})
    for folder in (tmp_path / "nothing", only):
        problem = unsupported_cpu_energy(folder)
        assert problem is not None
        assert "no energy counter" in problem.reason and str(folder) in problem.reason


def test_unreadable_counter_is_unsupported_with_advice(tmp_path: Path) -> None:
    machine(tmp_path)
    assert unsupported_cpu_energy(tmp_path) is None
    (tmp_path / "intel-rapl:1/energy_uj").chmod(0o000)
    # The folders of pytest are accessible to their owner only.
    temporary = Path(tempfile.gettempdir())
    for folder in (tmp_path, *tmp_path.parents):
        if temporary in folder.parents:
            folder.chmod(0o755)
    with not_root():
        found = unsupported_cpu_energy(tmp_path)
    assert found is not None
    assert "only root" in found.reason
    assert f"sudo chmod a+r {tmp_path}/intel-rapl:*/energy_uj" in found.reason


@pytest.mark.skipif(torch.cuda.is_available(), reason="has an NVIDIA GPU")
def test_without_a_gpu_its_energy_cannot_be_measured() -> None:
    problem = unsupported_gpu_energy()
    assert problem is not None and "no GPU" in problem.reason


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
def test_a_gpu_uses_energy() -> None:
    assert unsupported_gpu_energy() is None
    meter = NvmlMeter()
    x = torch.randn(4096, 4096, device="cuda")
    for _ in range(200):
        x @ x
    torch.cuda.synchronize()
    assert meter.spent() > 0
