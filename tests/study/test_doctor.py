"""What the machine and the database offer."""

import dataclasses
import re
from pathlib import Path

import pytest

from dsx.errors import StorageError
from dsx.measure import this_device
from dsx.measure._meters import absent_rapl
from dsx.measure.clock import CpuClock
from dsx.measure.sentinel import Sentinel
from dsx.study.doctor import OPTIONAL, _cores, examine
from dsx.study.references import MachineReferences


def test_the_machine_is_described(storage: str) -> None:
    found = examine(storage)
    findings, quiet = found.findings, found.quiet
    assert (quiet.sentinel_ms > 0, found.device) == (True, this_device())
    assert findings["processor"] == this_device().processor
    assert findings["fingerprint"] == this_device().fingerprint
    assert this_device().torch_build in findings["torch"]
    assert findings["energy"] in ("processor (RAPL)", absent_rapl()) or "GPU" in findings["energy"]
    assert "digits" in findings["spaces"].split(", ")
    assert all(findings[name].endswith(f"({use})") for name, use in OPTIONAL.items())
    assert all(isinstance(found, str) and found for found in findings.values())


def test_the_reference_of_this_machine_is_taken_anew(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    references = MachineReferences(this_device().fingerprint)
    references[Sentinel(CpuClock("thread"), 1).situation] = 1e-3
    references["beside a network"] = 0.25
    before = examine(storage).findings
    assert " of its reference" in before["sentinel"]
    assert "--calibrate" in before["advice"]
    found = examine(storage, calibrate=True).findings
    assert "--calibrate" not in found["advice"]
    said = (
        r"taken anew: \d+\.\d{3} ms \(0\.001 ms before\); 1 beside networks will be, with the next "
        "timing of each"
    )
    assert re.fullmatch(said, found["reference"])
    assert [value > 1e-2 for value in references.values()] == [True]


def test_a_container_that_gets_less_than_its_cores_is_told() -> None:
    limited = dataclasses.replace(this_device(), cores=2, cpu_quota=1.5)
    assert _cores(limited) == "2 (CPU time of 1.5: a limit of this container)"
    assert _cores(dataclasses.replace(limited, cpu_quota=None)) == "2"


def test_the_database_is_looked_at_and_not_made(
    storage: str, finished: str, tmp_path: Path
) -> None:
    said = f"no database at {storage}; `dsx search` makes one"
    assert examine(storage).findings["database"] == said
    assert list(tmp_path.iterdir()) == []
    assert examine(finished).findings["database"] == f"{finished}, 2 studies"


def test_no_password_is_shown() -> None:
    found = examine("mysql://u:s3cret@h/x").findings["database"]
    assert found.startswith("mysql://u:***@h/x cannot be opened")


def test_what_is_no_database_url_is_refused() -> None:
    with pytest.raises(StorageError, match="'nothing' is not a database URL"):
        examine("nothing")
