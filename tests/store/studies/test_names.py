"""Names of studies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsx.errors import StorageError
from dsx.store.studies.names import check_study_name


@pytest.mark.parametrize(
    "name", ["a", "digits", "7", "My_study-2.1", "x" * 100, "dsx.database", "db"]
)
def test_names_that_are_allowed(name: str) -> None:
    check_study_name(name)


NOT_ALLOWED = (
    "", " ", "x" * 101, "-a", ".a", "_a", "a/b", "a\\b", "a b", "a\n", "é", "٣", "a.db", "A.DB",
    "a.lock", "dsx.db-wal", "dsx.db-shm", "dsx.db-journal", "a\x00", "a\x1b[31m", "..", "\udcff",
)  # fmt: skip


@pytest.mark.parametrize("name", NOT_ALLOWED)
def test_names_that_are_not_allowed(name: str) -> None:
    with pytest.raises(
        StorageError, match=r"^invalid study name '.*' \(allowed: up to 100"
    ) as error:
        check_study_name(name)
    assert str(error.value).isprintable()
    assert str(error.value).endswith("the end none of .lock, .db, .db-wal, .db-shm, .db-journal)")


@given(st.text())
def test_every_allowed_name_is_one_folder(name: str) -> None:
    try:
        check_study_name(name)
    except StorageError:
        return
    assert name.isascii() and name.isprintable() and not set(name) & set("/\\: ~$*?'\"")
