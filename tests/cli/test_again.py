"""A command line to be typed again."""

import shlex

from hypothesis import given
from hypothesis import strategies as st

from dsx.cli._again import command_line


@given(st.lists(st.text(st.characters(exclude_characters="@:", exclude_categories=["C"]))))
def test_a_shell_reads_it_as_it_was(words: list[str]) -> None:
    assert shlex.split(command_line(*words)) == ["dsx", *words]


def test_no_password_is_shown() -> None:
    line = command_line("search", "--storage=postgresql://u:s3cret@h/x", "a b.yaml")
    assert line == "dsx search '--storage=postgresql://u:***@h/x' 'a b.yaml'"
