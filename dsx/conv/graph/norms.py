"""Pairs of a convolution and the batch norm that follows it."""

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
"""The batch norms of a convolution's dimensions."""


def bound(network: nn.Module, graph: fx.Graph | Unsupported) -> set[nn.Module]:
    """List the modules that must be unchanged for the network to compute the same.

    Args:
        network: Any network.
        graph: Trace of the network, or the reason why there is none.

    Returns:
        Those that hooks hang on, that compute their weights from others (weight norm), or whose
        tensors the network's own code reads.
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
    """List each convolution with the BN that directly and only follows it.

    Args:
        network: The network.
        graph: Trace of the network; functional calls in it are in no pair, see `as_modules`.

    Returns:
        The pairs. A module that is called twice is in none: it has another neighbour at its other
        call.
    """
    modules = dict(network.named_modules(remove_duplicate=False))
    nodes = [node for node in graph.nodes if node.op == "call_module"]
    found = [pair for node in nodes if (pair := _pair(node, modules))]
    calls = called(network, graph)
    return [(conv, norm) for conv, norm in found if calls[conv] == calls[norm] == 1]


def called(network: nn.Module, graph: fx.Graph) -> Counter[nn.Module]:
    """Count how often each module is called in a trace."""
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


def normed(network: nn.Module, traced: Traced | None = None) -> set[nn.Module]:
    """List the convolutions of which a BN is the only consumer, so that their scale is lost.

    Args:
        network: Any network that can be copied; it is unchanged.
        traced: Trace of the network, which is changed; by default one for images of any size.

    Returns:
        Its convolutions; none where torch.fx cannot follow the network.
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


def untouchable(network: nn.Module, traced: Traced) -> set[nn.Module]:
    """List the modules that must be unchanged, as `bound` does.

    Args:
        network: Any network that can be copied; it is unchanged.
        traced: Trace of the network.

    Returns:
        Its modules.
    """
    found = bound(traced.holder, traced.graph)
    named = traced.holder[0].named_modules()
    return {network.get_submodule(name) for name, module in named if module in found}
