"""The canonical value of each dial on one slot: equal convolutions get equal dials."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dsx.conv.sparsity.shapes import Shape, shape_and_number
from dsx.conv.sparsity.window import integer_step
from dsx.errors import SpecError
from dsx.lookup import find, names


def by(kernel: Sequence[int]) -> str:
    """Write a kernel size as a person does: 3 x 3."""
    return " x ".join(str(side) for side in kernel)


def canonical_groups(groups: int | str, in_channels: int) -> int:
    """Turn `all` into a number, and check that the groups divide the input channels.

    Args:
        groups: As in a ConvSpec.
        in_channels: Cin.

    Returns:
        The number of groups.

    Raises:
        SpecError: If they do not divide Cin.
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
    """Turn a channel stride into "block" or the exact fraction step/window.

    Args:
        channel_stride: As in a ConvSpec.
        groups: A divisor of Cin.
        in_channels: Cin.
        out_channels: Cout.

    Returns:
        None for one group; "block"; or "4/16" for a step of 4 in a window of 16, which is a
        channel stride again and means just this step.

    Raises:
        SpecError: If blocks are asked for and the groups do not divide Cout.
    """
    if groups == 1:
        return None
    width = in_channels // groups
    if channel_stride in (None, "block"):
        if out_channels % groups:
            raise SpecError(
                f"{groups} groups in blocks do not divide the {out_channels} output channels "
                "(a channel_stride of 1 or less needs no such thing)"
            )
        return "block"
    assert channel_stride is not None
    # A single output never slides.
    step = width if out_channels == 1 else integer_step(channel_stride, width)
    # Where each group has one output, taking the groups in turn is taking them in blocks.
    return "block" if step == width and out_channels == groups else f"{step}/{width}"


def canonical_shape(name: str, kernel: tuple[int, int], channels: Tensor) -> str:
    """Give the plainest name of a kernel shape for one kernel and channel window.

    Args:
        name: A fixed kernel shape.
        kernel: Rows and columns.
        channels: The input channel behind each weight column, (Cout, gw).

    Returns:
        The name.

    Raises:
        SpecError: If this kernel can only be full.
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
    """Refuse a kernel that can only be full.

    Args:
        name: A kernel shape other than `full`.
        kernel: Rows and columns.

    Raises:
        SpecError: If the kernel is even or oblong.
    """
    if kernel[0] != kernel[1] or kernel[0] % 2 == 0:
        raise SpecError(
            f"kernel_shape {name} needs an odd square kernel, this one is {by(kernel)} "
            "(allowed: full)"
        )


def _canonical_het(number: int, channels: Tensor) -> str:
    """Name what (c - o) mod P = 0 selects by the smallest P that selects the same."""
    output = torch.arange(channels.shape[0])[:, None]
    distances = torch.unique(channels - output)
    full = distances % number == 0
    if full.all():
        return "full"
    # Output 0 reads channel 0: something is full always, so that this is never `point`.
    same = (p for p in range(2, number + 1) if torch.equal(distances % p == 0, full))
    return f"het{next(same)}"


def _canonical_single(name: str, support: Tensor) -> str:
    """With one output a turning shape shows its first support only, which may have a name."""
    side = support.shape[1]
    for other in names(Shape):
        shape = find(Shape, other)
        if not shape.numbered and torch.equal(shape.supports(side), support):
            return other
    return name
