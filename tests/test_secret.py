"""No password is printed, even if a URL is malformed."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dsx.cli import command_line
from dsx.errors import StorageError, message_line, quoted
from dsx.secret import redact_name, redact_url, without_password, without_url_password
from dsx.store.database.engine import display_url, parse_url

PASSWORDS = st.text("abcXYZ0189-_.!$%/@:?#&='\"\\(), ~^+;\n\t\x1b\u202e", min_size=1, max_size=90)
"""Texts around the mark that the tests search for."""
MARK = "Zq7"
FORMS = [
    "postgresql://u:{}@host:5432/base", "postgresql+psycopg://u:{}@host/base?sslmode=require",
    "mysql://:{}@host", "postgresql:/u:{}@host/base", "http//u:{}@host", "u:{}@host", ":{}@host",
    "--storage=postgresql://u:{}@host", "--storage=u:{}@", "postgresql://u%20v:{}@[::1]:5432/base",
    "postgresql://host/base?user=u&password={}", "postgresql://u@host/base?password={}",
    "sqlite:///base.db?sslpassword={}", "x?PASSWORD={}", "host=h user=u password={}",
    "postgresql://u:first@host/base?password={}", "mysql://h/d?passwd={}", "mysql://h/d?pwd={}",
    "x?access_token={}", "x?client_secret={}", "x?passphrase={}",
]  # fmt: skip


def leaks(text: str, secret: str) -> bool:
    """Check whether a text contains the mark, or the whole of a secret."""
    return MARK in text or secret in text


@given(st.sampled_from(FORMS), PASSWORDS, PASSWORDS)
@example(FORMS[0], "/a", "@b")
@example(FORMS[0], "//a", ":b")
@example(FORMS[0], "a b", "c d")
@example(FORMS[0], "x" * 80, "y")
def test_no_part_of_a_password_is_in_a_quoted_value(form: str, before: str, after: str) -> None:
    secret = f"{before}{MARK}{after}"
    value = form.format(secret)
    assert MARK not in redact_url(value)
    assert MARK not in quoted(value)
    assert MARK not in command_line("ls", value)
    assert MARK not in message_line(f"{quoted(value)} is not a database URL")


@given(st.sampled_from(FORMS), st.text("abcXYZ0189-_.!$%/@:?#&=~^+;", max_size=60))
def test_no_part_of_a_password_is_in_a_message_of_another_library(form: str, secret: str) -> None:
    secret = f"{MARK}{secret}{MARK}"
    for text in (
        "cannot open {}",
        "('{}')",
        "argument(s) ({})",
        'File "a.py", line 3, in {}\n f()',
    ):
        assert MARK not in without_password(text.format(form.format(secret)))


@given(st.sampled_from(FORMS), PASSWORDS)
def test_no_part_of_a_password_is_in_the_error_for_an_invalid_url(form: str, after: str) -> None:
    storage = form.format(f"{MARK}{after}")
    try:
        text = display_url(parse_url(storage))
    except StorageError as error:
        text = str(error)
    assert MARK not in text


@given(st.text("abcXYZ0189-_.!$%", min_size=1), st.text("abcXYZ0189-_.!$%/@:?#", min_size=1))
def test_only_the_password_of_a_url_is_replaced(user: str, password: str) -> None:
    url = f"postgresql://{user}:{password}@host:5432/base"
    assert without_password(url) == f"postgresql://{user}:***@host:5432/base"


@given(st.sampled_from(FORMS), st.text("abcXYZ0189-_.!$%/@:?#&=", min_size=1))
def test_redaction_is_idempotent(form: str, password: str) -> None:
    once = without_password(f"'{form.format(password)}'.")
    assert without_password(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:///studies/dsx.db", "search", "a@b", "mypkg.models:tiny", "postgresql://u@host/base",
        "postgresql://host:5432/base", "postgresql://host:5432", "http://127.0.0.1:8080/?x=1", "::",
        "postgresql://[::1]:5432/base", "see https://sqlalche.me/e/20/rfc1738)", "a.yaml:3: x: y",
        "Next: dsx pareto --storage postgresql://u:***@h/d --plot front.html", "password: wrong",
    ],
)  # fmt: skip
def test_other_texts_are_unchanged(text: str) -> None:
    assert without_password(text) == text


@pytest.mark.parametrize(
    "name",
    [
        "stages.0.token_mixer=depthwise", "stages.0.password=keep", "secret_branch=keep",
        "layer1=kernel_shape:cross,groups:4", "token.0.conv=scc,groups:2",
    ],
)  # fmt: skip
def test_a_slot_name_is_not_redacted(name: str) -> None:
    assert quoted(name) == f"'{name}'"
    assert message_line(f"{quoted(name)} matches no slot") == f"'{name}' matches no slot"
    assert command_line("measure", name) == f"dsx measure {name}"


def test_a_file_name_is_not_redacted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "a:b/run@home.yaml"
    assert without_url_password(f"Wrote {name}") == f"Wrote {name}"
    assert message_line(f"{quoted(Path(name))} is there") == f"'{name}' is there"
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir()
    Path(name).touch()
    assert command_line("search", name) == f"dsx search {name}"


@given(st.sampled_from([form for form in FORMS if "://" in form]), PASSWORDS, PASSWORDS)
def test_a_url_in_place_of_a_file_is_redacted(form: str, before: str, after: str) -> None:
    value = form.format(f"{before}{MARK}{after}")
    assert MARK not in quoted(Path(value))
    assert MARK not in redact_name(value)


@pytest.mark.parametrize(
    "text",
    ["x" * 200_000, ":" * 200_000, "://a:" * 50_000, "pwd" * 60_000, "?" * 200_000, "?a&" * 60_000],
)
def test_long_texts_are_redacted_quickly(text: str) -> None:
    assert len(without_password(text)) <= len(text) + 3


@pytest.mark.parametrize("text", ["postgresql:/u:s3cret@h/x", "u:s3cret@h"])
def test_the_error_for_an_invalid_url_is_redacted(text: str) -> None:
    with pytest.raises(StorageError, match=r"^storage: '[^']*\*\*\*@h.*' is not a") as refused:
        parse_url(text)
    assert "s3cret" not in str(refused.value)


def test_a_url_is_shown_without_its_password() -> None:
    assert display_url(parse_url("postgresql://u:s3cret@h/x")) == "postgresql://u:***@h/x"
    assert (
        display_url(parse_url("postgresql://u@h/x?password=s3cret"))
        == "postgresql://u@h/x?password=***"
    )
