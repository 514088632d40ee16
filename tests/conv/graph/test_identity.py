"""Calls that do nothing in eval mode are recognised."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from dsx.conv.graph.identity import drop_idle


@fx.wrap
def outside(x: Tensor, p: float, training: bool = False) -> Tensor:
    """Do nothing in eval mode, in a way that torch.fx cannot follow."""
    return x * p if training else x


@fx.wrap
def doubling(x: Tensor, training: bool = False) -> Tensor:
    """Do the same in both modes."""
    return x * 2


@fx.wrap
def particular(x: Tensor, training: bool = False) -> Tensor:
    """Take images of one size only."""
    return x.reshape(7, 7)


@fx.wrap
def stochastic(x: Tensor, p: float, training: bool = False) -> Tensor:
    """Do nothing in eval mode."""
    return x * 2 if training else x


# Its name begins with that of torch, as does the name of the library that has such a function.
stochastic.__module__ = "torchvision.ops.stochastic_depth"


class Calling(nn.Module):
    """Calls one function."""

    def __init__(self, call: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        return self.call(x)


def remaining(network: nn.Module) -> int:
    """Count the calls that are left."""
    graph = fx.Tracer().trace(network.eval())
    drop_idle(network, graph)
    return sum(node.op.startswith("call") for node in graph.nodes)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.dropout(x, 0.5, False),
        lambda x: F.dropout(x, training=False, inplace=True),
        lambda x: F.dropout1d(x, 0.5, training=False),
        lambda x: F.alpha_dropout(x, 0.5, False),
        lambda x: torch.dropout(x, 0.5, False),
        lambda x: torch.dropout(x, p=0.5, train=False),
        lambda x: outside(x, 0.5),
        lambda x: outside(x, p=0.5, training=False),
        lambda x: stochastic(x, 0.5),
    ],
)
def test_functions_that_give_back_their_input_are_dropped(
    call: Callable[[Tensor], Tensor],
) -> None:
    assert remaining(Calling(call)) == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.dropout(x, 0.5, True),
        lambda x: torch.dropout(x, 0.5, True),
        lambda x: outside(x, 0.5, training=True),
        lambda x: F.relu(x, False),
        lambda x: torch.cat([x, x]),
        doubling,
        particular,
    ],
)
def test_all_others_are_kept(call: Callable[[Tensor], Tensor]) -> None:
    assert remaining(Calling(call)) == 1


def test_modules_that_do_nothing_are_dropped() -> None:
    idle = (
        nn.Identity(),
        nn.Dropout(),
        nn.Dropout1d(),
        nn.AlphaDropout(),
        nn.FeatureAlphaDropout(),
    )
    assert remaining(nn.Sequential(*idle, nn.ReLU())) == 1
