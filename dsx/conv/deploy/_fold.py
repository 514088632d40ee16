"""Fold each BN of a traced network into the convolution before it."""

import copy
import operator

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dsx.conv.graph.affine import affine_as_norms
from dsx.conv.graph.concatenated import split_norms
from dsx.conv.graph.constants import from_input
from dsx.conv.graph.functional import as_modules
from dsx.conv.graph.identity import drop_idle, is_idle
from dsx.conv.graph.norms import called, pairs
from dsx.conv.graph.shape_reads import drop_shape_checks
from dsx.conv.graph.swap import swap
from dsx.conv.graph.tracing import torch_type
from dsx.conv.modules.base import DsxConv
from dsx.errors import Unsupported
from dsx.torch_private import BatchNorm, ConvNd, ConvTransposeNd


def normalise(network: nn.Module, graph: fx.Graph, untouched: set[nn.Module]) -> None:
    """Write a trace with torch's own modules where it computes what they do, in place.

    Args:
        network: In eval mode.
        graph: Trace of the network.
        untouched: Modules that must remain unchanged.
    """
    for module in network.modules():
        base = torch_type(module)
        if base is not None and not isinstance(module, DsxConv) and module not in untouched:
            module.__class__ = base
    drop_shape_checks(graph)
    drop_idle(network, graph)
    as_modules(network, graph)
    calls = called(network, graph)

    def foldable(module: nn.Module) -> bool:
        return calls[module] == 1 and _foldable(module) and module not in untouched

    split_norms(network, graph, foldable)
    affine_as_norms(network, graph, foldable)


def fold_batch_norms(
    network: nn.Module, graph: fx.Graph, untouched: set[nn.Module]
) -> dict[nn.Module, tuple[Tensor, Tensor]]:
    """Fold every BN that directly and only follows a convolution, in place.

    Args:
        network: In eval mode; folded BNs become nn.Identity.
        graph: Trace of the network.
        untouched: Modules that must remain unchanged.

    Returns:
        Factor and shift of each output channel, (Cout,) each, that dsx convolutions took over.
    """
    replacements: dict[nn.Module, nn.Module] = {}
    taken: dict[nn.Module, tuple[Tensor, Tensor]] = {}
    for conv, norm in pairs(network, graph):
        settled = norm.running_mean is not None and not norm.training
        if not settled or not _foldable(conv) or not untouched.isdisjoint((conv, norm)):
            continue
        if isinstance(conv, DsxConv):
            taken[conv] = _factors(norm)
            conv.scale_outputs(*taken[conv])
            replacements[norm] = nn.Identity()
        else:
            replacements |= _folded(conv, norm)
    swap(network, replacements)
    return taken


def _foldable(conv: nn.Module) -> bool:
    return not conv.training


def _folded(conv: nn.Module, norm: BatchNorm) -> dict[nn.Module, nn.Module]:
    assert isinstance(conv, ConvNd)
    transposed = isinstance(conv, ConvTransposeNd)
    if transposed and conv.groups > 1:
        return {conv: _folded_groups(conv, norm), norm: nn.Identity()}
    return {conv: fuse_conv_bn_eval(conv, norm, transposed), norm: nn.Identity()}


def _folded_groups(conv: ConvNd, norm: BatchNorm) -> nn.Module:
    """Fold a BN into a grouped transposed convolution, of shape (Cin, Cout / groups, ...)."""
    folded = copy.deepcopy(conv)
    factor, shift = _factors(norm)
    apart = conv.weight.reshape(conv.groups, -1, *conv.weight.shape[1:])
    scale = factor.reshape(conv.groups, 1, -1, *[1] * (conv.weight.dim() - 2))
    folded.weight = nn.Parameter((apart * scale).flatten(0, 1), requires_grad=False)
    bias = shift if conv.bias is None else conv.bias * factor + shift
    folded.bias = nn.Parameter(bias, requires_grad=False)
    return folded


def _factors(norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """Write a BN as a factor and a shift of each channel."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    shift = -norm.running_mean.double() * scale
    if norm.bias is not None:
        shift = shift + norm.bias.double()
    dtype = norm.running_mean.dtype
    return scale.detach().to(dtype), shift.detach().to(dtype)


class _FlatTracer(fx.Tracer):
    """Takes plain subclasses as they are, which are left where hooks are attached to them."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return torch_type(m) is not None or super().is_leaf_module(m, module_qualified_name)


def flatten(holder: nn.Sequential, graph: fx.Graph) -> nn.Module:
    """Write a deployed network as one flat graph without idle modules.

    Args:
        holder: Holds the network, with its forms in place.
        graph: Trace of the network from before they came in.

    Returns:
        A fx.GraphModule of torch's own parts, under the names that they have in the network.
    """
    # Not the network's own code again: it may read what a form has not (a stride, a padding).
    whole = fx.GraphModule(holder, graph)
    flat = fx.GraphModule(whole, _FlatTracer().trace(whole))
    parts = {}
    for node in list(flat.graph.nodes):
        if node.op not in ("call_module", "get_attr"):
            continue
        part = operator.attrgetter(str(node.target))(flat)
        if is_idle(part):
            node.replace_all_uses_with(node.all_input_nodes[0])
            flat.graph.erase_node(node)
        else:
            node.target = str(node.target).removeprefix("0.")
            parts[node.target] = part
    return fx.GraphModule(parts, flat.graph)


def batch_norms(network: nn.Module, graph: fx.Graph | Unsupported | None = None) -> int:
    """Count the batch norms that a network computes.

    Args:
        network: The network.
        graph: Trace of the network, or the reason why there is none; a flat graph is its own.

    Returns:
        Their number, by function in a trace, else by module.
    """
    if graph is None and isinstance(network, fx.GraphModule):
        graph = network.graph
    if not isinstance(graph, fx.Graph):
        return sum(isinstance(module, BatchNorm) for module in network.modules())
    # Those that work on weights are constants.
    return sum(_is_norm(node, network) for node in from_input(graph))


def _is_norm(node: fx.Node, network: nn.Module) -> bool:
    if node.op == "call_module":
        return isinstance(network.get_submodule(str(node.target)), BatchNorm)
    return node.target in (F.batch_norm, torch.batch_norm)
