"""Selection of one design of a study with everything that an export needs."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from dsx import front, search
from dsx.analysis.estimate import Estimate
from dsx.conv.deploy import Choice
from dsx.errors import DsxError, StorageError
from dsx.measure import Measurement, this_device
from dsx.search.design.selection import load_selected
from dsx.store.database.engine import open_database
from dsx.store.database.schema import FormRow
from dsx.store.measurements.measurements import MeasurementStore
from dsx.store.studies.study import Study, find_study
from tests.search.again import copy_to
from tests.search.looking import moved, rows
from tests.search.spaces import ONE, TINY, varied


def spans(numbers: Mapping[str, Measurement] | Mapping[str, Estimate]) -> dict[str, list[float]]:
    """Reduce estimates to value, interval and flag."""
    return {name: [v.low, v.value, v.high] for name, v in numbers.items()}


def test_a_design_is_found_with_its_numbers_and_weights(finished: str) -> None:
    found = front("tiny", storage=finished)
    choice = load_selected(Study.open(finished, "tiny"), "knee")
    assert (choice.study, choice.trial) == ("tiny", found.knee.trial)
    assert choice.design.id == found.knee.id
    assert spans(choice.metrics) == spans(found.knee.metrics)
    assert choice.weights is not None
    network = choice.space.network()
    assert choice.weights["head.weight"].shape == network.state_dict()["head.weight"].shape
    assert all(torch.isfinite(tensor).all() for tensor in choice.weights.values())


def test_a_design_measured_on_another_device_is_found_by_its_trial(copied: str) -> None:
    before = front("tiny", storage=copied)
    there = before.entries[2]
    moved(copied, "tiny", [there.id])
    for pick in (f"#{there.trial}", there.id):
        choice = load_selected(Study.open(copied, "tiny"), pick)
        assert choice.design.id == there.id
        assert spans(choice.metrics) == spans(there.metrics)
    # A pick by name considers only the device of the study.
    knee = front("tiny", storage=copied).knee
    assert load_selected(Study.open(copied, "tiny"), "knee").design.id == knee.id != there.id


def test_metrics_are_those_of_the_weights_not_means_over_seeds(copied: str) -> None:
    before = front("tiny", storage=copied)
    measurements = MeasurementStore(open_database(copied, create=True), this_device())
    settings = find_study(measurements.engine, "tiny").metrics["accuracy"]["settings"]
    other = {**settings, "train": {**settings["train"], "seed": 5}}
    protocol = measurements.add_protocol("accuracy", other)
    measurements.add(
        before.baseline, "accuracy", protocol, Measurement(value=0.1, low=0.0, high=0.2)
    )
    found = front("tiny", storage=copied).baseline_entry
    assert found is not None and found.metrics["accuracy"].seeds == 2
    choice = load_selected(Study.open(copied, "tiny"), "baseline")
    assert choice.metrics["accuracy"].value == before.entries[0].metrics["accuracy"].value


def test_all_readings_of_timed_metrics_count_as_in_the_front(
    open_study: str, tmp_path: Path
) -> None:
    storage = copy_to(open_study, tmp_path)
    measurements = MeasurementStore(open_database(storage, create=True), this_device())
    protocol = find_study(measurements.engine, "quick").metrics["latency_ms"]["protocol"]
    for value in (0.5, 0.6, 0.9):
        reading = Measurement(value=value, low=value - 0.01, high=value + 0.01, samples=(value,))
        measurements.add(front("quick", storage=storage).baseline, "latency_ms", protocol, reading)
    found = front("quick", storage=storage).baseline_entry
    assert found is not None and found.metrics["latency_ms"].readings >= 3
    choice = load_selected(Study.open(storage, "quick"), "baseline")
    assert spans(choice.metrics) == spans(found.metrics)
    assert choice.metrics["latency_ms"].readings >= 3


def test_the_newest_study_is_the_default(finished: str) -> None:
    assert load_selected(Study.open(finished, None), "baseline").study == "tiny"


def test_a_design_off_the_front_has_no_weights(storage: str) -> None:
    found = search(ONE, trials=4, storage=storage)
    kept = found.front_ids | {found.baseline}
    off = next(entry for entry in found.entries if entry.id not in kept)
    choice = load_selected(Study.open(storage, "one"), f"#{off.trial}")
    assert (choice.design.id, choice.weights) == (off.id, None)


def test_the_space_is_that_of_the_creation_of_the_study(storage: str, tmp_path: Path) -> None:
    space = varied(TINY, tmp_path, "width: 4", "width: 5")
    search(space, trials=1, storage=storage)
    space.write_text("broken: [")
    choice = load_selected(Study.open(storage, "tiny"), "baseline")
    assert choice.space.file.model_args == {"width": 5}


def test_new_forms_are_not_stored(finished: str) -> None:
    choice = load_selected(Study.open(finished, "tiny"), "baseline")
    choice.form_cache["{}"] = Choice(form="dense", seconds={})
    assert rows(finished, FormRow) == []


def test_missing_designs_and_databases_are_rejected(finished: str, storage: str) -> None:
    with pytest.raises(DsxError, match=r"no design called 'kne' in study 'tiny'.* 'knee'"):
        load_selected(Study.open(finished, None), "kne")
    with pytest.raises(StorageError, match=r"no database at .*dsx\.db; `dsx search` creates one"):
        load_selected(Study.open(storage, None), "knee")
