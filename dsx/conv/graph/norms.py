"""Pairs of a convolution and its subsequent batch norm in a trace."""

from collections import Counter
from collections.abc import Mapping

from torch import fx, nn
from torch.nn.utils.parametrize import is_parametrized

from dsx.conv.graph.functional import as_modules
from dsx.conv.graph.identity import drop_idle
from dsx.conv.graph.shape_reads import data_users, drop_shape_checks
from dsx.conv.graph.tracing import Traced, follow
from dsx.conv.modules.base import DsxConv
from dsx.errors import Unsupported
from dsx.torch_private import BatchNorm, has_forward_hooks

_NORM_TYPES: Mapping[type[nn.Module], tuple[type[nn.Module], ...]] = {
    nn.Conv1d: (nn.BatchNorm1d, nn.SyncBatchNorm),
    nn.Conv2d: (nn.BatchNorm2d, nn.SyncBatchNorm),
    nn.Conv3d: (nn.BatchNorm3d, nn.SyncBatchNorm),
    nn.ConvTranspose1d: (nn.BatchNorm1d, nn.SyncBatchNorm),
    nn.ConvTranspose2d: (nn.BatchNorm2d, nn.SyncBatchNorm),
    nn.ConvTranspose3d: (nn.BatchNorm3d, nn.SyncBatchNorm),
    DsxConv: (nn.BatchNorm2d, nn.SyncBatchNorm),
}
"""The batch norms that match the dimensions of each convolution."""


def find_protected(network: nn.Module, graph: fx.Graph | Unsupported) -> set[nn.Module]:
    """Find the modules that must not be changed, so that the network computes the same.

    Args:
        network: Network to examine.
        graph: Trace of the network, or the reason why it cannot be traced.

    Returns:
        The modules that have hooks, that are parametrized (weight norm), or whose tensors are read
        by the code of other modules.
    """
    found = {
        module
        for module in network.modules()
        if has_forward_hooks(module) or is_parametrized(module)
    }
    for node in [] if isinstance(graph, Unsupported) else graph.nodes:
        owner = str(node.target).rpartition(".")[0] if node.op == "get_attr" else ""
        if owner:
            found.add(network.get_submodule(owner))
    return found


def pairs(network: nn.Module, graph: fx.Graph) -> list[tuple[nn.Module, BatchNorm]]:
    """Find the pairs of a convolution and a BN that is its only consumer.

    Args:
        network: Traced network.
        graph: Trace of the network; functional calls are not considered, see `as_modules`.

    Returns:
        The pairs. A module that is called more than once is not part of any pair.
    """
    modules = dict(network.named_modules(remove_duplicate=False))
    nodes = [node for node in graph.nodes if node.op == "call_module"]
    found = [pair for node in nodes if (pair := _pair(node, modules))]
    calls = call_counts(network, graph)
    return [(conv, norm) for conv, norm in found if calls[conv] == calls[norm] == 1]


def call_counts(network: nn.Module, graph: fx.Graph) -> Counter[nn.Module]:
    """Count the calls of each module in a trace.

    Args:
        network: Traced network.
        graph: Trace of the network.

    Returns:
        The number of calls by module.
    """
    nodes = (node for node in graph.nodes if node.op == "call_module")
    return Counter(network.get_submodule(str(node.target)) for node in nodes)


def _pair(node: fx.Node, modules: dict[str, nn.Module]) -> tuple[nn.Module, BatchNorm] | None:
    users = data_users(node)
    if len(users) != 1 or users[0].op != "call_module":
        return None
    follower = users[0]
    conv, norm = modules[str(node.target)], modules[str(follower.target)]
    for kind, norms in _NORM_TYPES.items():
        if isinstance(conv, kind) and isinstance(norm, norms):
            assert isinstance(norm, BatchNorm)
            return conv, norm
    return None


def convs_before_norms(network: nn.Module, traced: Traced | None = None) -> set[nn.Module]:
    """Find the convolutions whose only consumer is a BN, which makes the output scale irrelevant.

    Args:
        network: Network that can be copied; it is not modified.
        traced: Trace of the network, which is modified; by default a new trace for images of any
            size.

    Returns:
        The convolutions of the network; empty if torch.fx cannot trace it.
    """
    traced = traced or follow(network)
    holder, graph = traced.holder, traced.graph
    if isinstance(graph, Unsupported):
        return set()
    names = {module: name for name, module in holder[0].named_modules()}
    drop_shape_checks(graph)
    drop_idle(holder, graph)
    as_modules(holder, graph)
    found = [names.get(conv) for conv, _ in pairs(holder, graph)]
    return {network.get_submodule(name) for name in found if name is not None}


def protected_modules(network: nn.Module, traced: Traced) -> set[nn.Module]:
    """Find the modules of a network that must not be changed, see `find_protected`.

    Args:
        network: Network that can be copied; it is not modified.
        traced: Trace of a copy of the network.

    Returns:
        The modules of the network itself, not of the copy.
    """
    found = find_protected(traced.holder, traced.graph)
    named = traced.holder[0].named_modules()
    return {network.get_submodule(name) for name, module in named if module in found}
