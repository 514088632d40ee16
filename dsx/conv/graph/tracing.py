"""Traces of networks as graphs of torch.fx."""

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
"""Names that a subclass can override without changing the computation of its base class."""


class _Tracer(fx.Tracer):
    """A tracer for which dsx convolutions and plain subclasses of torch.nn modules are leaves."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Check whether a module is recorded as one call."""
        if isinstance(m, DsxConv):
            return True
        if _patched(m):
            return False
        return torch_type(m) is not None or super().is_leaf_module(m, module_qualified_name)

    def create_arg(self, a: Any) -> fx.node.Argument:
        """Convert an argument of a call to an argument of a node."""
        # torch accepts numpy scalars, but torch.fx does not.
        return super().create_arg(plain(a) if isinstance(a, Number) else a)


class _SizedTracer(_Tracer, SizedTracer):
    """A sized tracer with the same leaves."""


def _patched(module: nn.Module) -> bool:
    """Check whether methods are overridden on the instance, so that its type is not conclusive."""
    return any(callable(getattr(type(module), name, None)) for name in vars(module))


def torch_type(module: nn.Module) -> type[nn.Module] | None:
    """Return the class of torch.nn whose computation a subclass inherits unchanged.

    Args:
        module: Module to examine.

    Returns:
        The class; None for an instance of a torch.nn class itself, and for a module that overrides
        the computation or has children.
    """
    types = type(module).__mro__
    base = next(kind for kind in types if kind.__module__.startswith("torch.nn."))
    subclasses = types[: types.index(base)]
    if not subclasses or base is nn.Module or own_children(module) or _patched(module):
        return None
    # The subclass may define a property with the name of an attribute.
    attributes = {name for kind in base.__mro__ for name in getattr(kind, "__annotations__", ())}
    attributes |= {*vars(module), *own_parameters(module), *own_buffers(module)}
    overridden = {
        name
        for kind in subclasses
        for name in vars(kind)
        if hasattr(base, name) or name in attributes
    }
    return base if overridden <= _OVERRIDABLE else None


@dataclass(frozen=True)
class Traced:
    """A copy of a network in eval mode with its trace.

    Args:
        holder: Container whose only child is the copy, so that it has exactly one input.
        graph: Trace of the holder, or the reason why torch.fx cannot trace the network.
        sized: Whether the trace is valid only for images of one size, in batches of any length,
            because the code of the network reads the size.
    """

    holder: nn.Sequential
    graph: fx.Graph | Unsupported
    sized: bool

    @property
    def unsupported(self) -> Unsupported | None:
        """The reason why the network cannot be traced or written as code; None if it can."""
        graph = writable(self.graph)
        return graph if isinstance(graph, Unsupported) else None


def follow(network: nn.Module, images: Tensor | None = None) -> Traced:
    """Trace a copy of a network.

    Args:
        network: Network that can be copied; it is not modified.
        images: Batch of images for networks whose code reads the image size, which cannot be
            traced without it.

    Returns:
        The copy and its trace.

    Raises:
        DsxError: If the network cannot be copied.
    """
    holder = _holder(network)
    graph, sized = trace(holder), False
    if isinstance(graph, Unsupported) and images is not None:
        # A new copy, because a network may store its input, which is a proxy while tracing.
        holder, tracer = _holder(network), _SizedTracer(images)
        graph, sized = _run(tracer, holder), tracer.reads_size
    if isinstance(graph, Unsupported):
        return Traced(_holder(network), graph, False)
    return Traced(holder, graph, sized)


def _holder(network: nn.Module) -> nn.Sequential:
    """Copy a network in eval mode into a container, with parametrized weights evaluated."""
    # The container has exactly one input, and the network itself may be a convolution.
    holder = nn.Sequential(set_mode(duplicate(network), False))
    for module in filter(is_parametrized, [*holder.modules()]):
        _compute_weights(module)
    return holder


def _compute_weights(module: nn.Module) -> None:
    """Replace parametrized weights (weight norm) by plain parameters, in place."""
    # Not `remove_parametrizations`, which modifies the class shared by copy and original.
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
    # The weight precedes the bias, as in a convolution without parametrizations.
    parameters.update(others)


def trace(network: nn.Module, images: Tensor | None = None) -> fx.Graph | Unsupported:
    """Trace a network without copying it.

    Args:
        network: Network in eval mode.
        images: Batch of images; the trace is then valid for images of the same size and dtype. By
            default it is valid for all images.

    Returns:
        The graph, or the reason why torch.fx cannot trace the network.
    """
    return _run(_Tracer() if images is None else _SizedTracer(images), network)


def _run(tracer: fx.Tracer, network: nn.Module) -> fx.Graph | Unsupported:
    """Trace a network with a tracer; return the reason in one line if that fails."""
    try:
        graph = tracer.trace(network)
        fix_own_reads(network, graph)
        return graph
    # torch.fx runs the user's forward on proxies, which can raise any exception. That a network
    # cannot be traced is no error; the caller reports it.
    except (Exception, SystemExit) as error:
        raise_out_of_memory(error)
        return Unsupported(": ".join([type(error).__name__, *str(error).splitlines()[:1]]))


def writable(graph: fx.Graph | Unsupported) -> fx.Graph | Unsupported:
    """Return a graph if it can be written as code, else the reason why it cannot.

    Args:
        graph: Trace of a network, or the reason why it cannot be traced, which is returned.

    Returns:
        The graph, or the reason.
    """
    return graph if isinstance(graph, Unsupported) else _unsafe_name(graph) or graph


def _unsafe_name(graph: fx.Graph) -> Unsupported | None:
    """Return why torch.fx cannot write the names of a graph as code; None if it can."""
    for node in graph.nodes:
        path = node.target if isinstance(node.target, str) else ""
        if not all(map(_writable, path.split("."))):
            return Unsupported(f"{path!r} cannot be written as Python")
        for name in node.kwargs:
            if not name.isidentifier():
                return Unsupported(f"the argument {name!r} cannot be written as Python")
    return None


def _writable(name: str) -> bool:
    """Check whether torch.fx can write a name as an attribute or as a quoted string."""
    if name.isidentifier():
        return not keyword.iskeyword(name) and unicodedata.normalize("NFKC", name) == name
    return name.isprintable() and '"' not in name and "\\" not in name
