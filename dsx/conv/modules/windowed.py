"""WindowedConv2d: what all convolutions over a channel window share, whatever their weights are."""

import abc

import torch
from torch import Tensor, nn

from dsx.conv.modules.base import DsxConv
from dsx.conv.modules.layout import Layout, crop
from dsx.conv.spec.spec import ConvSpec


class WindowedConv2d(DsxConv):
    """y_o = sum over the window's channels and the shape's positions of W[o, c, p] * x_c(. + p).

    Training runs one dense or grouped convolution with the dead weights masked: torch has no
    faster way back through a sparse kernel.

    Args:
        spec: A canonical spec.
        like: The convolution replaced.
        frame: The layout of all weights that can be alive.

    Attributes:
        frame: As given.
        bias: (Cout,) or None.
    """

    mask: Tensor | None
    columns: Tensor | None
    bias: nn.Parameter | None

    def __init__(self, spec: ConvSpec, like: nn.Conv2d, frame: Layout) -> None:
        super().__init__(spec, like)
        self.frame = frame
        self.bias = None if like.bias is None else nn.Parameter(like.bias.detach().clone())
        # Both follow from the spec, so that the state dict holds what was learnt and no more.
        columns = None if frame.step is None else frame.channels
        self.register_buffer("mask", None if frame.live.all() else frame.live, persistent=False)
        self.register_buffer("columns", columns, persistent=False)

    @property
    @abc.abstractmethod
    def layout(self) -> Layout:
        """The layout of the weights that are alive now, on the box of `live_weight`."""

    @abc.abstractmethod
    def live_weight(self) -> Tensor:
        """Give the weight with zeros at its dead positions: (Cout, gw, box height, box width)."""

    def windowed_weight(self) -> Tensor:
        """Give the box weight as F.conv2d takes it: (Cout, gw or Cin, box height, box width)."""
        weight = self.live_weight()
        return weight if self.columns is None else spread(weight, self.columns, self.in_channels)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (B, Cin, H, W) to (B, Cout, OH, OW)."""
        groups = self.frame.groups if self.columns is None else 1
        weight = self.windowed_weight()
        return self.geometry.convolve(input, weight, self.bias, self.frame.box, groups)

    def dense_weight(self) -> Tensor:
        weight = self.live_weight()
        if self.frame.groups > 1:
            weight = spread(weight, self.frame.channels.to(weight.device), self.in_channels)
        dense = weight.new_zeros(*weight.shape[:2], *self.geometry.kernel_size)
        crop(dense, self.frame.box).copy_(weight)
        return dense

    def dense_bias(self) -> Tensor | None:
        return self.bias

    def scale_outputs(self, scale: Tensor, shift: Tensor) -> None:
        with torch.no_grad():
            bias = shift if self.bias is None else self.bias * scale + shift
            self._scale_weight(scale)
        # A new parameter, here and below: another module may share the old one.
        self.bias = nn.Parameter(bias.to(self.live_weight().dtype, copy=True))

    @abc.abstractmethod
    def _scale_weight(self, scale: Tensor) -> None:
        """Multiply what each output is proportional to by (Cout,)."""

    def project(self, weight: Tensor, bias: Tensor | None) -> None:
        with torch.no_grad():
            self._project_weight(weight)
            if self.bias is not None and bias is not None:
                self.bias.copy_(bias)

    @abc.abstractmethod
    def _project_weight(self, weight: Tensor) -> None:
        """Take over what can be kept of a trained dense weight (Cout, Cin, K, K)."""


def read_window(weight: Tensor, frame: Layout) -> Tensor:
    """Cut out of a dense weight what a window and its box can hold.

    Args:
        weight: (Cout, Cin, K, K).
        frame: Of the convolution.

    Returns:
        (Cout, gw, box height, box width).
    """
    channels = frame.channels.to(weight.device)
    return crop(weight, frame.box).gather(
        1, channels[:, :, None, None].expand(-1, -1, frame.box.height, frame.box.width)
    )


def spread(weight: Tensor, channels: Tensor, in_channels: int) -> Tensor:
    """Write windowed weights over all input channels.

    Args:
        weight: (Cout, gw, h, w).
        channels: The input channel behind each weight column, (Cout, gw).
        in_channels: Cin.

    Returns:
        (Cout, Cin, h, w) with zeros outside the windows.
    """
    return spread_by(weight, channels[:, :, None, None], in_channels)


def spread_by(weight: Tensor, index: Tensor, in_channels: int) -> Tensor:
    """Write windowed weights over all input channels, by an index of the rank of the weight.

    Args:
        weight: (Cout, gw, h, w).
        index: The input channel behind each weight column, (Cout, gw, 1, 1).
        in_channels: Cin.

    Returns:
        (Cout, Cin, h, w) with zeros outside the windows.
    """
    # Number by number: torch.fx cannot unpack a shape.
    shape = (weight.shape[0], in_channels, weight.shape[2], weight.shape[3])
    dense = weight.new_zeros(shape)
    return dense.scatter(1, index.expand_as(weight), weight)
