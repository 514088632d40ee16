"""Convolution with a fixed kernel shape, a channel window and real weights."""

import torch
from torch import Tensor, nn

from dsx.conv._base import DsxConv
from dsx.conv.init import mean_square, uniform_
from dsx.conv.layout import crop, layout
from dsx.conv.pieces import counting_form
from dsx.conv.spec import ConvSpec


class FixedConv2d(DsxConv):
    """y_o = sum over the window's channels and the shape's positions of W[o, j, p] * x.

    The weight lies on the bounding box of the kernel shape; dead positions hold zero. Training
    runs one dense or grouped convolution with the dead weights masked: torch has no faster way
    back through a sparse kernel.

    Args:
        spec: A canonical spec with a fixed kernel shape and no binary basis.
        like: The convolution replaced; fresh weights give the output variance that its have.

    Attributes:
        weight: (Cout, gw, box height, box width).
        bias: (Cout,) or None.

    Source:
        design.md, section 3; DSXplore (arXiv 2101.00745) for sliding windows, HetConv
        (arXiv 1903.04120) for het<P>, SSC (arXiv 2210.12818) for sparse shapes.
    """

    mask: Tensor | None
    columns: Tensor | None

    def __init__(self, spec: ConvSpec, like: nn.Conv2d) -> None:
        super().__init__(spec, like)
        self.layout = layout(spec, self.geometry)
        live = self.layout.live
        self.weight = nn.Parameter(like.weight.detach().new_empty(live.shape))
        self.bias = None if like.bias is None else nn.Parameter(torch.empty_like(like.bias))
        # Both follow from the spec, so that the state dict holds what was learnt and no more.
        columns = None if self.layout.step is None else self.layout.channels
        self.register_buffer("mask", None if live.all() else live, persistent=False)
        self.register_buffer("columns", columns, persistent=False)
        self.to(like.weight.device)
        self._reset(like)

    def _reset(self, like: nn.Conv2d) -> None:
        dense_fan_in = like.weight[0].numel()
        live_fan_in = self.layout.live.flatten(1).sum(1).double()
        uniform_(self.weight, mean_square(like.weight) * dense_fan_in / live_fan_in)
        if self.mask is not None:
            with torch.no_grad():
                self.weight.mul_(self.mask)
        if self.bias is not None and like.bias is not None:
            uniform_(self.bias, mean_square(like.bias))

    def live_weight(self) -> Tensor:
        """Give the weight with its dead positions held at zero, without gradient."""
        return self.weight if self.mask is None else self.weight * self.mask

    def windowed_weight(self) -> Tensor:
        """Give the box weight as F.conv2d takes it: (Cout, gw or Cin, box height, box width)."""
        weight = self.live_weight()
        return weight if self.columns is None else spread(weight, self.columns, self.in_channels)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (B, Cin, H, W) to (B, Cout, OH, OW)."""
        groups = self.layout.groups if self.columns is None else 1
        weight = self.windowed_weight()
        return self.geometry.convolve(input, weight, self.bias, self.layout.box, groups)

    def dense_weight(self) -> Tensor:
        weight = self.live_weight()
        if self.layout.groups > 1:
            weight = spread(weight, self.layout.channels.to(weight.device), self.in_channels)
        box = self.layout.box
        dense = weight.new_zeros(*weight.shape[:2], *self.geometry.kernel_size)
        crop(dense, box).copy_(weight)
        return dense

    def dense_bias(self) -> Tensor | None:
        return self.bias

    def counting_form(self) -> nn.Module:
        return counting_form(self.geometry, self.layout, self.live_weight(), self.bias)

    def scale_outputs(self, scale: Tensor, shift: Tensor) -> None:
        with torch.no_grad():
            weight = self.weight * scale.reshape(-1, 1, 1, 1)
            bias = shift if self.bias is None else self.bias * scale + shift
        # New parameters: another module may share the old ones.
        self.weight = nn.Parameter(weight.to(self.weight.dtype))
        self.bias = nn.Parameter(bias.to(self.weight.dtype, copy=True))

    def project(self, weight: Tensor, bias: Tensor | None) -> None:
        channels = self.layout.channels.to(weight.device)
        rows = torch.arange(self.out_channels, device=weight.device)[:, None]
        with torch.no_grad():
            self.weight.copy_(crop(weight, self.layout.box)[rows, channels])
            self.weight.copy_(self.live_weight())
            if self.bias is not None and bias is not None:
                self.bias.copy_(bias)


def spread(weight: Tensor, channels: Tensor, in_channels: int) -> Tensor:
    """Write windowed weights over all input channels.

    Args:
        weight: (Cout, gw, h, w).
        channels: The input channel behind each weight column, (Cout, gw).
        in_channels: Cin.

    Returns:
        (Cout, Cin, h, w) with zeros outside the windows.
    """
    # Number by number: torch.fx cannot unpack a shape.
    shape = (weight.shape[0], in_channels, weight.shape[2], weight.shape[3])
    dense = weight.new_zeros(shape)
    return dense.scatter(1, channels[:, :, None, None].expand_as(weight), weight)
