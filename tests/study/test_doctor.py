"""What the machine and the database offer."""

from pathlib import Path

import pytest

from dsx.errors import StorageError
from dsx.measure import this_device
from dsx.study.doctor import OPTIONAL, examine


def test_the_machine_is_described(storage: str) -> None:
    findings = examine(storage)
    assert findings["processor"] == this_device().processor
    assert findings["fingerprint"] == this_device().fingerprint
    assert "digits" in findings["spaces"].split(", ")
    assert all(findings[name].endswith(f"({use})") for name, use in OPTIONAL.items())
    assert all(isinstance(found, str) and found for found in findings.values())


def test_the_database_is_looked_at_and_not_made(
    storage: str, finished: str, tmp_path: Path
) -> None:
    assert examine(storage)["database"] == f"no database at {storage}; `dsx search` makes one"
    assert list(tmp_path.iterdir()) == []
    assert examine(finished)["database"] == f"{finished}, 2 studies"


def test_no_password_is_shown() -> None:
    found = examine("mysql://u:s3cret@h/x")["database"]
    assert found.startswith("mysql://u:***@h/x cannot be opened")


def test_what_is_no_database_url_is_refused() -> None:
    with pytest.raises(StorageError, match="'nothing' is not a database URL"):
        examine("nothing")
