"""A study read back: what the search returned, and which study is meant."""

from pathlib import Path

import pytest

from dsx import front, search
from dsx.errors import StorageError
from dsx.space import load_space
from dsx.study.database import open_database
from dsx.study.read import find_study, load_front, load_taken
from dsx.study.tables import COMPLETE
from tests.study.looking import trials
from tests.study.spaces import STATIC, TIMED, varied


def test_the_newest_study_is_meant(finished: str) -> None:
    assert front(storage=finished).study == "tiny"
    assert front("static", storage=finished).study == "static"


def test_an_unknown_study_is_refused_with_the_near_match(finished: str) -> None:
    with pytest.raises(StorageError, match=r"'statc' \(allowed: static, tiny\).*'static'\?$"):
        front("statc", storage=finished)


def test_a_database_without_studies_is_refused(storage: str) -> None:
    engine = open_database(storage, create=True)
    with pytest.raises(StorageError, match="the database holds no study yet"):
        find_study(engine, None)


def test_the_front_says_what_the_space_says(finished: str) -> None:
    found, space = front("static", storage=finished), load_space(STATIC)
    assert found.space == "static"
    assert dict(found.objectives) == dict(space.file.objectives)
    assert found.baseline == space.baseline.id
    assert found.units.keys() == {"params", "flops", "bits"}


def test_every_design_measured_to_the_end_is_there_in_order(finished: str) -> None:
    found, space = front("static", storage=finished), load_space(STATIC)
    complete = [row for row in trials(finished, "static") if row.state == COMPLETE]
    assert [(entry.trial, entry.id) for entry in found.entries] == [
        (row.number, row.design) for row in complete
    ]
    for entry in found.entries:
        assert len(entry.spec) == len(space.census.slots)
        kept = [dials for dials in entry.spec.values() if dials == {"kernel_shape": "keep"}]
        assert entry.redesigned == len(entry.spec) - len(kept)
        assert entry.fallbacks is None
        assert entry.words


def test_the_conditions_say_on_what_and_how(storage: str) -> None:
    found = search(TIMED, trials=2, storage=storage)
    conditions = dict(found.conditions)
    assert conditions.keys() == {
        *("device", "versions", "batch", "dtype", "threads", "deploy", "begun")
    }
    assert (conditions["batch"], conditions["dtype"]) == ("1", "float32")
    assert all(entry.fallbacks is not None for entry in found.entries)
    assert found.entries[0].fallbacks == 0


def test_numbers_of_other_studies_stay_out(finished: str) -> None:
    found = front("static", storage=finished)
    assert all(entry.metrics.keys() == {"params", "flops", "bits"} for entry in found.entries)


def test_every_number_is_read_with_its_making(finished: str) -> None:
    engine = open_database(finished, create=False)
    study = find_study(engine, "tiny")
    taken = load_taken(engine, study)
    found = load_front(engine, "tiny")
    numbers = {
        (entry.id, name): v.value for entry in found.entries for name, v in entry.metrics.items()
    }
    assert {(number.design, number.metric): number.value for number in taken} == numbers
    trained = [number for number in taken if number.metric == "accuracy"]
    assert all(len(number.conditions["losses"]) == 1 for number in trained)
    assert all(number.samples == 0 for number in taken)


def test_what_only_the_operators_count_is_said(storage: str, tmp_path: Path) -> None:
    model = "model: tests.study.models:Functional\nmodel_args: {}\n"
    space = varied(STATIC, tmp_path, "model: small_cnn\nmodel_args: {width: 4}\n", model)
    found = search(space, trials=1, storage=storage)
    flops = int(found.entries[0].metrics["flops"].value)
    # 10 numbers times 10.
    assert f"operators count {flops + 10:,}, dsx {flops:,}:" in found.conditions["flops"]
