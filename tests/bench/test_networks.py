"""Networks: the same designs each time, deployed and timed."""

from pathlib import Path

import pytest
import torch

from dsx.bench._networks import Networks, drawn, networks
from dsx.bench.latency import TINY
from dsx.measure import lock
from dsx.space import load_space


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
    (reference,) = three.references.values()
    assert three.time([1]).readings[0].conditions["sentinel_reference_ms"] == reference


def test_forms_and_references_are_taken_over(three: Networks) -> None:
    again = networks(TINY.space, 3, 0.02, three.known, {"a": 1.0})
    assert again.known == three.known
    assert again.references == {"a": 1.0}
    assert again.alike == three.alike


def test_designs_that_fall_back_everywhere_are_counted(three: Networks) -> None:
    dense = {
        situation: type(choice)(form="dense", seconds={})
        for situation, choice in three.known.items()
    }
    assert networks(TINY.space, 3, 0.02, dense).alike == 3
