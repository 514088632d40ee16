"""Placement of labels next to points without overlaps."""

from collections.abc import Iterator, Sequence

Box = tuple[float, float, float, float]
"""Left, bottom, right and top edge in pixels."""


def place(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    taken: Sequence[Box],
    bounds: Box,
    gap: float,
) -> list[tuple[float, float] | None]:
    """Place the labels of points; earlier points take precedence.

    Args:
        points: Positions of the points in pixels.
        sizes: Width and height of each label in pixels.
        taken: Boxes that must not be covered.
        bounds: Box that contains all labels.
        gap: Distance from a point to its label in pixels.

    Returns:
        The lower left corner of each label; None if there is no free position.
    """
    taken = list(taken)
    corners: list[tuple[float, float] | None] = []
    for point, size in zip(points, sizes, strict=True):
        (x, y), reach = point, gap + max(size)
        near = [box for box in taken if _overlap(box, (x - reach, y - reach, x + reach, y + reach))]
        free = (
            box
            for box in _around(point, size, gap)
            if _within(box, bounds) and not any(_overlap(box, other) for other in near)
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


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
