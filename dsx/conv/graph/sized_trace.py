"""A tracer for networks whose code reads the size of the images, which the trace then fixes.

torch.fx runs the code of a network on proxies without tensors. Here each proxy has two tensors,
computed from batches of different lengths. A size that does not depend on the length of the batch,
such as the height of an image, is therefore a plain number to the code of the network.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.proxy import Attribute, TraceError

from dsx.conv.graph.shape_reads import ATTRIBUTES, METHODS

LENGTHS = (2, 5)
"""Lengths of the two batches; a value that depends on the length rarely agrees for both."""
_SIZES = ("shape", "size", "numel", "stride", "is_contiguous")
"""Attributes and methods of a tensor that depend on its size."""


class SizedTracer(fx.Tracer):
    """A tracer that evaluates each value on two batches.

    Args:
        images: Batch of at least one image.

    Attributes:
        reads_size: Whether the network reads the size of a tensor, not only its rank and dtype, so
            that the trace is valid only for images of one size.
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        # Concatenation keeps the memory layout.
        self._batches = [torch.cat([images[:1]] * length) for length in LENGTHS]
        self._computing = False
        self.reads_size = False

    def proxy(self, node: fx.Node) -> "_Sized":
        """Build the proxy of a node.

        Args:
            node: Node of the trace.

        Returns:
            The proxy, without values yet.
        """
        return _Sized(node, self)

    def create_proxy(
        self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **options: Any
    ) -> Any:
        """Evaluate a node on both batches and record it, unless its result is a plain value.

        Args:
            kind: Operation of the node, such as "call_function".
            target: Target of the node.
            args: Positional arguments of the node.
            kwargs: Keyword arguments of the node.
            *rest: Further arguments of `torch.fx.Tracer.create_proxy`.
            **options: Further keyword arguments of `torch.fx.Tracer.create_proxy`.

        Returns:
            The proxy of the node, or the plain value on which both batches agree.
        """
        values = self._values(kind, target, args, kwargs)

        def record() -> _Sized:
            return self._proxy_of(values, kind, target, args, kwargs, *rest, **options)

        if kind != "call_method" or target not in METHODS:
            return record()
        self.reads_size |= target in _SIZES
        return _plain(values, record)

    def attribute(self, proxy: "_Sized", name: str) -> Any:
        """Read an attribute of a tensor that does not depend on its values.

        Args:
            proxy: Proxy of the tensor.
            name: Name of the attribute.

        Returns:
            The value, or a proxy if the value depends on the number of images.
        """
        values = [getattr(value, name) for value in proxy.values]
        self.reads_size |= name in _SIZES
        return _plain(
            values, lambda: self._proxy_of(values, "call_function", getattr, (proxy, name), {})
        )

    def _proxy_of(self, values: Sequence[Any], *node: Any, **options: Any) -> "_Sized":
        proxy = super().create_proxy(*node, **options)
        assert isinstance(proxy, _Sized)
        proxy.values = values
        return proxy

    def _values(self, kind: str, target: Any, args: Any, kwargs: Any) -> Sequence[Any]:
        """Evaluate a node on each batch."""
        if kind == "placeholder":
            return self._batches
        self._computing = True
        try:
            with torch.no_grad():
                return [
                    self._compute(kind, target, *fx.node.map_aggregate((args, kwargs), value))
                    for value in map(_value, range(len(LENGTHS)))
                ]
        finally:
            self._computing = False

    def _compute(self, kind: str, target: Any, args: Any, kwargs: Any) -> Any:
        if kind == "call_function":
            return target(*args, **kwargs)
        if kind == "call_method":
            return getattr(args[0], target)(*args[1:], **kwargs)
        part = operator.attrgetter(target)(self.root)
        return part(*args, **kwargs) if kind == "call_module" else part

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Trace a call of a module, or run it while a value is evaluated.

        Args:
            m: Module that is called.
            forward: Original forward function of the module.
            args: Positional arguments of the call.
            kwargs: Keyword arguments of the call.

        Returns:
            The proxy of the result, or the result itself.
        """
        if self._computing:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Trace a read of a module attribute, or return it while a value is evaluated.

        Args:
            attr: Name of the attribute.
            attr_val: Value of the attribute.
            parameter_proxy_cache: Proxies of the parameters read so far.

        Returns:
            The proxy of the attribute, or its value.
        """
        if self._computing:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        """Iterate over a value whose length does not depend on the batch.

        Args:
            obj: Proxy of the value.

        Returns:
            An iterator over the proxies of the elements.
        """
        assert isinstance(obj, _Sized)
        return (operator.getitem(obj, index) for index in range(len(obj)))


class _Sized(fx.Proxy):
    """A proxy with two values, one for each batch."""

    tracer: SizedTracer
    values: Sequence[Any] = ()
    # Makes a numpy scalar on the left-hand side defer to this class.
    __array_ufunc__ = None

    def __getattr__(self, k: str) -> Any:
        if k in ATTRIBUTES and all(isinstance(value, Tensor) for value in self.values):
            return self.tracer.attribute(self, k)
        return _SizedAttribute(self, k)

    def __len__(self) -> int:
        first, second = map(len, self.values)
        if first != second:
            raise TraceError("its length depends on the number of images in a batch")
        return first


class _SizedAttribute(Attribute, _Sized):
    """An attribute of a proxy, which becomes a node unless it is called as a method."""

    def __init__(self, root: _Sized, attr: str) -> None:
        super().__init__(root, attr)
        self.values = [getattr(value, attr) for value in root.values]


def _value(batch: int) -> Callable[[Any], Any]:
    """Return a function that replaces a proxy by its value for one of the batches."""
    return lambda given: given.values[batch] if isinstance(given, _Sized) else given


def _plain(values: Sequence[Any], record: Callable[[], _Sized]) -> Any:
    """Return the value on which both batches agree, else a proxy; elementwise for tuples."""
    first, second = values
    if first == second:
        return first
    whole = record()
    if not isinstance(first, tuple):
        return whole
    pairs = enumerate(zip(first, second, strict=True))
    return tuple(
        one if one == other else operator.getitem(whole, index) for index, (one, other) in pairs
    )
