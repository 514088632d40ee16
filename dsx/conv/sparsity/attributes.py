"""Attributes of a nn.Conv2d that were changed after its construction (model surgery).

torch computes with the weight, `stride`, `padding`, `dilation` and `groups`, and accepts one number
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
    """The channels, kernel size and groups with which a convolution computes.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        kernel_size: Height and width of the kernel.
        groups: Number of groups, as in nn.Conv2d.
    """

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, int]
    groups: int


def sizes_of(conv: nn.Conv2d) -> Sizes:
    """Return the sizes of a convolution.

    Args:
        conv: Convolution whose attributes may have been changed after its construction.

    Returns:
        The sizes with which torch computes.

    Raises:
        SpecError: If the attributes of the convolution are inconsistent with its weight.
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


def normalise_attributes(conv: nn.Conv2d) -> None:
    """Normalise the attributes of a convolution to the types that nn.Conv2d sets, in place.

    Args:
        conv: Convolution to modify. Attributes that are inconsistent with its weight are
            unchanged, see `disagreement`.
    """
    for name in _PAIRS:
        value = getattr(conv, name)
        setattr(conv, name, plain(value) if isinstance(value, str) else pair(value) or value)
    for name, (value, found) in _sizes(conv).items():
        if _equal(value, found):
            setattr(conv, name, found)


def sync_attributes(conv: nn.Conv2d) -> None:
    """Set the size attributes of a convolution to those of its weight, in place.

    Args:
        conv: Convolution to modify; its output is unchanged, because torch does not read these
            attributes.
    """
    for name, (_, found) in _sizes(conv).items():
        setattr(conv, name, found)


def disagreement(conv: nn.Conv2d) -> Unsupported | None:
    """Describe an inconsistency between the attributes of a convolution and its computation.

    Args:
        conv: Convolution to check; it is not modified.

    Returns:
        A description such as "its in_channels is 3, but ...", to follow the name of the
        convolution; None if the attributes are consistent.
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
                f"its {name} is {short(repr(value))}, but its weight of {sizes} requires "
                f"{found}: set {name} to {found}"
            )
    if conv.padding_mode != "zeros" and margins(conv) != computed_padding(conv):
        return Unsupported(
            f"its padding was changed to {short(repr(conv.padding))}, but in padding_mode "
            f"{short(repr(conv.padding_mode))} torch uses the padding of its construction: rebuild "
            "the convolution"
        )
    return None


def margins(conv: nn.Conv2d) -> tuple[int, int, int, int]:
    """Compute the padding of a convolution on each side.

    Args:
        conv: Convolution with padding given as numbers, `same` or `valid`.

    Returns:
        The number of columns at the left and right, and of rows at the top and bottom.
    """
    if conv.padding == "same":
        # As in nn.Conv2d, an odd row or column is added at the bottom or right.
        dilation = checked_pair(conv.dilation)
        rows, columns = (
            d * (side - 1) for d, side in zip(dilation, conv.weight.shape[2:], strict=True)
        )
        return columns // 2, columns - columns // 2, rows // 2, rows - rows // 2
    if isinstance(conv.padding, str):
        return 0, 0, 0, 0
    ph, pw = checked_pair(conv.padding)
    return pw, pw, ph, ph


def checked_pair(value: object) -> tuple[int, int]:
    """Convert a value that `disagreement` has accepted to two integers.

    Args:
        value: One or two integers.

    Returns:
        The integers for rows and columns.
    """
    found = pair(value)
    assert found is not None, value
    return found


def pair(value: object) -> tuple[int, int] | None:
    """Convert one or two integers to a pair, as torch does.

    Args:
        value: Integer for both rows and columns, or a sequence of one or two integers.

    Returns:
        The integers for rows and columns; None for any other value.
    """
    # torch does not accept an array with dimensions, which `plain` would convert to a list.
    value = value if isinstance(value, tuple | list) else (value,)
    items = [item if isinstance(item, ndarray) and item.ndim else plain(item) for item in value]
    if len(items) not in (1, 2) or not all(isinstance(item, Integral) for item in items):
        return None
    return int(items[0]), int(items[-1])


def _sizes(conv: nn.Conv2d) -> dict[str, tuple[object, int | tuple[int, int]]]:
    """Return the stated and the actual value of each size attribute."""
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
    """Check whether a value equals a size, possibly as another numeric type."""
    value = plain(value)
    items = list(value) if isinstance(value, tuple | list) else [value]
    sizes = list(found) if isinstance(found, tuple) else [found]
    if len(items) == 1:
        items *= len(sizes)
    return len(items) == len(sizes) and all(
        isinstance(item, Real | Decimal) and item == size
        for item, size in zip(items, sizes, strict=True)
    )
