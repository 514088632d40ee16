"""Attributes of a nn.Conv2d that were set after it was made, by surgery on a network.

torch computes with the weight, `stride`, `padding`, `dilation` and `groups`, and takes one number
for two equal ones; it never reads `in_channels`, `out_channels` and `kernel_size`.
"""

from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral, Real

from numpy import ndarray
from torch import Tensor, nn

from dsx.errors import SpecError, Unsupported, short
from dsx.plain import plain
from dsx.torch_private import computed_padding

_PAIRS = ("stride", "padding", "dilation")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Channels, kernel size and groups with which a convolution computes.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        kernel_size: Rows and columns of the kernel.
        groups: As in nn.Conv2d.
    """

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, int]
    groups: int


def sizes_of(conv: nn.Conv2d) -> Sizes:
    """Read the sizes of a convolution.

    Args:
        conv: The convolution, whose attributes may have been set after it was made.

    Returns:
        The sizes with which torch computes.

    Raises:
        SpecError: If its attributes disagree with its weight, so that one of them is a mistake.
    """
    if problem := disagreement(conv):
        raise SpecError(problem.reason)
    outputs, inputs, rows, columns = conv.weight.shape
    groups = int(conv.groups)
    return Sizes(
        in_channels=inputs * groups,
        out_channels=outputs,
        kernel_size=(rows, columns),
        groups=groups,
    )


def tidy(conv: nn.Conv2d) -> None:
    """Write the attributes of a convolution as nn.Conv2d itself does, in place.

    Args:
        conv: The convolution. Attributes that disagree with its weight are unchanged, see
            `disagreement`.
    """
    for name in _PAIRS:
        value = getattr(conv, name)
        setattr(conv, name, plain(value) if isinstance(value, str) else pair(value) or value)
    for name, (value, found) in _sizes(conv).items():
        if _equal(value, found):
            setattr(conv, name, found)


def correct(conv: nn.Conv2d) -> None:
    """Write the sizes of its weight into the attributes of a convolution, in place.

    Args:
        conv: The convolution; torch computes the same as before, but code that reads the
            attributes does not.
    """
    for name, (_, found) in _sizes(conv).items():
        setattr(conv, name, found)


def disagreement(conv: nn.Conv2d) -> Unsupported | None:
    """Describe where the attributes of a convolution disagree with what torch computes.

    Args:
        conv: The convolution; it is unchanged.

    Returns:
        The disagreement as the rest of a sentence that begins with the name of the convolution;
        None if there is none.
    """
    for name in _PAIRS:
        value = getattr(conv, name)
        if not isinstance(value, str) and pair(value) is None:
            given = short(repr(value))
            return Unsupported(f"its {name} is {given}, neither one nor two integers")
    weight = _weight(conv)
    if weight is not None and weight.dim() != 4:
        return Unsupported(f"its weight has {weight.dim()} dimensions, not 4")
    for name, (value, found) in _sizes(conv).items():
        if not _equal(value, found):
            sizes = " x ".join(map(str, conv.weight.shape))
            return Unsupported(
                f"its {name} is {short(repr(value))}, but its weight of {sizes} computes with "
                f"{found}: set {name} to {found}"
            )
    if conv.padding_mode != "zeros" and margins(conv) != computed_padding(conv):
        return Unsupported(
            f"its padding was changed to {short(repr(conv.padding))}, but in padding_mode "
            f"{short(repr(conv.padding_mode))} torch pads as it was made: build the convolution "
            "again"
        )
    return None


def margins(conv: nn.Conv2d) -> tuple[int, int, int, int]:
    """Compute the padding of a convolution on each side.

    Args:
        conv: The convolution; `same` and `valid` padding become numbers.

    Returns:
        Columns at the left and right, rows at the top and bottom.
    """
    if conv.padding == "same":
        # As nn.Conv2d does it: the odd row or column goes to the bottom or right.
        dilation = numbers(conv.dilation)
        rows, columns = (
            d * (side - 1) for d, side in zip(dilation, conv.weight.shape[2:], strict=True)
        )
        return columns // 2, columns - columns // 2, rows // 2, rows - rows // 2
    if isinstance(conv.padding, str):
        return 0, 0, 0, 0
    ph, pw = numbers(conv.padding)
    return pw, pw, ph, ph


def numbers(value: object) -> tuple[int, int]:
    """Read one or two numbers that `disagreement` has found to be such."""
    found = pair(value)
    assert found is not None, value
    return found


def pair(value: object) -> tuple[int, int] | None:
    """Read one or two numbers as torch does.

    Args:
        value: A number for both rows and columns, or a sequence of one or two numbers.

    Returns:
        The numbers for rows and columns; None if the value is something else.
    """
    # torch takes no array with dimensions, which `plain` would make a list of.
    value = value if isinstance(value, tuple | list) else (value,)
    items = [item if isinstance(item, ndarray) and item.ndim else plain(item) for item in value]
    if len(items) not in (1, 2) or not all(isinstance(item, Integral) for item in items):
        return None
    return int(items[0]), int(items[-1])


def _sizes(conv: nn.Conv2d) -> dict[str, tuple[object, int | tuple[int, int]]]:
    """Return what each attribute states about the sizes of the weight, and what is true."""
    weight = _weight(conv)
    if weight is None or weight.dim() != 4:
        return {}
    outputs, inputs, rows, columns = weight.shape
    return {
        "in_channels": (conv.in_channels, inputs * int(conv.groups)),
        "out_channels": (conv.out_channels, outputs),
        "kernel_size": (conv.kernel_size, (rows, columns)),
    }


def _weight(conv: nn.Conv2d) -> Tensor | None:
    """Return the weight of a convolution; None if it has none."""
    weight = getattr(conv, "weight", None)
    return weight if isinstance(weight, Tensor) else None


def _equal(value: object, found: int | tuple[int, int]) -> bool:
    """Check whether a value states a size, be it as another kind of number."""
    value = plain(value)
    items = list(value) if isinstance(value, tuple | list) else [value]
    wanted = list(found) if isinstance(found, tuple) else [found]
    if len(items) == 1:
        items *= len(wanted)
    return len(items) == len(wanted) and all(
        isinstance(item, Real | Decimal) and item == size
        for item, size in zip(items, wanted, strict=True)
    )
