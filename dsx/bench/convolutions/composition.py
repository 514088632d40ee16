"""A sparse convolution as a user of torch would compose it from operators of torch.

The weight is masked or assembled from its basis, and the channels of sliding windows are copied so
that a grouped convolution reads them.
"""

import torch
from torch import Tensor, nn

from dsx.conv import DsxConv
from dsx.conv.modules import SeparableConv2d, WindowedConv2d


class Composition(nn.Module):
    """A convolution over windows, composed of operators of torch, with the weights of a module.

    Args:
        conv: Convolution whose weights are used.

    Attributes:
        copied: Number of channels of the copy that the grouped convolution reads; 0 without one.
    """

    channels: Tensor
    order: Tensor
    inverse: Tensor

    def __init__(self, conv: WindowedConv2d) -> None:
        super().__init__()
        self.conv = conv
        frame, outputs = conv.frame, conv.out_channels
        self.groups, self.copied = frame.groups, 0
        if frame.step is None:
            return
        windows = len({tuple(window) for window in frame.channels.tolist()})
        # Outputs with the same window form a group if all groups have the same size; index_select
        # is faster than torch.cat of the windows, by far in the backward pass.
        self.groups = windows if outputs % windows == 0 else outputs
        channels = frame.channels[: self.groups].flatten()
        order = torch.arange(outputs).reshape(-1, self.groups).T.flatten()
        self.copied = len(channels)
        self.register_buffer("channels", channels)
        self.register_buffer("order", order)
        self.register_buffer("inverse", order.argsort())

    def forward(self, input: Tensor) -> Tensor:
        """Compute the convolution.

        Args:
            input: Batch of images, (B, Cin, H, W).

        Returns:
            The output, (B, Cout, OH, OW).
        """
        weight, bias = self.conv.live_weight(), self.conv.bias
        geometry, box = self.conv.geometry, self.conv.frame.box
        if not self.copied:
            return geometry.convolve(input, weight, bias, box, self.groups)
        copy = input.index_select(1, self.channels)
        if self.groups == len(self.order):
            return geometry.convolve(copy, weight, bias, box, self.groups)
        ordered = None if bias is None else bias[self.order]
        out = geometry.convolve(copy, weight[self.order], ordered, box, self.groups)
        return out.index_select(1, self.inverse)


def compose(conv: DsxConv) -> nn.Module:
    """Compose a convolution from operators of torch.

    Args:
        conv: Convolution over windows, or a separable one.

    Returns:
        A module with the same weights and the same output.
    """
    if isinstance(conv, SeparableConv2d):
        return nn.Sequential(conv.depthwise, compose(conv.pointwise))
    assert isinstance(conv, WindowedConv2d), type(conv)
    return Composition(conv)


def copied_channels(composed: nn.Module) -> int:
    """Return the number of channels that a composition copies in one pass.

    Args:
        composed: Module that may contain compositions.

    Returns:
        The largest number of any of them.
    """
    parts = [part for part in composed.modules() if isinstance(part, Composition)]
    return max((part.copied for part in parts), default=0)
