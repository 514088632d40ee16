"""Initial weights have the same variance as in torchvision."""

import pytest
import torch
from torch import nn

from dsx.lookup import find
from dsx.nets import Net
from dsx.nets._init import init_convolutions, init_linears

BACKBONES = [
    ("vgg11", {"small": True}), ("resnet18", {}), ("resnet50", {}),
    ("mobilenet_v1", {"depthwise_bias": True}), ("mobilenet_v2", {}),
]  # fmt: skip


@pytest.fixture(params=BACKBONES, ids=[name for name, _ in BACKBONES])
def network(request: pytest.FixtureRequest) -> nn.Module:
    name, arguments = request.param
    return find(Net, name).build(**arguments)


def test_convolutions_keep_the_variance_of_gradients(network: nn.Module) -> None:
    for conv in (module for module in network.modules() if isinstance(module, nn.Conv2d)):
        weight = conv.weight.detach()
        fan_out = weight.shape[0] * weight[0, 0].numel()
        scaled = weight * (fan_out / 2) ** 0.5
        # At least seven standard errors of the mean and deviation of normal numbers.
        tolerance = 7 / weight.numel() ** 0.5
        assert scaled.mean().abs() < tolerance and (scaled.std() - 1).abs() < tolerance
        assert conv.bias is None or not conv.bias.any()


def test_bns_are_initialised_to_the_identity(network: nn.Module) -> None:
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    for norm in norms:
        assert (norm.weight == 1).all() and not norm.bias.any()


def test_linear_layers_are_initialised_small_except_in_resnet(
    network: nn.Module, request: pytest.FixtureRequest
) -> None:
    (linear,) = (module for module in network.modules() if isinstance(module, nn.Linear))
    if "resnet" in request.node.callspec.id:
        bound = linear.in_features**-0.5
        assert 0.99 * bound < linear.weight.abs().max() <= bound
        assert linear.bias.any()
    else:
        assert linear.weight.std().item() == pytest.approx(0.01, rel=0.02)
        assert not linear.bias.any()


def test_each_function_changes_only_layers_of_its_type() -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Linear(4, 5))
    before = [parameter.clone() for parameter in network.parameters()]

    def changed() -> list[bool]:
        return [not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True)]

    init_convolutions(network)
    assert changed() == [True, True, False, False]
    before = [parameter.clone() for parameter in network.parameters()]
    init_linears(network)
    assert changed() == [False, False, True, True]
