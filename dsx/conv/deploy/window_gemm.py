"""Window GEMM: one matrix product per channel window, as a batch over overlapping views."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsx.conv.deploy._base import Form
from dsx.conv.modules.base import DsxConv
from dsx.conv.modules.windowed import WindowedConv2d
from dsx.conv.sparsity.geometry import Geometry, is_symmetric, pad_or_crop


class WindowGemm(nn.Module):
    """A batched matrix product over the channel windows of the (unfolded) image.

    The windows are a strided view: for a batch of one image, only the channels that wrap around
    are copied.

    Args:
        conv: Convolution with a sliding window.
    """

    weight: Tensor
    order: Tensor
    bias: Tensor | None

    def __init__(self, conv: WindowedConv2d) -> None:
        super().__init__()
        live = conv.live_weight().detach()
        assert conv.layout.step is not None
        self.geometry: Geometry = conv.geometry
        self.kernel = (live.shape[2], live.shape[3])
        self.padding = conv.geometry.box_padding(conv.layout.box)
        positions = live.shape[2] * live.shape[3]
        # The starts o * s mod Cin are multiples of the greatest common divisor of s and Cin.
        stride = math.gcd(conv.layout.step, conv.in_channels)
        self.wrap = (live.shape[1] - stride) * positions
        self.width, self.stride = live.shape[1] * positions, stride * positions
        window = conv.layout.channels[:, 0] // stride
        self._pack(live.flatten(1), window, conv.in_channels // stride)
        bias = None if conv.bias is None else conv.bias.detach()[:, None].clone()
        self.register_buffer("bias", bias)

    def _pack(self, rows: Tensor, window: Tensor, windows: int) -> None:
        """Arrange the filters as (windows, largest number of filters per window, width)."""
        most = int(window.bincount().max())
        order = window.argsort(stable=True)
        index = torch.arange(len(order)) - torch.searchsorted(window[order], window[order])
        weight = rows.new_zeros(windows, most, rows.shape[1])
        device = rows.device
        weight[window[order].to(device), index.to(device)] = rows[order.to(device)]
        slots = torch.empty_like(order)
        slots[order] = window[order] * most + index
        self.register_buffer("weight", weight)
        self.register_buffer("order", slots.to(device))

    def forward(self, input: Tensor) -> Tensor:
        """Compute the convolution.

        Args:
            input: Batch of images, (B, Cin, H, W).

        Returns:
            The output, (B, Cout, OH, OW).
        """
        columns = self._columns(input)
        columns = torch.cat([columns, columns.narrow(1, 0, self.wrap)], 1)
        # (windows, width, images, pixels), as overlapping views.
        views = columns.unfold(1, self.width, self.stride).permute(1, 3, 0, 2)
        # For one image, flattening does not copy; unlike matmul, torch.bmm accepts such views.
        out = torch.bmm(self.weight, views.flatten(2)).flatten(0, 1).index_select(0, self.order)
        out = out if self.bias is None else out + self.bias
        out_hw = self.geometry.out_hw(input.shape[2], input.shape[3])
        out = out.reshape(len(self.order), input.shape[0], *out_hw).transpose(0, 1)
        # This copies for several images, as the next layer would otherwise do outside the timing.
        return out.contiguous()

    def _columns(self, x: Tensor) -> Tensor:
        geometry, pad = self.geometry, self.padding
        if self.kernel == (1, 1) and geometry.stride == (1, 1) and not any(pad):
            return x.flatten(2)
        native = geometry.padding_mode == "zeros" and is_symmetric(pad)
        if not native:
            x = pad_or_crop(x, pad, geometry.padding_mode)
        padding = (pad[2], pad[0]) if native else (0, 0)
        return F.unfold(x, self.kernel, geometry.dilation, padding, geometry.stride)


def build(conv: DsxConv) -> nn.Module | None:
    """Build the form; it applies to sliding windows.

    Args:
        conv: Convolution to deploy.

    Returns:
        The module, or None if the form does not apply.
    """
    if not isinstance(conv, WindowedConv2d) or conv.layout.step is None:
        return None
    return WindowGemm(conv)


FORM = Form(build=build)
