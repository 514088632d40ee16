"""A failed test that reads a clock is repeated once, with fresh fixtures, and listed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """\
from pathlib import Path
import pytest

COUNT = Path(__file__).with_name("count")

@pytest.fixture
def fresh():
    return []

def attempt():
    number = int(COUNT.read_text()) + 1 if COUNT.exists() else 1
    COUNT.write_text(str(number))
    return number

@pytest.mark.timing
def test_slow(fresh):
    assert fresh == []
    fresh.append(1)
    assert attempt() > {failures}, "too slow"

{marker}
def test_other():
    assert {other}
"""


def run(folder: Path, *, failures: int, marker: str = "", other: bool = True, workers: int) -> str:
    """Run tests of which the first fails some times; gives the output."""
    text = TESTS.format(failures=failures, marker=marker, other=other)
    (folder / "test_it.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = timing: reads a clock\n")
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "pytest", "-p", "tests.repetition", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *(["-n", str(workers)] if workers else [])],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize("workers", [0, 1])
def test_a_test_that_fails_once_is_repeated_and_listed(tmp_path: Path, workers: int) -> None:
    out = run(tmp_path, failures=1, workers=workers)
    assert "2 passed" in out and "timing tests that were repeated" in out
    assert "test_it.py::test_slow: AssertionError: too slow" in out


def test_a_test_that_fails_twice_has_failed(tmp_path: Path) -> None:
    out = run(tmp_path, failures=2, workers=0)
    assert "1 failed, 1 passed" in out and (tmp_path / "count").read_text() == "2"
    assert "test_it.py::test_slow: AssertionError: too slow" in out


def test_other_tests_are_not_repeated(tmp_path: Path) -> None:
    out = run(tmp_path, failures=0, other=False, workers=0)
    assert "1 failed, 1 passed" in out and "repeated" not in out


def test_without_a_repetition_nothing_is_listed(tmp_path: Path) -> None:
    out = run(tmp_path, failures=0, workers=0)
    assert "2 passed" in out and "repeated" not in out
