"""Deployed block-sparse convolution: on a CPU, the module calls the compiled kernel directly."""

import copy
import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from dsx.conv.native import kernel
from dsx.conv.native.gpu.operators import known_of
from dsx.conv.native.operators import geometry_numbers
from dsx.conv.native.plan import Plan, after_depthwise, amounts
from dsx.conv.sparsity.geometry import Geometry
from dsx.torch_private import is_observed


class BlockSparseConv2d(nn.Module):
    """A block-sparse convolution with packed weights, for inference.

    A depthwise convolution before it, a residual addition and an activation after it are computed
    in the same pass over the images.

    Args:
        plan: Plan of the convolution.
        weight: Dense weight, (Cout, Cin, KH, KW).
        bias: Bias, (Cout,), or None.
        geometry: Geometry of the convolution, or of the depthwise one, with padding by zeros.
        depthwise: Filters of the depthwise convolution, (Cin, 1, KH, KW), or None.
        depthwise_bias: Bias of the depthwise convolution, (Cin,), or None.
        merge: Outputs of the plan that each output adds up, (Cout, terms), or None.
        scale: Factor of each sum, (Cout,), or None.

    Attributes:
        activation: Activation of the output, one of `interface.ACTIVATIONS`.
        depthwise_activation: Activation after the depthwise convolution.
    """

    plan: Tensor
    weights: Tensor
    bias: Tensor | None
    depthwise: Tensor | None
    depthwise_bias: Tensor | None
    merge: Tensor | None
    scale: Tensor | None

    def __init__(
        self,
        plan: Plan,
        weight: Tensor,
        bias: Tensor | None,
        geometry: Geometry,
        depthwise: Tensor | None = None,
        depthwise_bias: Tensor | None = None,
        merge: Tensor | None = None,
        scale: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.geometry = geometry
        self.activation = self.depthwise_activation = "none"
        self.register_buffer("plan", plan.table)
        self.register_buffer("weights", kernel.pack(weight, plan.source))
        optional = {
            "bias": bias,
            "depthwise": depthwise,
            "depthwise_bias": depthwise_bias,
            "merge": None if merge is None else merge.to(weight.device, torch.int32),
            "scale": scale,
        }
        # Those that are None come last, because torch.export miscounts the buffers behind them.
        for name in sorted(optional, key=lambda name: optional[name] is None):
            self.register_buffer(name, _copied(optional[name]))

    def forward(self, input: Tensor, residual: Tensor | None = None) -> Tensor:
        """Compute the convolution.

        Args:
            input: Batch of images, (B, Cin, H, W).
            residual: Tensor that is added before the activation, (B, Cout, OH, OW) or a shape that
                torch can add, or None.

        Returns:
            The output, (B, Cout, OH, OW).
        """
        input = _autocast(input, self.weights.dtype)
        if residual is not None:
            residual = _autocast(residual, self.weights.dtype)
        if _is_seen(input) or (residual is not None and _is_seen(residual)):
            return self._by_operator(input, residual)
        call = _CALLS.get(self)
        if call is None or not call.is_valid(self):
            if self.weights.is_cuda:
                return self._by_operator(input, residual)
            call = _CALLS[self] = _Call.of(self)
        out = call(input, residual)
        return self._by_operator(input, residual) if out is None else out

    def after_depthwise(
        self, geometry: Geometry, filters: Tensor, bias: Tensor | None, activation: str
    ) -> "BlockSparseConv2d":
        """Return a copy of this 1 x 1 convolution that computes a depthwise one first.

        Args:
            geometry: Geometry of the depthwise convolution, with the outputs of this one.
            filters: Filters of the depthwise convolution, (Cin, 1, KH, KW).
            bias: Bias of the depthwise convolution, (Cin,), or None.
            activation: Activation between the two convolutions.

        Returns:
            The copy.
        """
        fused = copy.copy(self)
        fused._buffers = dict(self._buffers)
        fused.geometry, fused.depthwise_activation = geometry, activation
        fused.plan = after_depthwise(self.plan, geometry)
        fused.depthwise = filters.detach().clone(memory_format=torch.contiguous_format)
        fused.depthwise_bias = None if bias is None else bias.detach().clone()
        return fused

    @property
    def amounts(self) -> list[int]:
        """Numbers in the plan that determine the amount of computation."""
        if not self.plan.is_cuda:
            return amounts(self.plan)
        lists = known_of(self.plan, None, self.depthwise is not None, self.plan.device).lists
        return [lists.block, lists.chunk, *lists.first.tolist()]

    def _by_operator(self, input: Tensor, residual: Tensor | None) -> Tensor:
        out: Tensor = torch.ops.dsx.block_sparse_conv2d_packed(
            input, self.weights, self.bias, residual, self.depthwise, self.depthwise_bias,
            self.merge, self.scale, self.plan, geometry_numbers(self.geometry), self.activation,
            self.depthwise_activation,
        )  # fmt: skip
        return out

    def extra_repr(self) -> str:
        """Return the sizes and the fused operations for the representation of the module."""
        fused = [name for name in (self.depthwise_activation, self.activation) if name != "none"]
        geometry = self.geometry
        return (
            f"{geometry.in_channels}, {geometry.out_channels}, "
            f"kernel_size={geometry.kernel_size}, stride={geometry.stride}, "
            f"depthwise={self.depthwise is not None}, fused={fused}"
        )


@dataclass(frozen=True)
class _Call:
    """A prepared call of the kernel, without the overhead of the dispatcher.

    Args:
        tensors: Tensors to which the layer points, each with its address.
        activations: Activations of the layer.
        layer: The C structure.
        function: The C function.
        geometry: Geometry of the convolution.
        dtype: Number format of the tensors.
        shapes: Shape of the output for each shape of the input so far.
    """

    tensors: tuple[tuple[Tensor | None, int], ...]
    activations: tuple[str, str]
    layer: Any
    function: Callable[..., int]
    geometry: Geometry
    dtype: torch.dtype
    shapes: dict[torch.Size, tuple[int, int, int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, module: BlockSparseConv2d) -> "_Call":
        layer = kernel.Layer(
            plan=module.plan,
            weights=module.weights,
            bias=module.bias,
            depthwise=module.depthwise,
            depthwise_bias=module.depthwise_bias,
            merge=module.merge,
            scale=module.scale,
            activation=module.activation,
            depthwise_activation=module.depthwise_activation,
        ).structure()
        return cls(
            tuple((tensor, _address(tensor)) for tensor in module._buffers.values()),
            (module.activation, module.depthwise_activation),
            ctypes.byref(layer),
            kernel.function("conv", module.weights.dtype),
            module.geometry,
            module.weights.dtype,
        )

    def is_valid(self, module: BlockSparseConv2d) -> bool:
        """Check whether the module still has the same tensors and activations.

        A tensor may move to another address, for example by `share_memory()`.
        """
        # A plain loop takes a third of the time of all(...), and this runs in every call.
        for (own, address), now in zip(self.tensors, module._buffers.values(), strict=True):
            if own is not now or (now is not None and now.data_ptr() != address):
                return False
        return self.activations == (module.activation, module.depthwise_activation)

    def __call__(self, x: Tensor, residual: Tensor | None) -> Tensor | None:
        """Return the output; None if the residual has another shape."""
        shape = self.shapes.get(x.shape)
        if shape is None:
            shape = self.shapes[x.shape] = kernel.output_shape(x, self.geometry)
        x = kernel.readable(x, self.dtype)
        count, _, height, width = x.shape
        output = x.new_empty(shape)
        pointer = None
        if residual is not None:
            if residual.shape != shape:
                return None
            residual = kernel.readable(residual, self.dtype)
            pointer = residual.data_ptr()
        if count:
            status = self.function(
                self.layer, count, height, width, x.data_ptr(), pointer, output.data_ptr(),
                torch.get_num_threads(),
            )  # fmt: skip
            kernel.check(status, x)
        return output


def _is_seen(x: Tensor) -> bool:
    """Check whether a tensor needs the operator instead of a direct call."""
    return x.is_cuda or is_observed(x) or (x.requires_grad and torch.is_grad_enabled())


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _copied(tensor: Tensor | None) -> Tensor | None:
    if tensor is None:
        return None
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def _autocast(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return what autocast has lowered before in the number format of the weights."""
    lowered = x.dtype != dtype and torch.is_autocast_enabled(x.device.type)
    return x.to(dtype) if lowered else x


# Not an attribute of the module: a copy of the module needs calls of its own, and the structure of
# a deployed network consists of attributes.
_CALLS: WeakKeyDictionary[BlockSparseConv2d, _Call] = WeakKeyDictionary()
