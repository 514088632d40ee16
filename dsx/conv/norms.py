"""What follows what in a network, and which convolutions a BN follows."""

import keyword
import unicodedata
from collections import Counter
from typing import Any

from torch import fx, nn
from torch.nn.utils.parametrize import is_parametrized

from dsx.conv._base import DsxConv
from dsx.conv.network_calls import duplicate, set_mode
from dsx.errors import raise_out_of_memory

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
    graph = _graph(network)
    return graph if isinstance(graph, str) else _unsafe_name(graph) or graph


def _graph(network: nn.Module) -> fx.Graph | str:
    """Trace a network that need not be written as code."""
    try:
        return _Tracer().trace(network)
    # torch.fx runs the user's forward on stand-ins, which can raise anything. Not being traceable
    # is a property of the network that the caller reports.
    except Exception as error:
        raise_out_of_memory(error)
        return ": ".join([type(error).__name__, *str(error).splitlines()[:1]])


def _unsafe_name(graph: fx.Graph) -> str:
    """Name what torch.fx would not write as a name into generated code; "" if nothing."""
    for node in graph.nodes:
        path = node.target if isinstance(node.target, str) else ""
        if not all(map(_writable, path.split("."))):
            return f"{path!r} cannot be written as Python"
        for name in node.kwargs:
            if not name.isidentifier():
                return f"the argument {name!r} cannot be written as Python"
    return ""


def _writable(name: str) -> bool:
    """Check whether torch.fx can write a name as an attribute or between quotes."""
    if name.isidentifier():
        return not keyword.iskeyword(name) and unicodedata.normalize("NFKC", name) == name
    return name.isprintable() and '"' not in name and "\\" not in name


def bound(network: nn.Module, graph: fx.Graph | str) -> set[nn.Module]:
    """List the modules that must stay as they are for the network to compute what it does.

    Args:
        network: Any network.
        graph: Its trace, or the reason why there is none.

    Returns:
        Those that hooks hang on, that compute their weights from others (weight norm), or whose
        tensors the network's own code reads.
    """
    found = {
        module
        for module in network.modules()
        if module._forward_hooks or module._forward_pre_hooks or is_parametrized(module)
    }
    for node in [] if isinstance(graph, str) else graph.nodes:
        owner = str(node.target).rpartition(".")[0] if node.op == "get_attr" else ""
        if owner:
            found.add(network.get_submodule(owner))
    return found


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
    twin, graph = _traced(network)
    if isinstance(graph, str):
        return set()
    return _originals(network, twin, {conv for conv, _ in pairs(twin, graph)})


def untouchable(network: nn.Module) -> set[nn.Module]:
    """List the modules that must stay as they are, as `bound` does, of a network yet untraced.

    Args:
        network: Any network that can be copied; it is left as it is.

    Returns:
        Its modules.
    """
    twin, graph = _traced(network)
    return _originals(network, twin, bound(twin, graph))


def untraced(network: nn.Module) -> str | None:
    """Say why torch.fx cannot follow a network.

    Args:
        network: Any network that can be copied; it is left as it is.

    Returns:
        The reason; None where it can be followed.
    """
    twin, _ = _traced(network)
    graph = trace(twin)
    return graph if isinstance(graph, str) else None


def _traced(network: nn.Module) -> tuple[nn.Module, fx.Graph | str]:
    # A network may keep what it is given, and here it is given stand-ins: that stays in the copy.
    twin = set_mode(duplicate(network), False)
    return twin, _graph(twin)


def _originals(network: nn.Module, twin: nn.Module, found: set[Any]) -> set[nn.Module]:
    return {network.get_submodule(name) for name, m in twin.named_modules() if m in found}
