"""A study is resumed only with the search space and on the device of its creation."""

import dataclasses
import datetime
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from dsx import front, search
from dsx.conv.native import Kernels
from dsx.conv.native.library import VARIABLE, load
from dsx.errors import SpaceError, StorageError
from dsx.measure import this_device
from dsx.search import refine_study
from dsx.search.design import load_selected
from dsx.search.plan import make_plan
from dsx.search.resume import create_or_resume, difference_of, with_stored_forms
from dsx.search.sampling.study import StudySampler
from dsx.space import load_space, with_measure_settings
from dsx.store.database.engine import open_database
from dsx.store.database.schema import StudyRow
from dsx.store.measurements.measurements import MeasurementStore
from dsx.store.studies import Study
from tests.search.looking import moved, rows, trials
from tests.search.spaces import STATIC, TIMED, varied

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab.", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ("width: 4", "width: 8", "model_args.width was 4, is 8"),
        ("groups: [1, 2]", "groups: [1, 2, 4]", r"slots.0.groups was \[1, 2\], is \[1, 2, 4\]"),
        ("groups: [1, 2]", "groups: [2, 1]", r"slots.0.groups was \[1, 2\], is \[2, 1\]"),
        ("<= 50%", "<= 70%", 'constraints.flops was "<= 50%", is "<= 70%"'),
        ("\nconstraints:", "\ntrain: {epochs: 2}\nconstraints:", "train.epochs was absent, is 2"),
        (", flops: minimize", "", 'objectives.flops was "minimize", is absent'),
    ],
)
def test_a_changed_space_is_rejected_with_the_difference(
    storage: str, tmp_path: Path, old: str, new: str, difference: str
) -> None:
    search(STATIC, trials=1, storage=storage)
    space = varied(STATIC, tmp_path, old, new)
    refusal = (
        rf"static\.yaml: study 'static' was created with a different search space: {difference} "
        r"\(create another study: study=NAME\)$"
    )
    with pytest.raises(StorageError, match=refusal):
        search(space, trials=2, storage=storage)
    assert len(trials(storage, "static")) == 1
    assert search(space, trials=1, study="other", storage=storage).study == "other"


def test_a_space_can_be_corrected_while_its_study_has_no_results(
    storage: str, tmp_path: Path
) -> None:
    # With another objective, the study of Optuna must be created again too.
    fewer = varied(STATIC, tmp_path, ", flops: minimize", "")
    measurements = MeasurementStore(open_database(storage, create=True), this_device())
    create_or_resume(
        "static",
        make_plan(load_space(fewer), measurements),
        measurements,
        seed=0,
        engine=measurements.engine,
    )
    StudySampler(measurements.engine, "static", {"params": "minimize"}, seed=0)
    found = search(STATIC, trials=2, storage=storage)
    assert list(found.objectives) == ["params", "flops"]
    assert len(found.entries) == 2
    assert len(rows(storage, StudyRow)) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# Nothing to train", "# Nothing at all to train"),
        ("data: digits\n", "data:   digits   # these\n\n"),
        ("{width: 4}", "\n  width: 4"),
        (
            "objectives: {params: minimize, flops: minimize}\n",
            "objectives: {params: minimize, flops: minimize}\ntrain: {}\n",
        ),
    ],
)
def test_an_equivalent_space_is_accepted(storage: str, tmp_path: Path, old: str, new: str) -> None:
    search(STATIC, trials=1, storage=storage)
    assert len(search(varied(STATIC, tmp_path, old, new), trials=2, storage=storage).entries) == 2


def test_another_device_is_rejected_with_the_difference(storage: str) -> None:
    search(STATIC, trials=1, storage=storage)
    engine = open_database(storage, create=True)
    older = dataclasses.replace(this_device(), torch="1.0", cores=4096)
    there = MeasurementStore(engine, older).device
    with Session(engine) as session, session.begin():
        session.get_one(StudyRow, "static").device = there
    refusal = (
        r"^study 'static' was created on another device, .*: "
        r'cores was 4096, is \d+; torch was "1\.0", is "[^;]*" \(create another study: '
        r"study=NAME, or .*: mix_devices=True\)$"
    )
    with pytest.raises(StorageError, match=refusal):
        search(STATIC, trials=2, storage=storage)


def test_a_study_of_another_device_is_resumed_if_devices_may_be_mixed(storage: str) -> None:
    before = search(STATIC, trials=3, storage=storage)
    there = moved(storage, "static", [entry.id for entry in before.entries])
    with Session(open_database(storage, create=True)) as session, session.begin():
        study = session.get_one(StudyRow, "static")
        study.device = there
        reference = study.reference = {name: 2 * end for name, end in study.reference.items()}
    found = search(STATIC, trials=5, storage=storage, mix_devices=True)
    here = this_device().fingerprint
    assert [entry.device for entry in found.entries] == [*[there] * 3, here, here]
    assert found.devices == {there: 1, here: 2}
    # The reference point is that of the device of the study.
    assert found.reference == reference
    own = front("static", storage=storage)
    assert [entry.id for entry in own.entries] == [entry.id for entry in before.entries]
    with pytest.raises(StorageError, match="mix_devices=True"):
        search(STATIC, trials=5, storage=storage)


def test_another_protocol_is_rejected(storage: str) -> None:
    search(STATIC, trials=1, storage=storage)
    engine = open_database(storage, create=True)
    with Session(engine) as session, session.begin():
        study = session.get_one(StudyRow, "static")
        flops = {**study.metrics["flops"], "protocol": "older", "settings": {"version": 0}}
        study.metrics = {**study.metrics, "flops": flops}
    refusal = "'static' was created with another protocol of flops: version was 0, is 1"
    with pytest.raises(StorageError, match=refusal):
        search(STATIC, trials=2, storage=storage)


def test_a_study_stores_its_space_device_and_seed(storage: str) -> None:
    found = search(STATIC, trials=1, seed=5, storage=storage)
    (row,) = rows(storage, StudyRow)
    assert (row.space, row.space_text, row.seed) == ("static", STATIC.read_text(), 5)
    assert (row.device, row.baseline) == (this_device().fingerprint, found.baseline)
    assert row.metrics["flops"]["direction"] == "minimize"


@given(JSON, JSON)
def test_there_is_a_difference_exactly_if_the_contents_differ(old: object, new: object) -> None:
    assert difference_of({"key": old}, {"key": old}) == ""
    differ = difference_of({"key": old}, {"key": new})
    meanings = [json.dumps(content, sort_keys=True) for content in (old, new)]
    assert bool(differ) == (meanings[0] != meanings[1])


def test_dates_can_differ() -> None:
    old, new = datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)
    assert difference_of({"a": old}, {"a": new}) == 'a was "2020-01-01", is "2020-01-02"'


def test_the_forms_of_a_study_are_stored_with_it(storage: str, native: Kernels) -> None:
    search(TIMED, trials=2, storage=storage)
    (row,) = rows(storage, StudyRow)
    assert row.metrics["latency_ms"]["settings"]["deploy"] == row.deploy == "native"
    loaded = load_space(TIMED)
    assert with_stored_forms(loaded, None) is loaded
    assert with_stored_forms(loaded, row).file.measure.deploy == "native"
    other = StudyRow(name="other", deploy="portable", metrics={})
    assert with_stored_forms(loaded, other).file.measure.deploy == "portable"
    explicit = with_measure_settings(loaded, deploy="native")
    assert with_stored_forms(explicit, other).file.measure.deploy == "native"


def test_the_forms_of_a_study_of_schema_version_1_are_those_of_its_timed_metrics() -> None:
    loaded = load_space(TIMED)
    latency = {"stage": "timed", "settings": {"deploy": "portable"}}
    timed = StudyRow(name="timed", metrics={"flops": {"settings": {}}, "latency_ms": latency})
    assert with_stored_forms(loaded, timed).file.measure.deploy == "portable"
    counted = StudyRow(name="counted", metrics={"flops": {"settings": {}}})
    assert with_stored_forms(loaded, counted).file.measure.deploy == "auto"


@pytest.mark.parametrize("space", [TIMED, STATIC], ids=["timed", "static"])
def test_a_study_with_native_forms_is_not_resumed_without_kernels(
    space: Path, storage: str, native: Kernels, request: pytest.FixtureRequest
) -> None:
    search(space, trials=2, storage=storage)
    missing = request.getfixturevalue("no_kernels")
    refusal = (
        f"^study '{space.stem}' was created with native forms, which cannot run here: DSX_KERNELS: "
        rf"no file '{missing}' \(or create another study: study=NAME\)$"
    )
    for resume in (
        lambda: search(space, trials=3, storage=storage),
        lambda: refine_study(space.stem, seconds=1, storage=storage),
        lambda: load_selected(Study.open(storage, space.stem), "knee"),
    ):
        with pytest.raises(StorageError, match=refusal):
            resume()
    assert len(front(space.stem, storage=storage).entries) == 2


def test_a_study_keeps_its_portable_forms_when_there_are_kernels(
    storage: str, native: Kernels, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    request.getfixturevalue("no_kernels")
    search(STATIC, trials=2, storage=storage)
    monkeypatch.delenv(VARIABLE)
    load.cache_clear()
    search(STATIC, trials=3, storage=storage)
    exported = load_selected(Study.open(storage, "static"), "knee").space
    assert exported.file.measure.deploy == "portable"


def test_without_kernels_a_study_has_portable_forms(storage: str, no_kernels: Path) -> None:
    notes: list[str] = []
    search(TIMED, trials=1, storage=storage, report=lambda now: notes.extend(now.notes))
    (row,) = rows(storage, StudyRow)
    assert row.metrics["latency_ms"]["settings"]["deploy"] == row.deploy == "portable"
    reason = f"DSX_KERNELS: no file '{no_kernels}'"
    assert f"measure.deploy: auto selects portable forms, because {reason}" in notes


def test_native_forms_without_kernels_are_refused(
    storage: str, tmp_path: Path, no_kernels: Path
) -> None:
    space = varied(TIMED, tmp_path, "\ndata: digits", "\ndata: digits\nmeasure: {deploy: native}")
    line = rf"timed\.yaml:\d+: measure\.deploy: native: DSX_KERNELS: no file '{no_kernels}' \(allow"
    with pytest.raises(SpaceError, match=line):
        search(space, trials=1, storage=storage)
