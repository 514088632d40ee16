"""Activities: what a process is working on, and how far it is."""

import time

import pytest

from dsx.activity import Event, Kind, active, activity, current, current_subject, each, subject


def test_the_innermost_activity_is_the_current_one() -> None:
    assert current() is None
    with activity(Kind.TIMING) as outer:
        with activity(Kind.TRAINING, 30, "epoch") as inner:
            assert current() is inner
            assert active() == (outer, inner)
        assert current() is outer
    assert current() is None


def test_an_activity_ends_with_an_error() -> None:
    with pytest.raises(ZeroDivisionError), activity(Kind.COUNTING):
        _ = 1 / 0
    assert current() is None


def test_a_subject_lasts_as_long_as_its_context() -> None:
    with subject("#1"):
        with subject("#2"):
            assert current_subject() == "#2"
        assert current_subject() == "#1"
    assert current_subject() == ""


def test_the_time_left_is_unknown_before_anything_is_done() -> None:
    with activity(Kind.TRAINING, 30) as step:
        assert step.seconds_left is None
        step.advance(0)
        assert step.seconds_left is None
    with activity(Kind.LOADING_DATA) as step:
        step.advance(0)
        step.advance(1)
        assert step.seconds_left is None


@pytest.mark.timing
def test_the_time_left_is_that_of_the_speed_since_the_work_resumed() -> None:
    with activity(Kind.TRAINING, 30) as step:
        step.advance(20)
        start = time.monotonic()
        time.sleep(0.05)
        step.advance(25)
        left = step.seconds_left
        assert left is not None
        # Five units took at least 0.05 s, and five are left.
        assert 0.05 <= left <= time.monotonic() - start + 0.05


def test_another_event_restarts_the_activity() -> None:
    with activity(Kind.TIMING) as step:
        started = step.started
        step.change(Event(kind=Kind.TIMING))
        assert step.started == started
        time.sleep(0.001)
        step.change(Event(kind=Kind.TRAINING))
        assert (step.event.kind, step.started > started) == (Kind.TRAINING, True)


def test_items_are_counted_as_they_are_worked_on() -> None:
    done = []
    for item in each([5, 6], Kind.TIMING, "item"):
        step = current()
        assert step is not None and step.total == 2
        done.append((item, step.done))
    assert done == [(5, 0), (6, 1)]
    assert current() is None
