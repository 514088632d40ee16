"""Calls of the compiled kernels on tensors of the CPU, without dispatcher and autograd of torch."""

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from dsx.conv.native import library
from dsx.conv.native.compiling import version
from dsx.conv.native.gpu import operators as gpu
from dsx.conv.native.gpu import versions as gpu_versions
from dsx.conv.native.interface import ACTIVATIONS, SUFFIXES, LayerStructure
from dsx.conv.native.plan import OTHER_FORMAT, Plan
from dsx.conv.sparsity.geometry import Geometry
from dsx.errors import DsxError, Unsupported

MAX_ELEMENTS = 2**31
"""Number of elements from which a tensor is refused."""

PRODUCERS = ("auto", "in place", "padded", "flat", "gathered")
"""Ways to provide the input of a tile, in the order of source/interface.h."""

MOST_POSITIONS, MOST_PHASES = 128, 64
"""Limits of the positions of a kernel, and of the product of its strides, as in convolve.h."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The tensors and settings of a convolution that do not change from call to call.

    Args:
        plan: Table of the plan, int32.
        weights: Packed weights.
        bias: Bias, (Cout,), or None.
        depthwise: Filters of a depthwise convolution that is applied first, (Cin, 1, KH, KW), or
            None.
        depthwise_bias: Bias of the depthwise convolution, (Cin,), or None.
        merge: Outputs of the plan that each output adds up, (Cout, terms) int32, or None if the
            outputs of the plan are those of the convolution.
        scale: Factor of each sum, (Cout,), or None.
        activation: Activation of the output, one of `ACTIVATIONS`.
        depthwise_activation: Activation between the two convolutions, one of `ACTIVATIONS`.
        producer: Way to provide the input of a tile, one of `PRODUCERS`; not every geometry
            supports each, and then the kernel selects another.
        super_tile: Number of tiles that are computed together, 1 to 8; 0 for the best.
    """

    plan: Tensor
    weights: Tensor
    bias: Tensor | None = None
    depthwise: Tensor | None = None
    depthwise_bias: Tensor | None = None
    merge: Tensor | None = None
    scale: Tensor | None = None
    activation: str = "none"
    depthwise_activation: str = "none"
    producer: str = "auto"
    super_tile: int = 0

    def __post_init__(self) -> None:
        """Check that the kernel can read the tensors."""
        assert 0 <= self.super_tile <= 8, self.super_tile
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                assert value.is_contiguous() and value.device.type == "cpu", field.name
                assert value.dtype == (
                    torch.int32 if field.name in ("plan", "merge") else self.weights.dtype
                )

    def structure(self) -> LayerStructure:
        """Return the C structure, which is valid as long as the tensors are."""
        return LayerStructure(
            self.plan.data_ptr(),
            self.weights.data_ptr(),
            _pointer(self.bias),
            _pointer(self.depthwise),
            _pointer(self.depthwise_bias),
            _pointer(self.merge),
            _pointer(self.scale),
            *((0, 0) if self.merge is None else self.merge.shape),
            ACTIVATIONS.index(self.activation),
            ACTIVATIONS.index(self.depthwise_activation),
            PRODUCERS.index(self.producer),
            self.super_tile,
        )


def _pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def is_supported(geometry: Geometry) -> bool:
    """Check whether the kernels can compute a geometry.

    Args:
        geometry: Geometry of a convolution.

    Returns:
        Whether the padding is by zeros, and kernel and stride are within the limits of the kernels.
    """
    positions = geometry.kernel_size[0] * geometry.kernel_size[1]
    phases = geometry.stride[0] * geometry.stride[1]
    within = positions <= MOST_POSITIONS and phases <= MOST_PHASES
    return geometry.padding_mode == "zeros" and within


def missing(dtype: torch.dtype, device: torch.device) -> Unsupported | None:
    """Check whether the native kernels can compute with tensors of a kind.

    Args:
        dtype: Number format of the tensors.
        device: Device of the tensors.

    Returns:
        The reason why not; None if they can.
    """
    if device.type == "cuda":
        return gpu.missing(dtype, device)
    if device.type != "cpu":
        return Unsupported(f"the native kernels run on cpu and cuda only, not on {device.type}")
    if dtype not in SUFFIXES:
        return _other_format(dtype)
    loaded = library.load()
    return loaded if isinstance(loaded, Unsupported) else None


def versions(dtype: torch.dtype, device: torch.device) -> dict[str, str]:
    """Return the versions on which the speed of the native kernels depends.

    Args:
        dtype: Number format of the tensors.
        device: Device of the tensors.

    Returns:
        Version of each part by its name; empty if there are no kernels for such tensors.
    """
    if missing(dtype, device) is not None:
        return {}
    return gpu_versions() if device.type == "cuda" else {"kernels of dsx": version()}


def _other_format(dtype: torch.dtype) -> Unsupported:
    known = " and ".join(str(known).removeprefix("torch.") for known in SUFFIXES)
    given = str(dtype).removeprefix("torch.")
    return Unsupported(f"the compiled kernels compute in {known} only, not in {given}")


def conv2d(layer: Layer, x: Tensor, residual: Tensor | None, geometry: Geometry) -> Tensor:
    """Compute a block-sparse convolution.

    Args:
        layer: Plan, weights and settings.
        x: Batch of images, (B, Cin, H, W).
        residual: Tensor that is added to the output before the activation, (B, Cout, OH, OW) or
            of a shape that can be expanded to it, or None.
        geometry: Geometry of the convolution, or of the depthwise one if there is one, with the
            number of outputs of the block-sparse one.

    Returns:
        The output, (B, Cout, OH, OW).

    Raises:
        DsxError: If the input has another shape or too many elements, or the geometry is not
            supported.
    """
    shape = output_shape(x, geometry)
    x = readable(x, layer.weights.dtype)
    if residual is not None:
        residual = readable(residual.expand(shape), x.dtype)
    output = x.new_empty(shape)
    if output.numel():
        run("conv", layer.structure(), x, residual, output)
    return output


def output_shape(x: Tensor, geometry: Geometry) -> tuple[int, int, int, int]:
    """Compute the shape of the output.

    Args:
        x: Batch of images, (B, Cin, H, W).
        geometry: Geometry of the convolution.

    Returns:
        The shape, (B, Cout, OH, OW).

    Raises:
        DsxError: If the input has another shape, or the output has no or too many elements.
    """
    if x.dim() != 4 or x.shape[1] != geometry.in_channels:
        given = tuple(x.shape)
        raise DsxError(f"input of shape {given} (allowed: (B, {geometry.in_channels}, H, W))")
    count, _, height, width = x.shape
    rows, columns = geometry.out_hw(height, width)
    if rows < 1 or columns < 1:
        raise DsxError(f"images of {height} x {width} are smaller than the kernel with its padding")
    shape = count, geometry.out_channels, rows, columns
    if count * geometry.out_channels * rows * columns >= MAX_ELEMENTS:
        raise _too_large(shape)
    return shape


def weight_gradient(plan: Plan, x: Tensor, gradient: Tensor, size: int) -> Tensor:
    """Compute the gradient of the weights of a block-sparse convolution of stride 1.

    Args:
        plan: The plan of the convolution.
        x: Input of the convolution, (B, Cin, H, W).
        gradient: Gradient of its output, (B, Cout, OH, OW).
        size: Number of elements of the weight, dead ones included.

    Returns:
        The gradient of the flattened weight, (size,), zero at dead weights.

    Raises:
        DsxError: If a tensor has too many elements, or the geometry is not supported.
    """
    x, gradient = readable(x, x.dtype), readable(gradient, x.dtype)
    packed = x.new_zeros(len(plan.source))
    if x.numel() and gradient.numel():
        run("gradient", Layer(plan=plan.table, weights=packed).structure(), x, gradient, packed)
    weight = x.new_zeros(size)
    unpack = function("unpack", x.dtype)
    unpack(packed.data_ptr(), plan.source.data_ptr(), len(plan.source), weight.data_ptr())
    return weight


def pack(weight: Tensor, source: Tensor) -> Tensor:
    """Pack the weights for the kernel.

    Args:
        weight: Weight of the convolution, of any shape, on the CPU or a GPU.
        source: `Plan.source`, with indices into the flattened weight.

    Returns:
        The packed weights.
    """
    weight = weight.detach().contiguous()
    if weight.device.type == "cuda":
        return gpu.pack(weight, source)
    packed = weight.new_empty(len(source))
    of_dtype = function("pack", weight.dtype)
    of_dtype(weight.data_ptr(), source.data_ptr(), len(source), packed.data_ptr())
    return packed


def readable(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a tensor that the kernel can read.

    Args:
        x: Any tensor.
        dtype: Number format of the weights.

    Returns:
        The tensor itself, or a contiguous copy.

    Raises:
        DsxError: If it has too many elements, another number format, or is not on the CPU.
    """
    if x.dtype != dtype or not x.is_cpu:
        raise DsxError(f"the input is {x.dtype} on {x.device} (allowed: {dtype} on cpu)")
    if x.numel() >= MAX_ELEMENTS:
        raise _too_large(x.shape)
    return x if x.is_contiguous() else x.contiguous()


def _too_large(shape: Sequence[int]) -> DsxError:
    return DsxError(
        f"a tensor of shape {tuple(shape)} has {math.prod(shape)} elements (the compiled kernels "
        f"allow fewer than {MAX_ELEMENTS}); use a smaller batch"
    )


def run(name: str, layer: LayerStructure, x: Tensor, other: Tensor | None, output: Tensor) -> None:
    """Run a kernel.

    Args:
        name: Name of the function without its ending, "conv" or "gradient".
        layer: Constant part of the convolution.
        x: Contiguous input, (B, Cin, H, W).
        other: Second contiguous input of the function, or None.
        output: Contiguous output.

    Raises:
        DsxError: If the geometry is not supported, there is no memory, or the plan has another
            format.
    """
    status = function(name, x.dtype)(
        ctypes.byref(layer), x.shape[0], x.shape[2], x.shape[3], x.data_ptr(), _pointer(other),
        output.data_ptr(), torch.get_num_threads(),
    )  # fmt: skip
    check(status, x)


def check(status: int, x: Tensor) -> None:
    """Raise an error if a kernel did not run.

    Args:
        status: Result of the function of the library.
        x: Input of the convolution.

    Raises:
        DsxError: If the geometry is not supported, there is no memory, or the plan has another
            format.
    """
    if status == -3:
        raise DsxError(OTHER_FORMAT)
    if status == -1:
        raise DsxError(f"the compiled kernels do not support this geometry (input {_shape(x)})")
    if status != 0:
        raise DsxError(f"not enough memory for the compiled kernels (input {_shape(x)})")


def _shape(x: Tensor) -> str:
    return " x ".join(str(size) for size in x.shape)


def function(name: str, dtype: torch.dtype) -> Any:
    """Return a function of the library.

    Args:
        name: Name of the function without its ending.
        dtype: Number format.

    Returns:
        The function.

    Raises:
        DsxError: If the kernels are not compiled, or not for this number format.
    """
    if dtype not in SUFFIXES:
        raise DsxError(_other_format(dtype).reason)
    loaded = library.load()
    if isinstance(loaded, Unsupported):
        raise DsxError(f"no compiled kernels: {loaded.reason}")
    return getattr(loaded, f"dsx_{name}_{SUFFIXES[dtype]}")
