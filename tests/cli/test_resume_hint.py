"""Command lines that users can run again."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsx.cli._resume_hint import command_line, saves_measurements


@given(st.lists(st.text(st.characters(exclude_characters="@:", exclude_categories=["C"]))))
def test_a_shell_reads_the_same_words(words: list[str]) -> None:
    assert shlex.split(command_line(*words)) == ["dsx", *words]


def test_no_password_is_shown() -> None:
    line = command_line("search", "--storage=postgresql://u:s3cret@h/x", "a b.yaml")
    assert line == "dsx search '--storage=postgresql://u:***@h/x' 'a b.yaml'"


@pytest.mark.parametrize(
    ("line", "saves"),
    [
        ("search digits", True),
        ("--debug measure digits", True),
        ("refine digits --for 5m", True),
        ("profile digits", True),
        ("pareto search", False),
        ("bench networks --json", True),
        ("bench networks --quick", False),
        ("bench conv --full", True),
        ("bench conv", False),
        ("bench train", False),
        ("export --out measure", False),
        ("space digits", False),
        ("--version", False),
    ],
)
def test_only_commands_that_measure_save_measurements(line: str, saves: bool) -> None:
    assert saves_measurements(line.split()) == saves
