"""Settings and progress of a search."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dsx.activity import Event
from dsx.analysis import TrialState


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The progress of a search.

    Args:
        study: Name of the study.
        complete: Number of measured designs, including those that were screened or stopped.
        trials: Requested number of measured designs.
        counts: Number of trials by state.
        front: Number of designs on the front.
        event: Status event of the current work.
        flagged: Number of Pareto-relevant designs with a flagged value, as last determined.
        notes: Notes that the user should see as soon as possible.
    """

    study: str
    complete: int
    trials: int
    counts: Mapping[TrialState, int]
    front: int
    event: Event
    flagged: int = 0
    notes: Sequence[str] = ()


Report = Callable[[Progress], None]


@dataclass(frozen=True, kw_only=True)
class FinalTiming:
    """The repetition of flagged timings at the end of a search.

    Args:
        designs: Largest number of designs that are timed again.
        quiet_seconds: Seconds for which the machine must be idle before that.
    """

    designs: int = 16
    quiet_seconds: float = 0.3


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Arguments of a search.

    Args:
        seed: Random seed of the sampler.
        trials: Requested number of measured designs.
        end: `time.monotonic` after which no new trial starts; None for no limit.
        final_timing: Limits of the repetition of flagged timings at the end.
        sampler: Name of the sampler: `screening`, or a sampler of Optuna.
    """

    seed: int
    trials: int
    end: float | None
    final_timing: FinalTiming
    sampler: str
