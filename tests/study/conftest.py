"""What the tests of studies share: an empty database, and finished studies that are only read."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dsx.study.run import search
from tests.study.again import change, leave_open, searched
from tests.study.forms import let_forms_be
from tests.study.spaces import QUICK, STATIC, TINY


@pytest.fixture(autouse=True)
def own_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Select deployed forms independently of the clock, and not the dense one."""
    let_forms_be(own=True, patch=monkeypatch)


@pytest.fixture
def storage(tmp_path: Path) -> str:
    """A database that does not exist yet."""
    return f"sqlite:///{tmp_path}/dsx.db"


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with two finished studies, `static` (the older one) and `tiny`; only read it."""
    storage = f"sqlite:///{tmp_path_factory.mktemp('finished')}/dsx.db"
    search(STATIC, trials=6, storage=storage)
    search(TINY, trials=4, storage=storage)
    return storage


@pytest.fixture
def copied(finished: str, tmp_path: Path) -> str:
    """A copy of that database, to be written to; without the weights."""
    file = tmp_path / "dsx.db"
    with (
        closing(sqlite3.connect(finished.removeprefix("sqlite:///"))) as old,
        closing(sqlite3.connect(file)) as new,
    ):
        old.backup(new)
    return f"sqlite:///{file}"


@pytest.fixture(scope="session")
def open_study(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with the study `quick`, in which any design may dominate another; only read it."""
    storage = searched(QUICK, tmp_path_factory.mktemp("open"))
    change(storage, leave_open)
    return storage
