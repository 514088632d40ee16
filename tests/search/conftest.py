"""Deployed forms are selected independently of the clock."""

import pytest

from tests.search.forms import let_forms_be


@pytest.fixture(autouse=True)
def own_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Select deployed forms independently of the clock, and not the dense one."""
    let_forms_be(own=True, patch=monkeypatch)
