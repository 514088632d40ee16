"""Random values of batch norms, and the number of batch norms that run."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from dsx.bench.zoo.norms import count_norms, randomise
from dsx.errors import WorkFailed


def deep(depth: int = 40) -> nn.Sequential:
    """Build a network that would overflow or vanish with random statistics alone."""
    layers: list[nn.Module] = [nn.Conv2d(3, 8, 3, padding=1)]
    for _ in range(depth):
        layers += [nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)]
    return nn.Sequential(*layers).eval()


def test_every_batch_norm_has_random_values_and_a_variance_between_a_half_and_two() -> None:
    network, images = deep(), torch.randn(4, 3, 8, 8)
    untrained = copy.deepcopy(network)
    randomise(network, images)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 40
    for norm in norms:
        assert norm.running_var is not None and norm.running_mean is not None
        assert 0.5 <= norm.running_var.min() < norm.running_var.max() <= 2
        for values in (norm.running_mean, norm.weight, norm.bias):
            assert len(set(values.tolist())) == 8
    convs = zip(network.modules(), untrained.modules(), strict=True)
    assert all(
        torch.equal(one.weight, other.weight)
        for one, other in convs
        if isinstance(one, nn.Conv2d) and isinstance(other, nn.Conv2d)
    )


def test_activations_neither_vanish_nor_overflow() -> None:
    network, images = deep(), torch.randn(4, 3, 8, 8)
    randomise(network, images)
    assert 0.01 < network(images).std() < 100


def test_values_are_the_same_every_time() -> None:
    network, images = deep(2), torch.randn(4, 3, 8, 8)
    twin = copy.deepcopy(network)
    randomise(network, images)
    randomise(twin, images)
    assert torch.equal(network(images), twin(images))


def test_a_batch_norm_that_does_not_run_has_random_values() -> None:
    network = deep(1)
    network.forward = lambda images: images  # type: ignore[method-assign]
    randomise(network, torch.randn(4, 3, 8, 8))
    norm = network[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert not torch.equal(norm.weight, torch.ones(8))


class _Subclass(nn.BatchNorm2d):
    """A batch norm that computes by function, as those of timm do."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise, and apply an activation."""
        normed = functional.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias
        )
        return normed.relu()


def test_constant_weights_are_replaced_by_random_values() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Flatten(), nn.Linear(512, 10)).eval()
    head = network[2]
    assert isinstance(head, nn.Linear)
    nn.init.zeros_(head.weight)
    randomise(network, torch.randn(4, 3, 8, 8))
    assert 0.02 < head.weight.std() < 0.08


def test_a_constant_output_is_refused() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.Threshold(1e9, 0.0)).eval()
    with pytest.raises(WorkFailed, match="the output of the network is constant or not finite"):
        randomise(network, torch.randn(4, 3, 8, 8))


class _Standardised(nn.Conv2d):
    """A convolution whose weight is standardised by the operator of a batch norm."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve."""
        flat = self.weight.reshape(1, len(self.weight), -1)
        weight = functional.batch_norm(flat, None, None, training=True)
        return functional.conv2d(input, weight.reshape_as(self.weight), self.bias)


def test_batch_norms_are_counted_by_what_runs() -> None:
    images = torch.randn(4, 3, 8, 8)
    assert count_norms(deep(3), images) == 3
    assert count_norms(nn.Sequential(nn.Conv2d(3, 8, 1), _Subclass(8)).eval(), images) == 1
    assert count_norms(nn.Sequential(nn.Conv2d(3, 8, 1), nn.Identity()).eval(), images) == 0
    assert count_norms(_Standardised(3, 8, 1).eval(), images) == 0
