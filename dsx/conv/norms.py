"""What follows what in a network, and which convolutions a BN follows."""

import keyword
import unicodedata
from collections import Counter
from collections.abc import Mapping
from numbers import Number
from typing import Any

from torch import fx, nn
from torch.nn.utils.parametrize import is_parametrized

from dsx.conv._base import DsxConv
from dsx.conv.functional import as_modules
from dsx.conv.idle import drop_idle
from dsx.conv.network_calls import duplicate, set_mode
from dsx.conv.shape_reads import data_users, drop_shape_checks
from dsx.errors import raise_out_of_memory
from dsx.plain import plain

BatchNorm = nn.modules.batchnorm._BatchNorm
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
_OVERRIDABLE = frozenset([
    "__init__", "__module__", "__doc__", "__annotations__", "__constants__", "__repr__",
    "__firstlineno__", "__static_attributes__", "extra_repr", "reset_parameters",
    "reset_running_stats", "train",
])  # fmt: skip
"""Names that a subclass may override without computing anything else than its base."""


class _Tracer(fx.Tracer):
    """Takes dsx convolutions as they are, like the modules of torch and plain subclasses."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, DsxConv):
            return True
        if _patched(m):
            return False
        return torch_type(m) is not None or super().is_leaf_module(m, module_qualified_name)

    def create_arg(self, a: Any) -> fx.node.Argument:
        # torch takes the numbers of numpy, torch.fx does not.
        return super().create_arg(plain(a) if isinstance(a, Number) else a)


def _patched(module: nn.Module) -> bool:
    """Check whether methods were set on the object itself: then its type does not say all."""
    return any(callable(getattr(type(module), name, None)) for name in vars(module))


def torch_type(module: nn.Module) -> type[nn.Module] | None:
    """Return the class of torch.nn whose computation a subclass inherits unchanged.

    Args:
        module: Any module.

    Returns:
        The class; None for a module of torch.nn itself, and for one that computes its own way or
        holds other modules.
    """
    types = type(module).__mro__
    base = next(kind for kind in types if kind.__module__.startswith("torch.nn."))
    own = types[: types.index(base)]
    if not own or base is nn.Module or module._modules or _patched(module):
        return None
    # An attribute may be a property of the subclass.
    known = {name for kind in base.__mro__ for name in getattr(kind, "__annotations__", ())}
    known |= {*vars(module), *module._parameters, *module._buffers}
    changed = {name for kind in own for name in vars(kind) if hasattr(base, name) or name in known}
    return base if changed <= _OVERRIDABLE else None


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
        graph: Trace of the network, or the reason why there is none.

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


def normed(network: nn.Module) -> set[nn.Module]:
    """List the convolutions of which a BN is the only consumer, so that their scale is lost.

    Args:
        network: Any network that can be copied; it is left as it is.

    Returns:
        Its convolutions; none where torch.fx cannot follow the network.
    """
    twin, holder, graph = _traced(network)
    if isinstance(graph, str):
        return set()
    names = {module: name for name, module in twin.named_modules()}
    drop_shape_checks(graph)
    drop_idle(holder, graph)
    as_modules(holder, graph)
    found = [names.get(conv) for conv, _ in pairs(holder, graph)]
    return {network.get_submodule(name) for name in found if name is not None}


def untouchable(network: nn.Module) -> set[nn.Module]:
    """List the modules that must stay as they are, as `bound` does, of a network yet untraced.

    Args:
        network: Any network that can be copied; it is left as it is.

    Returns:
        Its modules.
    """
    twin, holder, graph = _traced(network)
    found = bound(holder, graph)
    return {network.get_submodule(name) for name, m in twin.named_modules() if m in found}


def untraced(network: nn.Module) -> str | None:
    """Say why torch.fx cannot follow a network.

    Args:
        network: Any network that can be copied; it is left as it is.

    Returns:
        The reason; None where it can be followed.
    """
    graph = trace(_traced(network)[1])
    return graph if isinstance(graph, str) else None


def _traced(network: nn.Module) -> tuple[nn.Module, nn.Module, fx.Graph | str]:
    """Trace a copy of a network inside another module, which calls it with an image only."""
    # A network may keep what it is given, and here it is given stand-ins: that stays in the copy.
    twin = set_mode(duplicate(network), False)
    holder = nn.Sequential(twin)
    return twin, holder, _graph(holder)
