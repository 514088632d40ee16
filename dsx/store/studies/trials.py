"""Trials of a study and their outcomes."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Engine, delete, select, update
from sqlalchemy.orm import Session

from dsx.analysis import MEASURED, DeploymentFacts, Measurement, TrialState
from dsx.store.database.schema import (
    TrialDetailRow,
    TrialRow,
    now,
)


@dataclass(kw_only=True)
class Outcome:
    """The outcome of the evaluation of a design.

    Args:
        state: Complete if all metrics were measured, screened or stopped if the models of the
            search left some out, rejected if the design violated a constraint before that, failed
            if an error occurred.
        reason: Reason of the state, in one line; usually empty for a complete trial.
        values: Measured values by metric.
        readings: The measurements by metric.
        deployment: Facts of the deployed network, if the design was deployed.
        violations: Violation by constraint, where measured; positive if the constraint is violated.
        traceback: Traceback of a failure; empty for any other outcome.
    """

    state: TrialState
    reason: str = ""
    values: dict[str, float] = field(default_factory=dict)
    readings: dict[str, Measurement] = field(default_factory=dict)
    deployment: DeploymentFacts | None = None
    violations: dict[str, float] = field(default_factory=dict)
    traceback: str = ""

    @property
    def violated(self) -> dict[str, float]:
        """The amount by which the value of each violated constraint exceeds its bound."""
        return {name: violation for name, violation in self.violations.items() if violation > 0}

    @property
    def feasible(self) -> bool:
        """Whether the design is completed and violates no constraint."""
        return self.state == TrialState.COMPLETE and self.meets_constraints

    @property
    def meets_constraints(self) -> bool:
        """Whether the design violates no constraint, as far as known."""
        return all(violation <= 0 for violation in self.violations.values())


_OPEN = (TrialState.REPEATED, TrialState.STOPPED)
"""States of trials that do not prevent another trial of the design."""


class Trials:
    """The trials of one study.

    Args:
        engine: Engine of the database.
        study: Name of the study.

    Attributes:
        counts: Number of trials by state.
        seen: Ids of evaluated designs, which are not evaluated again.
        complete: Ids of designs that were completed in earlier runs.
        ends: State of each trial that ended, by number.
        designs: Design id of each trial, by number.
        next: Lowest possible number of the next trial.
    """

    def __init__(self, engine: Engine, study: str) -> None:
        self._engine = engine
        self._study = study
        with Session(engine) as session:
            rows = session.scalars(select(TrialRow).where(TrialRow.study == study)).all()
        self.counts = Counter(row.state for row in rows)
        ended = [
            row for row in rows if row.state not in (TrialState.RUNNING, TrialState.INTERRUPTED)
        ]
        self.ends = {row.number: row.state for row in ended}
        self.seen = {row.design for row in ended if row.design and row.state not in _OPEN}
        self.complete = {row.design for row in rows if row.state == TrialState.COMPLETE}
        self.designs = {row.number: row.design for row in rows}
        self.next = max(self.designs, default=-1) + 1

    def numbers(self, state: TrialState) -> list[int]:
        """List the trials in a state.

        Args:
            state: State of trials that ended.

        Returns:
            Their numbers.
        """
        return [number for number, own in self.ends.items() if own == state]

    def start(self, number: int, design: str) -> None:
        """Store a trial before anything is measured.

        Args:
            number: Number of the trial.
            design: Design id.
        """
        row = TrialRow(study=self._study, number=number, design=design, state=TrialState.RUNNING)
        with Session(self._engine) as session, session.begin():
            session.add(row)
        self.designs[number] = design

    def end(self, number: int, design: str, outcome: Outcome) -> None:
        """Store the outcome of a trial.

        Args:
            number: Number of the trial.
            design: Design id.
            outcome: Outcome of the evaluation of the design.
        """
        self._close(number, outcome)
        if outcome.state not in _OPEN:
            self.seen.add(design)

    def repeat(self, number: int) -> None:
        """Store that the design of a trial was sampled before.

        Args:
            number: Number of the trial.
        """
        outcome = Outcome(state=TrialState.REPEATED, reason="the design was sampled before")
        self._close(number, outcome)

    def replace(self, number: int, design: str, outcome: Outcome) -> None:
        """Store the outcome of a trial that was evaluated again.

        Args:
            number: Number of the trial.
            design: Design id.
            outcome: Outcome of the evaluation of the design.
        """
        self.counts[self.ends[number]] -= 1
        self.end(number, design, outcome)

    def lose(self, number: int) -> None:
        """Store that the design of a trial is lost, so that another trial takes its place.

        Args:
            number: Number of the trial.
        """
        self.counts[self.ends[number]] -= 1
        self._close(number, Outcome(state=TrialState.INTERRUPTED, reason="its design is lost"))
        self.complete.discard(self.designs[number])
        if (lost := self.designs[number]) is not None:
            self.seen.discard(lost)

    def interrupt(self) -> None:
        """Store that the trials that were running are interrupted."""
        with Session(self._engine) as session, session.begin():
            session.execute(
                update(TrialRow)
                .where(TrialRow.study == self._study, TrialRow.state == TrialState.RUNNING)
                .values(state=TrialState.INTERRUPTED, ended_at=now())
            )
        self.counts[TrialState.INTERRUPTED] += self.counts.pop(TrialState.RUNNING, 0)

    def _close(self, number: int, outcome: Outcome) -> None:
        with Session(self._engine) as session, session.begin():
            row = session.get_one(TrialRow, (self._study, number))
            row.state, row.reason, row.feasible = outcome.state, outcome.reason, outcome.feasible
            row.ended_at = now()
            self._detail(session, number, outcome)
        self.counts[outcome.state] += 1
        self.ends[number] = outcome.state

    def _detail(self, session: Session, number: int, outcome: Outcome) -> None:
        """Replace the details of a trial, which may have been evaluated before."""
        detail = TrialDetailRow
        session.execute(delete(detail).where(detail.study == self._study, detail.number == number))
        if outcome.traceback or outcome.violated:
            session.add(
                TrialDetailRow(
                    study=self._study,
                    number=number,
                    traceback=outcome.traceback,
                    violations=outcome.violated,
                )
            )

    @property
    def measured(self) -> int:
        """The number of designs that count for the requested number of designs."""
        ended = [number for number, state in self.ends.items() if state in MEASURED]
        return len({self.designs[number] or number for number in ended})

    @property
    def total(self) -> int:
        """The number of trials in any state."""
        return self.counts.total()


def load_times(engine: Engine, study: str) -> dict[int, tuple[datetime, datetime]]:
    """Load when the trials of a study started and ended.

    Args:
        engine: Engine of the database.
        study: Name of the study.

    Returns:
        Times in UTC by number, for trials that ended.
    """
    with Session(engine) as session:
        query = select(TrialRow.number, TrialRow.started_at, TrialRow.ended_at)
        found = session.execute(query.where(TrialRow.study == study).order_by(TrialRow.number))
        return {number: (start, end) for number, start, end in found if end is not None}
