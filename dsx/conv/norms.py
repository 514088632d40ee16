"""What follows what in a network, and which convolutions a BN follows."""

import copy
from collections import Counter

from torch import fx, nn

from dsx.conv._base import DsxConv

Conv = nn.Conv2d | DsxConv


class _Tracer(fx.Tracer):
    """Takes dsx convolutions as they are, like torch's own modules."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, DsxConv) or super().is_leaf_module(m, module_qualified_name)


def trace(network: nn.Module) -> fx.Graph | str:
    """Trace what follows what.

    Args:
        network: In eval mode.

    Returns:
        The graph, or the reason why torch.fx cannot follow the network.
    """
    try:
        return _Tracer().trace(network)
    # torch.fx runs the user's forward on stand-ins, which can raise anything. Not being traceable
    # is a property of the network that the caller reports.
    except Exception as error:
        return ": ".join([type(error).__name__, *str(error).splitlines()[:1]])


def pairs(network: nn.Module, graph: fx.Graph) -> list[tuple[Conv, nn.BatchNorm2d]]:
    """List each convolution with the BN that directly and only follows it.

    Args:
        network: The network.
        graph: Its trace.

    Returns:
        The pairs. A module that is called twice is in none: it has another neighbour at its other
        call.
    """
    modules = dict(network.named_modules(remove_duplicate=False))
    called = [node for node in graph.nodes if node.op == "call_module"]
    calls = Counter(modules[node.target] for node in called)
    found = [pair for node in called if (pair := _pair(node, modules))]
    return [(conv, norm) for conv, norm in found if calls[conv] == calls[norm] == 1]


def _pair(node: fx.Node, modules: dict[str, nn.Module]) -> tuple[Conv, nn.BatchNorm2d] | None:
    if len(node.users) != 1:
        return None
    follower = next(iter(node.users))
    if follower.op != "call_module":
        return None
    conv, norm = modules[str(node.target)], modules[str(follower.target)]
    if not isinstance(conv, Conv) or not isinstance(norm, nn.BatchNorm2d):
        return None
    return conv, norm


def normed(network: nn.Module) -> set[nn.Module]:
    """List the convolutions of which a BN is the only consumer, so that their scale is lost.

    Args:
        network: Any network that can be copied; it is left as it is.

    Returns:
        Its nn.Conv2d and dsx convolutions; none where torch.fx cannot follow the network.
    """
    # A network may keep what it is given, and here it is given stand-ins: that stays in the copy.
    twin = copy.deepcopy(network).eval()
    graph = trace(twin)
    if isinstance(graph, str):
        return set()
    followed = {conv for conv, _ in pairs(twin, graph)}
    return {network.get_submodule(name) for name, m in twin.named_modules() if m in followed}
