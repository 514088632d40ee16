"""The schedule of learned shapes and their regulariser, against the values of design.md."""

import math
from collections import Counter
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from dsx.conv import ConvSpec, ShapeSchedule, build, preset, regulariser
from dsx.conv.modules.learned import LearnedConv2d
from dsx.conv.modules.shape_learning import decisions
from tests.conv.close import assert_equal
from tests.conv.golden import golden, golden_names
from tests.conv.learned_cases import learned_case


def learned(
    cin: int, cout: int, density: float = 0.25, stride: int = 1, rigid: bool = False, block: int = 1
) -> LearnedConv2d:
    """Build a 3 x 3 convolution with learned shapes in small blocks."""
    spec = ConvSpec(
        kernel_shape="learned", density=density, rigid=rigid, block_in=block, block_out=block
    )
    slot = nn.Conv2d(cin, cout, 3, stride, padding=1, bias=False, dtype=torch.float64)
    module = build(spec, slot)
    assert isinstance(module, LearnedConv2d)
    return module


@pytest.mark.parametrize("name", golden_names("lhc_[fr]_*"))
def test_lhc_reg_loss_and_deffects_reg(name: str) -> None:
    case = learned_case(name)
    case.module.shape_scores.grad = None
    loss = regulariser({case.module: case.y.shape[2] * case.y.shape[3]})
    assert_equal(loss, case.fields["reg_loss"])
    loss.backward()  # type: ignore[no-untyped-call]
    assert case.module.shape_scores.grad is not None
    # Frozen shapes have no gradient, in contrast to the published layer.
    learning = 0 if case.module.frozen else 1
    assert_equal(case.module.shape_scores.grad, learning * case.fields["deffects_reg"])


@pytest.mark.parametrize(("suffix", "density"), [("dt01", 0.1), ("dt08", 0.8)])
def test_lhc_reg_two_layers(suffix: str, density: float) -> None:
    case = golden("lhc_reg_two_layers")
    pixels: dict[LearnedConv2d, int] = {}
    for mask, out in zip((case["m1"], case["m2"]), case["howo"].tolist(), strict=True):
        module = learned(mask.shape[2], mask.shape[3], density)
        # Blocks of one channel, so that weights and scores have the same mask.
        module.shape_scores.data = mask - 0.5
        pixels[module] = out
    loss = regulariser(pixels)
    assert_equal(loss, case[f"loss_{suffix}"])
    loss.backward()  # type: ignore[no-untyped-call]
    for module, expected in zip(pixels, case[f"dmask_{suffix}"], strict=True):
        assert module.shape_scores.grad is not None
        assert_equal(module.shape_scores.grad, expected.expand_as(module.shape_scores))
        assert module.weight.grad is None


def test_the_regulariser_calculated_by_hand() -> None:
    one, other = learned(2, 3, 0.5), learned(4, 5, 0.2)
    for module in (one, other):
        nn.init.constant_(module.shape_scores, -0.5)
    with torch.no_grad():
        one.shape_scores[0, 0, :, 0] = 0.5  # two weights of output 0
        other.shape_scores[1, :, 2, 3] = 0.5  # three of output 3
    one.enable(torch.tensor([True, True, False]))  # 18 more
    live, total, pixels = (20, 3), (54, 180), (7, 11)
    share = (live[0] * pixels[0] + live[1] * pixels[1]) / (total[0] * 7 + total[1] * 11)
    target = (54 * 0.5 + 180 * 0.2) / 234
    expected = 0.01 * share + 0.99 * abs(target - 23 / 234)
    assert regulariser({one: 7, other: 11}).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("rigid", [False, True])
@pytest.mark.parametrize("density", [0.1, 0.25, 0.6])
def test_the_regulariser_drives_all_layers_jointly_to_the_target(
    density: float, rigid: bool
) -> None:
    layers = [learned(4, 6, density, rigid=rigid), learned(6, 6, density, rigid=rigid)]
    # Not Adam, because only the magnitude of the gradient depends on the size of a rigid shape.
    optimizer = torch.optim.SGD([layer.shape_scores for layer in layers])
    for step in range(150):
        optimizer.param_groups[0]["lr"] = 3 * (1 - step / 150)
        optimizer.zero_grad()
        regulariser(dict.fromkeys(layers, 4)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    live = sum(layer.layout.live_count for layer in layers)
    # Several blocks change at once around the target, in decreasing steps.
    assert live / (9 * 60) == pytest.approx(density, abs=0.03)


@dataclass
class Record:
    """The actions of a schedule during a simulated training."""

    progress: list[float]
    enabled: list[tuple[float, float]]
    """Progress at which outputs were enabled, and the enabled fraction."""
    frozen: list[float]


def rehearse(
    epochs: int, steps: int, monkeypatch: pytest.MonkeyPatch, outputs: int = 4000
) -> Record:
    """Run the schedule of a layer without training."""
    layer = learned(1, outputs, block=1)
    schedule = ShapeSchedule(nn.Sequential(layer), torch.zeros(1, 1, 2, 2).double(), epochs)
    record = Record([], [], [])
    enable, freeze = layer.enable, layer.freeze

    def record_enable(chosen: Tensor) -> None:
        record.enabled.append((record.progress[-1], float(chosen.double().mean())))
        enable(chosen)

    def record_freeze() -> None:
        record.frozen.append(record.progress[-1])
        freeze()

    monkeypatch.setattr(layer, "enable", record_enable)
    monkeypatch.setattr(layer, "freeze", record_freeze)
    for epoch in range(epochs):
        for step in range(steps):
            record.progress.append((epoch + step / steps) / epochs)
            schedule.advance(record.progress[-1])
            all_enabled = bool(layer.enabled.all())
            assert all_enabled or record.progress[-1] < 0.1
            assert bool(layer.frozen) == (record.progress[-1] >= 0.5)
    record.progress.append(1.0)
    schedule.advance(1.0)
    return record


LONG = [(50, 3), (60, 2), (100, 3), (300, 1)]
SHORT = [(1, 200), (3, 100), (6, 40), (10, 20), (20, 10), (49, 5)]
LENGTHS = pytest.mark.parametrize(("epochs", "steps"), SHORT + LONG)


@LENGTHS
def test_outputs_are_enabled_in_the_warm_up(
    epochs: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = rehearse(epochs, steps, monkeypatch)
    warm = [(progress, share) for progress, share in record.enabled if progress < 0.1]
    assert len(warm) >= 5
    # At least once in every epoch of the warm-up; in long trainings at the start of each epoch.
    warm_up_epochs = math.ceil(0.1 * epochs - 1e-9)
    per_epoch = Counter(int(progress * epochs + 1e-9) for progress, _ in warm)
    assert set(per_epoch) == set(range(warm_up_epochs))
    if (epochs, steps) in LONG:
        assert [progress for progress, _ in warm] == [e / epochs for e in range(warm_up_epochs)]
    # All are enabled once, with the first step after the warm-up.
    after = [event for event in record.enabled if event[0] >= 0.1]
    assert after == [(next(p for p in record.progress if p >= 0.1), 1.0)]


@LENGTHS
def test_the_enabled_fraction_grows_with_the_progress(
    epochs: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = rehearse(epochs, steps, monkeypatch)
    for progress, share in record.enabled:
        if progress < 0.1:
            probability = progress / 0.1
            # Five standard errors for 4,000 outputs.
            error = 5 * math.sqrt(probability * (1 - probability) / 4000)
            assert share == pytest.approx(probability, abs=error + 1e-12)
    assert record.enabled[0] == (0.0, 0.0)


def test_enabled_outputs_are_sampled_independently() -> None:
    layer = learned(1, 4000)
    schedule = ShapeSchedule(nn.Sequential(layer), torch.zeros(1, 1, 2, 2).double(), 100)
    schedule.advance(0.05)
    before = layer.enabled.clone()
    schedule.advance(0.055)  # still in the same epoch
    assert torch.equal(layer.enabled, before)
    schedule.advance(0.06)
    # First half of all outputs, then 60 % both of these and of the others.
    assert float(layer.enabled[before].double().mean()) == pytest.approx(0.6, abs=0.06)
    assert float(layer.enabled[~before].double().mean()) == pytest.approx(0.6, abs=0.06)


@LENGTHS
def test_shapes_are_frozen_half_way_and_again_at_the_end(
    epochs: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = rehearse(epochs, steps, monkeypatch)
    assert record.frozen == [next(p for p in record.progress if p >= 0.5), 1.0]


def test_dead_weights_that_momentum_changed_are_zero_at_the_end() -> None:
    layer = learned(2, 4)
    schedule = ShapeSchedule(nn.Sequential(layer), torch.zeros(1, 2, 2, 2).double(), 4)
    schedule.advance(0.5)
    dead = layer.dense_weight() == 0
    assert not layer.weight[dead].any()
    with torch.no_grad():
        layer.weight.add_(1)
    schedule.advance(0.75)
    assert bool(layer.weight[dead].all())
    schedule.advance(1.0)
    assert not layer.weight[dead].any()
    assert bool(layer.enabled.all()) and bool(layer.frozen)


def test_a_schedule_of_two_steps() -> None:
    layer = learned(2, 4)
    schedule = ShapeSchedule(nn.Sequential(layer), torch.zeros(1, 2, 2, 2).double(), 1)
    task = torch.tensor(3.0, dtype=torch.float64)
    schedule.advance(0.0)
    assert not layer.enabled.any()
    assert schedule.loss(task).item() == 3.0
    schedule.advance(0.5)
    assert bool(layer.enabled.all()) and bool(layer.frozen)
    assert schedule.loss(task) is task
    schedule.advance(1.0)


@pytest.mark.parametrize("densities", [(0.25, 0.25), (0.1, 0.9), (0.9, 0.95)])
def test_the_loss_contains_the_regulariser_with_its_strength(
    densities: tuple[float, float],
) -> None:
    network = nn.Sequential(learned(2, 4, densities[0]), learned(4, 8, densities[1], stride=2))
    first, second = network
    assert isinstance(first, LearnedConv2d) and isinstance(second, LearnedConv2d)
    epochs, steps = 20, 6
    schedule = ShapeSchedule(network, torch.zeros(1, 2, 6, 6).double(), epochs)
    pixels = {first: 36, second: 9}
    target = (9 * 8 * densities[0] + 9 * 32 * densities[1]) / (9 * 40)
    largest = 0.01 + 0.99 * max(target, 1 - target)
    first_losses = []
    for number in range(epochs * steps // 2):
        t = number / (epochs * steps)
        schedule.advance(t)
        task = torch.tensor(2 + math.sin(number), dtype=torch.float64)
        if t < 0.02 - 1e-9:  # the first of the five periods
            first_losses.append(task.item())
        mean = sum(first_losses) / len(first_losses)
        strength = 4 * min(1, t / 0.1) * mean / largest
        expected = task.item() + strength * regulariser(pixels).item()
        assert schedule.loss(task).item() == pytest.approx(expected, abs=1e-12), t
    assert len(first_losses) == 3
    schedule.advance(0.5)
    assert schedule.loss(task) is task


def test_the_regulariser_has_gradients_for_shapes_but_not_for_the_task_loss() -> None:
    layer = learned(2, 4)
    schedule = ShapeSchedule(nn.Sequential(layer), torch.zeros(1, 2, 2, 2).double(), 1)
    task = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    for progress in (0.0, 0.2):
        schedule.advance(progress)
        schedule.loss(task).backward()  # type: ignore[no-untyped-call]
        assert task.grad is not None
        # The strength depends on the value of the task loss, but has no gradient.
        assert task.grad.item() == 1.0
        task.grad = None
    assert layer.shape_scores.grad is not None and bool(layer.shape_scores.grad.any())


def test_a_restored_schedule_continues() -> None:
    uninterrupted, interrupted = learned(2, 40), learned(2, 40)
    interrupted.load_state_dict(uninterrupted.state_dict())
    records = []
    for layer, stops in (
        (uninterrupted, range(0)),
        (interrupted, range(1, 60, 7)),
    ):
        sample = torch.zeros(1, 2, 2, 2).double()
        schedule = ShapeSchedule(layer, sample, 12)
        torch.manual_seed(4)
        record = []
        for number in range(60):
            if number in stops:
                state = schedule.state()
                schedule = ShapeSchedule(layer, sample, 12)
                schedule.restore(state)
            schedule.advance(number / 60)
            penalty = schedule.penalty(torch.tensor(2 + math.sin(number), dtype=torch.float64))
            record.append((None if penalty is None else penalty.item(), layer.enabled.tolist()))
        records.append(record)
    assert records[0] == records[1]
    assert [penalty is None for penalty, _ in records[0]] == [number >= 30 for number in range(60)]


def test_a_returned_state_does_not_change() -> None:
    schedule = ShapeSchedule(learned(2, 4), torch.zeros(1, 2, 2, 2).double(), 4)
    schedule.advance(0.0)
    state = schedule.state()
    schedule.loss(torch.tensor(2.0))
    assert state["first_losses"] == [] and schedule.first_losses == [2.0]


def test_frozen_shapes_remain_frozen_in_a_longer_training() -> None:
    layer = learned(2, 40)
    assert decisions(layer) == {layer.shape_scores: 0.5}
    sample = torch.zeros(1, 2, 2, 2).double()
    short = ShapeSchedule(layer, sample, 1)
    short.advance(0.0)
    short.advance(1.0)
    long = ShapeSchedule(layer, sample, 100)
    long.restore(short.state())
    for number in range(1, 100):
        long.advance(number / 100)
        assert bool(layer.enabled.all()) and bool(layer.frozen)
        assert long.penalty(torch.tensor(1.0)) is None
    assert decisions(layer) == {layer.shape_scores: 0.0}


def test_decisions_of_all_convolutions_are_returned() -> None:
    binary = build(ConvSpec(binary_basis=4), nn.Conv2d(4, 4, 3))
    network = nn.Sequential(nn.Conv2d(2, 4, 3), learned(4, 4), nn.Sequential(binary))
    found = {name: decisions(network).get(p) for name, p in network.named_parameters()}
    assert {name: end for name, end in found.items() if end is not None} == {
        "1.shape_scores": 0.5,
        "2.0.basis_proxy": 1.0,
        "2.0.select_proxy": 1.0,
    }


class Calls(nn.Module):
    """A module that records the mode of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.modes: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        self.modes.append(self.training)
        return x


def test_a_network_without_learned_shapes_is_unchanged() -> None:
    calls = Calls()
    network = nn.Sequential(calls, nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout())
    state = {name: value.clone() for name, value in network.state_dict().items()}
    random = torch.get_rng_state()
    schedule = ShapeSchedule(network, torch.zeros(1, 1, 5, 5), 6)
    task = torch.tensor(1.0)
    for progress in (0.0, 0.01, 0.05, 0.1, 0.5, 1.0):
        schedule.advance(progress)
        assert schedule.loss(task) is task
    assert calls.modes == []
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_modes_and_statistics_of_a_network_are_unchanged() -> None:
    network = nn.Sequential(
        learned(2, 4), nn.BatchNorm2d(4), nn.Sequential(nn.Dropout(), nn.BatchNorm2d(4)), Calls()
    ).double()
    network.train()
    network[2].eval()
    modes = [module.training for module in network.modules()]
    state = {name: value.clone() for name, value in network.state_dict().items()}
    sample = torch.randn(3, 2, 5, 5).double()
    random = torch.get_rng_state()
    ShapeSchedule(network, sample, 6)
    assert [module.training for module in network.modules()] == modes
    assert True in modes and False in modes
    calls = network[3]
    assert isinstance(calls, Calls) and calls.modes == [False]
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
    assert torch.equal(torch.get_rng_state(), random)


def test_output_pixels_are_counted_for_one_image_over_all_calls() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = learned(2, 2, stride=2)
            self.twice = learned(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            out: Tensor = self.twice(self.twice(x)[:, :, 1:])
            return out

    network = Twice()
    for batch in (1, 3):
        schedule = ShapeSchedule(network, torch.zeros(batch, 2, 7, 5).double(), 6)
        assert schedule.pixels == {network.stem: 12, network.twice: 12 + 9}


def test_shapes_of_a_preset_reach_their_density_in_training() -> None:
    network = nn.Sequential(
        build(preset("lhc", density=0.25, block_in=4, block_out=4), nn.Conv2d(1, 16, 3)),
        nn.ReLU(),
        build(preset("lhc", density=0.25, block_in=4, block_out=4), nn.Conv2d(16, 4, 3)),
        nn.Flatten(),
    )
    schedule = ShapeSchedule(network, torch.zeros(1, 1, 5, 5), 10)
    decisions = [p for name, p in network.named_parameters() if name.endswith("shape_scores")]
    optimizer = torch.optim.Adam(decisions, lr=0.02, betas=(0.9, 0.99))
    for step in range(200):
        schedule.advance(step / 200)
        for group in optimizer.param_groups:
            group["lr"] = max(0.0, 0.02 * (1 - step / 100))
        x = torch.randn(8, 1, 5, 5)
        task = (network(x).mean(1) - x.mean((1, 2, 3))).square().mean()
        optimizer.zero_grad()
        schedule.loss(task).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    schedule.advance(1.0)
    layers = [module for module in network if isinstance(module, LearnedConv2d)]
    live = sum(layer.layout.live_count for layer in layers)
    # Free shapes of this size change in blocks of 4 x 4 of 720 weights.
    assert live / 720 == pytest.approx(0.25, abs=0.05)


def test_a_layer_that_is_never_called_is_supported() -> None:
    layer = learned(4, 4, block=2)
    value = regulariser({layer: 0})
    density = float(layer.live().detach()) / layer.total
    assert layer.spec.density is not None
    expected = 0.99 * abs(layer.spec.density - density)
    assert float(value.detach()) == pytest.approx(expected, abs=1e-10)


def test_the_regulariser_is_not_computed_in_half_precision() -> None:
    spec = preset("lhc")
    layer = build(spec, nn.Conv2d(128, 128, 3, padding=1))
    assert isinstance(layer, LearnedConv2d)
    expected = regulariser({layer: 64})
    with torch.autocast("cpu", dtype=torch.float16):
        assert_equal(regulariser({layer: 64}).detach(), expected.detach())
