"""Throttling, from a tree of files as Linux shows them."""

from pathlib import Path

import pytest
import torch

from dsx.measure.machine.throttling import events, throttled
from tests.measure.files import tree

CORE, PACKAGE = (f"cpu1/thermal_throttle/{of}_throttle_count" for of in ("core", "package"))


def test_a_counter_that_moves_was_a_throttle(tmp_path: Path) -> None:
    cpus = tree(tmp_path, {CORE: "3\n", PACKAGE: "40\n", "cpu0/thermal_throttle/other": "9\n"})
    before = events(cpus)
    assert before == 43
    assert throttled(before, cpus=cpus) == (False, ())
    tree(cpus, {CORE: "4\n"})
    assert throttled(before, cpus=cpus) == (True, ("temperature",))


def test_where_nothing_is_counted_nothing_is_claimed(tmp_path: Path) -> None:
    assert events(tmp_path) is None
    assert throttled(None, cpus=tmp_path) == (None, ())


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
def test_a_gpu_says_what_holds_it_down() -> None:
    found = throttled(None, gpu=0)
    assert found.throttled in (True, False)
    assert bool(found.reasons) == found.throttled
