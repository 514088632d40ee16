"""Examination of the machine and of a database."""

import dataclasses
import re
from pathlib import Path

import pytest
import torch
from sqlalchemy import select
from sqlalchemy.orm import Session

from dsx import front
from dsx.conv.native import Kernels, use
from dsx.errors import StorageError, Unsupported
from dsx.measure import this_device
from dsx.measure.machine.energy_counters import unsupported_cpu_energy
from dsx.measure.timing.clock import CpuClock
from dsx.measure.timing.reference_workload import ReferenceWorkload
from dsx.report.front.page import page
from dsx.search.doctor import OPTIONAL, _cores, _gpu_kernels, _kernels, examine
from dsx.store.database.engine import open_database
from dsx.store.database.schema import MeasurementRow
from dsx.store.measurements.calibration import MachineReferenceTimes
from dsx.store.measurements.repeatability import Agreement
from tests.search.again import copy_to


def test_the_machine_is_described(storage: str) -> None:
    found = examine(storage)
    findings, noise = found.findings, found.noise
    assert (noise.reference_ms > 0, found.device) == (True, this_device())
    assert findings["processor"] == this_device().processor
    assert findings["fingerprint"] == this_device().fingerprint
    assert this_device().torch_build in findings["torch"]
    problem = unsupported_cpu_energy()
    expected = "processor (RAPL)" if problem is None else problem.reason
    assert findings["energy"] == expected or "GPU" in findings["energy"]
    assert "digits" in findings["spaces"].split(", ")
    assert all(findings[name].endswith(f"({use})") for name, use in OPTIONAL.items())
    assert all(isinstance(found, str) and found for found in findings.values())


def test_the_kernels_in_use_are_examined(storage: str, native: Kernels) -> None:
    use("baseline")
    try:
        examined = examine(storage)
    finally:
        use(native.instruction_set)
    assert isinstance(examined.kernels, Kernels)
    assert examined.kernels.instruction_set == "baseline"
    assert examined.findings["kernels"].startswith("baseline")
    flags = Path("/proc/cpuinfo").read_text().split() if Path("/proc/cpuinfo").exists() else []
    if "avx2" in flags and "fma" in flags:
        assert "avx2" in examined.findings["kernels"]


def test_missing_kernels_are_examined(storage: str, no_kernels: Path) -> None:
    examined = examine(storage)
    reason = f"DSX_KERNELS: no file '{no_kernels}'"
    assert examined.kernels == Unsupported(reason)
    assert examined.findings["kernels"] == f"none: {reason}"
    if not torch.cuda.is_available():
        assert examined.findings["kernels for GPUs"] == "none: torch finds no NVIDIA GPU"


def test_kernels_are_described() -> None:
    found = Kernels(
        path="libdsx.so",
        instruction_sets=("avx512", "avx2", "baseline"),
        instruction_set="avx2",
        has_threads=True,
        version="0123abcd",
    )
    assert _kernels(found) == "avx2 (also possible: avx512, baseline), several threads"
    alone = Kernels(
        path="libdsx.so",
        instruction_sets=("baseline",),
        instruction_set="baseline",
        has_threads=False,
        version="0123abcd",
    )
    assert _kernels(alone) == "baseline, one thread (compiled without OpenMP)"
    assert _kernels(Unsupported("no compiler")) == "none: no compiler"
    assert _gpu_kernels(None) == "Triton"
    assert _gpu_kernels(Unsupported("no GPU")) == "none: no GPU"


def test_the_reference_workload_is_recalibrated(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    reference_times = MachineReferenceTimes(this_device().fingerprint)
    reference_times[ReferenceWorkload(CpuClock("thread"), 1).situation] = 1e-3
    reference_times["beside a network"] = 0.25
    before = examine(storage).findings
    assert ", drift " in before["reference workload"]
    assert "calibrate=True" in before["advice"]
    found = examine(storage, calibrate=True).findings
    said = (
        r"re-calibrated: \d+\.\d{3} ms \(previously 0\.001 ms\); 1 more will be measured with the "
        "next timing of each"
    )
    assert re.fullmatch(said, found["reference time"])
    assert [value > 1e-2 for value in reference_times.values()] == [True]
    # If the machine slows down right after the calibration, another attempt is needed.
    advice = (examine(storage, calibrate=True).findings["advice"] for _ in range(5))
    assert any("calibrate=True" not in words for words in advice)


def test_a_cpu_quota_of_the_container_is_reported() -> None:
    limited = dataclasses.replace(this_device(), cores=2, cpu_quota=1.5)
    assert _cores(limited) == "2 (the container limits the CPU time to 1.5 cores)"
    assert _cores(dataclasses.replace(limited, cpu_quota=None)) == "2"


def test_the_database_is_examined_and_not_created(
    storage: str, finished: str, tmp_path: Path
) -> None:
    said = f"no database at {storage}; `dsx search` creates one"
    assert examine(storage).findings["database"] == said
    assert list(tmp_path.iterdir()) == []
    found = examine(finished)
    assert found.findings["database"] == f"{finished}, 2 studies"
    assert found.findings["A/A check"] == "no deployed network has several readings yet"
    assert found.repeated == Agreement()


def test_readings_of_the_same_network_are_checked_against_each_other(
    open_study: str, tmp_path: Path
) -> None:
    storage = copy_to(open_study, tmp_path)
    engine = open_database(storage, create=True)
    with Session(engine) as session, session.begin():
        taken = session.scalars(select(MeasurementRow).where(MeasurementRow.samples != b""))
        for number, row in enumerate(taken.all()):
            facts = {c.name: getattr(row, c.name) for c in MeasurementRow.__table__.columns}
            # The first network has a second reading that differs strongly from the first.
            far = {"low": 999 * row.high, "value": 1e3 * row.high, "high": 1001 * row.high}
            session.add(MeasurementRow(**facts | {"id": None} | ({} if number else far)))
    found = examine(storage)
    assert found.repeated == Agreement(networks=3, pairs=3, agreeing=2)
    said = "2 of 3 pairs of readings of the same deployed network agree within their 95 % intervals"
    assert found.findings["A/A check"] == said
    shown = front("quick", storage=storage)
    assert shown.conditions["A/A check"] == said
    assert said in page(shown, "latency_ms", "accuracy")


def test_no_password_is_shown() -> None:
    found = examine("postgresql://u:s3cret@127.0.0.1:1/x").findings["database"]
    assert found.startswith("postgresql://u:***@127.0.0.1:1/x cannot be opened")


def test_an_invalid_database_url_is_rejected() -> None:
    with pytest.raises(StorageError, match="'nothing' is not a database URL"):
        examine("nothing")
