"""WindowedConv2d: the base class of all convolutions over a channel window."""

import abc

import torch
from torch import Tensor, nn

from dsx.conv.modules.base import DsxConv
from dsx.conv.native.operators import TrainingPlans, block_sparse_conv2d
from dsx.conv.native.training import fixed_plans, is_possible, subsampled
from dsx.conv.sparsity.layout import Layout, crop, spread, spread_layout
from dsx.conv.spec.spec import ConvSpec


class WindowedConv2d(DsxConv):
    """A sparse convolution y_o = sum over channels c and positions p of W[o, c, p] * x_c(. + p).

    The sum covers the channel window and the kernel shape. It is computed by the compiled kernels
    where these are faster, else by one dense or grouped convolution with dead weights masked,
    because torch has no faster backward pass for a sparse kernel.

    Args:
        spec: Canonical spec.
        like: Convolution that is replaced.
        frame: Layout of all weights that can be live.

    Attributes:
        frame: Layout of all weights that can be live.
        bias: Bias, (Cout,), or None.
    """

    mask: Tensor | None
    columns: Tensor | None
    bias: nn.Parameter | None

    def __init__(self, spec: ConvSpec, like: nn.Conv2d, frame: Layout) -> None:
        super().__init__(spec, like)
        self.frame = frame
        self.bias = None if like.bias is None else nn.Parameter(like.bias.detach().clone())
        # Both follow from the spec, so the state dict does not contain them.
        columns = None if frame.step is None else frame.channels
        self.register_buffer("mask", None if frame.live.all() else frame.live, persistent=False)
        self.register_buffer("columns", columns, persistent=False)

    @property
    @abc.abstractmethod
    def layout(self) -> Layout:
        """The layout of the currently live weights, on the box of `live_weight`."""

    @abc.abstractmethod
    def live_weight(self) -> Tensor:
        """Return the weight, zero at dead positions, (Cout, gw, box height, box width)."""

    def kernel_plans(self) -> TrainingPlans | None:
        """Return the plans for the compiled kernels; None if they would not be faster."""
        return fixed_plans(self.spec, self.geometry)

    def forward(self, input: Tensor) -> Tensor:
        """Compute the convolution.

        Args:
            input: Batch of images, (B, Cin, H, W).

        Returns:
            The output, (B, Cout, OH, OW).
        """
        weight = self.live_weight()
        if is_possible(input, weight, self.geometry):
            plans = self.kernel_plans()
            if plans is not None:
                x = subsampled(input, self.geometry)
                return block_sparse_conv2d(x, weight, self.bias, plans)
        groups = self.frame.groups if self.columns is None else 1
        if self.columns is not None:
            weight = spread(weight, self.columns, self.in_channels)
        return self.geometry.convolve(input, weight, self.bias, self.frame.box, groups)

    def dense_weight(self) -> Tensor:
        """Return the weight of the equivalent nn.Conv2d, (Cout, Cin, K, K), differentiable."""
        return spread_layout(self.live_weight(), self.frame, self.geometry)

    def dense_bias(self) -> Tensor | None:
        """Return the bias, (Cout,) or None."""
        return self.bias

    def scale_outputs(self, scale: Tensor, shift: Tensor) -> None:
        """Fold a factor and a shift of the outputs into weights and bias, as for a BN.

        Args:
            scale: Factor of each output channel, (Cout,).
            shift: Shift of each output channel, applied after the factor, (Cout,).
        """
        with torch.no_grad():
            bias = shift if self.bias is None else self.bias * scale + shift
            self._scale_weight(scale)
        # A new parameter, as in `_scale_weight`, because another module may share the old one.
        self.bias = nn.Parameter(bias.to(self.live_weight().dtype, copy=True))

    @abc.abstractmethod
    def _scale_weight(self, scale: Tensor) -> None:
        """Multiply the parameters of each output by a factor, (Cout,)."""

    def project(self, weight: Tensor, bias: Tensor | None) -> None:
        """Project a trained dense weight onto the spec and adopt the result.

        Args:
            weight: Dense weight, (Cout, Cin, K, K).
            bias: Bias, (Cout,), or None.
        """
        with torch.no_grad():
            self._project_weight(weight)
            if self.bias is not None and bias is not None:
                self.bias.copy_(bias)

    @abc.abstractmethod
    def _project_weight(self, weight: Tensor) -> None:
        """Project a trained dense weight, (Cout, Cin, K, K), and adopt the result."""


def read_window(weight: Tensor, frame: Layout) -> Tensor:
    """Restrict a dense weight to the channel windows and the box of a layout.

    Args:
        weight: Dense weight, (Cout, Cin, K, K).
        frame: Layout of the convolution.

    Returns:
        The restricted weight, (Cout, gw, box height, box width).
    """
    channels = frame.channels.to(weight.device)
    return crop(weight, frame.box).gather(
        1, channels[:, :, None, None].expand(-1, -1, frame.box.height, frame.box.width)
    )
