"""What a kernel shape is, and how its name is read."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from dsx.errors import SpecError, unknown
from dsx.lookup import find, names


def in_turn(outputs: Tensor, channels: Tensor, shapes: int, number: int) -> Tensor:
    """Give output o the support number o mod n, for all its channels.

    Args:
        outputs: Output channel numbers, (Cout, 1).
        channels: Input channel numbers, (Cout, gw).
        shapes: n, the number of supports.
        number: The number in the shape's name; unused here.

    Returns:
        Index of the support of each weight column, (Cout, gw).
    """
    return (outputs % shapes).expand_as(channels)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A kernel shape: its supports, and which weight column has which.

    Args:
        supports: From the kernel side K to the supports, (n, K, K) boolean.
        which: From output numbers (Cout, 1), channel numbers (Cout, gw), n, and the number in the
            name to the index of the support of each weight column, (Cout, gw).
        numbered: Whether the name carries a number, as `het4` does.
    """

    supports: Callable[[int], Tensor]
    which: Callable[[Tensor, Tensor, int, int], Tensor] = in_turn
    numbered: bool = False


def shape_names() -> list[str]:
    """List the kernel shapes as a user writes them (`het<P>` stands for het2, het4 ...)."""
    return [f"{name}<P>" if find(Shape, name).numbered else name for name in names(Shape)]


def shape_and_number(name: str) -> tuple[Shape, int]:
    """Find a kernel shape by the name a spec gives it.

    Args:
        name: `cross`, `het4`, or the import path of a shape outside dsx.

    Returns:
        The shape, and the number in its name (0 if it carries none).

    Raises:
        SpecError: If there is no such shape.
    """
    if ":" in name:
        return find(Shape, name), 0
    # One name per shape: no leading zeros. Nine digits are more than any layer has channels.
    match = re.fullmatch(r"([a-z_]+)([1-9][0-9]{0,8})?", name)
    stem, digits = match.groups() if match else (name, None)
    if stem not in names(Shape):
        raise SpecError(unknown("shape", name, [*shape_names(), "learned"]))
    shape = find(Shape, stem)
    if shape.numbered and not digits:
        raise SpecError(f"'{name}' needs a number of at least 1, as in '{stem}4'")
    if digits and not shape.numbered:
        raise SpecError(unknown("shape", name, [*shape_names(), "learned"]))
    return shape, int(digits or 0)
