"""Folding of the BNs of a traced network into the convolutions before them."""

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
from dsx.conv.graph.norms import call_counts, pairs
from dsx.conv.graph.shape_reads import drop_shape_checks
from dsx.conv.graph.swap import swap
from dsx.conv.graph.tracing import torch_type
from dsx.conv.modules.base import DsxConv
from dsx.conv.native.module import BlockSparseConv2d
from dsx.errors import Unsupported
from dsx.torch_private import BatchNorm, ConvNd, ConvTransposeNd


def normalise(network: nn.Module, graph: fx.Graph, protected: set[nn.Module]) -> None:
    """Rewrite a trace so that it calls equivalent modules of torch.nn where possible, in place.

    Args:
        network: Network in eval mode; equivalent modules are added to it.
        graph: Trace of the network.
        protected: Modules that must not be changed.
    """
    for module in network.modules():
        base = torch_type(module)
        if base is not None and not isinstance(module, DsxConv) and module not in protected:
            module.__class__ = base
    drop_shape_checks(graph)
    drop_idle(network, graph)
    as_modules(network, graph)
    calls = call_counts(network, graph)

    def foldable(module: nn.Module) -> bool:
        return calls[module] == 1 and _foldable(module) and module not in protected

    split_norms(network, graph, foldable)
    affine_as_norms(network, graph, foldable)


def fold_batch_norms(
    network: nn.Module, graph: fx.Graph, protected: set[nn.Module]
) -> dict[nn.Module, tuple[Tensor, Tensor]]:
    """Fold each BN that is the only consumer of a convolution, in place.

    Args:
        network: Network in eval mode; folded BNs become nn.Identity.
        graph: Trace of the network.
        protected: Modules that must not be changed.

    Returns:
        Factor and shift, (Cout,) each, that were folded into each dsx convolution.
    """
    replacements: dict[nn.Module, nn.Module] = {}
    folds: dict[nn.Module, tuple[Tensor, Tensor]] = {}
    for conv, norm in pairs(network, graph):
        constant = norm.running_mean is not None and not norm.training
        if not constant or not _foldable(conv) or not protected.isdisjoint((conv, norm)):
            continue
        if isinstance(conv, DsxConv):
            folds[conv] = _factors(norm)
            conv.scale_outputs(*folds[conv])
            replacements[norm] = nn.Identity()
        else:
            replacements |= _folded(conv, norm)
    swap(network, replacements)
    return folds


def _foldable(conv: nn.Module) -> bool:
    return not conv.training


def _folded(conv: nn.Module, norm: BatchNorm) -> dict[nn.Module, nn.Module]:
    assert isinstance(conv, ConvNd)
    transposed = isinstance(conv, ConvTransposeNd)
    if transposed and conv.groups > 1:
        return {conv: _folded_groups(conv, norm), norm: nn.Identity()}
    return {conv: fuse_conv_bn_eval(conv, norm, transposed), norm: nn.Identity()}


def _folded_groups(conv: ConvNd, norm: BatchNorm) -> nn.Module:
    """Fold a BN into a grouped transposed convolution, with weight (Cin, Cout / groups, ...)."""
    folded = copy.deepcopy(conv)
    factor, shift = _factors(norm)
    by_group = conv.weight.reshape(conv.groups, -1, *conv.weight.shape[1:])
    scale = factor.reshape(conv.groups, 1, -1, *[1] * (conv.weight.dim() - 2))
    folded.weight = nn.Parameter((by_group * scale).flatten(0, 1), requires_grad=False)
    bias = shift if conv.bias is None else conv.bias * factor + shift
    folded.bias = nn.Parameter(bias, requires_grad=False)
    return folded


def _factors(norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """Return the factor and the shift of each channel that are equivalent to a BN."""
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
    """A tracer for which subclasses of torch.nn modules are leaves; hooks can keep them as such."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Check whether a module is recorded as one call."""
        if torch_type(m) is not None or isinstance(m, BlockSparseConv2d):
            return True
        return super().is_leaf_module(m, module_qualified_name)


def flatten(holder: nn.Sequential, graph: fx.Graph) -> nn.Module:
    """Build one flat graph of a deployed network, without modules that have no effect.

    Args:
        holder: Container of the network, with the deployed forms in place.
        graph: Trace of the network before the forms were inserted.

    Returns:
        A fx.GraphModule of torch.nn modules, with the names that they have in the network.
    """
    # The code of the network is not traced again: it may read attributes that a form lacks.
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
        network: Network whose batch norms are counted.
        graph: Trace of the network, or the reason why it cannot be traced; by default the graph
            of a fx.GraphModule.

    Returns:
        The number of calls in the trace; the number of modules if there is no trace.
    """
    if graph is None and isinstance(network, fx.GraphModule):
        graph = network.graph
    if not isinstance(graph, fx.Graph):
        return sum(isinstance(module, BatchNorm) for module in network.modules())
    # A batch norm that is applied to weights is a constant.
    return sum(_is_norm(node, network) for node in from_input(graph))


def _is_norm(node: fx.Node, network: nn.Module) -> bool:
    if node.op == "call_module":
        return isinstance(network.get_submodule(str(node.target)), BatchNorm)
    return node.target in (F.batch_norm, torch.batch_norm)
