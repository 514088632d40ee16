"""Designs of the archived study of the repository."""

from pathlib import Path

import pytest

from dsx.report.show.rows import ShownDesign
from dsx.report.studies.reader import load_archive
from dsx.search.design.slot_table import load_slots
from dsx.store.studies.results import StudyResults

DIGITS = Path(__file__).parents[3] / "studies" / "digits"


@pytest.fixture(scope="session")
def digits() -> StudyResults:
    return load_archive(DIGITS)


@pytest.fixture(scope="session")
def knee(digits: StudyResults) -> ShownDesign:
    entry = digits.front.knee
    return ShownDesign(results=digits, entry=entry, slots=load_slots(digits, entry))


@pytest.fixture(scope="session")
def baseline(digits: StudyResults) -> ShownDesign:
    return ShownDesign(results=digits, entry=digits.front.pick("baseline"), slots=None)
