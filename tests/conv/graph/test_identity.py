"""Recognition of calls that have no effect in eval mode."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from dsx.conv.graph.identity import drop_idle


@fx.wrap
def untraced(x: Tensor, p: float, training: bool = False) -> Tensor:
    """Return the input in eval mode; torch.fx cannot trace the function."""
    return x * p if training else x


@fx.wrap
def doubling(x: Tensor, training: bool = False) -> Tensor:
    """Double the input in both modes."""
    return x * 2


@fx.wrap
def fixed_size(x: Tensor, training: bool = False) -> Tensor:
    """Reshape images of one size."""
    return x.reshape(7, 7)


@fx.wrap
def stochastic(x: Tensor, p: float, training: bool = False) -> Tensor:
    """Return the input in eval mode."""
    return x * 2 if training else x


# The module name starts with "torch", as that of the library with this function does.
stochastic.__module__ = "torchvision.ops.stochastic_depth"


class Calling(nn.Module):
    """A network that calls one function."""

    def __init__(self, call: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        return self.call(x)


def remaining(network: nn.Module) -> int:
    """Count the calls that remain."""
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
        lambda x: untraced(x, 0.5),
        lambda x: untraced(x, p=0.5, training=False),
        lambda x: stochastic(x, 0.5),
    ],
)
def test_functions_that_return_their_input_are_removed(
    call: Callable[[Tensor], Tensor],
) -> None:
    assert remaining(Calling(call)) == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.dropout(x, 0.5, True),
        lambda x: torch.dropout(x, 0.5, True),
        lambda x: untraced(x, 0.5, training=True),
        lambda x: F.relu(x, False),
        lambda x: torch.cat([x, x]),
        doubling,
        fixed_size,
    ],
)
def test_other_functions_are_kept(call: Callable[[Tensor], Tensor]) -> None:
    assert remaining(Calling(call)) == 1


def test_modules_without_effect_are_removed() -> None:
    idle = (
        nn.Identity(),
        nn.Dropout(),
        nn.Dropout1d(),
        nn.AlphaDropout(),
        nn.FeatureAlphaDropout(),
    )
    assert remaining(nn.Sequential(*idle, nn.ReLU())) == 1
