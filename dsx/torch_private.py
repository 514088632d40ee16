"""Private parts of torch that dsx uses, each under a public name.

No other file of dsx imports or names a private module, class or attribute of torch, so that a
release of torch that changes one of them fails in `tests/test_torch_private.py` and nowhere else.
The compiler of torch takes seconds to import; it is imported inside the functions that use it.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._C._autograd import _disable_profiler_legacy, _enable_profiler_legacy
from torch._C._profiler import ProfilerConfig, ProfilerState, _ExperimentalConfig
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

BatchNorm = nn.modules.batchnorm._BatchNorm
"""Base class of batch norms, `nn.SyncBatchNorm` included."""
NormBase = nn.modules.batchnorm._NormBase
"""Base class of batch norms and instance norms."""
ConvNd = nn.modules.conv._ConvNd
"""Base class of convolutions and transposed convolutions."""
ConvTransposeNd = nn.modules.conv._ConvTransposeNd
"""Base class of transposed convolutions."""
DropoutNd = nn.modules.dropout._DropoutNd
"""Base class of dropout modules."""

ASSERT = torch._assert
"""Function that `assert` becomes in a trace of torch.fx."""
INT_MM = torch.ops.aten._int_mm
"""Product of two matrices of integers."""
ADDMM_ACTIVATION = torch.ops.aten._addmm_activation
"""Product of two matrices, followed by a bias and an activation."""
TRILINEAR = torch.ops.aten._trilinear
"""Operator of `nn.Bilinear`."""
FLASH_ATTENTION_CPU = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
"""Fused attention of the CPU."""

REGISTRIES = ("_modules", "_parameters", "_buffers")
"""Attributes in which a module holds its children, parameters and buffers."""
CONV_FORWARD = "_conv_forward"
"""Method of a convolution that computes its output from an input, a weight and a bias."""

_COMPILERS = frozenset(["torch._dynamo", "torch.nn.attention.flex_attention"])
_RECORD_MEMORY = ProfilerConfig(
    ProfilerState.CPU, False, True, False, False, False, _ExperimentalConfig()
)


# Modules and tensors


def own_children(module: nn.Module) -> dict[str, nn.Module | None]:
    """Return the children of a module by name, including every name of a shared one.

    Args:
        module: Any module.

    Returns:
        The dictionary of the module itself: changes of it change the module.
    """
    return module._modules


def own_parameters(module: nn.Module) -> dict[str, nn.Parameter | None]:
    """Return the parameters that a module itself holds, including a bias that is None.

    Args:
        module: Any module.

    Returns:
        The dictionary of the module itself: changes of it change the module.
    """
    return module._parameters


def own_buffers(module: nn.Module) -> dict[str, Tensor | None]:
    """Return the buffers that a module itself holds, including those that are None.

    Args:
        module: Any module.

    Returns:
        The dictionary of the module itself: changes of it change the module.
    """
    return module._buffers


def has_forward_hooks(module: nn.Module) -> bool:
    """Check whether a hook runs before or after the forward of a module.

    Args:
        module: Any module.

    Returns:
        Whether there is such a hook.
    """
    return bool(module._forward_hooks or module._forward_pre_hooks)


def has_backward_hooks(module: nn.Module) -> bool:
    """Check whether a hook runs in the backward pass of a module or of its own parameters.

    Args:
        module: Any module.

    Returns:
        Whether there is such a hook.
    """
    own = [module._backward_hooks, module._backward_pre_hooks]
    tensors = [p._backward_hooks for p in own_parameters(module).values() if p is not None]
    return any(map(bool, [*own, *tensors]))


def computed_padding(conv: nn.Conv2d) -> tuple[int, ...]:
    """Return the padding that a convolution computed when it was built, for modes except zeros.

    Args:
        conv: Any convolution.

    Returns:
        Columns at the left and right, rows at the top and bottom.
    """
    return tuple(map(int, conv._reversed_padding_repeated_twice))


def without_compiler(module: nn.Module) -> nn.Module | None:
    """Return the module inside a module that `torch.compile` returned; None for any other one.

    Args:
        module: Any module.
    """
    # By name, since importing the class takes a second: torch._dynamo.OptimizedModule.
    if type(module).__name__ != "OptimizedModule":
        return None
    inside = module._orig_mod
    assert isinstance(inside, nn.Module)
    return inside


def version_of(x: Tensor) -> int | None:
    """Return how often a tensor has been changed in place.

    Args:
        x: Any tensor.

    Returns:
        The number; None for a tensor made in inference mode, of which torch does not count it.
    """
    return None if x.is_inference() else x._version


# Operators


OperatorCall = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]
"""Function of an operator, its positional and its named arguments; returns the operator's result.

The operator has an overload, such as `aten.mm.default`, or is of higher order.
"""


class _Interception(TorchDispatchMode):  # type: ignore[no-untyped-call]
    supports_higher_order_operators = True

    def __init__(self, call: OperatorCall) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._call = call

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return self._call(func, args, kwargs or {})


def intercept_operators(call: OperatorCall) -> AbstractContextManager[object]:
    """Return a context in which a function runs in place of each operator that torch calls.

    Args:
        call: The function. Operators that it calls itself are not intercepted.
    """
    return _Interception(call)


def is_overload(operator: Any) -> bool:
    """Check whether an operator has overloads and a schema, unlike operators of higher order.

    Args:
        operator: Operator as `intercept_operators` passes it on.

    Returns:
        Whether it has.
    """
    return isinstance(operator, torch._ops.OpOverload)


def is_implicit_composite(operator: Any) -> bool:
    """Check whether torch computes an operator by calling other operators.

    Args:
        operator: Operator as `intercept_operators` passes it on.

    Returns:
        Whether it calls others.
    """
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    return is_overload(operator) and bool(operator.has_kernel_for_dispatch_key(key))


def operator_name(operator: Any) -> str:
    """Return the name of an operator with its namespace, such as "aten::mm".

    Args:
        operator: Operator as `intercept_operators` passes it on.
    """
    return str(operator._schema.name if is_overload(operator) else operator.name())


def named_arguments(
    operator: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a call by the names of the operator's schema.

    Args:
        operator: Operator with a schema.
        args: Positional arguments of the call.
        kwargs: Named arguments of the call.
    """
    names = [argument.name for argument in operator._schema.arguments]
    return dict(zip(names, args, strict=False)) | dict(kwargs)


def tensors_in(value: object) -> list[Tensor]:
    """Return the tensors in nested lists, tuples and dictionaries.

    Args:
        value: Any value.

    Returns:
        The tensors in their order.
    """
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def allocation_sizes(run: Callable[[], object]) -> list[int]:
    """Record the allocations of the CPU during a call.

    They include the memory that an operator needs internally, such as unfolded images;
    `intercept_operators` sees only the outputs of operators. `torch.profiler` reports the same
    events, but takes a second for its first start, and writes to stderr.

    Args:
        run: The call.

    Returns:
        Bytes of each allocation (positive) and release (negative) in their order.
    """
    _enable_profiler_legacy(_RECORD_MEMORY)
    try:
        run()
    finally:
        threads = _disable_profiler_legacy()
    # The usage of other events is 0.
    return [event.cpu_memory_usage() for events in threads for event in events]


def is_observed(x: Tensor) -> bool:
    """Check whether a call on a tensor must go through an operator of torch to be seen.

    Args:
        x: Input of the call.

    Returns:
        Whether torch traces, compiles, counts or transforms the call; false if only the values
        and their gradients matter.
    """
    return (
        type(x) is not Tensor
        or torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._get_tracing_state() is not None
        or torch._C._functorch.maybe_current_level() is not None
        or forward_ad._current_level >= 0
    )


# The compiler


def is_compiler_loaded() -> bool:
    """Check whether anything in this process has imported torch's compiler."""
    return not _COMPILERS.isdisjoint(sys.modules)


def compile_graph(graph: fx.GraphModule, inputs: list[Tensor]) -> Any:
    """Compile a graph with the default compiler of `torch.compile`.

    Args:
        graph: Graph that `torch.compile` passes to its backend.
        inputs: Inputs of the graph.

    Returns:
        A callable that computes the graph.
    """
    from torch._inductor.compile_fx import compile_fx

    return compile_fx(graph, inputs)


@contextmanager
def compiler_settings(*, freezing: bool, most: int) -> Iterator[None]:
    """Set up the compiler for inference, and raise its own errors without their wrapper.

    Args:
        freezing: Whether weights become constants of the code. As an option of `torch.compile` it
            has no effect (torch 2.13).
        most: Number of similar networks that are compiled; by default torch runs the ninth one in
            eager mode without an error.

    Raises:
        Exception: The error of the compiler itself, in place of `BackendCompilerFailed`.
    """
    import torch._dynamo.config
    import torch._inductor.config
    from torch._dynamo.exc import BackendCompilerFailed

    try:
        with (
            torch._inductor.config.patch(freezing=freezing, compile_threads=1),
            torch._dynamo.config.patch(recompile_limit=most, accumulated_recompile_limit=most),
        ):
            yield
    except BackendCompilerFailed as error:
        raise error.inner_exception from None


def forget_compiled() -> None:
    """Free everything that torch keeps of compiled networks, including their weights.

    This is process-wide, because torch has no cache for each compiled network. Functions that the
    caller of dsx has compiled are compiled again when they are next called, with equal results.
    """
    from torch._inductor.codecache import PyCodeCache
    from torch._inductor.utils import clear_caches

    torch.compiler.reset()
    for module in PyCodeCache.modules:
        sys.modules.pop(module.__name__, None)
    clear_caches()


def has_cpp_compiler() -> bool:
    """Check whether torch's compiler finds a C++ compiler on this machine."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return False
    return True
