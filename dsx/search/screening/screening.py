"""Screening in a running search: which design is next, and which designs are timed."""

import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from dsx.analysis import DeploymentFacts, TrialState
from dsx.search.plan import Plan
from dsx.search.screening.hints import FEWEST
from dsx.search.screening.history import Known, first_loss, hints_of, reading_of
from dsx.search.screening.models import ModelQuality
from dsx.search.screening.screener import Screener
from dsx.search.screening.tables import Rows, Tables
from dsx.space import Design
from dsx.store.studies import Outcome

UNMODELLED = 8
"""Every such design comes from another sampler, so that a wrong model cannot blind the search."""
LIKELY = 0.05
"""Smallest probability of being on the front at which a design is timed."""
CHECKED = 0.05
"""Share of the designs that were not timed which are timed at the end, as a check."""

_NOWHERE = (TrialState.FAILED, TrialState.REJECTED)
"""States of designs that cannot be on the front."""


def can_screen(plan: Plan) -> bool:
    """Check whether anything is known about the objectives before they are measured.

    Args:
        plan: Metrics of the study.
    """
    return any(_known_in_advance(plan, name) for name in plan.space.file.objectives)


def _known_in_advance(plan: Plan, name: str) -> bool:
    metric = plan.metrics[name]
    return metric.closed_form is not None or metric.sums_forms


def timed_later(plan: Plan) -> frozenset[str]:
    """List the metrics that are measured only for designs that may be on the front.

    Args:
        plan: Metrics of the study.

    Returns:
        Objectives that timed selections of forms predict, without those that a constraint needs.
    """
    file = plan.space.file
    return frozenset(
        name
        for name in file.objectives
        if plan.metrics[name].sums_forms and name not in file.constraints
    )


class Screening:
    """Selects designs and timings from the results of a study.

    Args:
        plan: Metrics of the study.
        seed: Random seed of the search.
    """

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan, self.seed = plan, seed
        self.later = timed_later(plan)

    @functools.cached_property
    def _screener(self) -> Screener:
        plan = self.plan
        objectives = [*plan.space.file.objectives, *plan.space.file.constraints]
        summed = [name for name in dict.fromkeys(objectives) if plan.metrics[name].sums_forms]
        tables = Tables.of(plan.space, self.seed)
        return Screener(plan.space, tables, plan.metrics, plan.space.file.max_loss, summed)

    def set_reference(self, reference: Mapping[str, float]) -> None:
        """Take over the reference point of the hypervolume.

        Args:
            reference: Value by objective.
        """
        self._screener.reference = reference

    def add(self, design: Design, outcome: Outcome, losses: Sequence[float] = ()) -> None:
        """Take the values of a design into account; the baseline is the first one.

        Args:
            design: The design.
            outcome: Outcome of its evaluation, which may lack metrics. A failed design is never
                proposed again.
            losses: Loss of each epoch of a training that was stopped.
        """
        row = self._row(design)
        if row is None:
            return
        if (deployed := _own_deployment(design, outcome)) is not None:
            self._screener.note(row, deployed)
        hints = hints_of(outcome.readings.values()) | first_loss(losses)
        hints |= {
            name: reading.value
            for name, reading in outcome.readings.items()
            if self.plan.metrics[name].stage == "projected"
        }
        self._screener.add(
            Known(
                row=row,
                readings={name: reading_of(each) for name, each in outcome.readings.items()},
                hints=hints,
                feasible=outcome.meets_constraints and outcome.state not in _NOWHERE,
                stopped=outcome.state == TrialState.STOPPED,
            )
        )

    def quality(self) -> list[ModelQuality]:
        """Determine how well the models predict the objectives.

        Returns:
            The quality of the model of each objective.
        """
        models = self._screener.models
        return [models.quality(name) for name in models.objectives]

    @property
    def notes(self) -> list[str]:
        """Sentences about models that are ignored, because they do not predict."""
        return [
            f"the model of {name} does not predict left-out designs, so that the mean is used"
            for name in self._screener.models.ignored
        ]

    def stops(self, design: Design, losses: Sequence[float], number: int) -> bool:
        """Decide after the first epoch of a training whether it is stopped.

        Args:
            design: The design.
            losses: Mean loss of each completed epoch.
            number: Number of the trial.

        Returns:
            Whether the design is unlikely to be on the front.
        """
        if len(losses) != 1 or len(self._screener.designs) <= FEWEST:
            return False
        self.add(design, Outcome(state=TrialState.STOPPED), losses)
        (probability,) = self.probabilities([design], number)
        return probability < LIKELY

    def next(self, number: int) -> Design | None:
        """Select the design of a trial.

        Args:
            number: Number of the trial.

        Returns:
            The design; None if another sampler is to select it.
        """
        if number % UNMODELLED == UNMODELLED - 1:
            return None
        row = self._screener.propose(self._random(number))
        return None if row is None else self._screener.tables.design(row)

    def probabilities(self, designs: Sequence[Design], number: int) -> list[float]:
        """Estimate the probability that each of several designs is on the front.

        Args:
            designs: Designs whose values are known as far as they are measured.
            number: Number of the current trial.

        Returns:
            Probability of each design; 1 for a design without a model.
        """
        rows = [self._row(design) for design in designs]
        modelled = [row for row in rows if row is not None]
        if not modelled:
            return [1.0] * len(rows)
        found = iter(self._screener.probabilities(np.array(modelled), self._random(number)))
        return [1.0 if row is None else float(next(found)) for row in rows]

    def to_check(self, designs: Sequence[Design], number: int) -> list[Design]:
        """Select designs that were not timed, to check the models.

        Args:
            designs: The designs that were not timed.
            number: Number of the next trial.

        Returns:
            A random sample of them.
        """
        count = math.ceil(CHECKED * len(designs))
        chosen = self._random(number).permutation(len(designs))[:count]
        return [designs[place] for place in sorted(chosen.tolist())]

    def _row(self, design: Design) -> Rows | None:
        return self._screener.tables.row(design.specs)

    def _random(self, number: int) -> np.random.Generator:
        # With a constant seed, a resumed search would select the same candidates again.
        return np.random.default_rng([self.seed, number])


def _own_deployment(design: Design, outcome: Outcome) -> DeploymentFacts | None:
    """Return the facts of the deployed network, unless they are those of another design."""
    if outcome.deployment is not None:
        return outcome.deployment
    facts = [
        each.provenance.deployment
        for each in outcome.readings.values()
        if each.design == design.id and each.provenance.deployment is not None
    ]
    return facts[0] if facts else None
