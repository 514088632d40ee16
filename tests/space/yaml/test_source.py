"""Parsing of YAML, and the errors for invalid texts."""

import json
import math
import re
import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dsx.errors import SpaceError
from dsx.space.yaml.source import read_source

STRINGS = st.text("abcdefgz_.- \n\"'#:", min_size=1, max_size=8)
PLAIN_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | STRINGS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STRINGS, inner, max_size=3),
    max_leaves=8,
)


def error_message(text: str) -> str:
    """Return the one-line error for an invalid text."""
    with pytest.raises(SpaceError, match=r"^a\.yaml:[0-9]+:") as caught:
        read_source("a.yaml", text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1, 2\nb: c", "2:2: not YAML: while parsing a flow sequence, expected ',' or ']'"),
        ("a:\tb\n\tc: d", "1:3: not YAML: while scanning for the next token, found character"),
        ("a: 1\n---\nb: 1", "2:1: not YAML: expected a single document in the stream, but found"),
        ("a: *b", "1:4: not YAML: found undefined alias 'b'"),
        ("\na: \x00", "2:4: not YAML: the character '\\x00' is not allowed"),
        ("a: 1\nb: 2\na: 3", "3: a: duplicate key (first defined at line 1)"),
        ("a:\n  - {b: 1, b: 2}", "2: a.0.b: duplicate key (first defined at line 2)"),
        ('a: 1\n"b\\nc": 1\n"b\\nc": 1', "3: b c: duplicate key (first defined at line 2)"),
        ("a: &b [1, *b]", "1: a.1: refers to itself"),
        ("a: 1\n? [b]\n: c", "2: key must be a string; quote it"),
        ("a: 1\n? {b: c}\n: c", "2: key must be a string; quote it"),
        ("a: 1\ntrue: 2", "2: 'true': key must be a string; quote it"),
        ("a: {1: 2}", "1: a: '1': key must be a string; quote it"),
        ("~: 2", "1: '~': key must be a string; quote it"),
        ("a: !!bool maybe", "1:4: tags such as 'tag:yaml.org,2002:bool' are not supported"),
        ("a: !!python/name:os.system ''", "1:4: tags such as 'tag:yaml.org,2002:python/name"),
        (f"a: {2**63}", "1:4: the number is out of range (allowed: up to 9223372036854775807)"),
        (f"a:\n - -{'9' * 5000}", "2:4: the number is out of range"),
        ("a: -1e999", "1:4: the number is out of range (allowed: up to 1.8e308)"),
        (f"a: {'[' * 1200}", "1:54: nested more than 50 levels deep"),
        (f"{'- ' * 1200}x", "1:103: nested more than 50 levels deep"),
    ],
)
def test_invalid_yaml_is_rejected_with_its_line(text: str, problem: str) -> None:
    assert error_message(text).startswith(f"a.yaml:{problem}")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 1e-3), ("2E5", 2e5), ("-1.5e+2", -150.0), (".5e1", 5.0), ("0.2", 0.2), (".5", 0.5),
        ("7", 7), ("1/3", "1/3"), ("e3", "e3"), ("1e", "1e"), ("1e-3x", "1e-3x"), ("'1e3'", "1e3"),
        ("true", True), ("FALSE", False), ("~", None), ("Null", None), ("", None), ("tRue", "tRue"),
        ("yes", "yes"), ("off", "off"), ("n", "n"), ("1:30", "1:30"), ("1_000", "1_000"),
        ("010", 10), ("0o10", 8), ("0x1F", 31), ("0b1", "0b1"), ("+1", 1), ("-0", 0), ("1.", 1.0),
        ("2024-01-31", "2024-01-31"), ("=", "="), ("08", 8), (".inf", math.inf),
        ("-.Inf", -math.inf),
        (str(2**63 - 1), 2**63 - 1), ("0x", "0x"), ("1e400x", "1e400x"), ("٣", "٣"),
    ],
)  # fmt: skip
def test_plain_scalars_are_read_as_the_core_schema_of_yaml_1_2_does(
    written: str, value: object
) -> None:
    content = read_source("a.yaml", f"a: {written}").content["a"]
    assert (content, type(content)) == (value, type(value))


def test_the_default_loader_of_yaml_is_unchanged() -> None:
    read_source("a.yaml", "a: 1e-3")
    assert yaml.safe_load("1e-3") == "1e-3"


def test_each_key_has_its_line() -> None:
    source = read_source("a.yaml", "# first\na: 1\nb:\n  - c: 1\n    d: {e: 2}\n  -\n    c: 3\n")
    assert source.lines == {
        (): 2, ("a",): 2, ("b",): 3, ("b", 0): 4, ("b", 0, "c"): 4, ("b", 0, "d"): 5,
        ("b", 0, "d", "e"): 5, ("b", 1): 7, ("b", 1, "c"): 7,
    }  # fmt: skip


def test_an_error_at_a_missing_key_has_the_line_of_the_enclosing_key() -> None:
    source = read_source("a.yaml", "a: 1\nb:\n  - c: 1\n")
    assert str(source.error(("b", 0, "z", 3), "is\n  odd")) == "a.yaml:3: b.0.z.3: is odd"
    assert str(source.error(("z",), "is odd")) == "a.yaml:1: z: is odd"
    assert str(source.error((), "is odd")) == "a.yaml:1: is odd"


def test_merged_keys_are_read() -> None:
    source = read_source("a.yaml", "a: &all {x: 1, y: 2}\nb: {<<: *all, y: 3}\n")
    assert source.content["b"] == {"x": 1, "y": 3}


def repeated(first: str, line: str, times: int) -> str:
    """Build an alias bomb, in which each line repeats the preceding one."""
    lines = [line.format(n, n - 1) for n in range(1, times)]
    return "\n".join([first, *lines])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (repeated("0: &0 [lol]", "{0}: &{0} [*{1}, *{1}, *{1}, *{1}]", 40), "20,000 values"),
        (repeated("0: &0 {x: 1}", "{0}: &{0} {{<<: [*{1}, *{1}, *{1}]}}", 40), "20,000 values"),
        (repeated("0: &0 [x]", "{0}: &{0} [[[[[[[[[[*{1}]]]]]]]]]]", 400), "50 levels deep"),
        ("a: [" + "1," * 40_000 + "]", "20,000 values"),
        ("x" * 100_001, "100,000 characters"),
    ],
)
@pytest.mark.timing
def test_the_limits_on_size_and_aliases_hold(text: str, problem: str) -> None:
    begin = time.process_time()
    text = re.sub(r"([&*]|^)(\d+)", r"\1k\2", text, flags=re.MULTILINE)
    with pytest.raises(SpaceError, match=problem):
        read_source("a.yaml", text)
    assert time.process_time() - begin < 10


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "\ufeff", "---\n"])
def test_an_empty_file_has_no_content(text: str) -> None:
    assert read_source("a.yaml", text).content is None


@given(PLAIN_VALUES, st.booleans())
def test_dumped_values_are_parsed(value: Any, flow: bool) -> None:
    text = yaml.safe_dump({"a": value}, default_flow_style=flow, allow_unicode=True)
    assert read_source("a.yaml", text).content == {"a": value}
    assert read_source("a.yaml", json.dumps({"a": value})).content == {"a": value}


@given(st.text(max_size=40) | st.text("ab:-[]{},&*!|>?'\"#%@`~<0123.eE\n \t", max_size=30))
def test_any_text_is_parsed_or_rejected_in_one_line(text: str) -> None:
    try:
        read_source("a.yaml", text)
    except SpaceError as error:
        assert "\n" not in str(error)
        assert str(error).startswith("a.yaml:")
