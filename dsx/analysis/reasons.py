"""Reasons for which candidates of a study ended early, counted by kind."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

_OUT_OF_MEMORY = "out of memory"
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+\b")
_NUMBER = re.compile(r"[-+]?(?:\d+(?:[.,]\d+)*(?:e[-+]?\d+)?|\b(?:nan|inf)\b)")
_SHAPE = re.compile(r"#(?:\s*[,x*\u00d7]\s*#)*,?")
_SIZE = re.compile(r"# (?:[KMGT]i?B|bytes)\b")
# The class of a redesigned slot depends on the design.
_CONVOLUTION = re.compile(r"\b\w*Conv2d\b")


class TrialState(StrEnum):
    """States of a trial.

    A trial is repeated if its design was sampled before, and interrupted if the process ended
    before the trial did. A screened trial is not timed, and a stopped trial not trained to the end,
    because the design is unlikely to be on the front. The other states are those of the evaluation
    of its design.
    """

    COMPLETE = "complete"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    REJECTED = "rejected"
    REPEATED = "repeated"
    RUNNING = "running"
    SCREENED = "screened"
    STOPPED = "stopped"


MEASURED = (TrialState.COMPLETE, TrialState.SCREENED, TrialState.STOPPED)
"""States of the trials that count as designs of a search, which are as many as requested."""
NOT_TIMED = "not timed, because the models expect other designs to dominate it"
"""Reason of a screened trial."""
STOPPED = "training stopped after its first epoch, because the models expect others to dominate it"
"""Reason of a stopped trial."""
CHECKED = "timed at the end, as a check of the models"
"""Reason of a completed trial whose design was screened before; found by this text in databases."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """A reason that one or several trials share.

    Attributes:
        text: Reason of the first of these trials in full, or the name of a violated constraint.
        trials: Numbers of the trials in increasing order.
    """

    text: str
    trials: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """Outcomes of the trials of a study.

    A candidate is a design other than the baseline that was evaluated.

    Attributes:
        counts: Number of trials by state.
        complete: Number of candidates that are completed.
        rejected: Number of candidates that were rejected by a constraint.
        failed: Number of candidates that failed.
        left_out: Number of candidates of which the search left out a measurement, because they are
            unlikely to be on the front.
        checked: Numbers of the trials of which it was taken at the end, as a check.
        violating: Number of candidates that violate a constraint, whether rejected or completed.
        failures: Reasons of the failed candidates, the most common first.
        violations: Violated constraints, the most common first; a candidate may violate several.
        baseline_failure: Reason for which the baseline failed; empty if it is measured.
        damaged: Number of trials whose row of the database cannot be used.
    """

    counts: Mapping[TrialState, int] = field(default_factory=dict)
    complete: int = 0
    rejected: int = 0
    failed: int = 0
    left_out: int = 0
    checked: tuple[int, ...] = ()
    violating: int = 0
    failures: tuple[Reason, ...] = ()
    violations: tuple[Reason, ...] = ()
    baseline_failure: str = ""
    damaged: int = 0

    @property
    def candidates(self) -> int:
        """Number of candidates."""
        return self.complete + self.rejected + self.failed + self.left_out

    @property
    def all_failed(self) -> bool:
        """Whether candidates failed and none is completed."""
        return self.failed > 0 and self.complete == 0


def grouped(reasons: Iterable[tuple[int, str]], slots: Collection[str]) -> tuple[Reason, ...]:
    """Group the reasons of trials by their kind.

    Args:
        reasons: Number and reason of each trial, in increasing order.
        slots: Names of the slots of the network.

    Returns:
        One reason for each kind, the most common first.
    """
    pattern = _names_of(slots)
    trials: dict[str, list[int]] = {}
    texts: dict[str, str] = {}
    for number, text in reasons:
        kind = _kind(text, pattern)
        trials.setdefault(kind, []).append(number)
        texts.setdefault(kind, text)
    found = [Reason(text=texts[kind], trials=tuple(own)) for kind, own in trials.items()]
    return most_common(found)


def most_common(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Sort reasons by the number of trials that share them.

    Args:
        reasons: The reasons.

    Returns:
        The reasons, the most common first; of equally common reasons the earliest is first.
    """
    return tuple(sorted(reasons, key=lambda reason: (-len(reason.trials), reason.trials[0])))


def _kind(text: str, slots: re.Pattern[str] | None) -> str:
    """Replace the parts that differ between candidates that failed for the same reason."""
    if text.startswith(_OUT_OF_MEMORY):
        # The rest differs: sizes, devices and advice, in the wording of each library.
        return _OUT_OF_MEMORY
    if slots is not None:
        text = slots.sub("SLOT", text)
    text = _CONVOLUTION.sub("Conv2d", text)
    text = _NUMBER.sub("#", _ADDRESS.sub("#", text))
    return _SIZE.sub("#", _SHAPE.sub("#", text))


def _names_of(slots: Collection[str]) -> re.Pattern[str] | None:
    """Compile a pattern of the names of slots and of the modules that contain them."""
    names = {
        ".".join(parts[:length])
        for parts in (slot.split(".") for slot in slots)
        for length in range(1, len(parts) + 1)
    }
    # The network itself may be a slot, whose name is empty.
    longest_first = sorted(names - {""}, key=len, reverse=True)
    if not longest_first:
        return None
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")
