"""Errors: one line, the nearest match and the exit code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsx import search
from dsx.errors import (
    DsxError,
    SpaceError,
    SpecError,
    StorageError,
    TrialFailed,
    Unsupported,
    WorkFailed,
    did_you_mean,
    message_line,
    named_by,
    parameter,
    printable,
    quoted,
    unknown,
    with_type,
)
from tests.search.spaces import STATIC


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


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("cross", "'cross'"),
        ("a\nb\x1b[31m\u202e\udcff", r"'a\nb\x1b[31m\u202e\udcff'"),
        ("naïve 名 🦆", "'naïve 名 🦆'"),
        ("x" * 61, f"'{'x' * 60}...'"),
        (f"postgresql://u:{'p' * 90}@h", "'postgresql://u:***@h'"),
        (3, "'3'"),
    ],
)
def test_values_from_outside_are_quoted_safely(value: object, said: str) -> None:
    assert quoted(value) == said


@given(st.text())
def test_a_message_is_one_printable_line(text: str) -> None:
    line = message_line(text)
    assert line.isprintable() and len(line) <= 300
    assert quoted(text).isprintable() and len(quoted(text)) <= 65


def test_a_long_message_is_shortened_in_the_middle() -> None:
    line = message_line(f"first {'x ' * 1000}last")
    assert (line[:6], line[-4:], len(line)) == ("first ", "last", 299)
    assert " ... " in line


def test_the_first_and_the_nearest_of_many_allowed_names_are_listed() -> None:
    line = unknown("study", "n98x", [f"n{number}" for number in range(99)])
    assert line.endswith("n23, n24, n25, n26 and 79 more). Did you mean 'n98'?")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("caf\u00e9 \u4e2d", "caf\u00e9 \u4e2d"),
        ("a\x1b[31m\n\r\t\x9b\x7f", r"a\x1b[31m\n\r\t\x9b\x7f"),
        ("\u202e\u2066\u2028\ud800", r"\u202e\u2066\u2028\ud800"),
    ],
)
def test_printed_messages_are_one_line_without_control_characters(text: str, shown: str) -> None:
    assert printable(text) == shown and shown.isprintable()


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("two\n  lines"), "ValueError: two lines"),
        (KeyError("a\x1b"), "KeyError: 'a\\x1b'"),
        (AssertionError(), "AssertionError"),
        (OSError("\x1b[2J"), "OSError: \\x1b[2J"),
    ],
)
def test_an_exception_is_described_in_one_printable_line(error: Exception, text: str) -> None:
    assert with_type(error) == text


def test_a_reason_is_never_empty() -> None:
    assert Unsupported("needs a GPU") == Unsupported("needs a GPU")
    with pytest.raises(ValueError, match="needs a reason"):
        Unsupported(" ")


def test_a_python_program_reads_arguments() -> None:
    assert parameter("mix_devices") == "mix_devices"
    assert parameter("mix_devices", True) == "mix_devices=True"
    assert parameter("study", "NAME") == "study=NAME"


def test_another_naming_ends_with_its_context() -> None:
    def shouted(name: str, value: object) -> str:
        return f"{name.upper()} {value}"

    with pytest.raises(DsxError, match=r"^TRIALS None: 0 "), named_by(shouted):
        search(STATIC, trials=0)
    with pytest.raises(DsxError, match=r"^trials: 0 "):
        search(STATIC, trials=0)
