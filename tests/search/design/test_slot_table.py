"""The slots of a design of a study."""

import dataclasses
from pathlib import Path

import pytest

from dsx.errors import StorageError
from dsx.report.studies.reader import load_archive
from dsx.search.design.slot_table import load_slots
from dsx.space.space import load_space
from dsx.store.studies.results import StudyResults

DIGITS = Path(__file__).parents[3] / "studies" / "digits"


@pytest.fixture(scope="module")
def results() -> StudyResults:
    return load_archive(DIGITS)


def test_the_costs_are_those_of_the_design(results: StudyResults) -> None:
    front = results.front
    entry = next(e for e in front.on_front if "learned" not in str(e.spec))
    table = load_slots(results, entry)
    assert table is not None
    assert [row.slot.name for row in table.rows] == list(entry.spec)
    for name, value in table.total.numbers.items():
        assert entry.metrics[name].value == value


def test_foreign_code_is_not_run(results: StudyResults) -> None:
    text = results.space_text.replace("small_cnn", "nowhere.nets:build")
    foreign = dataclasses.replace(results, space_text=text)
    assert text != results.space_text
    assert load_slots(foreign, results.front.knee) is None


def test_another_space_is_refused(results: StudyResults) -> None:
    with pytest.raises(StorageError, match="not the space of study 'digits'"):
        load_slots(results, results.front.knee, load_space("cifar10-vgg16"))
