"""Quality of the models of a study."""

from pathlib import Path

import pytest

from dsx.errors import DsxError, WorkFailed
from dsx.search.model_quality import model_quality
from tests.search.again import searched
from tests.search.spaces import QUICK, STATIC, varied


def test_the_models_of_a_study_are_compared_with_its_measurements(tmp_path: Path) -> None:
    storage = searched(QUICK, tmp_path, trials=3)
    accuracy, latency = model_quality("quick", storage=storage)
    assert (accuracy.metric, accuracy.kind) == ("accuracy", "Gaussian process")
    assert (latency.metric, latency.kind) == ("latency_ms", "times of deployed forms")
    assert (accuracy.designs, latency.designs) == (3, 3)
    for each in (accuracy, latency):
        assert each.used and (each.tau is None or -1 <= each.tau <= 1)
    assert model_quality(None, storage=storage)[0] == accuracy


def test_closed_forms_are_exact(tmp_path: Path) -> None:
    storage = searched(STATIC, tmp_path)
    found = model_quality("static", storage=storage)
    assert {each.kind for each in found} == {"closed form"}
    assert {each.tau for each in found} == {None}


def test_objectives_without_models_are_reported(tmp_path: Path) -> None:
    space = varied(
        QUICK, tmp_path, "objectives: {accuracy: maximize, latency_ms: minimize}",
        "objectives: {accuracy: maximize}",
    )  # fmt: skip
    storage = searched(space, tmp_path, trials=1)
    with pytest.raises(WorkFailed, match="study 'quick' has no models"):
        model_quality("quick", storage=storage)
    with pytest.raises(DsxError, match="'other'"):
        model_quality("other", storage=storage)
