"""Optimisers of weights and decision parameters, their schedules, and weight decay."""

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
from tests.train.networks import BINARY, LEARNED, Plain, fresh, with_decisions


def fill_gradients(network: nn.Module, size: float = 1.0) -> None:
    """Set a random gradient for each parameter."""
    for p in network.parameters():
        p.grad = size * torch.randn_like(p)


def test_sgd_updates_weights_and_adam_updates_decisions() -> None:
    network = with_decisions(LEARNED)
    optimizers = Optimizers(network, Train(), 10)
    assert isinstance(optimizers.optimizer, SGD) and isinstance(optimizers.decision_optimizer, Adam)
    decisions = [p for group in optimizers.decision_optimizer.param_groups for p in group["params"]]
    names = {id(p): name for name, p in network.named_parameters()}
    assert len(decisions) == 6
    assert all(names[id(p)].endswith("shape_scores") for p in decisions)
    weights = [p for group in optimizers.optimizer.param_groups for p in group["params"]]
    assert len(weights) == len(names) - 6
    assert Optimizers(fresh(), Train(), 10).decision_optimizer is None


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_biases_scales_norms_and_decisions_do_not_decay(optimizer: str) -> None:
    spec = ConvSpec(binary_basis=4, scale=True)
    networks = [Plain(), with_decisions(spec), with_decisions(LEARNED), fresh()]
    for network in networks:
        settings = Train.model_validate(
            {"optimizer": optimizer, "weight_decay": 0.1, "learning_rate": 0.5}
        )
        before = copy.deepcopy(network)
        optimizers = Optimizers(network, settings, 4)
        for p in network.parameters():
            p.grad = torch.zeros_like(p)
        optimizers.step(2)
        rate = 0.5 * one_cycle(2, 4, 0.3)
        decisions = {p for m in network.modules() if isinstance(m, DsxConv) for p in m.decisions()}
        for (name, p), old in zip(network.named_parameters(), before.parameters(), strict=True):
            decayed = p.ndim > 1 and p not in decisions
            expected = old * (1 - 0.1 * rate) if decayed and optimizer == "adamw" else old
            if decayed and optimizer == "sgd":
                # With Nesterov momentum, the decay is a part of the gradient.
                expected = old * (1 - 0.1 * rate * 1.9)
            torch.testing.assert_close(p, expected, rtol=1e-5, atol=1e-7, msg=name)


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
@pytest.mark.parametrize("momentum", [0.9, 0.0, 0.5])
def test_sgd_agrees_with_torch(momentum: float, schedule: str) -> None:
    network = Plain().double()
    other = copy.deepcopy(network)
    settings = Train.model_validate(
        {"momentum": momentum, "weight_decay": 0.0, "schedule": schedule, "learning_rate": 0.3}
    )
    optimizers = Optimizers(network, settings, 6)
    reference = SGD(other.parameters(), lr=1.0, momentum=momentum, nesterov=momentum > 0)
    shape = {"one_cycle": one_cycle, "cosine": cosine}[schedule]
    for step in range(6):
        fill_gradients(network)
        for p, q in zip(network.parameters(), other.parameters(), strict=True):
            q.grad = p.grad
        reference.param_groups[0]["lr"] = 0.3 * shape(step, 6, settings.warm_up)
        optimizers.step(step)
        reference.step()
    for p, q in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-12)


def test_adamw_agrees_with_torch() -> None:
    network = Plain().double()
    other = copy.deepcopy(network)
    settings = Train(optimizer="adamw", schedule="cosine")
    optimizers = Optimizers(network, settings, 6)
    assert isinstance(optimizers.optimizer, AdamW)
    groups = [
        {"params": [p for p in other.parameters() if p.ndim > 1], "weight_decay": 0.05},
        {"params": [p for p in other.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    reference = AdamW(groups)
    for step in range(6):
        fill_gradients(network)
        for p, q in zip(network.parameters(), other.parameters(), strict=True):
            q.grad = p.grad
        for group in reference.param_groups:
            group["lr"] = 2e-3 * cosine(step, 6, 0.05)
        optimizers.step(step)
        reference.step()
    for p, q in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [1e-3, 10.0])
def test_clipping_agrees_with_torch_and_applies_only_to_weights(size: float) -> None:
    network = with_decisions(BINARY)
    optimizers = Optimizers(network, Train(clip=0.5), 4)
    fill_gradients(network, size)
    decisions = [p for m in network.modules() if isinstance(m, DsxConv) for p in m.decisions()]
    weights = [p for p in network.parameters() if all(p is not d for d in decisions)]
    expected = [p.grad.clone() for p in weights if p.grad is not None]
    kept = [p.grad.clone() for p in decisions if p.grad is not None]
    norm = float(torch.cat([g.flatten() for g in expected]).norm())
    optimizers.step(0)
    for p, gradient in zip(weights, expected, strict=True):
        assert p.grad is not None
        torch.testing.assert_close(p.grad, gradient * min(1.0, 0.5 / norm), rtol=1e-4, atol=1e-9)
    for p, gradient in zip(decisions, kept, strict=True):
        assert p.grad is not None and torch.equal(p.grad, gradient)


def test_decisions_are_updated_by_adam_with_linear_decay() -> None:
    network = with_decisions(LEARNED)
    optimizers = Optimizers(network, Train(), 8)
    scores = [p for name, p in network.named_parameters() if name.endswith("shape_scores")]
    copies = [nn.Parameter(p.detach().clone()) for p in scores]
    adam = Adam(copies, lr=DECISION_RATE, betas=DECISION_BETAS)
    for step in range(8):
        fill_gradients(network)
        for p, q in zip(scores, copies, strict=True):
            q.grad = p.grad
        # Final half way, with a learning rate that decays linearly.
        adam.param_groups[0]["lr"] = DECISION_RATE * max(0.0, 1 - step / 4)
        optimizers.step(step)
        adam.step()
        assert all(torch.equal(p, q) for p, q in zip(scores, copies, strict=True))


def test_frozen_shapes_are_final_at_any_step() -> None:
    network = with_decisions(LEARNED)
    optimizers = Optimizers(network, Train(), 100)
    fill_gradients(network)
    optimizers.step(0)
    state = optimizers.state()
    layers = [m for m in network.modules() if isinstance(m, LearnedConv2d)]
    for layer in layers:
        layer.freeze()
    before: list[Tensor] = [layer.shape_scores.detach().clone() for layer in layers]
    later = Optimizers(network, Train(), 100)
    later.restore(state)
    fill_gradients(network)
    later.step(1)
    for layer, scores in zip(layers, before, strict=True):
        assert torch.equal(layer.shape_scores, scores)


@pytest.mark.parametrize("settings", [Train(), Train(optimizer="adamw")])
def test_states_of_optimisers_can_be_restored(settings: Train) -> None:
    network = with_decisions(BINARY)
    optimizers = Optimizers(network, settings, 8)
    for step in range(3):
        fill_gradients(network)
        optimizers.step(step)
    other = copy.deepcopy(network)
    restored = Optimizers(other, settings, 8)
    restored.restore(copy.deepcopy(optimizers.state()))
    for step in range(3, 6):
        fill_gradients(network)
        for p, q in zip(network.parameters(), other.parameters(), strict=True):
            q.grad = None if p.grad is None else p.grad.clone()
        optimizers.step(step)
        restored.step(step)
    for p, q in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)
