"""The training loop: reproducibility, progress, and failures."""

import dataclasses
import functools
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from docs import training
from dsx.conv import ConvSpec, ShapeSchedule
from dsx.conv.modules.learned import LearnedConv2d
from dsx.errors import DsxError, TrialFailed
from dsx.space import load_space, redesign
from dsx.space.yaml.schema import Train
from dsx.train import DECISION_RATE, predict, train
from dsx.train.repeatable import epoch_order
from dsx.train.schedule import one_cycle
from tests.train.cases import ALL_AUGMENTATIONS
from tests.train.networks import (
    BINARY,
    LEARNED,
    SHORT,
    Double,
    Plain,
    digits,
    equal_states,
    fresh,
    with_decisions,
    with_dropout,
)


def weights(settings: Train, network: nn.Module | None = None) -> dict[str, Tensor]:
    """Train a new network, and return its state."""
    network = network or fresh()
    train(network, digits(300), settings)
    return network.state_dict()


def modified(**values: object) -> Train:
    """Return the short settings with some values replaced."""
    return Train.model_validate({**SHORT.model_dump(), **values})


@pytest.mark.parametrize(
    "settings",
    [
        SHORT,
        modified(
            augment=ALL_AUGMENTATIONS.model_dump(), label_smoothing=0.1, clip=1.0, accumulate=3
        ),
        Train(epochs=2, optimizer="adamw", schedule="cosine", seed=3),
        modified(precision="bfloat16", channels_last=True),
    ],
)
@pytest.mark.parametrize("build", [fresh, with_dropout])
def test_the_same_seed_yields_bitwise_equal_weights(
    settings: Train, build: Callable[[], nn.Module]
) -> None:
    first, again = build(), build()
    losses = train(first, digits(300), settings)
    torch.manual_seed(99)
    assert train(again, digits(300), settings) == losses
    assert equal_states(first, again)
    assert not equal_states(first, build())


def test_another_seed_yields_other_weights() -> None:
    first, other = weights(SHORT), weights(modified(seed=4))
    assert not torch.equal(first["stem.0.weight"], other["stem.0.weight"])


def test_training_of_redesigned_networks_is_reproducible() -> None:
    specs = {
        "stages.0.conv1": ConvSpec(kernel_shape="corners", groups=2, channel_stride=0.5),
        "stages.1.conv2": ConvSpec(separable=True, groups=4),
    }
    states = []
    for _ in range(2):
        torch.manual_seed(5)
        states.append(weights(SHORT, redesign(fresh(), specs)))
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("settings", [SHORT, modified(augment=ALL_AUGMENTATIONS.model_dump())])
def test_global_random_states_are_unchanged(settings: Train) -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state(legacy=False)
    weights(settings, with_dropout())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    np.testing.assert_equal(np.random.get_state(legacy=False), before[2])


def test_training_equals_a_plain_training_loop() -> None:
    split, network, other = digits(300), fresh(), fresh()
    losses = train(network, split, SHORT)
    decayed = [p for p in other.parameters() if p.ndim > 1]
    plain = [p for p in other.parameters() if p.ndim == 1]
    assert plain and decayed
    groups: list[dict[str, Any]] = [{"params": decayed, "weight_decay": 5e-4}, {"params": plain}]
    sgd = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True)
    expected = []
    for step in range(8):
        order = epoch_order(300, 3, step // 4)[64 * (step % 4) :][:64]
        for group in sgd.param_groups:
            group["lr"] = 0.1 * one_cycle(step, 8, 0.3)
        loss = F.cross_entropy(other(split.images[order]), split.labels[order])
        sgd.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        sgd.step()
        expected.append(loss.item())
    assert losses == pytest.approx([sum(expected[:4]) / 4, sum(expected[4:]) / 4], rel=1e-5)
    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


def test_the_loss_decreases_and_the_network_learns() -> None:
    network, split = fresh(8), digits(600)
    losses = train(network, split, modified(epochs=4))
    assert len(losses) == 4
    assert losses[-1] < losses[0] / 2
    assert (predict(network, split) == split.labels).float().mean() > 0.8


@pytest.mark.parametrize(
    "settings",
    [
        modified(epochs=6, augment={"crop": 1, "mixup": 0.2}),
        Train(epochs=4, batch_size=32, optimizer="adamw", schedule="cosine", clip=1.0),
        modified(epochs=4, precision="bfloat16", channels_last=True, label_smoothing=0.1),
        modified(epochs=4, momentum=0.0, schedule="cosine"),
    ],
)
def test_the_network_learns_with_various_settings(settings: Train) -> None:
    network, split = fresh(8), digits(600)
    train(network, split, settings)
    assert (predict(network, split) == split.labels).float().mean() > 0.8
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert all(p.is_contiguous() for p in network.parameters())


def test_the_network_is_in_train_mode_while_training_and_in_eval_mode_afterwards() -> None:
    network = fresh().eval()
    modes: list[bool] = []
    network.get_submodule("stem.1").register_forward_hook(
        lambda module, inputs, out: modes.append(module.training)
    )
    train(network, digits(100), SHORT)
    assert modes == [True, True]
    assert not any(module.training for module in network.modules())


def test_dead_weights_remain_zero() -> None:
    network = redesign(fresh(), {"stages.0.conv1": ConvSpec(kernel_shape="cross")})
    conv = network.get_submodule("stages.0.conv1")
    train(network, digits(200), SHORT)
    corner = conv.get_parameter("weight")[:, :, 0, 0]
    assert not corner.any()


@pytest.mark.parametrize(("learning_rate", "epochs"), [(1e6, 3), (1e30, 3), (1e30, 1)])
def test_a_diverging_training_fails_the_trial_and_reports_the_epoch(
    learning_rate: float, epochs: int
) -> None:
    settings = Train(epochs=epochs, batch_size=32, learning_rate=learning_rate, seed=0)
    with pytest.raises(
        TrialFailed, match=r"^training diverged: the loss is (nan|inf) in epoch [1-3]$"
    ):
        train(fresh(), digits(200), settings)


def diverging(from_call: int) -> tuple[nn.Module, list[int]]:
    """Build a network that returns NaN from a given call on, and a list with one entry per call."""
    network = fresh()
    calls: list[int] = []

    def inject_nan(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        calls.append(1)
        return (inputs[0] * (torch.nan if len(calls) >= from_call else 1),)

    network.register_forward_pre_hook(inject_nan)
    return network, calls


def test_the_first_epoch_that_diverges_is_reported() -> None:
    network, _ = diverging(5)
    with pytest.raises(TrialFailed, match=r"the loss is nan in epoch 2$"):
        train(network, digits(200), Train(epochs=3, batch_size=64, learning_rate=0.1, seed=0))


@pytest.mark.parametrize(("seconds", "calls"), [(0.0, 3), (1e9, 10)])
def test_a_diverging_epoch_ends_when_its_loss_is_checked(seconds: float, calls: int) -> None:
    network, seen = diverging(3)
    with pytest.raises(TrialFailed, match=r"the loss is nan in epoch 1$"):
        train(network, digits(200), Train(epochs=2, batch_size=20), check_seconds=seconds)
    assert len(seen) == calls


@pytest.mark.parametrize(
    ("images", "batch", "epochs"), [(20, 64, 2), (20, 20, 1), (20, 19, 1), (3, 2, 7)]
)
def test_any_batch_size_and_number_of_epochs_is_supported(
    images: int, batch: int, epochs: int
) -> None:
    settings = Train(epochs=epochs, batch_size=batch, learning_rate=0.05, seed=0)
    losses = train(fresh(), digits(images), settings)
    assert len(losses) == epochs
    assert all(np.isfinite(losses))


def test_each_epoch_has_full_batches_of_distinct_images() -> None:
    network, split = fresh(), digits(100)
    seen: list[Tensor] = []
    network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].flatten(1)))
    train(network, split, Train(epochs=2, batch_size=30, learning_rate=0.05, seed=0))
    assert len(torch.unique(split.images.flatten(1), dim=0)) == 100
    assert [len(batch) for batch in seen] == [30] * 6
    for epoch in (seen[:3], seen[3:]):
        assert len(torch.unique(torch.cat(epoch), dim=0)) == 90
    assert not torch.equal(torch.cat(seen[:3]), torch.cat(seen[3:]))


@pytest.mark.parametrize("parts", [2, 3, 5, 50])
@pytest.mark.parametrize("augment", [{}, {"mixup": 1.0, "crop": 1}])
def test_accumulated_gradients_yield_the_same_step(parts: int, augment: dict[str, float]) -> None:
    networks = [Plain().double(), Plain().double()]
    networks[1].load_state_dict(networks[0].state_dict())
    settings = modified(
        batch_size=50, learning_rate=0.02, clip=1.0, label_smoothing=0.1, augment=augment
    )
    losses = train(networks[0], Double(digits(100)), settings)
    sizes: list[int] = []
    networks[1].register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    split = settings.model_copy(update={"accumulate": parts})
    assert train(networks[1], Double(digits(100)), split) == pytest.approx(losses, rel=1e-10)
    assert sizes[0] == -(-50 // parts) and sum(sizes) == 200
    for one, other in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_accumulated_gradients_yield_the_same_learned_shapes() -> None:
    states = []
    for parts in (1, 4):
        torch.manual_seed(2)
        specs = {"body.2": ConvSpec(kernel_shape="learned", block_in=2, block_out=2)}
        network = redesign(Plain().double(), specs)
        settings = modified(batch_size=20, learning_rate=0.02, accumulate=parts)
        train(network, Double(digits(200)), settings)
        states.append(network.state_dict())
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("key", "value", "limit"), [("crop", 8, 7), ("cutout", 9, 8), ("crop", 100, 7)]
)
def test_augmentations_that_are_too_large_for_the_images_are_rejected(
    key: str, value: int, limit: int
) -> None:
    problem = f"{value} is too large for images of 8 x 8 pixels (allowed: 0 to {limit})"
    with pytest.raises(DsxError) as caught:
        train(fresh(), digits(20), modified(augment={key: value}))
    assert str(caught.value) == f"train.augment.{key}: {problem}"
    train(fresh(), digits(20), modified(augment={key: limit}))


def test_progress_is_reported_once_per_epoch_by_default() -> None:
    reports: list[tuple[float, float]] = []
    losses = train(
        fresh(), digits(200), modified(epochs=3), report=lambda *report: reports.append(report)
    )
    assert [share for share, _ in reports] == [1 / 3, 2 / 3, 1.0]
    step_reports: list[tuple[float, float]] = []
    assert losses == train(
        fresh(),
        digits(200),
        modified(epochs=3),
        check_seconds=0.0,
        report=lambda *report: step_reports.append(report),
    )
    assert [share for share, _ in step_reports] == [(step + 1) / 9 for step in range(9)]
    latest = [loss for _, loss in step_reports]
    assert latest[2::3] == [loss for _, loss in reports]
    assert losses == pytest.approx([sum(latest[at : at + 3]) / 3 for at in (0, 3, 6)], rel=1e-12)


def test_progress_of_a_long_epoch_is_reported_once_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = (0.4 * tick for tick in range(1000))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    reports: list[float] = []
    settings = modified(epochs=1, batch_size=10)
    train(fresh(), digits(100), settings, report=lambda share, loss: reports.append(share))
    assert reports == [0.3, 0.6, 0.9, 1.0]


@pytest.mark.parametrize("rigid", [False, True])
def test_learned_shapes_are_enabled_and_frozen_at_the_end(rigid: bool) -> None:
    network = with_decisions(dataclasses.replace(LEARNED, rigid=rigid))
    train(network, digits(300), SHORT)
    layers = [module for module in network.modules() if isinstance(module, LearnedConv2d)]
    assert len(layers) == 6
    for layer in layers:
        assert bool(layer.enabled.all()) and bool(layer.frozen)
        assert torch.equal(layer.weight, layer.live_weight())


def test_frozen_shapes_do_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    network = with_decisions(LEARNED)
    seen: list[tuple[float, bool, Tensor]] = []
    layer = next(module for module in network.modules() if isinstance(module, LearnedConv2d))
    advance = ShapeSchedule.advance

    def record(shape_schedule: ShapeSchedule, progress: float) -> None:
        advance(shape_schedule, progress)
        seen.append((progress, bool(layer.frozen), layer.shape_scores.detach().clone()))

    monkeypatch.setattr(ShapeSchedule, "advance", record)
    train(network, digits(600), SHORT)
    assert [frozen for _, frozen, _ in seen] == [progress >= 0.5 for progress, _, _ in seen]
    assert seen[-1][0] == 1
    last = [scores for _, frozen, scores in seen if frozen]
    assert all(torch.equal(scores, last[0]) for scores in last)
    assert not torch.equal(seen[0][2], last[0])


def test_the_reported_losses_exclude_the_regulariser(monkeypatch: pytest.MonkeyPatch) -> None:
    regularised = weights(SHORT, with_decisions(LEARNED))
    plain = train(with_decisions(LEARNED), digits(300), SHORT)
    monkeypatch.setattr(ShapeSchedule, "penalty", lambda shape_schedule, task: None)
    without = with_decisions(LEARNED)
    losses = train(without, digits(300), SHORT)
    scores = "stages.0.conv1.shape_scores"
    assert not torch.equal(regularised[scores], without.state_dict()[scores])
    # The regulariser is as large as the task loss, so that it would be visible in the sum.
    assert plain[0] == pytest.approx(losses[0], rel=0.1)


def test_steps_of_decision_parameters_decay_to_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = with_decisions(BINARY)
    seen: list[Tensor] = []
    proxies = [p for name, p in network.named_parameters() if name.endswith("proxy")]
    advance = ShapeSchedule.advance

    def record(shape_schedule: ShapeSchedule, progress: float) -> None:
        advance(shape_schedule, progress)
        seen.append(torch.cat([proxy.detach().flatten() for proxy in proxies]))

    monkeypatch.setattr(ShapeSchedule, "advance", record)
    train(network, digits(640), SHORT)
    steps = [float((after - before).abs().max()) for before, after in pairwise(seen)]
    assert len(steps) == 20
    assert steps[0] == pytest.approx(DECISION_RATE, rel=1e-3)
    # The steps of Adam are bounded by its learning rate, which decays linearly.
    bounds = [DECISION_RATE * (1 - number / 20) for number in range(20)]
    assert all(step <= 2 * bound for step, bound in zip(steps, bounds, strict=True))


@pytest.mark.parametrize("build", [fresh, lambda: with_decisions(LEARNED)])
def test_the_device_is_yielded_after_each_step_without_changing_the_result(
    build: Callable[[], nn.Module],
) -> None:
    network, expected = build(), build()
    seen: list[str] = []
    network.register_forward_pre_hook(lambda *_: seen.append("step"))
    losses = train(network, digits(300), SHORT, yield_device=lambda: seen.append("yield"))
    # The shape schedule runs learned shapes once before.
    assert seen[-16:] == ["step", "yield"] * 8
    assert seen[:-16] in ([], ["step"])
    assert train(expected, digits(300), SHORT) == losses
    assert equal_states(network, expected)


def test_an_interrupt_while_the_device_is_yielded_ends_the_training() -> None:
    calls: list[int] = []

    def yield_device() -> None:
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(fresh(), digits(300), SHORT, yield_device=yield_device)
    assert len(calls) == 5


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="requires an NVIDIA GPU")
def test_training_on_a_gpu_is_reproducible() -> None:
    networks = [with_dropout().cuda(), with_dropout().cuda()]
    before = torch.cuda.get_rng_state()
    settings = modified(
        augment=ALL_AUGMENTATIONS.model_dump(), precision="auto", channels_last=True
    )
    losses = [train(network, digits(300), settings) for network in networks]
    assert losses[0] == losses[1] and equal_states(*networks)
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert predict(networks[0], digits(100)).device.type == "cpu"


@functools.cache
def mean_accuracy(name: str) -> float:
    """Train a redesign with the default budget of `digits`; docs/training.md has five seeds."""
    space = load_space("digits")
    data = space.splits
    found = []
    for seed in (0, 1):
        untrained = training.redesigned(space, name, training.network(space, seed), keep=False)
        net = training.trained(untrained, data, space.file.train, seed)
        density = training.density(net)
        assert density is None or abs(density - training.DENSITY) <= 0.06
        found.append(training.accuracy(net, data.validation))
    return sum(found) / len(found)


USUAL = ("group (2 groups)", "lhc (free, density .25)", "slbf (k = Cout/2, splits 2, scale)")
"""Presets of each kind of module, which are trained in every run of the tests."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        name if name in USUAL else pytest.param(name, marks=pytest.mark.long)
        for name in training.PRESETS
        if name != "baseline"
    ],
)
def test_each_preset_reaches_97_percent_of_the_baseline(name: str) -> None:
    assert mean_accuracy(name) >= 0.97 * mean_accuracy("baseline")
