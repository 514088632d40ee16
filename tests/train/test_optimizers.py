"""Who moves which parameter, how far, and what is not decayed."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

from dsx.conv import ConvSpec, DsxConv
from dsx.conv.modules.learned import LearnedConv2d
from dsx.space.yaml.schema import Train
from dsx.train.optimizers import DECISION_BETAS, DECISION_RATE, Optimizers
from dsx.train.schedule import cosine, one_cycle
from tests.train.networks import BINARY, LEARNED, Plain, deciding, fresh


def fill_gradients(network: nn.Module, size: float = 1.0) -> None:
    """Give each parameter some gradient."""
    for p in network.parameters():
        p.grad = size * torch.randn_like(p)


def test_weights_go_to_sgd_and_decisions_to_adam() -> None:
    network = deciding(LEARNED)
    optimizers = Optimizers(network, Train(), 10)
    assert isinstance(optimizers.optimizer, SGD) and isinstance(optimizers.deciding, Adam)
    held = [p for group in optimizers.deciding.param_groups for p in group["params"]]
    names = {id(p): name for name, p in network.named_parameters()}
    assert len(held) == 6
    assert all(names[id(p)].endswith("shape_scores") for p in held)
    weights = [p for group in optimizers.optimizer.param_groups for p in group["params"]]
    assert len(weights) == len(names) - 6
    assert Optimizers(fresh(), Train(), 10).deciding is None


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_biases_scales_norms_and_decisions_do_not_decay(optimizer: str) -> None:
    spec = ConvSpec(binary_basis=4, scale=True)
    networks = [Plain(), deciding(spec), deciding(LEARNED), fresh()]
    for network in networks:
        settings = Train.model_validate(
            {"optimizer": optimizer, "weight_decay": 0.1, "learning_rate": 0.5}
        )
        before = copy.deepcopy(network)
        own = Optimizers(network, settings, 4)
        for p in network.parameters():
            p.grad = torch.zeros_like(p)
        own.step(2)
        rate = 0.5 * one_cycle(2, 4, 0.3)
        decisions = {p for m in network.modules() if isinstance(m, DsxConv) for p in m.decisions()}
        for (name, p), old in zip(network.named_parameters(), before.parameters(), strict=True):
            decayed = p.ndim > 1 and p not in decisions
            expected = old * (1 - 0.1 * rate) if decayed and optimizer == "adamw" else old
            if decayed and optimizer == "sgd":
                # Nesterov: the decay is a gradient like any other.
                expected = old * (1 - 0.1 * rate * 1.9)
            torch.testing.assert_close(p, expected, rtol=1e-5, atol=1e-7, msg=name)


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
@pytest.mark.parametrize("momentum", [0.9, 0.0, 0.5])
def test_sgd_is_that_of_torch(momentum: float, schedule: str) -> None:
    network = Plain().double()
    other = copy.deepcopy(network)
    settings = Train.model_validate(
        {"momentum": momentum, "weight_decay": 0.0, "schedule": schedule, "learning_rate": 0.3}
    )
    own = Optimizers(network, settings, 6)
    torch_own = SGD(other.parameters(), lr=1.0, momentum=momentum, nesterov=momentum > 0)
    shape = {"one_cycle": one_cycle, "cosine": cosine}[schedule]
    for step in range(6):
        fill_gradients(network)
        for p, q in zip(network.parameters(), other.parameters(), strict=True):
            q.grad = p.grad
        torch_own.param_groups[0]["lr"] = 0.3 * shape(step, 6, settings.warm_up)
        own.step(step)
        torch_own.step()
    for p, q in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-12)


def test_adamw_is_that_of_torch() -> None:
    network = Plain().double()
    other = copy.deepcopy(network)
    settings = Train(optimizer="adamw", schedule="cosine")
    own = Optimizers(network, settings, 6)
    assert isinstance(own.optimizer, AdamW)
    groups = [
        {"params": [p for p in other.parameters() if p.ndim > 1], "weight_decay": 0.05},
        {"params": [p for p in other.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    torch_own = AdamW(groups)
    for step in range(6):
        fill_gradients(network)
        for p, q in zip(network.parameters(), other.parameters(), strict=True):
            q.grad = p.grad
        for group in torch_own.param_groups:
            group["lr"] = 2e-3 * cosine(step, 6, 0.05)
        own.step(step)
        torch_own.step()
    for p, q in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [1e-3, 10.0])
def test_clipping_is_that_of_torch_and_for_weights_alone(size: float) -> None:
    network = deciding(BINARY)
    own = Optimizers(network, Train(clip=0.5), 4)
    fill_gradients(network, size)
    decisions = [p for m in network.modules() if isinstance(m, DsxConv) for p in m.decisions()]
    weights = [p for p in network.parameters() if all(p is not d for d in decisions)]
    expected = [p.grad.clone() for p in weights if p.grad is not None]
    kept = [p.grad.clone() for p in decisions if p.grad is not None]
    norm = float(torch.cat([g.flatten() for g in expected]).norm())
    own.step(0)
    for p, gradient in zip(weights, expected, strict=True):
        assert p.grad is not None
        torch.testing.assert_close(p.grad, gradient * min(1.0, 0.5 / norm), rtol=1e-4, atol=1e-9)
    for p, gradient in zip(decisions, kept, strict=True):
        assert p.grad is not None and torch.equal(p.grad, gradient)


def test_decisions_move_as_ever() -> None:
    network = deciding(LEARNED)
    own = Optimizers(network, Train(), 8)
    scores = [p for name, p in network.named_parameters() if name.endswith("shape_scores")]
    copies = [nn.Parameter(p.detach().clone()) for p in scores]
    adam = Adam(copies, lr=DECISION_RATE, betas=DECISION_BETAS)
    for step in range(8):
        fill_gradients(network)
        for p, q in zip(scores, copies, strict=True):
            q.grad = p.grad
        # Settled half way, by a rate that falls in equal parts.
        adam.param_groups[0]["lr"] = DECISION_RATE * max(0.0, 1 - step / 4)
        own.step(step)
        adam.step()
        assert all(torch.equal(p, q) for p, q in zip(scores, copies, strict=True))


def test_shapes_that_are_frozen_are_settled_whatever_the_step() -> None:
    network = deciding(LEARNED)
    own = Optimizers(network, Train(), 100)
    fill_gradients(network)
    own.step(0)
    memory = own.state()
    layers = [m for m in network.modules() if isinstance(m, LearnedConv2d)]
    for layer in layers:
        layer.freeze()
    before: list[Tensor] = [layer.shape_scores.detach().clone() for layer in layers]
    later = Optimizers(network, Train(), 100)
    later.restore(memory)
    fill_gradients(network)
    later.step(1)
    for layer, scores in zip(layers, before, strict=True):
        assert torch.equal(layer.shape_scores, scores)


@pytest.mark.parametrize("settings", [Train(), Train(optimizer="adamw")])
def test_what_optimisers_remember_can_be_taken_over(settings: Train) -> None:
    network = deciding(BINARY)
    own = Optimizers(network, settings, 8)
    for step in range(3):
        fill_gradients(network)
        own.step(step)
    other = copy.deepcopy(network)
    taken = Optimizers(other, settings, 8)
    taken.restore(copy.deepcopy(own.state()))
    for step in range(3, 6):
        fill_gradients(network)
        for p, q in zip(network.parameters(), other.parameters(), strict=True):
            q.grad = None if p.grad is None else p.grad.clone()
        own.step(step)
        taken.step(step)
    for p, q in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)
