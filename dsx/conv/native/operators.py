"""Block-sparse convolution as operators of torch, so that autograd and compilers see one call.

`dsx::block_sparse_conv2d` is for training and takes the weight as a module stores it;
`dsx::block_sparse_conv2d_packed` is for deployed networks and takes packed weights. The operators
exist as soon as this module is imported; on a CPU they run only if the kernels are compiled, and on
a GPU only if triton is installed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dsx.conv.native import kernel
from dsx.conv.native.gpu import operators as gpu
from dsx.conv.native.interface import FUNCTIONS, GEOMETRY, PACKED_ARGUMENTS, RESIDUAL
from dsx.conv.native.kernel import Layer
from dsx.conv.native.plan import Mask, Numbers, Plan, make_plan, transposed
from dsx.conv.sparsity.geometry import Geometry
from dsx.errors import DsxError

_SIGNATURES = (
    "block_sparse_conv2d(Tensor input, Tensor weight, Tensor? bias, Tensor[] plans, int[] geometry)"
    " -> Tensor",
    f"block_sparse_conv2d_packed{PACKED_ARGUMENTS}",
    "block_sparse_weight_gradient(Tensor input, Tensor gradient, Tensor weight, Tensor[] plans, "
    "int[] geometry) -> Tensor",
)
_LIBRARY = torch.library.Library("dsx", "DEF")  # type: ignore[no-untyped-call]


def geometry_numbers(geometry: Geometry) -> list[int]:
    """Convert a geometry to the numbers that the operators take.

    Args:
        geometry: Geometry with padding by zeros.

    Returns:
        The channels, kernel size, stride, padding and dilation.
    """
    return [
        geometry.in_channels,
        geometry.out_channels,
        *geometry.kernel_size,
        *geometry.stride,
        *geometry.padding,
        *geometry.dilation,
    ]


def _geometry(numbers: Sequence[int]) -> Geometry:
    inputs, outputs, kh, kw, sh, sw, left, right, top, bottom, dh, dw = numbers
    return Geometry(
        in_channels=inputs,
        out_channels=outputs,
        kernel_size=(kh, kw),
        stride=(sh, sw),
        padding=(left, right, top, bottom),
        dilation=(dh, dw),
        padding_mode="zeros",
    )


@dataclass(frozen=True, kw_only=True)
class TrainingPlans:
    """The plans of a convolution of stride 1 and of the gradient of its input.

    Args:
        forward: Plan of the convolution.
        backward: Plan of the gradient of its input.
        geometry: Geometry of the convolution.
    """

    forward: Plan
    backward: Plan
    geometry: Geometry

    @property
    def tensors(self) -> list[Tensor]:
        """The tables and sources of both plans, as the operators take them."""
        return [self.forward.table, self.forward.source, self.backward.table, self.backward.source]


def training_plans(live: Mask, geometry: Geometry, stored: Numbers) -> TrainingPlans:
    """Plan a convolution of stride 1 for training.

    Args:
        live: Mask of the live weights, (Cout, Cin, KH, KW).
        geometry: Geometry of the convolution.
        stored: Index of each weight in the flattened weight of the module, (Cout, Cin, KH, KW);
            any number for dead weights.

    Returns:
        The plans.
    """
    mask, other, index = transposed(live, geometry)
    backward = np.ascontiguousarray(mask)
    # Plans are kept, and a later backward pass cannot use tensors that inference mode has created.
    with torch.inference_mode(False):
        return TrainingPlans(
            forward=make_plan(live, geometry).with_stored(stored.ravel()),
            backward=make_plan(backward, other).with_stored(stored.ravel()[index]),
            geometry=geometry,
        )


def block_sparse_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, plans: TrainingPlans
) -> Tensor:
    """Compute a block-sparse convolution, differentiable twice.

    Args:
        x: Batch of images, (B, Cin, H, W).
        weight: Weight as stored in the module.
        bias: Bias, (Cout,), or None.
        plans: Plans of the convolution.

    Returns:
        The output, (B, Cout, OH, OW).
    """
    out: Tensor = torch.ops.dsx.block_sparse_conv2d(
        x, weight, bias, plans.tensors, geometry_numbers(plans.geometry)
    )
    return out


def _conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, plans: Sequence[Tensor], geometry: Sequence[int]
) -> Tensor:
    layer = Layer(
        plan=plans[0],
        weights=kernel.pack(weight, plans[1]),
        bias=None if bias is None else bias.detach().contiguous(),
    )
    return kernel.conv2d(layer, x, None, _geometry(geometry))


def _conv2d_packed(
    x: Tensor,
    weights: Tensor,
    bias: Tensor | None,
    residual: Tensor | None,
    depthwise: Tensor | None,
    depthwise_bias: Tensor | None,
    merge: Tensor | None,
    scale: Tensor | None,
    plan: Tensor,
    geometry: Sequence[int],
    activation: str,
    depthwise_activation: str,
) -> Tensor:
    layer = Layer(
        plan=plan,
        weights=weights,
        bias=bias,
        depthwise=depthwise,
        depthwise_bias=depthwise_bias,
        merge=merge,
        scale=scale,
        activation=activation,
        depthwise_activation=depthwise_activation,
    )
    return kernel.conv2d(layer, x, residual, _geometry(geometry))


def _weight_gradient(
    x: Tensor, gradient: Tensor, weight: Tensor, plans: Sequence[Tensor], geometry: Sequence[int]
) -> Tensor:
    plan = Plan(table=plans[0], source=plans[1], live=0)
    return kernel.weight_gradient(plan, x, gradient, weight.numel()).reshape(weight.shape)


def _on_gpu(function: Callable[..., Tensor], place: int) -> Callable[..., Tensor]:
    """Adapt a function for GPUs to an operator whose argument number `place` is the geometry."""

    def call(x: Tensor, other: Tensor, *arguments: Any) -> Tensor:
        if (x.dtype, x.device) != (other.dtype, other.device):
            raise DsxError(
                f"the input is {x.dtype} on {x.device} (allowed: {other.dtype} on {other.device})"
            )
        if (reason := kernel.missing(x.dtype, x.device)) is not None:
            raise DsxError(f"no kernels: {reason.reason}")
        before, (numbers, *after) = arguments[: place - 2], arguments[place - 2 :]
        geometry = _geometry(numbers)
        # Refuses images that do not fit the convolution.
        kernel.output_shape(x, geometry)
        return function(x, other, *before, geometry, *after)

    return call


def _with_any_residual(packed: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Add a residual of another shape than the output outside the kernel, as torch does."""

    def call(x: Tensor, *arguments: Any) -> Tensor:
        residual, geometry = arguments[RESIDUAL - 1], _geometry(arguments[GEOMETRY - 1])
        if residual is None or residual.shape == kernel.output_shape(x, geometry):
            return packed(x, *arguments)
        if residual.dtype != x.dtype:
            raise DsxError(f"the residual is {residual.dtype} (allowed: {x.dtype})")
        *others, activation, depthwise_activation = arguments
        others[RESIDUAL - 1] = None
        out = packed(x, *others, "none", depthwise_activation)
        return FUNCTIONS[activation](out + residual)

    return call


def _output_shape(x: Tensor, geometry: Sequence[int], residual: Tensor | None = None) -> Tensor:
    found = _geometry(geometry)
    shape = x.shape[0], found.out_channels, *found.out_hw(x.shape[2], x.shape[3])
    return x.new_empty(shape if residual is None else torch.broadcast_shapes(shape, residual.shape))


def _set_up(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, bias, plans, geometry = inputs
    ctx.save_for_backward(x, weight, *plans)
    ctx.has_bias, ctx.geometry = bias is not None, geometry


def _backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    x, weight, *plans = ctx.saved_tensors
    of_x = of_weight = of_bias = None
    gradient = gradient.contiguous()
    if ctx.needs_input_grad[0]:
        other = _transposed_geometry(ctx.geometry)
        of_x = torch.ops.dsx.block_sparse_conv2d(
            gradient, weight, None, [*plans[2:], *plans[:2]], other
        )
    if ctx.needs_input_grad[1]:
        of_weight = torch.ops.dsx.block_sparse_weight_gradient(
            x, gradient, weight, plans, ctx.geometry
        )
    if ctx.has_bias and ctx.needs_input_grad[2]:
        of_bias = gradient.sum((0, 2, 3))
    return of_x, of_weight, of_bias, [None] * 4, None


def _set_up_second(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, gradient, _, plans, geometry = inputs
    ctx.save_for_backward(x, gradient, *plans)
    ctx.geometry = geometry


def _second_backward(ctx: Any, of_weight: Tensor) -> tuple[Any, ...]:
    """Return the derivatives of the gradient of the weights, which is linear in x and gradient."""
    x, gradient, *plans = ctx.saved_tensors
    conv2d = torch.ops.dsx.block_sparse_conv2d
    other = _transposed_geometry(ctx.geometry)
    return (
        conv2d(gradient, of_weight, None, [*plans[2:], *plans[:2]], other),
        conv2d(x, of_weight, None, plans, ctx.geometry),
        None,
        [None] * 4,
        None,
    )


def _transposed_geometry(numbers: Sequence[int]) -> list[int]:
    return geometry_numbers(_geometry(numbers).transposed())


def _define() -> None:
    for signature in _SIGNATURES:
        _LIBRARY.define(signature)  # type: ignore[no-untyped-call]
    for name, on_cpu, on_gpu in (
        ("block_sparse_conv2d", _conv2d, _on_gpu(gpu.conv2d, 4)),
        (
            "block_sparse_conv2d_packed",
            _with_any_residual(_conv2d_packed),
            _with_any_residual(_on_gpu(gpu.conv2d_packed, GEOMETRY)),
        ),
        ("block_sparse_weight_gradient", _weight_gradient, _on_gpu(gpu.weight_gradient, 4)),
    ):
        _LIBRARY.impl(name, on_cpu, "CPU")  # type: ignore[no-untyped-call]
        _LIBRARY.impl(name, on_gpu, "CUDA")  # type: ignore[no-untyped-call]
    fakes: dict[str, Callable[..., Tensor]] = {
        "block_sparse_conv2d": lambda x, weight, bias, plans, geometry: _output_shape(x, geometry),
        "block_sparse_conv2d_packed": lambda *arguments: _output_shape(
            arguments[0], arguments[GEOMETRY], arguments[RESIDUAL]
        ),
        "block_sparse_weight_gradient": lambda x, gradient, weight, *others: weight.new_empty(
            weight.shape
        ),
    }
    for name, fake in fakes.items():
        torch.library.register_fake(f"dsx::{name}", fake, lib=_LIBRARY)
    torch.library.register_autograd(
        "dsx::block_sparse_conv2d", _backward, setup_context=_set_up, lib=_LIBRARY
    )
    torch.library.register_autograd(
        "dsx::block_sparse_weight_gradient",
        _second_backward,
        setup_context=_set_up_second,
        lib=_LIBRARY,
    )


_define()
