"""Left alone: the convolutions of a network that are no slots, and why."""

from collections import Counter
from collections.abc import Mapping

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from dsx.conv.graph import Traced, untouchable
from dsx.conv.sparsity import disagreement
from dsx.errors import Unsupported
from dsx.space.network.calls import CONVOLUTIONS, Calls
from dsx.torch_private import (
    CONV_FORWARD,
    has_backward_hooks,
    has_forward_hooks,
    own_buffers,
    own_children,
    own_parameters,
)

FUNCTIONAL = "(no module)"
"""Stands for what is computed by a call such as F.conv2d, or by a module in a plain list."""

Holders = Mapping[int, int]


def excluded(network: nn.Module, traced: Traced, calls: Calls) -> dict[str, str]:
    """Say why convolutions of a network are no slots.

    Args:
        network: In eval mode.
        traced: Trace of the network.
        calls: What happened when it ran.

    Returns:
        The reason by module name, in the network's order.
    """
    read, held = untouchable(network, traced), holders(network)
    found = {}
    for name, module in network.named_modules():
        if not isinstance(module, CONVOLUTIONS):
            continue
        problem = irreplaceable(module, held)
        if problem is None and module not in calls.modules:
            problem = _uncalled(module, calls)
        used = any(id(p) in calls.weights for p in own_parameters(module).values())
        if problem is None and (used or module in read):
            problem = Unsupported("the network's own code reads its weights")
        if problem is not None:
            found[name] = problem.reason
    if calls.convolutions:
        number = f"{calls.convolutions} convolution{'s' if calls.convolutions > 1 else ''}"
        found[FUNCTIONAL] = f"{number} computed by no nn.Module that the network registers"
    return found


def _uncalled(conv: nn.Module, calls: Calls) -> Unsupported:
    if id(own_parameters(conv)["weight"]) not in calls.weights:
        return Unsupported("is not called in a forward pass")
    return Unsupported(
        "is not called itself, only its weight is used (by conv.forward(x) in place of conv(x), or "
        "by a function)"
    )


def holders(network: nn.Module) -> Holders:
    """Count the modules that hold each parameter, by its identity."""
    return Counter(id(p) for module in network.modules() for p in own_parameters(module).values())


def irreplaceable(conv: nn.Module, held: Holders) -> Unsupported | None:
    """Check whether a convolution can be replaced, as far as this shows without running anything.

    Args:
        conv: A convolution of a network.
        held: The holders of the network's parameters.

    Returns:
        The reason why it cannot; None if it can.
    """
    if is_parametrized(conv) or own_parameters(conv).get("weight") is None:
        return Unsupported("its weight is computed from others")
    if type(conv) is not nn.Conv2d:
        return Unsupported(f"is a {type(conv).__name__}, not a nn.Conv2d")
    if has_forward_hooks(conv) or has_backward_hooks(conv):
        return Unsupported("hooks hang on it, and would be lost")
    if (
        {"forward", CONV_FORWARD} & vars(conv).keys()
        or own_children(conv)
        or own_buffers(conv)
        or len(own_parameters(conv)) > 2
    ):
        return Unsupported("more hangs on it than a weight and a bias, and would be lost")
    if problem := disagreement(conv):
        return problem
    own = [p for p in own_parameters(conv).values() if p is not None]
    if any(held[id(p)] > 1 for p in own):
        return Unsupported("shares weights with another module")
    return None
