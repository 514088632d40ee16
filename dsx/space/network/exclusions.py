"""Excluded convolutions: the convolutions of a network that are not slots, with the reason."""

from collections import Counter
from collections.abc import Mapping

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from dsx.conv.graph import Traced, protected_modules
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
"""Name for convolutions computed by a call such as F.conv2d, or by a module in a plain list."""

Holders = Mapping[int, int]


def find_excluded(network: nn.Module, traced: Traced, calls: Calls) -> dict[str, str]:
    """Find the excluded convolutions of a network.

    Args:
        network: Network in eval mode.
        traced: Trace of the network.
        calls: Record of a forward pass of the network.

    Returns:
        The reason by module name, in the order of the network.
    """
    read, held = protected_modules(network, traced), count_holders(network)
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
        found[FUNCTIONAL] = f"{number} not computed by a registered nn.Module"
    return found


def _uncalled(conv: nn.Module, calls: Calls) -> Unsupported:
    if id(own_parameters(conv)["weight"]) not in calls.weights:
        return Unsupported("is not called in a forward pass")
    return Unsupported(
        "is not called as a module; only its weight is used (by conv.forward(x) instead of "
        "conv(x), or by a function)"
    )


def count_holders(network: nn.Module) -> Holders:
    """Count the modules that hold each parameter.

    Args:
        network: Any network.

    Returns:
        The number of modules by identity (`id`) of the parameter.
    """
    return Counter(id(p) for module in network.modules() for p in own_parameters(module).values())


def irreplaceable(conv: nn.Module, held: Holders) -> Unsupported | None:
    """Check whether a convolution can be replaced, as far as its attributes show it.

    Args:
        conv: Convolution of a network.
        held: Number of modules that hold each parameter of the network.

    Returns:
        The reason why it cannot; None if it can.
    """
    if is_parametrized(conv) or own_parameters(conv).get("weight") is None:
        return Unsupported("its weight is computed from other tensors")
    if type(conv) is not nn.Conv2d:
        return Unsupported(f"is a {type(conv).__name__}, not a nn.Conv2d")
    if has_forward_hooks(conv) or has_backward_hooks(conv):
        return Unsupported("has hooks, which a redesign would lose")
    if (
        {"forward", CONV_FORWARD} & vars(conv).keys()
        or own_children(conv)
        or own_buffers(conv)
        or len(own_parameters(conv)) > 2
    ):
        return Unsupported("has more than a weight and a bias, which a redesign would lose")
    if problem := disagreement(conv):
        return problem
    own = [p for p in own_parameters(conv).values() if p is not None]
    if any(held[id(p)] > 1 for p in own):
        return Unsupported("shares weights with another module")
    return None
