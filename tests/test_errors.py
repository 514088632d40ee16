"""Errors are one line, with a near match and an exit code."""

import pytest

from dsx.errors import (
    DsxError,
    SpaceError,
    SpecError,
    StorageError,
    TrialFailed,
    WorkFailed,
    did_you_mean,
    unknown,
)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (DsxError, 2), (SpecError, 2), (SpaceError, 2), (StorageError, 2),
        (WorkFailed, 1), (TrialFailed, 1),
    ],
)  # fmt: skip
def test_exit_codes(kind: type[DsxError], code: int) -> None:
    assert issubclass(kind, DsxError)
    assert kind("why").exit_code == code


def test_near_matches() -> None:
    assert did_you_mean("cros", ["cross", "row"]) == " Did you mean 'cross'?"
    assert did_you_mean("xyzzy", ["cross", "row"]) == ""
    assert did_you_mean("cross", []) == ""
    assert did_you_mean("cros", (word for word in ["cross"])) == " Did you mean 'cross'?"


def test_unknown_names_what_is_allowed_in_order() -> None:
    line = unknown("shape", "cros", iter(["row", "cross"]))
    assert line == "no shape called 'cros' (allowed: cross, row). Did you mean 'cross'?"
    assert "\n" not in line
