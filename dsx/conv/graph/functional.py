"""Functional convolutions and batch norms of a trace, written as the modules of torch.nn.

A subclass with a forward of its own is traced as calls of torch.nn.functional on its tensors. What
such a call computes decides whether it can be folded, not the type of the module that makes it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from dsx.conv.graph.constants import Constants, Varies
from dsx.conv.modules.base import DsxConv

_STATISTICS = ("running_mean", "running_var")
_NORM_ARGUMENTS: Mapping[object, tuple[str, ...]] = {
    F.batch_norm: ("input", *_STATISTICS, "weight", "bias", "training", "momentum", "eps"),
    torch.batch_norm: ("input", "weight", "bias", *_STATISTICS, "training", "momentum", "eps"),
}
_CONV_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
Build = Callable[[Mapping[str, Any]], nn.Module | None]


def as_modules(network: nn.Module, graph: fx.Graph) -> None:
    """Replace functional convolutions, and the batch norms behind convolutions, in place.

    Args:
        network: In eval mode; the new modules are added to it.
        graph: Trace of the network, which calls them afterwards.
    """
    constants = Constants(network, graph)
    called = {str(node.target) for node in graph.nodes if node.op == "call_module"}
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        if node.target is F.conv2d and not _is_weight_of(node.args[1:2], called):
            _replace(node, _CONV_ARGUMENTS, _conv2d, network, constants)
        names = _NORM_ARGUMENTS.get(node.target)
        if names and node.args and _follows_convs(node.args[0], network):
            _replace(node, names, _batch_norm, network, constants)
    constants.erase_unused()


def concatenated(node: object) -> list[fx.Node]:
    """List the nodes whose results a node concatenates along the channels; none if it does not."""
    if not isinstance(node, fx.Node) or node.target not in (torch.cat, torch.concat):
        return []
    given = dict(zip(("tensors", "dim"), node.args, strict=False)) | node.kwargs
    parts = given["tensors"]
    assert isinstance(parts, list | tuple)
    return [part for part in parts if isinstance(part, fx.Node)] if given.get("dim") == 1 else []


def _follows_convs(node: object, network: nn.Module) -> bool:
    parts: list[object] = [*concatenated(node)]
    return all(conv_of(part, network) for part in parts or [node])


def _is_weight_of(weight: object, called: set[str]) -> bool:
    """Check whether a weight is that of a module which is called itself, too."""
    (node,) = weight if isinstance(weight, tuple) and weight else (None,)
    direct = isinstance(node, fx.Node) and node.op == "get_attr"
    return direct and str(node.target).rpartition(".")[0] in called


def _replace(
    node: fx.Node, names: tuple[str, ...], build: Build, network: nn.Module, constants: Constants
) -> None:
    given = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
    image = given.pop("input")
    try:
        values = constants.value(given)
    except Varies:
        return
    module = build(values)
    for part in ("weight", "bias") if module is not None else ():
        if isinstance(values.get(part), Tensor):
            setattr(module, part, constants.parameter(values[part]))
    if module is not None and isinstance(image, fx.Node):
        put(node, image, module, network, constants.owner(given))


def put(node: fx.Node, image: fx.Node, module: nn.Module, network: nn.Module, owner: str) -> None:
    """Let a module compute what a node computes, in place.

    Args:
        node: Node that is replaced.
        image: Argument of the module.
        module: The module.
        network: Holds the module afterwards.
        owner: Dotted name of the module that holds it.
    """
    with node.graph.inserting_before(node):
        called = node.graph.call_module(hold(module, network, owner), (image,))
    node.replace_all_uses_with(called)
    node.graph.erase_node(node)


def hold(module: nn.Module, network: nn.Module, owner: str) -> str:
    """Add a module to a network.

    Args:
        module: The module.
        network: The network.
        owner: Dotted name of the module that holds it.

    Returns:
        The dotted name that it has there.
    """
    # What a trace computes in advance lies in the outermost module, whose part 0 is the network.
    owner = "0" if not owner and hasattr(network, "0") else owner
    parent, name = network.get_submodule(owner), type(module).__name__.lower()
    while hasattr(parent, name):
        name = f"{name}_"
    parent.add_module(name, module)
    return f"{owner}.{name}" if owner else name


def conv_of(node: object, network: nn.Module) -> nn.Module | None:
    """Return the two-dimensional convolution that a node calls; None where it does other things."""
    if not isinstance(node, fx.Node) or node.op != "call_module":
        return None
    module = network.get_submodule(str(node.target))
    return module if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | DsxConv) else None


def _batch_norm(given: Mapping[str, Any]) -> nn.Module | None:
    """Build a batch norm; None where it uses the statistics of the batch."""
    mean, variance = given.get("running_mean"), given.get("running_var")
    if mean is None or variance is None or given.get("training", False) is not False:
        return None
    norm = nn.BatchNorm2d(len(mean), eps=float(given.get("eps", 1e-5)))
    norm.running_mean, norm.running_var = mean, variance
    weight, bias = given.get("weight"), given.get("bias")
    norm.weight = fixed(torch.ones_like(mean) if weight is None else weight)
    norm.bias = fixed(torch.zeros_like(mean) if bias is None else bias)
    return norm.eval()


def _conv2d(given: Mapping[str, Any]) -> nn.Module:
    weight, bias, groups = given["weight"], given.get("bias"), given.get("groups", 1)
    padding = given.get("padding", 0)
    conv = nn.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        tuple(weight.shape[2:]),
        _pair(given.get("stride", 1)),
        padding if isinstance(padding, str) else _pair(padding),
        _pair(given.get("dilation", 1)),
        groups,
        bias is not None,
        device="meta",
    )
    conv.weight = fixed(weight)
    if bias is not None:
        conv.bias = fixed(bias)
    return conv.eval()


def fixed(tensor: Tensor) -> nn.Parameter:
    """Return a tensor as a parameter without gradient."""
    return nn.Parameter(tensor.detach(), requires_grad=False)


def _pair(number: Any) -> tuple[int, int]:
    first, *rest = number if isinstance(number, tuple | list) else (number,)
    return int(first), int(rest[0] if rest else first)
