"""Deployed forms of the tests of the store are selected without timing."""

import pytest

from tests.search.forms import let_forms_be


@pytest.fixture(autouse=True)
def own_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Select deployed forms without timing, and not the dense form."""
    let_forms_be(own=True, patch=monkeypatch)
