"""Labels without overlaps."""

from hypothesis import given
from hypothesis import strategies as st

from dsx.report.plotting.labels import Box, place

BOUNDS: Box = (0.0, 0.0, 100.0, 100.0)
SIZE = (20.0, 8.0)
POINTS = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), max_size=12)


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def test_a_free_label_is_at_the_upper_right() -> None:
    assert place([(50.0, 50.0)], [SIZE], [], BOUNDS, 10.0) == [(57.0, 57.0)]


def test_a_label_at_the_edge_is_inside() -> None:
    assert place([(95.0, 95.0)], [SIZE], [], BOUNDS, 10.0) == [(68.0, 80.0)]


def test_without_room_there_is_no_label() -> None:
    assert place([(50.0, 50.0)], [SIZE], [BOUNDS], BOUNDS, 10.0) == [None]


@given(POINTS)
def test_labels_overlap_neither_marks_nor_each_other_nor_the_edge(
    points: list[tuple[float, float]],
) -> None:
    marks = [(x - 2, y - 2, x + 2, y + 2) for x, y in points]
    corners = place(points, [SIZE] * len(points), marks, BOUNDS, 6.0)
    boxes = [(x, y, x + SIZE[0], y + SIZE[1]) for x, y in filter(None, corners)]
    for number, box in enumerate(boxes):
        assert box[0] >= 0 and box[1] >= 0 and box[2] <= 100 and box[3] <= 100
        assert not any(_overlap(box, other) for other in [*marks, *boxes[:number]])
