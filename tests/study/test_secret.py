"""No password is printed, whatever was typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsx.errors import StorageError
from dsx.study.database import parse_url, shown
from dsx.study.secret import without_password

WORDS = st.text("abcXYZ0189-_.!$%", min_size=1)


@given(WORDS, WORDS)
def test_of_a_url_only_the_password_is_blotted_out(user: str, password: str) -> None:
    url = f"postgresql://{user}:{password}@host:5432/base"
    assert without_password(url) == f"postgresql://{user}:***@host:5432/base"


@pytest.mark.parametrize(
    "text", ["postgresql:/u:s3cret@h/x", "u:s3cret@h", "http//u:s3cret@h", "--storage=a:s3cret@"]
)
def test_nor_is_it_in_what_is_no_url(text: str) -> None:
    assert "s3cret" not in without_password(text)


@pytest.mark.parametrize("text", ["sqlite:///studies/dsx.db", "search", "a@b", "mypkg.models:tiny"])
def test_all_else_stays(text: str) -> None:
    assert without_password(text) == text


@pytest.mark.parametrize("text", ["postgresql:/u:s3cret@h/x", "u:s3cret@h"])
def test_the_refusal_of_what_is_no_url_holds_none(text: str) -> None:
    with pytest.raises(StorageError, match=r"^--storage: '[^']*\*\*\*@h.*' is not a") as refused:
        parse_url(text)
    assert "s3cret" not in str(refused.value)


def test_a_url_is_shown_without() -> None:
    assert shown(parse_url("postgresql://u:s3cret@h/x")) == "postgresql://u:***@h/x"
