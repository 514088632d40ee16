"""Fixtures of the tests of commands: a folder with finished studies."""

from pathlib import Path

import pytest

from tests.cli.running import dsx
from tests.search.spaces import STATIC, TINY


@pytest.fixture(scope="session")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the studies `static` (the older one) and `tiny`; tests only read it."""
    folder = tmp_path_factory.mktemp("used")
    for space in (STATIC, TINY):
        assert dsx("search", space, "--trials", 4, folder=folder).code == 0
    return folder
