"""The canonical value of each dial on one slot, which is equal for equal convolutions."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dsx.conv.sparsity.shapes import Shape, shape_and_number
from dsx.conv.sparsity.window import integer_step
from dsx.errors import SpecError
from dsx.lookup import find, names


def format_kernel(kernel: Sequence[int]) -> str:
    """Format a kernel size, as in "3 x 3".

    Args:
        kernel: Height and width of the kernel.

    Returns:
        The text.
    """
    return " x ".join(str(side) for side in kernel)


def canonical_groups(groups: int | str, in_channels: int) -> int:
    """Return the number of groups, with `all` resolved.

    Args:
        groups: Value of the dial, as in a ConvSpec.
        in_channels: Number of input channels, Cin.

    Returns:
        The number of groups.

    Raises:
        SpecError: If the number of groups does not divide Cin.
    """
    number = in_channels if groups == "all" else int(groups)
    if in_channels % number:
        divisors = [str(d) for d in range(1, in_channels + 1) if in_channels % d == 0]
        raise SpecError(
            f"groups = {number} does not divide the {in_channels} input channels "
            f"(allowed: {', '.join(divisors)})"
        )
    return number


def canonical_stride(
    channel_stride: float | str | None, groups: int, in_channels: int, out_channels: int
) -> str | None:
    """Return the channel stride as None, "block" or the exact fraction step/window.

    Args:
        channel_stride: Value of the dial, as in a ConvSpec.
        groups: Number of groups, a divisor of Cin.
        in_channels: Number of input channels, Cin.
        out_channels: Number of output channels, Cout.

    Returns:
        None for one group; "block"; or a fraction such as "4/16" for a step of 4 channels in a
        window of 16, which is also a valid channel stride and yields exactly this step.

    Raises:
        SpecError: If the groups are in blocks and do not divide Cout.
    """
    if groups == 1:
        return None
    width = in_channels // groups
    if channel_stride in (None, "block"):
        if out_channels % groups:
            raise SpecError(
                f"{groups} groups in blocks do not divide the {out_channels} output channels "
                "(a channel_stride of 1 or less does not require this)"
            )
        return "block"
    assert channel_stride is not None
    # With a single output, the window does not slide.
    step = width if out_channels == 1 else integer_step(channel_stride, width)
    # If each group has one output, interleaved groups equal groups in blocks.
    return "block" if step == width and out_channels == groups else f"{step}/{width}"


def canonical_shape(name: str, kernel: tuple[int, int], channels: Tensor) -> str:
    """Return the canonical name of a kernel shape for one kernel and channel window.

    Args:
        name: Name of a fixed kernel shape.
        kernel: Height and width of the kernel.
        channels: Input channel of each weight column, (Cout, gw).

    Returns:
        The name.

    Raises:
        SpecError: If the kernel only supports the shape `full`.
    """
    if kernel == (1, 1):
        return "point"
    if name == "full":
        return name
    check_odd_square(name, kernel)
    shape, number = shape_and_number(name)
    if name == f"het{number}":
        return _canonical_het(number, channels)
    if channels.shape[0] == 1:
        return _canonical_single(name, shape.supports(kernel[0])[:1])
    return name


def check_odd_square(name: str, kernel: tuple[int, int]) -> None:
    """Check that a kernel supports shapes other than `full`.

    Args:
        name: Name of a kernel shape other than `full`.
        kernel: Height and width of the kernel.

    Raises:
        SpecError: If the kernel is not square or its side is even.
    """
    if kernel[0] != kernel[1] or kernel[0] % 2 == 0:
        raise SpecError(
            f"kernel_shape {name} needs an odd square kernel, this one is {format_kernel(kernel)} "
            "(allowed: full)"
        )


def _canonical_het(number: int, channels: Tensor) -> str:
    """Return the name with the smallest P that selects the same channels by (c - o) mod P = 0."""
    output = torch.arange(channels.shape[0])[:, None]
    distances = torch.unique(channels - output)
    full = distances % number == 0
    if full.all():
        return "full"
    # Output 0 reads channel 0, so some channel is always full, and the name is never `point`.
    same = (p for p in range(2, number + 1) if torch.equal(distances % p == 0, full))
    return f"het{next(same)}"


def _canonical_single(name: str, support: Tensor) -> str:
    """Return the name of the first support of a cyclic shape, the only one used by one output."""
    side = support.shape[1]
    for other in names(Shape):
        shape = find(Shape, other)
        if not shape.numbered and torch.equal(shape.supports(side), support):
            return other
    return name
