"""The channel window: the input channels that each output channel reads."""

from fractions import Fraction

import torch
from torch import Tensor


def ratio(channel_stride: float | str) -> Fraction:
    """Convert a channel stride to the exact fraction that its decimal notation denotes.

    Args:
        channel_stride: Fraction of the window, such as 0.9, "0.9" or "9/10".

    Returns:
        The exact value: 9/10 for 0.9, not the nearest binary float.
    """
    return Fraction(str(channel_stride))


def integer_step(channel_stride: float | str, width: int) -> int:
    """Convert a channel stride to a number of channels.

    Args:
        channel_stride: Fraction r of the window, 0 < r <= 1.
        width: Number of channels in the window, gw.

    Returns:
        The step s = gw - floor((1 - r) * gw), at least 1.

    Source:
        DSXplore (arXiv 2101.00745), the sliding window with overlap 1 - r.
    """
    return width - int((1 - ratio(channel_stride)) * width)


def window_channels(
    in_channels: int, out_channels: int, groups: int, channel_stride: float | str
) -> Tensor:
    """Compute the input channel of each weight column.

    Args:
        in_channels: Number of input channels, Cin.
        out_channels: Number of output channels, Cout.
        groups: Number of groups, a divisor of Cin; the window has gw = Cin / groups channels.
        channel_stride: "block" (as in a grouped nn.Conv2d), or the distance by which the window
            slides from one output to the next, as a fraction of the window.

    Returns:
        The channels, (Cout, gw): column j of output o reads channel [o, j]. Sliding windows wrap
        around.
    """
    start = _starts(in_channels, out_channels, groups, channel_stride)
    return (start[:, None] + torch.arange(in_channels // groups)) % in_channels


def unread_channels(
    in_channels: int, out_channels: int, groups: int, channel_stride: float | str
) -> int:
    """Count the input channels that no window contains.

    Args:
        in_channels: Number of input channels, Cin.
        out_channels: Number of output channels, Cout.
        groups: Number of groups, a divisor of Cin.
        channel_stride: Channel stride, as in `window_channels`.

    Returns:
        The number of unread channels.
    """
    start = _starts(in_channels, out_channels, groups, channel_stride) % in_channels
    starts = torch.unique(start)
    # The gap between two consecutive starts, minus the width of the first window, is not read.
    following = torch.cat([starts[1:], starts[:1] + in_channels])
    return int((following - starts - in_channels // groups).clamp_min(0).sum())


def _starts(
    in_channels: int, out_channels: int, groups: int, channel_stride: float | str
) -> Tensor:
    """Return the first channel of each window before it wraps around, (Cout,)."""
    width = in_channels // groups
    output = torch.arange(out_channels)
    if channel_stride == "block":
        return output // (out_channels // groups) * width
    return output * integer_step(channel_stride, width)
