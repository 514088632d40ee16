"""Traces of networks: graphs of torch.fx."""

import keyword
import unicodedata
from dataclasses import dataclass
from numbers import Number
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.parametrize import is_parametrized, type_before_parametrizations

from dsx.conv.graph.shape_reads import fix_own_reads
from dsx.conv.graph.sized_trace import SizedTracer
from dsx.conv.modules.base import DsxConv
from dsx.conv.network_calls import duplicate, set_mode
from dsx.errors import Unsupported, raise_out_of_memory
from dsx.plain import plain
from dsx.torch_private import own_buffers, own_children, own_parameters

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


class _SizedTracer(_Tracer, SizedTracer):
    """Takes the same modules as they are, and knows the size of the images."""


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
    if not own or base is nn.Module or own_children(module) or _patched(module):
        return None
    # An attribute may be a property of the subclass.
    known = {name for kind in base.__mro__ for name in getattr(kind, "__annotations__", ())}
    known |= {*vars(module), *own_parameters(module), *own_buffers(module)}
    changed = {name for kind in own for name in vars(kind) if hasattr(base, name) or name in known}
    return base if changed <= _OVERRIDABLE else None


@dataclass(frozen=True)
class Traced:
    """A copy of a network in eval mode, and its trace.

    Args:
        holder: Calls the copy, which is its part 0, with an image and nothing else.
        graph: Trace of the holder, or the reason why torch.fx cannot follow the network.
        sized: Whether the trace is valid for images of one size only, in batches of any length,
            because the code of the network reads that size.
    """

    holder: nn.Sequential
    graph: fx.Graph | Unsupported
    sized: bool

    @property
    def unsupported(self) -> Unsupported | None:
        """The reason why the network cannot be traced and written as code; None if it can."""
        graph = writable(self.graph)
        return graph if isinstance(graph, Unsupported) else None


def follow(network: nn.Module, images: Tensor | None = None) -> Traced:
    """Trace a copy of a network.

    Args:
        network: Any network that can be copied; it is unchanged.
        images: A batch, for networks whose code reads the size of its images; without it there is
            no trace of these.

    Returns:
        The copy and its trace.

    Raises:
        DsxError: If the network cannot be copied.
    """
    holder = _holder(network)
    graph, sized = trace(holder), False
    if isinstance(graph, Unsupported) and images is not None:
        # A network may keep its input, which is a proxy in a trace.
        holder, tracer = _holder(network), _SizedTracer(images)
        graph, sized = _run(tracer, holder), tracer.reads_size
    if isinstance(graph, Unsupported):
        return Traced(_holder(network), graph, False)
    return Traced(holder, graph, sized)


def _holder(network: nn.Module) -> nn.Sequential:
    """Copy a network in eval mode into another module, with weights that are computed already."""
    # Held by another module the network has just one input, and may itself be a convolution.
    holder = nn.Sequential(set_mode(duplicate(network), False))
    for module in filter(is_parametrized, [*holder.modules()]):
        _compute_weights(module)
    return holder


def _compute_weights(module: nn.Module) -> None:
    """Hold a weight that is computed from others (weight norm) as a parameter, in place."""
    # Not `remove_parametrizations`, which changes the class that the copy shares with the original.
    with torch.no_grad():
        parts = module.get_submodule("parametrizations").named_children()
        computed = {name: getattr(module, name).clone() for name, _ in parts}
    module.__class__ = type_before_parametrizations(module)
    del module.parametrizations
    parameters = own_parameters(module)
    others = dict(parameters)
    parameters.clear()
    for name, tensor in computed.items():
        setattr(module, name, nn.Parameter(tensor))
    # A weight comes before its bias, as in a convolution that never had another one.
    parameters.update(others)


def trace(network: nn.Module, images: Tensor | None = None) -> fx.Graph | Unsupported:
    """Trace a network itself.

    Args:
        network: In eval mode.
        images: A batch; the trace then holds for images of their size and dtype. By default it
            holds for all images.

    Returns:
        The graph, or the reason why torch.fx cannot follow the network.
    """
    return _run(_Tracer() if images is None else _SizedTracer(images), network)


def _run(tracer: fx.Tracer, network: nn.Module) -> fx.Graph | Unsupported:
    """Trace a network with a tracer, or return the reason why that fails, in one line."""
    try:
        graph = tracer.trace(network)
        fix_own_reads(network, graph)
        return graph
    # torch.fx runs the user's forward on proxies, which can raise anything. Not being traceable
    # is a property of the network that the caller reports.
    except (Exception, SystemExit) as error:
        raise_out_of_memory(error)
        return Unsupported(": ".join([type(error).__name__, *str(error).splitlines()[:1]]))


def writable(graph: fx.Graph | Unsupported) -> fx.Graph | Unsupported:
    """Return a graph if it can be written as code, else the reason why it cannot.

    Args:
        graph: A trace, or the reason why there is none, which is returned as it is.

    Returns:
        The graph, or the reason.
    """
    return graph if isinstance(graph, Unsupported) else _unsafe_name(graph) or graph


def _unsafe_name(graph: fx.Graph) -> Unsupported | None:
    """Return the name that torch.fx cannot write into generated code; None if it can write all."""
    for node in graph.nodes:
        path = node.target if isinstance(node.target, str) else ""
        if not all(map(_writable, path.split("."))):
            return Unsupported(f"{path!r} cannot be written as Python")
        for name in node.kwargs:
            if not name.isidentifier():
                return Unsupported(f"the argument {name!r} cannot be written as Python")
    return None


def _writable(name: str) -> bool:
    """Check whether torch.fx can write a name as an attribute or between quotes."""
    if name.isidentifier():
        return not keyword.iskeyword(name) and unicodedata.normalize("NFKC", name) == name
    return name.isprintable() and '"' not in name and "\\" not in name
