"""Conversion of constant factors and summands per channel behind a convolution to a batch norm."""

import itertools
import operator
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, fx, nn

from dsx.conv.graph.constants import Constants, NotConstant
from dsx.conv.graph.functional import constant_parameter, conv_of, replace_by_module
from dsx.conv.graph.shape_reads import data_users

_STEPS: Mapping[str, tuple[object, ...]] = {
    "multiply": (operator.mul, torch.mul, torch.multiply, "mul", "multiply"),
    "divide": (operator.truediv, torch.div, torch.divide, torch.true_divide, "div", "divide"),
    "add": (operator.add, torch.add, "add"),
    "subtract": (operator.sub, torch.sub, torch.subtract, "sub", "subtract"),
}
"""Functions and methods that perform each step."""


def affine_as_norms(
    network: nn.Module, graph: fx.Graph, foldable: Callable[[nn.Module], bool]
) -> None:
    """Replace constant factors and summands per channel behind convolutions by batch norms.

    Frozen batch norms, batch norms written as formulas, and layer scales are traced as such
    factors and summands.

    Args:
        network: Network in eval mode; the batch norms are added to it.
        graph: Trace of the network, modified in place to call the batch norms.
        foldable: Predicate for convolutions into which a batch norm may be folded.
    """
    constants = Constants(network, graph)
    for node in list(graph.nodes):
        conv = conv_of(node, network)
        if conv is None or not foldable(conv):
            continue
        # A frozen convolution may hold its weight as a buffer.
        dtype = next(itertools.chain(conv.parameters(), conv.buffers())).dtype
        chain = _Affine(int(conv.out_channels), dtype, constants)  # type: ignore[arg-type]
        chain.follow(node)
        if chain.owners:
            *inner, last = chain.nodes
            replace_by_module(last, node, chain.norm(), network, constants.owner(chain.owners))
            for each in reversed(inner):
                # The remaining users read the shape, which equals that of the convolution.
                each.replace_all_uses_with(node)
                graph.erase_node(each)
    constants.erase_unused()


class _Affine:
    """The factor and the summand that a chain of nodes applies to each channel.

    Args:
        channels: Number of channels.
        dtype: Dtype of the convolution; a constant of another dtype could change that of the
            result and ends the chain.
        constants: Constants of the trace.

    Attributes:
        nodes: Nodes of the chain in order of execution.
        owners: Nodes of the constants with one value per channel.
        factor, summand: float64 tensors, (channels,), or () if all constants are scalars.
    """

    def __init__(self, channels: int, dtype: torch.dtype, constants: Constants) -> None:
        self.shapes = ((channels, 1, 1), (1, channels, 1, 1))
        self.dtype, self.constants = dtype, constants
        self.factor, self.summand = _number(1.0), _number(0.0)
        self.nodes: list[fx.Node] = []
        self.owners: list[object] = []

    def follow(self, node: fx.Node) -> None:
        """Extend the chain by the only user of a node while that user applies a constant.

        Args:
            node: Last node of the chain so far.
        """
        users = data_users(node)
        if len(users) != 1 or len(users[0].args) != 2 or users[0].kwargs:
            return
        user = users[0]
        step = next((step for step, names in _STEPS.items() if user.target in names), None)
        first = user.args[0] is node
        other = user.args[1] if first else user.args[0]
        value = self._constant(other)
        if step is None or value is None or not (first or step in ("multiply", "add")):
            return
        value = {"divide": 1 / value, "subtract": -value}.get(step, value)
        # An infinite factor could produce NaN.
        if not value.isfinite().all():
            return
        if step in ("multiply", "divide"):
            self.factor, self.summand = self.factor * value, self.summand * value
        else:
            self.summand = self.summand + value
        self.nodes.append(user)
        if isinstance(other, fx.Node):
            self.owners.append(other)
        self.follow(user)

    def _constant(self, argument: object) -> Tensor | None:
        """Evaluate an argument; None if it is neither a scalar nor one value per channel."""
        if isinstance(argument, int | float):
            return _number(argument)
        try:
            value = self.constants.value(argument)
        except NotConstant:
            return None
        if not isinstance(value, Tensor) or tuple(value.shape) not in self.shapes:
            return None
        return value.detach().flatten().double() if value.dtype == self.dtype else None

    def norm(self) -> nn.Module:
        """Build the equivalent batch norm."""
        (channels, *_), _ = self.shapes
        device = (self.factor + self.summand).device
        norm = nn.BatchNorm2d(channels, eps=0.0).to(device, self.dtype)
        for name, each in (("weight", self.factor), ("bias", self.summand)):
            numbers = each.to(device, self.dtype).expand(channels).clone()
            setattr(norm, name, constant_parameter(numbers))
        return norm.eval()


def _number(number: float) -> Tensor:
    """Return a number as a float64 tensor without dimensions."""
    # Such a tensor can be combined with tensors on any device.
    return torch.tensor(number, dtype=torch.float64)
