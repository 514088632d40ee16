"""One training loop: seeded, and a loss that is no number fails the trial with its reason."""

import dataclasses
import functools
import random
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from docs import training
from dsx.conv import ConvSpec, Shaping
from dsx.conv.learned import LearnedConv2d
from dsx.data import TensorSplit
from dsx.data.digits import load
from dsx.errors import TrialFailed
from dsx.nets.small_cnn import SmallCnn
from dsx.space import load_space, redesign
from dsx.space.schema import Train
from dsx.train import DECISION_RATE, PREDICT_BATCH, _optimizers, predict, train

SHORT = Train(epochs=2, batch_size=64, learning_rate=0.1, seed=3)


def part(images: int) -> TensorSplit:
    """Give the first training images."""
    split = load().train
    assert isinstance(split, TensorSplit)
    return TensorSplit(images=split.images[:images], labels=split.labels[:images])


def fresh(width: int = 4) -> nn.Module:
    """Build the same small network every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SmallCnn(width)


def weights(settings: Train, network: nn.Module | None = None) -> dict[str, Tensor]:
    """Train a fresh network and give its state."""
    network = network or fresh()
    train(network, part(300), settings)
    return network.state_dict()


def test_the_same_seed_gives_the_same_weights_bit_for_bit() -> None:
    first, again = weights(SHORT), weights(SHORT)
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_another_seed_gives_other_weights() -> None:
    first, other = weights(SHORT), weights(SHORT.model_copy(update={"seed": 4}))
    assert not torch.equal(first["stem.0.weight"], other["stem.0.weight"])


def test_redesigned_networks_repeat_too() -> None:
    specs = {
        "stages.0.conv1": ConvSpec(kernel_shape="corners", groups=2, channel_stride=0.5),
        "stages.1.conv2": ConvSpec(separable=True, groups=4),
    }
    states = []
    for _ in range(2):
        torch.manual_seed(5)
        states.append(weights(SHORT, redesign(fresh(), specs)))
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_global_random_numbers_are_left_alone() -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state(legacy=False)
    weights(SHORT)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    np.testing.assert_equal(np.random.get_state(legacy=False), before[2])


def test_the_network_does_not_depend_on_random_numbers_drawn_before() -> None:
    torch.manual_seed(1)
    first = weights(SHORT)
    torch.manual_seed(2)
    again = weights(SHORT)
    assert torch.equal(first["head.weight"], again["head.weight"])


def test_the_loss_falls_and_the_network_learns() -> None:
    network, split = fresh(8), part(600)
    losses = train(network, split, SHORT.model_copy(update={"epochs": 4}))
    assert len(losses) == 4
    assert losses[-1] < losses[0] / 2
    assert (predict(network, split) == split.labels).float().mean() > 0.8


def test_the_network_is_in_eval_mode_afterwards() -> None:
    network = fresh().eval()
    train(network, part(100), SHORT)
    assert not any(module.training for module in network.modules())


def test_dead_weights_stay_dead() -> None:
    network = redesign(fresh(), {"stages.0.conv1": ConvSpec(kernel_shape="cross")})
    conv = network.get_submodule("stages.0.conv1")
    train(network, part(200), SHORT)
    corner = conv.get_parameter("weight")[:, :, 0, 0]
    assert not corner.any()


@pytest.mark.parametrize(("learning_rate", "epochs"), [(1e6, 3), (1e30, 3), (1e30, 1)])
def test_training_that_diverges_fails_the_trial_and_names_the_epoch(
    learning_rate: float, epochs: int
) -> None:
    settings = Train(epochs=epochs, batch_size=32, learning_rate=learning_rate, seed=0)
    with pytest.raises(
        TrialFailed, match=r"^training diverged: the loss is (nan|inf) in epoch [1-3]$"
    ):
        train(fresh(), part(200), settings)


def test_the_first_epoch_that_diverges_is_named() -> None:
    network = fresh()

    def poison(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        seen.append(1)
        return (inputs[0] * (torch.nan if len(seen) > 4 else 1),)

    seen: list[int] = []
    network.register_forward_pre_hook(poison)
    with pytest.raises(TrialFailed, match=r"the loss is nan in epoch 2$"):
        train(network, part(200), Train(epochs=3, batch_size=64, learning_rate=0.1, seed=0))


@pytest.mark.parametrize(
    ("images", "batch", "epochs"), [(20, 64, 2), (20, 20, 1), (20, 19, 1), (3, 2, 7)]
)
def test_any_batch_size_and_number_of_epochs_works(images: int, batch: int, epochs: int) -> None:
    settings = Train(epochs=epochs, batch_size=batch, learning_rate=0.05, seed=0)
    losses = train(fresh(), part(images), settings)
    assert len(losses) == epochs
    assert all(np.isfinite(losses))


def test_each_epoch_sees_whole_batches_of_distinct_images() -> None:
    network, split = fresh(), part(100)
    seen: list[Tensor] = []
    network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].flatten(1)))
    train(network, split, Train(epochs=2, batch_size=30, learning_rate=0.05, seed=0))
    assert len(torch.unique(split.images.flatten(1), dim=0)) == 100
    assert [len(batch) for batch in seen] == [30] * 6
    for epoch in (seen[:3], seen[3:]):
        assert len(torch.unique(torch.cat(epoch), dim=0)) == 90
    assert not torch.equal(torch.cat(seen[:3]), torch.cat(seen[3:]))


@pytest.mark.parametrize("images", [1, 7, PREDICT_BATCH, PREDICT_BATCH + 1])
def test_predictions_are_the_largest_logits(images: int) -> None:
    network = fresh().eval()
    x = torch.randn(images, 1, 8, 8)
    with torch.no_grad():
        logits = network(x)
    found = predict(network, TensorSplit(images=x, labels=torch.zeros(images, dtype=torch.int64)))
    assert found.shape == (images,)
    # Where two logits nearly tie, another batch size may round the other way.
    top = logits.topk(2).values
    clear = top[:, 0] - top[:, 1] > 1e-5
    assert clear.float().mean() > 0.9
    assert torch.equal(found[clear], logits.argmax(1)[clear])


LEARNED = ConvSpec(kernel_shape="learned", density=0.25, block_in=4, block_out=2)
BINARY = ConvSpec(binary_basis=4, splits=2)


def deciding(spec: ConvSpec) -> nn.Module:
    """Build a small network whose stages have decisions to learn."""
    names = [f"stages.{stage}.{conv}" for stage in range(3) for conv in ("conv1", "conv2")]
    torch.manual_seed(1)
    return redesign(fresh(8), dict.fromkeys(names, spec))


@pytest.mark.parametrize("rigid", [False, True])
def test_learned_shapes_are_enabled_frozen_and_zero_where_dead_at_the_end(rigid: bool) -> None:
    network = deciding(dataclasses.replace(LEARNED, rigid=rigid))
    train(network, part(300), SHORT)
    layers = [module for module in network.modules() if isinstance(module, LearnedConv2d)]
    assert len(layers) == 6
    for layer in layers:
        assert bool(layer.enabled.all()) and bool(layer.frozen)
        assert torch.equal(layer.weight, layer.live_weight())


def test_shapes_do_not_change_once_they_are_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    network = deciding(LEARNED)
    seen: list[tuple[float, bool, Tensor]] = []
    layer = next(module for module in network.modules() if isinstance(module, LearnedConv2d))
    advance = Shaping.advance

    def note(shaping: Shaping, progress: float) -> None:
        advance(shaping, progress)
        seen.append((progress, bool(layer.frozen), layer.shape_scores.detach().clone()))

    monkeypatch.setattr(Shaping, "advance", note)
    train(network, part(600), SHORT)
    assert [frozen for _, frozen, _ in seen] == [progress >= 0.5 for progress, _, _ in seen]
    assert seen[-1][0] == 1
    last = [scores for _, frozen, scores in seen if frozen]
    assert all(torch.equal(scores, last[0]) for scores in last)
    assert not torch.equal(seen[0][2], last[0])


def test_the_losses_are_those_of_the_task_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    regularised = weights(SHORT, deciding(LEARNED))
    plain = train(deciding(LEARNED), part(300), SHORT)
    monkeypatch.setattr(Shaping, "loss", lambda shaping, task: task)
    without = deciding(LEARNED)
    losses = train(without, part(300), SHORT)
    scores = "stages.0.conv1.shape_scores"
    assert not torch.equal(regularised[scores], without.state_dict()[scores])
    # The regulariser is as large as the task's loss: in the sum it would show.
    assert plain[0] == pytest.approx(losses[0], rel=0.1)


def test_decisions_move_by_steps_of_one_size_that_fall_to_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = deciding(BINARY)
    seen: list[Tensor] = []
    proxies = [p for name, p in network.named_parameters() if name.endswith("proxy")]
    advance = Shaping.advance

    def note(shaping: Shaping, progress: float) -> None:
        advance(shaping, progress)
        seen.append(torch.cat([proxy.detach().flatten() for proxy in proxies]))

    monkeypatch.setattr(Shaping, "advance", note)
    train(network, part(640), SHORT)
    steps = [float((after - before).abs().max()) for before, after in pairwise(seen)]
    assert len(steps) == 20
    assert steps[0] == pytest.approx(DECISION_RATE, rel=1e-3)
    # Adam's steps are bounded by its rate, which falls in equal parts.
    bounds = [DECISION_RATE * (1 - number / 20) for number in range(20)]
    assert all(step <= 2 * bound for step, bound in zip(steps, bounds, strict=True))


def test_weights_alone_are_trained_as_ever() -> None:
    (sgd, _), (adam, _) = _optimizers(deciding(LEARNED), 0.1, 10)
    assert isinstance(sgd, torch.optim.SGD) and isinstance(adam, torch.optim.Adam)
    held = [p for group in adam.param_groups for p in group["params"]]
    assert len(held) == 6
    assert len(sgd.param_groups[0]["params"]) == len(list(deciding(LEARNED).parameters())) - 6
    assert len(_optimizers(fresh(), 0.1, 10)) == 1


@functools.cache
def mean_accuracy(name: str) -> float:
    """Train a redesign at the default budget of `digits`; docs/training.md has five seeds."""
    space = load_space("digits")
    data = space.data.splits
    found = []
    for seed in (0, 1):
        fresh_one = training.redesigned(space, name, training.network(space, seed), keep=False)
        net = training.trained(fresh_one, data, space.file.train, seed)
        landed = training.density(net)
        assert landed is None or abs(landed - training.DENSITY) <= 0.05
        found.append(training.accuracy(net, data.validation))
    return sum(found) / len(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in training.PRESETS if name != "baseline"])
def test_each_preset_reaches_97_percent_of_the_baseline(name: str) -> None:
    assert mean_accuracy(name) >= 0.97 * mean_accuracy("baseline")
