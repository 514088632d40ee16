"""Throttling from a tree of files like those of Linux."""

from pathlib import Path

import pytest
import torch

from dsx.measure.machine.throttling import events, throttled
from tests.measure.files import tree

CORE, PACKAGE = (f"cpu1/thermal_throttle/{of}_throttle_count" for of in ("core", "package"))


def test_counter_that_increases_means_throttling(tmp_path: Path) -> None:
    cpus = tree(tmp_path, {CORE: "3\n", PACKAGE: "40\n", "cpu0/thermal_throttle/other": "9\n"})
    before = events(cpus)
    assert before == 43
    assert throttled(before, cpus=cpus) == (False, ())
    tree(cpus, {CORE: "4\n"})
    assert throttled(before, cpus=cpus) == (True, ("temperature",))


def test_throttling_is_unknown_without_counters(tmp_path: Path) -> None:
    assert events(tmp_path) is None
    assert throttled(None, cpus=tmp_path) == (None, ())


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
def test_throttle_reasons_of_a_gpu() -> None:
    found = throttled(None, gpu=0)
    assert found.throttled in (True, False)
    assert bool(found.reasons) == found.throttled
