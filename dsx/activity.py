"""Activities: the work in progress of this process, for a display of progress.

Work that can take seconds announces itself here, wherever it is called from; it need not know
whether it is displayed. An activity inside another one is the more specific of the two.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

T = TypeVar("T")


@dataclass(kw_only=True)
class Activity:
    """A piece of work in progress.

    Args:
        name: Name of the work, such as "training".
        total: Number of units in all of the work; None where it is not known.
        unit: Unit of `total`, such as "epoch"; empty for a plain share.
        done: Number of units completed, which may be a fraction.
        started: `time.monotonic` at its start.
    """

    name: str
    total: float | None = None
    unit: str = ""
    done: float = 0.0
    started: float = field(default_factory=monotonic)
    _first: tuple[float, float] | None = None

    def advance(self, done: float) -> None:
        """Set how many units are completed; the first call sets where the work resumed."""
        self.done = done
        if self._first is None:
            self._first = monotonic(), done

    def rename(self, name: str) -> None:
        """Go on to another piece of work, whose extent is not known."""
        if name != self.name:
            self.name, self.started = name, monotonic()

    @property
    def seconds_left(self) -> float | None:
        """The seconds that the rest takes at the speed so far; None while that is unknown."""
        if self.total is None or self._first is None or self.done <= self._first[1]:
            return None
        seconds = monotonic() - self._first[0]
        return seconds * (self.total - self.done) / (self.done - self._first[1])


_active: list[Activity] = []
_subjects: list[str] = []


@contextmanager
def activity(name: str, total: float | None = None, unit: str = "") -> Iterator[Activity]:
    """Announce a piece of work for as long as it takes.

    Args:
        name: Name of the work, such as "training".
        total: Number of units in all of the work.
        unit: Unit of `total`, such as "epoch".

    Yields:
        The activity, to be advanced.
    """
    started = Activity(name=name, total=total, unit=unit)
    _active.append(started)
    try:
        yield started
    finally:
        # By identity: another thread may have announced an equal one.
        _active[:] = [one for one in _active if one is not started]


@contextmanager
def subject(name: str) -> Iterator[None]:
    """Name what all activities inside are about, such as "#5".

    Args:
        name: The name.
    """
    _subjects.append(name)
    try:
        yield
    finally:
        _subjects.remove(name)


def active() -> Sequence[Activity]:
    """Return all activities, each followed by those inside it."""
    return tuple(_active)


def current() -> Activity | None:
    """Return the most specific activity; None without any."""
    # Another thread may end the last one in between.
    found = active()
    return found[-1] if found else None


def current_subject() -> str:
    """Return what the activities are about; an empty string where nothing was named."""
    return _subjects[-1] if _subjects else ""


def each(items: Sequence[T], name: str, unit: str = "") -> Iterator[T]:
    """Go through items and announce how far the work on them is.

    Args:
        items: The items.
        name: Name of the work.
        unit: Unit of the number of items, such as "slot".

    Yields:
        The items.
    """
    with activity(name, len(items), unit) as progress:
        for number, item in enumerate(items):
            progress.advance(number)
            yield item
