"""Equality of the trainings of all contenders."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dsx.bench import _trainings
from dsx.bench._blocks import Block
from dsx.bench._trainings import CONTENDERS, Work

WORKS = [
    Work(name="digits", width=2, channels=1, images=None, batch=300, epochs=2, rounds=1),
    Work(name="other", width=2, channels=3, images=12, batch=4, epochs=1, rounds=1),
]


@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.name)
@pytest.mark.parametrize("prepare", CONTENDERS.values(), ids=list(CONTENDERS))
def test_each_contender_trains_the_network_and_counts_the_images(
    prepare: Callable[[Work], Block], work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks: list[nn.Module] = []
    seen: list[Tensor] = []
    build = Work.network

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        # dsx runs the network in eval mode before the training.
        if module.training:
            seen.append(inputs[0])

    def network(own: Work) -> nn.Module:
        networks.append(build(own))
        networks[-1].register_forward_pre_hook(note)
        return networks[-1]

    monkeypatch.setattr(Work, "network", network)
    monkeypatch.setattr(_trainings, "keep_freed_memory", lambda: True)
    block = prepare(work)
    before = [p.detach().clone() for p in networks[0].parameters()]
    done = block()
    assert done == sum(len(images) for images in seen)
    # A DataLoader with default settings also returns the last, smaller batch.
    least = (1077 // 300 * 300 if work.images is None else 12) * work.epochs
    assert least <= done <= least + 177 * work.epochs
    assert all(len(images) <= work.batch for images in seen)
    after = networks[0].parameters()
    assert all(not torch.equal(p, old) for p, old in zip(after, before, strict=True))
    assert block() == done


def test_dsx_is_measured_with_its_fast_settings() -> None:
    settings = WORKS[0].settings
    assert (settings.precision, settings.channels_last) == ("auto", True)
    assert (settings.batch_size, settings.epochs) == (300, 2)
