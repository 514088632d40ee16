"""Recording of a forward pass: the modules that are called, and the operators that they run."""

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
    """Record of one forward pass.

    Args:
        modules: Output shapes of each call, by convolution or linear layer, in the order of their
            first call.
        flops: Multiply-adds of the operators, by the innermost of these modules that was running,
            or None outside of all of them.
        uncounted: Number of calls by name of each operator that is neither counted nor known to be
            free.
        convolutions: Number of convolutions that were computed outside of the modules and without
            their weights.
        weights: Identities (`id`) of the parameters that code of the network reads outside of the
            module that holds them.
        output: Output of the network.
        wrapped: Whether the network returned an object that contains logits.
    """

    modules: Mapping[nn.Module, list[torch.Size]]
    flops: Mapping[nn.Module | None, int]
    uncounted: Mapping[str, int]
    convolutions: int
    weights: frozenset[int]
    output: Tensor
    wrapped: bool


class _OperatorCounter:
    """Counter of the operators of a network by the module that is running."""

    def __init__(self, network: nn.Module) -> None:
        self.parameters = {id(p) for p in network.parameters()}
        counted = _counted_modules(network)
        self.owned = {id(p): module for module in counted for p in own_parameters(module).values()}
        # Tensors that do not depend on the images, each with the module weights from which it is
        # computed. References to them are held, so that their identities are not reused.
        self.constants: dict[int, tuple[Tensor, frozenset[int]]] = {
            id(t): (t, frozenset({id(t)} & self.owned.keys()))
            for t in itertools.chain(network.parameters(), network.buffers())
        }
        self.reads_unregistered = False
        self.running: list[nn.Module] = []
        self.flops: Counter[nn.Module | None] = Counter()
        self.uncounted: Counter[str] = Counter()
        self.convolutions = 0
        self.weights: set[int] = set()

    def call(self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call an operator, and count its multiply-adds."""
        if is_composite(operator):
            # For example nn.Linear in torch.inference_mode, where it is not decomposed.
            with intercept_operators(self.call):
                return operator.decompose(*args, **kwargs)
        if operator is torch.ops.higher_order.cond:
            condition, if_true, if_false, operands = args
            with intercept_operators(self.call):
                return (if_true if condition else if_false)(*operands)
        out = operator(*args, **kwargs)
        self.reads_unregistered |= any(
            isinstance(arg, nn.Parameter) and id(arg) not in self.parameters for arg in args
        )
        count = multiply_adds(operator, args, kwargs, out)
        module = self.running[-1] if self.running else None
        if count is None:
            self.uncounted[operator_name(operator)] += 1
        else:
            self.flops[module] += count
        functional = module is None and operator is torch.ops.aten.convolution.default
        if functional and not self._sources(args[1]):
            self.convolutions += 1
        self._record_weights(module, args, out)
        return out

    def _record_weights(self, module: nn.Module | None, args: Sequence[Any], out: object) -> None:
        """Record the module weights that an operator reads, and results that depend on no image."""
        tensors = tensors_in(list(args))
        for tensor in tensors:
            if id(tensor) in self.owned and self.owned[id(tensor)] is not module:
                self.weights.add(id(tensor))
        if isinstance(out, Tensor) and all(id(tensor) in self.constants for tensor in tensors):
            self.constants[id(out)] = out, frozenset().union(*map(self._sources, tensors))

    def _sources(self, tensor: Tensor) -> frozenset[int]:
        """Return the module weights of a tensor that depends only on weights; else an empty set."""
        return self.constants[id(tensor)][1] if id(tensor) in self.constants else frozenset()


def record_calls(network: nn.Module, sample: Tensor) -> Calls:
    """Run a network once and record the calls of its modules and operators.

    Args:
        network: Network in eval mode.
        sample: Input batch.

    Returns:
        The record of the forward pass.

    Raises:
        DsxError: If the network does not run on the sample, has weights that are not registered or
            that it creates in its forward pass, or computes in another dtype than that of the
            sample.
    """
    was_loaded = is_compiler_loaded()
    try:
        return _record_calls(network, sample)
    except DsxError:
        # A network that compiles a part of itself (torch.cond) loads the compiler, and compiled
        # code cannot be recorded. Once it is loaded, `run` disables it.
        if was_loaded or not is_compiler_loaded():
            raise
        torch.compiler.reset()
        return _record_calls(network, sample)


def _record_calls(network: nn.Module, sample: Tensor) -> Calls:
    modules: dict[nn.Module, list[torch.Size]] = {}
    counter = _OperatorCounter(network)
    registered = dict(network.named_parameters())
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
    for module in _counted_modules(network):
        hooks.append(module.register_forward_pre_hook(enter, prepend=True))
        # Also called on an exception, since the network may catch it and continue.
        hooks.append(module.register_forward_hook(leave, always_call=True))
    try:
        with _as_matrix_products(), intercept_operators(counter.call):
            output = run(network, sample)
    finally:
        for hook in hooks:
            hook.remove()
    _check_weights(network, list(registered), counter)
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


def _check_weights(network: nn.Module, registered: list[str], counter: _OperatorCounter) -> None:
    added = [name for name, _ in network.named_parameters() if name not in registered]
    if added:
        raise DsxError(
            f"the network creates weights in its first forward pass ({added[0]}), which no "
            "optimiser would update: create them in __init__, or use the lazy modules of torch"
        )
    if counter.reads_unregistered:
        function = function_with_module(network)
        if function is not None:
            raise DsxError(
                f"the network holds a function in '{function}' that refers to a module (such as a "
                "lambda that uses self), so that a copy of the network computes with the weights "
                "of the original: make the function a method"
            )
        raise DsxError(
            "the network computes with weights that it does not register, so that they are neither "
            "trained nor saved (nn.ModuleList and nn.ModuleDict register modules, a plain list or "
            "dict does not)"
        )


def _check_precision(others: set[torch.dtype]) -> None:
    if others:
        kind = str(others.pop()).removeprefix("torch.")
        raise DsxError(
            f"the network computes in {kind} (such as by autocast in its forward): use "
            "train: {precision: bfloat16} and measure: {dtype: bfloat16} instead"
        )


@contextmanager
def _as_matrix_products() -> Iterator[None]:
    """Disable fused attention, so that attention runs as operators that can be counted."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _counted_modules(network: nn.Module) -> list[nn.Module]:
    """List the convolutions and linear layers, except those inside dsx convolutions."""
    convs = [module for module in network.modules() if isinstance(module, DsxConv)]
    inner = {part for conv in convs for part in conv.modules() if part is not conv}
    return [m for m in network.modules() if isinstance(m, _COUNTED) and m not in inner]
