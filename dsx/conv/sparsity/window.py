"""The channel window: which input channels each output channel reads."""

from fractions import Fraction

import torch
from torch import Tensor


def ratio(channel_stride: float | str) -> Fraction:
    """Read a channel stride as the decimal or the fraction that it is written as.

    Args:
        channel_stride: A part of the window: 0.9, "0.9" or "9/10".

    Returns:
        The exact value: 0.9 is nine tenths, not the nearest binary float.
    """
    return Fraction(str(channel_stride))


def integer_step(channel_stride: float | str, width: int) -> int:
    """Turn a channel stride into whole channels.

    Args:
        channel_stride: A part r of the window, 0 < r <= 1.
        width: gw, the channels in the window.

    Returns:
        s = gw - floor((1 - r) * gw), at least 1.

    Source:
        DSXplore (arXiv 2101.00745), the sliding window with overlap 1 - r.
    """
    return width - int((1 - ratio(channel_stride)) * width)


def window_channels(
    in_channels: int, out_channels: int, groups: int, channel_stride: float | str
) -> Tensor:
    """Number the input channel behind each weight column.

    Args:
        in_channels: Cin.
        out_channels: Cout.
        groups: Divides Cin; the window is gw = Cin / groups channels wide.
        channel_stride: "block" (as in a grouped nn.Conv2d), or how far the window slides from one
            output to the next, as a part of the window.

    Returns:
        (Cout, gw); column j of output o reads channel [o, j]. Sliding windows wrap around.
    """
    start = _starts(in_channels, out_channels, groups, channel_stride)
    return (start[:, None] + torch.arange(in_channels // groups)) % in_channels


def unread_channels(
    in_channels: int, out_channels: int, groups: int, channel_stride: float | str
) -> int:
    """Count the input channels that are in no window.

    Args:
        in_channels: Cin.
        out_channels: Cout.
        groups: Divides Cin.
        channel_stride: As in `window_channels`.

    Returns:
        How many there are.
    """
    start = _starts(in_channels, out_channels, groups, channel_stride) % in_channels
    starts = torch.unique(start)
    # Between two windows that begin one after the other lies what the first does not reach.
    following = torch.cat([starts[1:], starts[:1] + in_channels])
    return int((following - starts - in_channels // groups).clamp_min(0).sum())


def _starts(
    in_channels: int, out_channels: int, groups: int, channel_stride: float | str
) -> Tensor:
    """Number the first channel of each window, (Cout,), before it wraps."""
    width = in_channels // groups
    output = torch.arange(out_channels)
    if channel_stride == "block":
        return output // (out_channels // groups) * width
    return output * integer_step(channel_stride, width)
