"""Conversion of functional convolutions and batch norms of a trace to modules of torch.nn.

A subclass that overrides `forward` is traced as calls of torch.nn.functional on its tensors.
Whether a call can be folded depends on its computation, not on the type of the calling module.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from dsx.conv.graph.constants import Constants, NotConstant
from dsx.conv.modules.base import DsxConv

_STATISTICS = ("running_mean", "running_var")
_NORM_ARGUMENTS: Mapping[object, tuple[str, ...]] = {
    F.batch_norm: ("input", *_STATISTICS, "weight", "bias", "training", "momentum", "eps"),
    torch.batch_norm: ("input", "weight", "bias", *_STATISTICS, "training", "momentum", "eps"),
}
_CONV_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
Build = Callable[[Mapping[str, Any]], nn.Module | None]


def as_modules(network: nn.Module, graph: fx.Graph) -> None:
    """Replace functional convolutions, and functional batch norms behind convolutions, by modules.

    Args:
        network: Network in eval mode; the new modules are added to it.
        graph: Trace of the network, modified in place to call the new modules.
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
    """Return the nodes whose results a node concatenates along the channels.

    Args:
        node: Node, or any other argument in a trace.

    Returns:
        The concatenated nodes; empty if the node is not such a concatenation.
    """
    if not isinstance(node, fx.Node) or node.target not in (torch.cat, torch.concat):
        return []
    arguments = dict(zip(("tensors", "dim"), node.args, strict=False)) | node.kwargs
    parts = arguments["tensors"]
    assert isinstance(parts, list | tuple)
    return (
        [part for part in parts if isinstance(part, fx.Node)] if arguments.get("dim") == 1 else []
    )


def _follows_convs(node: object, network: nn.Module) -> bool:
    parts: list[object] = [*concatenated(node)]
    return all(conv_of(part, network) for part in parts or [node])


def _is_weight_of(weight: object, called: set[str]) -> bool:
    """Check whether a weight belongs to a module that is called as well."""
    (node,) = weight if isinstance(weight, tuple) and weight else (None,)
    direct = isinstance(node, fx.Node) and node.op == "get_attr"
    return direct and str(node.target).rpartition(".")[0] in called


def _replace(
    node: fx.Node, names: tuple[str, ...], build: Build, network: nn.Module, constants: Constants
) -> None:
    arguments = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
    image = arguments.pop("input")
    try:
        values = constants.value(arguments)
    except NotConstant:
        return
    module = build(values)
    for part in ("weight", "bias") if module is not None else ():
        if isinstance(values.get(part), Tensor):
            setattr(module, part, constants.parameter(values[part]))
    if module is not None and isinstance(image, fx.Node):
        replace_by_module(node, image, module, network, constants.owner(arguments))


def replace_by_module(
    node: fx.Node, image: fx.Node, module: nn.Module, network: nn.Module, owner: str
) -> None:
    """Replace a node by a call of a module, in place.

    Args:
        node: Node to replace.
        image: Argument of the call.
        module: Module to call; it is added to the network.
        network: Traced network.
        owner: Dotted name of the parent module in the network.
    """
    with node.graph.inserting_before(node):
        call = node.graph.call_module(attach(module, network, owner), (image,))
    node.replace_all_uses_with(call)
    node.graph.erase_node(node)


def attach(module: nn.Module, network: nn.Module, owner: str) -> str:
    """Add a module to a network under an unused name.

    Args:
        module: Module to add.
        network: Network that is modified.
        owner: Dotted name of the parent module.

    Returns:
        The dotted name of the module in the network.
    """
    # Values that a trace precomputes are held by the root, whose child 0 is the network.
    owner = "0" if not owner and hasattr(network, "0") else owner
    parent, name = network.get_submodule(owner), type(module).__name__.lower()
    while hasattr(parent, name):
        name = f"{name}_"
    parent.add_module(name, module)
    return f"{owner}.{name}" if owner else name


def conv_of(node: object, network: nn.Module) -> nn.Module | None:
    """Return the two-dimensional convolution that a node calls.

    Args:
        node: Node, or any other argument in a trace.
        network: Traced network.

    Returns:
        The convolution; None if the node is not a call of one.
    """
    if not isinstance(node, fx.Node) or node.op != "call_module":
        return None
    module = network.get_submodule(str(node.target))
    return module if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | DsxConv) else None


def _batch_norm(arguments: Mapping[str, Any]) -> nn.Module | None:
    """Build a batch norm; None if it uses the statistics of the batch."""
    mean, variance = arguments.get("running_mean"), arguments.get("running_var")
    if mean is None or variance is None or arguments.get("training", False) is not False:
        return None
    norm = nn.BatchNorm2d(len(mean), eps=float(arguments.get("eps", 1e-5)))
    norm.running_mean, norm.running_var = mean, variance
    weight, bias = arguments.get("weight"), arguments.get("bias")
    norm.weight = constant_parameter(torch.ones_like(mean) if weight is None else weight)
    norm.bias = constant_parameter(torch.zeros_like(mean) if bias is None else bias)
    return norm.eval()


def _conv2d(arguments: Mapping[str, Any]) -> nn.Module:
    weight, bias, groups = arguments["weight"], arguments.get("bias"), arguments.get("groups", 1)
    padding = arguments.get("padding", 0)
    conv = nn.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        tuple(weight.shape[2:]),
        _pair(arguments.get("stride", 1)),
        padding if isinstance(padding, str) else _pair(padding),
        _pair(arguments.get("dilation", 1)),
        groups,
        bias is not None,
        device="meta",
    )
    conv.weight = constant_parameter(weight)
    if bias is not None:
        conv.bias = constant_parameter(bias)
    return conv.eval()


def constant_parameter(tensor: Tensor) -> nn.Parameter:
    """Return a tensor as a parameter without gradient.

    Args:
        tensor: Tensor to wrap.

    Returns:
        The parameter.
    """
    return nn.Parameter(tensor.detach(), requires_grad=False)


def _pair(number: Any) -> tuple[int, int]:
    first, *rest = number if isinstance(number, tuple | list) else (number,)
    return int(first), int(rest[0] if rest else first)
