"""Watch a network run: which modules are called, and what their operators compute."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from dsx.conv import DsxConv
from dsx.errors import DsxError
from dsx.space.network.closures import function_with_module
from dsx.space.network.network import run, wrapped
from dsx.space.network.operators import is_composite, multiply_adds
from dsx.torch_private import (
    intercept_operators,
    is_compiler_loaded,
    operator_name,
    own_parameters,
    tensors_in,
)

CONVOLUTIONS = (
    nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d
)  # fmt: skip
_COUNTED = (nn.Linear, *CONVOLUTIONS, DsxConv)


@dataclass(frozen=True, kw_only=True)
class Calls:
    """What happened in one forward pass.

    Args:
        modules: The convolutions and linear layers in the order of their first call, with the
            shapes of each call.
        flops: Multiply-adds of the operators by the innermost of these modules that was running;
            by None where there was none.
        uncounted: Operators that are neither counted nor known to be free: name to how many times.
        convolutions: How many convolutions were computed by none of the modules, and with weights
            of none of them.
        weights: Identities of the parameters that the code of the network reads by itself, outside
            the module that holds them.
        output: Of the network.
        wrapped: Whether it came in an object that holds logits beside other things.
    """

    modules: Mapping[nn.Module, list[torch.Size]]
    flops: Mapping[nn.Module | None, int]
    uncounted: Mapping[str, int]
    convolutions: int
    weights: frozenset[int]
    output: Tensor
    wrapped: bool


class _Counter:
    """Counts the operators of a network by the module that is running."""

    def __init__(self, network: nn.Module) -> None:
        self.known = {id(p) for p in network.parameters()}
        counted = _counted(network)
        self.owned = {id(p): module for module in counted for p in own_parameters(module).values()}
        # Tensors that depend on no image, with the weights of modules from which each is computed.
        # They are kept, so that no other tensor gets the identity of one.
        self.fixed: dict[int, tuple[Tensor, frozenset[int]]] = {
            id(t): (t, frozenset({id(t)} & self.owned.keys()))
            for t in itertools.chain(network.parameters(), network.buffers())
        }
        self.unknown = False
        self.running: list[nn.Module] = []
        self.flops: Counter[nn.Module | None] = Counter()
        self.uncounted: Counter[str] = Counter()
        self.convolutions = 0
        self.weights: set[int] = set()

    def call(self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call an operator, and count what it computes."""
        if is_composite(operator):
            # Such as nn.Linear in torch.inference_mode, where nothing decomposes it.
            with intercept_operators(self.call):
                return operator.decompose(*args, **kwargs)
        if operator is torch.ops.higher_order.cond:
            condition, if_true, if_false, operands = args
            with intercept_operators(self.call):
                return (if_true if condition else if_false)(*operands)
        out = operator(*args, **kwargs)
        self.unknown |= any(isinstance(a, nn.Parameter) and id(a) not in self.known for a in args)
        count = multiply_adds(operator, args, kwargs, out)
        module = self.running[-1] if self.running else None
        if count is None:
            self.uncounted[operator_name(operator)] += 1
        else:
            self.flops[module] += count
        own = module is None and operator is torch.ops.aten.convolution.default
        if own and not self._sources(args[1]):
            self.convolutions += 1
        self._note_weights(module, args, out)
        return out

    def _note_weights(self, module: nn.Module | None, args: Sequence[Any], out: object) -> None:
        """Note which weights of modules an operator reads, and what is computed from them alone."""
        tensors = tensors_in(list(args))
        for tensor in tensors:
            if id(tensor) in self.owned and self.owned[id(tensor)] is not module:
                self.weights.add(id(tensor))
        if isinstance(out, Tensor) and all(id(tensor) in self.fixed for tensor in tensors):
            self.fixed[id(out)] = out, frozenset().union(*map(self._sources, tensors))

    def _sources(self, tensor: Tensor) -> frozenset[int]:
        """Return the weights of modules from which alone a tensor is computed; none for others."""
        return self.fixed[id(tensor)][1] if id(tensor) in self.fixed else frozenset()


def watch(network: nn.Module, sample: Tensor) -> Calls:
    """Run a network once and note what is called.

    Args:
        network: In eval mode.
        sample: An input batch.

    Returns:
        What happened.

    Raises:
        DsxError: If the network does not run on the sample, has weights that torch does not see or
            that it makes on the way, or computes in another precision than that of its weights.
    """
    known = is_compiler_loaded()
    try:
        return _watch(network, sample)
    except DsxError:
        # What a network compiles on the way (torch.cond) cannot be watched; now `run` will not.
        if known or not is_compiler_loaded():
            raise
        torch.compiler.reset()
        return _watch(network, sample)


def _watch(network: nn.Module, sample: Tensor) -> Calls:
    modules: dict[nn.Module, list[torch.Size]] = {}
    counter = _Counter(network)
    known = dict(network.named_parameters())
    dtypes: set[torch.dtype] = set()
    returned: list[object] = []

    def enter(module: nn.Module, args: object) -> None:
        counter.running.append(module)

    def leave(module: nn.Module, given: object, output: object) -> None:
        counter.running.pop()
        if isinstance(output, Tensor):  # a subclass may return anything
            modules.setdefault(module, []).append(output.shape)
            dtypes.add(output.dtype)

    hooks = [network.register_forward_hook(lambda _, given, output: returned.append(output))]
    for module in _counted(network):
        hooks.append(module.register_forward_pre_hook(enter, prepend=True))
        # Also where its error is caught by the network: what follows is not computed by it.
        hooks.append(module.register_forward_hook(leave, always_call=True))
    try:
        with _as_matrix_products(), intercept_operators(counter.call):
            output = run(network, sample)
    finally:
        for hook in hooks:
            hook.remove()
    _check_weights(network, list(known), counter)
    _check_precision(dtypes - {sample.dtype})
    return Calls(
        modules=modules,
        flops=counter.flops,
        uncounted=dict(sorted(counter.uncounted.items())),
        convolutions=counter.convolutions,
        weights=frozenset(counter.weights),
        output=output,
        wrapped=wrapped(returned[-1]),
    )


def _check_weights(network: nn.Module, known: list[str], counter: _Counter) -> None:
    added = [name for name, _ in network.named_parameters() if name not in known]
    if added:
        raise DsxError(
            f"the network makes weights in its first forward pass ({added[0]}), which no optimiser "
            "would know: make them in __init__, or use torch's lazy modules"
        )
    if counter.unknown:
        function = function_with_module(network)
        if function is not None:
            raise DsxError(
                f"the network keeps a function in '{function}' that uses another module by itself "
                "(a lambda with self?), so that a copy of the network computes with the weights of "
                "the original: make the function a method"
            )
        raise DsxError(
            "the network computes with weights that it does not register, so that they are neither "
            "trained nor saved (modules in a plain list or dict? nn.ModuleList and nn.ModuleDict "
            "register them)"
        )


def _check_precision(others: set[torch.dtype]) -> None:
    if others:
        kind = str(others.pop()).removeprefix("torch.")
        raise DsxError(
            f"the network computes in {kind} by itself (autocast in its forward?): leave that to "
            "train: {precision: bfloat16} and measure: {dtype: bfloat16}"
        )


@contextmanager
def _as_matrix_products() -> Iterator[None]:
    """Let attention be computed by operators that can be counted."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _counted(network: nn.Module) -> list[nn.Module]:
    """List the convolutions and linear layers, those inside dsx convolutions left out."""
    convs = [module for module in network.modules() if isinstance(module, DsxConv)]
    inner = {part for conv in convs for part in conv.modules() if part is not conv}
    return [m for m in network.modules() if isinstance(m, _COUNTED) and m not in inner]
