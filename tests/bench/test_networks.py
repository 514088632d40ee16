"""Sampled networks, deployed and timed; public networks, examined and saved."""

from pathlib import Path

import pytest
import torch

from dsx.bench import networks as public
from dsx.bench._networks import Networks, build_networks, sample_designs
from dsx.bench._saved import Saved
from dsx.bench.latency import TINY
from dsx.bench.zoo.catalogue import Architecture
from dsx.bench.zoo.libraries import PACKAGES
from dsx.measure.timing import device_lock as lock
from dsx.space import load_space
from tests.measure.facts import timing


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Networks:
    monkeypatch.setattr(lock, "FOLDER", tmp_path)
    return build_networks(TINY.space, 3, 0.02)


def test_sampled_designs_are_distinct_and_deterministic() -> None:
    space = load_space("digits")
    ten = sample_designs(space, 10)
    assert len({design.id for design in ten}) == 10
    assert not any(design.learned for design in ten)
    assert [design.id for design in sample_designs(space, 4)] == [design.id for design in ten[:4]]


def test_readings_are_in_the_requested_order(three: Networks) -> None:
    with torch.inference_mode():
        outputs = [run() for run in three.runs]
    assert all(isinstance(out, torch.Tensor) and out.shape == (1, 10) for out in outputs)
    found = three.time([2, 0])
    assert len(found.readings) == 2
    assert 0 < found.own_seconds < found.seconds
    # The reference time is measured at the first reading and reused by the next ones.
    (reference,) = three.reference_times.values()
    assert timing(three.time([1]).readings[0]).reference_ms == reference


def test_forms_and_reference_times_are_reused(three: Networks) -> None:
    again = build_networks(TINY.space, 3, 0.02, three.form_cache, {"a": 1.0})
    assert again.form_cache == three.form_cache
    assert again.reference_times == {"a": 1.0}
    assert again.all_dense == three.all_dense


def test_designs_that_fall_back_to_dense_in_every_slot_are_counted(three: Networks) -> None:
    dense = {
        situation: type(choice)(form="dense", seconds={})
        for situation, choice in three.form_cache.items()
    }
    assert build_networks(TINY.space, 3, 0.02, dense).all_dense == 3


SMALL = Architecture(library="dsx", name="small_cnn", side=8, channels=1, classes=10)
MISSING = Architecture(library="dsx", name="small_cnm", side=8)


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_findings_from_before_an_interruption_are_reused(zoo: Path) -> None:
    Saved("networks", PACKAGES).save(
        {each.label: {"failed": f"of {each.name}"} for each in (SMALL, MISSING)}
    )
    reported: list[str] = []
    rows = public.examine_all((SMALL, MISSING), reported.append)
    assert [row["failed"] for row in rows] == ["of small_cnn", "of small_cnm"]
    assert reported == [] and not Saved("networks", PACKAGES).file.exists()


@pytest.mark.slow
def test_a_failed_network_does_not_stop_the_others(zoo: Path) -> None:
    Saved("networks", PACKAGES).save(
        {SMALL.label: {"params": 1, "params_counted": 1, "params_published": None}}
    )
    reported: list[str] = []
    _, failed = public.examine_all((SMALL, MISSING), reported.append)
    assert reported == ["dsx small_cnm, network 2 of 2"]
    assert str(failed["failed"]).startswith("building: DsxError: no net called 'small_cnm'")
