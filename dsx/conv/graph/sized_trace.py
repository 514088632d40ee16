"""A tracer for networks whose code reads the size of its images, which is then fixed.

torch.fx runs the code of a network on proxies, for which no tensor is available. Here each proxy
has two tensors, computed from batches of different lengths. Any size that does not depend on the
length of the batch, such as the height of an image, is a plain number to the code of the network.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.proxy import Attribute, TraceError

from dsx.conv.graph.shape_reads import ATTRIBUTES, METHODS

LENGTHS = (2, 5)
"""Images in the two batches: a number that grows with either is seldom the same for both."""
_SIZES = ("shape", "size", "numel", "stride", "is_contiguous")
"""Attributes and methods of a tensor that depend on its size."""


class SizedTracer(fx.Tracer):
    """Computes each value on two batches while it traces.

    Args:
        images: A batch of at least one image.

    Attributes:
        reads_size: Whether the network reads the size of a tensor, not only its rank and dtype, so
            that the trace is valid for images of one size only.
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        # Concatenation keeps the memory layout.
        self._batches = [torch.cat([images[:1]] * length) for length in LENGTHS]
        self._computing = False
        self.reads_size = False

    def proxy(self, node: fx.Node) -> "_Sized":
        return _Sized(node, self)

    def create_proxy(
        self, kind: str, target: Any, args: Any, kwargs: Any, *others: Any, **named: Any
    ) -> Any:
        values = self._values(kind, target, args, kwargs)

        def record() -> _Sized:
            return self._proxy_of(values, kind, target, args, kwargs, *others, **named)

        if kind != "call_method" or target not in METHODS:
            return record()
        self.reads_size |= target in _SIZES
        return _plain(values, record)

    def attribute(self, proxy: "_Sized", name: str) -> Any:
        """Read an attribute of a tensor that does not depend on its numbers.

        Args:
            proxy: Proxy of the tensor.
            name: Name of the attribute.

        Returns:
            The value, or a proxy of it if it depends on the number of images.
        """
        values = [getattr(value, name) for value in proxy.values]
        self.reads_size |= name in _SIZES
        return _plain(
            values, lambda: self._proxy_of(values, "call_function", getattr, (proxy, name), {})
        )

    def _proxy_of(self, values: Sequence[Any], *node: Any, **named: Any) -> "_Sized":
        made = super().create_proxy(*node, **named)
        assert isinstance(made, _Sized)
        made.values = values
        return made

    def _values(self, kind: str, target: Any, args: Any, kwargs: Any) -> Sequence[Any]:
        """Compute what a node does, once for each batch."""
        if kind == "placeholder":
            return self._batches
        self._computing = True
        try:
            with torch.no_grad():
                return [
                    self._compute(kind, target, *fx.node.map_aggregate((args, kwargs), known))
                    for known in map(_value, range(len(LENGTHS)))
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
        if self._computing:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if self._computing:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        assert isinstance(obj, _Sized)
        return (operator.getitem(obj, place) for place in range(len(obj)))


class _Sized(fx.Proxy):
    """A proxy of two values, one of each batch."""

    tracer: SizedTracer
    values: Sequence[Any] = ()
    # Lets a number of numpy on the left leave the operation to the right.
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
    """An attribute of a proxy, which becomes a node unless it is a method that is called."""

    def __init__(self, root: _Sized, attr: str) -> None:
        super().__init__(root, attr)
        self.values = [getattr(value, attr) for value in root.values]


def _value(batch: int) -> Callable[[Any], Any]:
    """Return a function that replaces a proxy by its value in a batch."""
    return lambda given: given.values[batch] if isinstance(given, _Sized) else given


def _plain(values: Sequence[Any], record: Callable[[], _Sized]) -> Any:
    """Return the value on which both batches agree, else a proxy; tuples element by element."""
    first, second = values
    if first == second:
        return first
    whole = record()
    if not isinstance(first, tuple):
        return whole
    pairs = enumerate(zip(first, second, strict=True))
    return tuple(
        one if one == other else operator.getitem(whole, place) for place, (one, other) in pairs
    )
