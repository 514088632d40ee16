"""Status events, and the activities in progress in this process.

Work that can take seconds announces itself here, wherever it is called from, and need not know
whether it is displayed. An activity inside another one is the more specific of the two. Events
have no wording: `dsx.report.text.progress` describes them.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum, auto
from time import monotonic
from typing import TypeVar

T = TypeVar("T")


class Kind(StrEnum):
    """Kinds of work that are reported."""

    BENCHMARKING = auto()
    BUILDING_NETWORK = auto()
    CHECKING_FLOPS = auto()
    CHECKING_IMAGES = auto()
    CHECKING_LEASE = auto()
    CHECKING_NOISE = auto()
    CLASSIFYING = auto()
    COMMAND = auto()
    COMPARING_IMAGES = auto()
    COUNTING = auto()
    DECODING_IMAGES = auto()
    DEPLOYING = auto()
    ENDED = auto()
    ESTIMATING_NORMS = auto()
    EXAMINING_NETWORK = auto()
    FINDING_PIXEL_RANGE = auto()
    LISTING_FILES = auto()
    LISTING_OPTIONS = auto()
    LOADING_DATA = auto()
    MEASURING = auto()
    PREPARING_BACKEND = auto()
    PROBING_NETWORK = auto()
    PROFILING = auto()
    READING_STUDY = auto()
    SAMPLING = auto()
    SELECTING_FORMS = auto()
    STARTING = auto()
    TIMING = auto()
    TIMING_EXPORT = auto()
    TRAINING = auto()
    VERIFYING_EXPORT = auto()
    WAITING_FOR_DEVICE = auto()
    WAITING_FOR_FOLDER = auto()
    WAITING_FOR_SERVER = auto()


class End(StrEnum):
    """Reasons for which a search or a refinement ends."""

    DECIDED = auto()
    EXHAUSTED = auto()
    FINISHED = auto()
    FLAGGED = auto()
    NOT_REFINABLE = auto()
    SAMPLE_LIMIT = auto()
    TIED = auto()
    TIMEOUT = auto()


@dataclass(frozen=True, kw_only=True)
class Event:
    """A change of the current work.

    Args:
        kind: Kind of the work.
        design: Id of the design; empty if the work concerns no single design.
        detail: Name of what is worked on, such as a metric, a backend or a folder.
        designs: Number of designs that are measured together.
        seed: Training seed, if it is not that of the search space.
        fraction: Completed fraction of the work; None if it is unknown.
        end: Reason for which the work ended; None while it continues.
    """

    kind: Kind
    design: str = ""
    detail: str = ""
    designs: int = 1
    seed: int | None = None
    fraction: float | None = None
    end: End | None = None


OnStatus = Callable[[Event], None]
"""Receives the status events of a function."""


def ignore_status(event: Event) -> None:
    """Ignore a status event.

    Args:
        event: Status event.
    """


@dataclass(kw_only=True)
class Activity:
    """A piece of work in progress.

    Args:
        event: Event that describes the work.
        total: Number of units in all of the work; None if it is not known.
        unit: Unit of `total`, such as "epoch"; empty for a plain fraction.
        done: Number of units completed, which may be a fraction.
        started: `time.monotonic` at its start.
    """

    event: Event
    total: float | None = None
    unit: str = ""
    done: float = 0.0
    started: float = field(default_factory=monotonic)
    _first: tuple[float, float] | None = None

    def advance(self, done: float) -> None:
        """Set the number of completed units; the first call sets where the work resumed.

        Args:
            done: Number of completed units, which may be a fraction.
        """
        self.done = done
        if self._first is None:
            self._first = monotonic(), done

    def change(self, event: Event) -> None:
        """Replace the work by other work of unknown extent.

        Args:
            event: Event that describes the new work.
        """
        if event != self.event:
            self.event, self.started = event, monotonic()

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
def activity(
    kind: Kind, total: float | None = None, unit: str = "", *, detail: str = ""
) -> Iterator[Activity]:
    """Announce a piece of work for as long as it takes.

    Args:
        kind: Kind of the work.
        total: Number of units in all of the work.
        unit: Unit of `total`, such as "epoch".
        detail: Name of what is worked on.

    Yields:
        The activity, to be advanced.
    """
    started = Activity(event=Event(kind=kind, detail=detail), total=total, unit=unit)
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


def each(items: Sequence[T], kind: Kind, unit: str = "") -> Iterator[T]:
    """Iterate over items and announce the progress of the work on them.

    Args:
        items: The items.
        kind: Kind of the work.
        unit: Unit of the number of items, such as "slot".

    Yields:
        The items.
    """
    with activity(kind, len(items), unit) as progress:
        for number, item in enumerate(items):
            progress.advance(number)
            yield item
