"""Labels beside points, each where it hides nothing, or nowhere."""

from collections.abc import Iterator, Sequence

Box = tuple[float, float, float, float]
"""left, bottom, right, top"""


def place(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    taken: Sequence[Box],
    bounds: Box,
    gap: float,
) -> list[tuple[float, float] | None]:
    """Find a place for the label of each point, the first points first.

    Args:
        points: Where the labels belong, in pixels.
        sizes: Width and height of each label.
        taken: What must not be covered.
        bounds: What must not be left.
        gap: From the point to its label.

    Returns:
        The lower left corner of each label; None where there is no room.
    """
    taken = list(taken)
    corners: list[tuple[float, float] | None] = []
    for point, size in zip(points, sizes, strict=True):
        (x, y), reach = point, gap + max(size)
        near = [box for box in taken if _meet(box, (x - reach, y - reach, x + reach, y + reach))]
        free = (
            box
            for box in _around(point, size, gap)
            if _within(box, bounds) and not any(_meet(box, other) for other in near)
        )
        found = next(free, None)
        if found is not None:
            taken.append(found)
        corners.append(None if found is None else found[:2])
    return corners


def _around(point: tuple[float, float], size: tuple[float, float], gap: float) -> Iterator[Box]:
    (x, y), (width, height) = point, size
    near = 0.7 * gap
    for left, bottom in (
        (x + near, y + near),
        (x - near - width, y + near),
        (x + near, y - near - height),
        (x - near - width, y - near - height),
        (x + gap, y - height / 2),
        (x - gap - width, y - height / 2),
        (x - width / 2, y + gap),
        (x - width / 2, y - gap - height),
    ):
        yield left, bottom, left + width, bottom + height


def _within(box: Box, bounds: Box) -> bool:
    return (
        box[0] >= bounds[0] and box[1] >= bounds[1] and box[2] <= bounds[2] and box[3] <= bounds[3]
    )


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
