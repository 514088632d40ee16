"""Calls of methods that a network overrides, regardless of their return values."""

from typing import Any

import pytest
import torch
from torch import nn

from dsx.conv import deploy
from dsx.conv.network_calls import duplicate, freeze, move, set_mode
from dsx.errors import DsxError
from tests.space.networks import ReturnsNothing, ReturnsNothingUntraced, Tiny

DIGITS = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_the_network_is_returned_regardless_of_the_return_values_of_its_methods() -> None:
    network = ReturnsNothing()
    assert set_mode(network, True) is network
    assert network.training
    assert not network.norm.training
    assert set_mode(network, False) is network
    assert not network.training
    assert move(network, "cpu", torch.float64) is network
    assert network.head.weight.dtype == torch.float64
    assert move(network, layout=torch.channels_last) is network
    assert network.conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert freeze(network) is network
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("kind", [ReturnsNothing, ReturnsNothingUntraced])
def test_a_network_with_methods_that_return_none_is_deployed(kind: type[ReturnsNothing]) -> None:
    network = kind()
    deployed = deploy(network, DIGITS)
    assert torch.allclose(deployed(DIGITS), set_mode(network, False)(DIGITS), atol=1e-6)
    assert all(parameter.requires_grad for parameter in network.parameters())


class NoMode(Tiny):
    """A network whose train() accepts no mode, so that eval() of torch fails."""

    def train(self) -> None:  # type: ignore[override]
        """Do nothing."""


class Stuck(Tiny):
    """A network whose to() has no effect."""

    def to(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Do nothing."""


def test_a_failing_method_is_reported_in_one_line() -> None:
    with pytest.raises(DsxError, match=r"^eval\(\) of NoMode fails: TypeError: .*train\(mode\)\)$"):
        set_mode(NoMode(), False)
    with pytest.raises(DsxError, match=r"to\(\) does not convert its weight mix.weight to float64"):
        move(Stuck(), dtype=torch.float64)


class DesignMeasurement(Tiny):
    """A network whose copy is the network itself."""

    def __deepcopy__(self, memo: object) -> "DesignMeasurement":
        return self


class NoCopy(Tiny):
    """A network whose copy is None."""

    def __deepcopy__(self, memo: object) -> None:
        return None


class Sharing(nn.Sequential):
    """A network whose copy shares its modules."""

    def __deepcopy__(self, memo: object) -> "Sharing":
        return Sharing(*self)


@pytest.mark.parametrize(
    ("network", "problem"),
    [
        (DesignMeasurement(), "a network that shares its weights"),
        (NoCopy(), "a NoneType, not a nn.Module"),
        (Sharing(nn.Linear(1, 1)), "a network that shares its weights"),
    ],
)
def test_copies_that_are_not_independent_are_rejected(network: nn.Module, problem: str) -> None:
    with pytest.raises(DsxError, match=f"^its __deepcopy__ returns {problem}"):
        duplicate(network)
    assert isinstance(duplicate(Tiny()), Tiny)
