"""Evaluate one design: each metric in turn, cheap before dear, looked up before it is measured."""

import logging
import math
from collections.abc import Callable, Mapping

from dsx.analysis import to_json
from dsx.errors import (
    CheckpointError,
    TrialFailed,
    WorkFailed,
    printable,
)
from dsx.measure import Candidate, Measurement, Metric, Provenance
from dsx.search.candidates import Candidates
from dsx.search.failures import in_one_line, outside_dsx, traceback_of
from dsx.search.lookup import Recall
from dsx.search.plan import Plan
from dsx.space import Design
from dsx.store.database import COMPLETE, FAILED, REJECTED
from dsx.store.measurements import MeasurementStore
from dsx.store.studies import Outcome
from dsx.store.weights import Weights

_LOG = logging.getLogger(__name__)


class Evaluator:
    """Measures the designs of a study.

    Args:
        plan: What to measure.
        memory: What is known already, and where new numbers go at once.
        weights: Where trained weights go.
        doing: Told in a few words what is done next.
    """

    def __init__(
        self,
        plan: Plan,
        measurements: MeasurementStore,
        weights: Weights,
        doing: Callable[[str], None],
    ) -> None:
        self.plan = plan
        self.measurements = measurements
        self.recall = Recall(measurements=measurements, plan=plan)
        self.weights = weights
        self.doing = doing
        self.candidates = Candidates.of(measurements, lambda: doing(WAITING))
        self.baseline: dict[str, float] = {}

    def evaluate(self, design: Design) -> Outcome:
        """Take a design through its metrics until the end, or until it breaks a constraint.

        Args:
            design: The baseline first; it is measured to the end whatever the constraints say.

        Returns:
            What became of it; whatever was measured is in the database by then.
        """
        try:
            return self._evaluate(design)
        except CheckpointError as error:
            # It is not needed: the training can start again.
            _LOG.warning("%s %s; the training starts again", error.path, error.problem)
            self.weights.renew_checkpoint(design.id)
            return self._evaluate(design)

    def _evaluate(self, design: Design) -> Outcome:
        outcome = Outcome(state=COMPLETE)
        try:
            with outside_dsx(self.plan.space.imports):
                self._measure(design, outcome)
        # A bug in dsx is not a failure of the design, and propagates.
        except TrialFailed as error:
            outcome.state = FAILED
            outcome.reason = printable(in_one_line(error))
            outcome.traceback = traceback_of(error)
            _LOG.info("design %s failed: %s", design.id, outcome.reason, exc_info=error)
        # Where it was interrupted instead, it is gone on with from there.
        self.weights.drop_checkpoint(design.id)
        return outcome

    def _measure(self, design: Design, outcome: Outcome) -> None:
        trains = bool(self.weights.training) or design.learned
        checkpoint = self.weights.checkpoint(design.id) if trains else None
        candidate = self.candidates.build(self.plan.space, design, checkpoint)
        is_baseline = not design.changed
        stages = self.plan.stages(design)
        if design.learned and not self._worthwhile(candidate, outcome):
            return
        anew = design.learned and self._anew(candidate)
        for stage, names in stages:
            for name in names:
                outcome.values[name] = self._reading(candidate, name, anew).value
            if is_baseline:
                self.baseline = outcome.values
            broken = self._broken(outcome, outcome.values)
            if broken and not is_baseline and stage != stages[-1][0]:
                outcome.state = REJECTED
                outcome.reason = f"breaks the constraint on {broken}"
                break

    def _worthwhile(self, candidate: Candidate, outcome: Outcome) -> bool:
        """Say whether a design with learned shapes is worth its training, as far as can be seen."""
        expected = self.plan.expected(self.plan.space.cost(candidate.design))
        broken = self._broken(outcome, expected)
        if broken:
            outcome.state = REJECTED
            outcome.reason = f"is expected to break the constraint on {broken}"
        return not broken

    def _anew(self, candidate: Candidate) -> bool:
        """Take up learned shapes; say whether their numbers are to be taken anew, all of them.

        Numbers of one design must not come from the shapes of several trainings.
        """
        design = candidate.design
        known = {name: self.recall.find(name, design) for name in self.plan.metrics}
        weights = self.weights.load(design.id)
        if weights is None:
            return None in known.values()
        try:
            candidate.restore(weights)
        except WorkFailed:
            # Of a network that has changed since.
            return True
        counts = self.plan.expected(candidate.cost)
        return any(
            reading is not None and reading.value != counts.get(name, reading.value)
            for name, reading in known.items()
        )

    def _broken(self, outcome: Outcome, values: Mapping[str, float]) -> str:
        """Note by how much each constraint is broken, and name those that are."""
        outcome.violations = self.plan.violations(values, self.baseline)
        return ", ".join(outcome.violated)

    def _reading(self, candidate: Candidate, name: str, anew: bool) -> Measurement:
        design, metric = candidate.design, self.plan.metrics[name]
        known = None if anew else self.recall.find(name, design)
        if known is None and self.recall.timed(name):
            self.doing("deploying")
            known = share_reading(self.recall, name, candidate)
        if known is not None:
            if metric.stage == "trained":
                self.weights.adopt(design.id)
            return known
        self.doing(_DOING[metric.stage])
        reading = read_metric(name, metric, candidate)
        if metric.stage == "trained":
            # First the weights: a number without its weights could not be exported.
            self.weights.save(design.id, candidate.trained())
        self.recall.add(name, candidate, reading)
        return reading


def share_reading(recall: Recall, name: str, candidate: Candidate) -> Measurement | None:
    """Deploy a candidate and look up a timed metric of its deployed network.

    Args:
        recall: The readings.
        name: Name of the metric.
        candidate: The candidate.

    Returns:
        The newest reading of the same deployed network, if there is one.

    Raises:
        TrialFailed: If anything goes wrong with code that is not dsx's.
    """
    with outside_dsx(candidate.space.imports):
        return recall.share(name, candidate)


def read_metric(name: str, metric: Metric, candidate: Candidate) -> Measurement:
    """Measure one metric of a candidate.

    Args:
        name: Of the metric.
        metric: The metric.
        candidate: The candidate.

    Returns:
        A reading that is a number.

    Raises:
        TrialFailed: If it is none, or anything goes wrong with code that is not dsx's.
    """
    with outside_dsx(candidate.space.imports):
        reading = metric.read(candidate)
    if not isinstance(reading, Measurement):
        raise TrialFailed(f"{name} returns a {type(reading).__name__}, not a Measurement")
    check_finite(name, reading)
    return reading


def check_finite(name: str, reading: Measurement) -> None:
    """Refuse a measurement that is no number, or that cannot be stored.

    Args:
        name: Of the metric.
        reading: What was measured.

    Raises:
        TrialFailed: If it, an end of its interval or a number in its provenance is infinite or
            NaN.
    """
    for number in (reading.value, reading.low, reading.high):
        if not isinstance(number, int | float):
            raise TrialFailed(f"{name} is {number!r}, which is not a number")
        if not math.isfinite(number):
            raise TrialFailed(f"{name} is {number}")
    if not isinstance(reading.provenance, Provenance):
        kind = type(reading.provenance).__name__
        raise TrialFailed(f"{name} has a provenance of type {kind}, not a Provenance")
    try:
        to_json(reading.provenance)
    except ValueError as error:
        raise TrialFailed(f"{name}: {error}") from error


WAITING = "waiting for the device: another process times or trains"
_DOING = {
    "static": "counting",
    "timed": "timing",
    "projected": "classifying",
    "trained": "training",
}
