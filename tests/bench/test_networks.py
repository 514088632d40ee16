"""Networks: the same designs each time, deployed and timed; public ones, in turn and saved."""

from pathlib import Path

import pytest
import torch

from dsx.bench import networks as public
from dsx.bench._networks import Networks, drawn, networks
from dsx.bench.latency import TINY
from dsx.bench.zoo.catalogue import Architecture
from dsx.bench.zoo.saved import Saved
from dsx.measure.timing import device_lock as lock
from dsx.space import load_space
from tests.measure.facts import timing


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Networks:
    monkeypatch.setattr(lock, "FOLDER", tmp_path)
    return networks(TINY.space, 3, 0.02)


def test_draws_are_different_designs_and_always_the_same_ones() -> None:
    space = load_space("digits")
    ten = drawn(space, 10)
    assert len({design.id for design in ten}) == 10
    assert not any(design.learned for design in ten)
    assert [design.id for design in drawn(space, 4)] == [design.id for design in ten[:4]]


def test_they_are_timed_in_the_order_asked_for(three: Networks) -> None:
    with torch.inference_mode():
        outputs = [run() for run in three.runs]
    assert all(isinstance(out, torch.Tensor) and out.shape == (1, 10) for out in outputs)
    found = three.time([2, 0])
    assert len(found.readings) == 2
    assert 0 < found.own_seconds < found.seconds
    # The sentinel was timed at the first reading; the next ones take the same reference.
    (reference,) = three.reference_times.values()
    assert timing(three.time([1]).readings[0]).reference_ms == reference


def test_forms_and_references_are_taken_over(three: Networks) -> None:
    again = networks(TINY.space, 3, 0.02, three.form_cache, {"a": 1.0})
    assert again.form_cache == three.form_cache
    assert again.reference_times == {"a": 1.0}
    assert again.alike == three.alike


def test_designs_that_fall_back_everywhere_are_counted(three: Networks) -> None:
    dense = {
        situation: type(choice)(form="dense", seconds={})
        for situation, choice in three.form_cache.items()
    }
    assert networks(TINY.space, 3, 0.02, dense).alike == 3


SMALL = Architecture(library="dsx", name="small_cnn", side=8, channels=1, classes=10)
LOST = Architecture(library="dsx", name="small_cnm", side=8)


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(public, "ZOO", (SMALL, LOST))
    return tmp_path


def test_findings_from_before_an_interruption_are_not_made_again(zoo: Path) -> None:
    Saved().save({each.label: {"failed": f"of {each.name}"} for each in (SMALL, LOST)})
    told: list[str] = []
    rows = public.run(False, told.append)
    assert [row["failed"] for row in rows] == ["of small_cnn", "of small_cnm"]
    assert told == [] and not Saved().file.exists()


@pytest.mark.slow
def test_a_network_that_fails_stops_no_other_one(zoo: Path) -> None:
    Saved().save({SMALL.label: {"params": 1, "params_counted": 1, "params_published": None}})
    told: list[str] = []
    _, lost = public.run(False, told.append)
    assert told == ["dsx small_cnm, network 2 of 2"]
    assert str(lost["failed"]).startswith("building: DsxError: no net called 'small_cnm'")
