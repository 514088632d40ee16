"""The interface of kernel shapes, and the lookup by name."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from dsx.errors import SpecError, unknown
from dsx.lookup import find, names


def cyclic(outputs: Tensor, channels: Tensor, shapes: int, number: int) -> Tensor:
    """Assign support o mod n to output channel o, as in a cyclic shape.

    Args:
        outputs: Indices of the output channels, (Cout, 1).
        channels: Input channel of each weight column, (Cout, gw).
        shapes: Number of supports, n.
        number: Number in the name of the shape; not used.

    Returns:
        The index of the support of each weight column, (Cout, gw).
    """
    return (outputs % shapes).expand_as(channels)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A kernel shape: its supports, and the support of each weight column.

    Args:
        supports: Function from the kernel side K to the supports, (n, K, K) boolean.
        which: Function from the output channels (Cout, 1), the input channels (Cout, gw), n and
            the number in the name to the index of the support of each weight column, (Cout, gw).
        numbered: Whether the name contains a number, as in `het4`.
    """

    supports: Callable[[int], Tensor]
    which: Callable[[Tensor, Tensor, int, int], Tensor] = cyclic
    numbered: bool = False


def shape_names() -> list[str]:
    """Return the names of all kernel shapes; `het<P>` stands for het2, het4 ..."""
    return [f"{name}<P>" if find(Shape, name).numbered else name for name in names(Shape)]


def shape_and_number(name: str) -> tuple[Shape, int]:
    """Look up a kernel shape by name.

    Args:
        name: Name such as `cross` or `het4`, or the import path of a shape outside dsx.

    Returns:
        The shape, and the number in the name (0 if there is none).

    Raises:
        SpecError: If no kernel shape has this name.
    """
    if ":" in name:
        return find(Shape, name), 0
    # Leading zeros are not allowed, so that names are unique; nine digits exceed any channel count.
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
