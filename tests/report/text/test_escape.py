"""Text from data in each output format: it is shown literally and not interpreted."""

import csv
import io
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsx.analysis.front import Front
from dsx.analysis.reasons import Outcomes, Reason
from dsx.report.text.escape import cell, code, fenced, html, json_text, markdown, printable_front

TEXTS = st.text(st.characters() | st.sampled_from("\x1b\x9b\n\r\t\u202e\u2028<>&\"'`=+-@$|*_[]\\"))


@given(TEXTS)
def test_html_holds_no_markup(text: str) -> None:
    assert not set(html(text)) & set("<>\"'") and html(text).isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("my_study-2.v1", "my_study-2.v1"),
        ("<b>", "&lt;b&gt;"),
        ("_a_ *b* [c](d) `e` |f| $g$", r"\_a\_ \*b\* \[c\](d) \`e\` \|f\| \$g\$"),
        ("a\n# b", r"a\\n# b"),
    ],
)
def test_markdown_shows_the_text_itself(text: str, shown: str) -> None:
    assert markdown(text) == shown


@given(TEXTS)
def test_code_cannot_be_ended_from_inside(text: str) -> None:
    shown = code(text)
    ticks = len(shown) - len(shown.lstrip("`"))
    assert ticks >= 1 and shown.endswith("`" * ticks)
    assert "`" * ticks not in shown.strip("`")


def test_a_block_of_code_cannot_be_ended_from_inside() -> None:
    first, *lines, last = fenced("a\n````\nb").splitlines()
    assert (first, lines, last) == ("`````text", ["a", "````", "b"], "`````")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("=1+1", "'=1+1"), ("+x", "'+x"), ("-x", "'-x"), ("@x", "'@x"), ("\uff1dx", "'\uff1dx"),
        ("\t=1", "\\t=1"), ("-1.5", "-1.5"), ("+3", "+3"), ("-inf", "-inf"), (-2, -2),
        ("a=b", "a=b"), (None, None), ("", ""),
    ],
)  # fmt: skip
def test_a_cell_is_no_formula_and_a_number_stays_one(value: object, shown: object) -> None:
    assert cell(value) == shown


@given(st.lists(TEXTS, min_size=1, max_size=3))
def test_rows_survive_csv(texts: list[str]) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow([cell(text) for text in texts])
    assert out.getvalue().count("\n") == 1


@given(st.dictionaries(TEXTS, TEXTS, max_size=3), st.booleans())
def test_json_is_an_equivalent_document(document: dict[str, str], ascii_only: bool) -> None:
    text = json_text(json.dumps(document, indent=2, ensure_ascii=ascii_only))
    assert json.loads(text) == document
    assert all(line.isprintable() for line in text.split("\n"))


def test_a_front_with_printable_names_is_returned_unchanged(two: Front) -> None:
    assert printable_front(two) is two


def test_reasons_are_made_printable(two: Front) -> None:
    evil = (Reason(text="\x1b[2J", trials=(1,)),)
    outcomes = Outcomes(failures=evil, violations=evil, baseline_failure="\x07")
    found = printable_front(replace(two, outcomes=outcomes)).outcomes
    assert found.failures == found.violations == (Reason(text="\\x1b[2J", trials=(1,)),)
    assert found.baseline_failure == "\\x07"
