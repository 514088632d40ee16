"""Evaluation of one design: metrics in the order of their stages, looked up or measured."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence, Set

from dsx.activity import Event, Kind, OnStatus
from dsx.analysis import TrialState, to_json
from dsx.errors import (
    CheckpointError,
    TrainingStopped,
    TrialFailed,
    WorkFailed,
    printable,
)
from dsx.measure import Candidate, Measurement, Metric, Provenance
from dsx.measure.metrics import Stage
from dsx.search.candidates import Candidates, Stop
from dsx.search.failures import failing_as_trial, in_one_line, traceback_of
from dsx.search.lookup import Lookup
from dsx.search.plan import Plan
from dsx.space import Design
from dsx.store.studies import Outcome, Study
from dsx.train import losses_in

_LOG = logging.getLogger(__name__)
EXAMPLES_ERROR = 1e-5
"""Largest difference of a value from the mean of its results per example, which are float32."""


class Evaluator:
    """Evaluates the designs of a study.

    Args:
        plan: Metrics to measure.
        study: The study, which holds the measurements and the trained weights.
        on_status: Called with an event before each step.
    """

    def __init__(self, plan: Plan, study: Study, on_status: OnStatus) -> None:
        self.plan = plan
        self.study = study
        self.lookup = Lookup(measurements=study.measurements, plan=plan)
        self.weights = study.weights
        self.on_status = on_status
        self.candidates = Candidates.of_study(study, on_status)
        self.baseline: dict[str, float] = {}

    def evaluate(
        self, design: Design, later: Set[str] = frozenset(), stop: Stop | None = None
    ) -> Outcome:
        """Evaluate a design until all metrics are measured or a constraint is violated.

        Args:
            design: The design. The baseline must be evaluated first; all of its metrics are
                measured even if it violates a constraint.
            later: Timed metrics that are looked up, but not measured; the design is deployed.
            stop: Function from the losses of the first epochs to whether the training stops.

        Returns:
            The outcome. All measurements are stored. It is `screened` if a metric of `later` is
            missing, and `stopped` if the training was stopped.
        """
        try:
            return self._evaluate(design, later, stop)
        except CheckpointError as error:
            # The checkpoint is not needed, because the training can start again.
            _LOG.warning("%s %s; the training starts again", error.path, error.problem)
            self.weights.renew_checkpoint(design.id)
            return self._evaluate(design, later, stop)

    def recall(self, design: Design) -> Outcome:
        """Look up the stored measurements of a design without building it.

        Args:
            design: The design; the baseline must have been evaluated before.

        Returns:
            The outcome: rejected if a constraint is violated as in the evaluation, complete if all
            metrics are stored, otherwise screened.
        """
        outcome = Outcome(state=TrialState.COMPLETE)
        for stage, names in self.plan.stages(design):
            for name in names:
                if (reading := self.lookup.find(name, design)) is not None:
                    outcome.readings[name], outcome.values[name] = reading, reading.value
            if self._rejects(design, stage, outcome):
                return outcome
        if outcome.values.keys() != self.plan.metrics.keys():
            outcome.state = TrialState.SCREENED
        return outcome

    def losses(self, design: Design) -> list[float]:
        """Return the losses of a training that was stopped.

        Args:
            design: The design.

        Returns:
            Mean loss of each completed epoch; empty if the checkpoint is missing.
        """
        checkpoint = self.weights.known_checkpoint(design.id)
        return [] if checkpoint is None else losses_in(checkpoint) or []

    def _rejects(self, design: Design, stage: Stage, outcome: Outcome) -> bool:
        """Check the constraints after a stage; return whether the evaluation ends there."""
        violated = self._check(outcome, outcome.values)
        if not violated or not design.changed or stage == self.plan.stages(design)[-1][0]:
            return False
        outcome.state = TrialState.REJECTED
        outcome.reason = f"violates the constraint on {violated}"
        return True

    def _evaluate(self, design: Design, later: Set[str], stop: Stop | None) -> Outcome:
        outcome = Outcome(state=TrialState.COMPLETE)
        try:
            with failing_as_trial(self.plan.space):
                self._measure(design, outcome, later, stop)
        except TrainingStopped:
            # The checkpoint is kept, from which another trial may resume.
            outcome.state = TrialState.STOPPED
            return outcome
        # A bug in dsx is not a failure of the design, and propagates.
        except TrialFailed as error:
            outcome.state = TrialState.FAILED
            outcome.reason = printable(in_one_line(error))
            outcome.traceback = traceback_of(error)
            _LOG.info("design %s failed: %s", design.id, outcome.reason, exc_info=error)
        # If the evaluation is interrupted instead, the training resumes from the checkpoint.
        self.weights.drop_checkpoint(design.id)
        return outcome

    def _measure(
        self, design: Design, outcome: Outcome, later: Set[str], stop: Stop | None
    ) -> None:
        trains = bool(self.weights.training) or design.learned
        checkpoint = self.weights.checkpoint(design.id) if trains else None
        candidate = self.candidates.build(self.plan.space, design, checkpoint, stop)
        is_baseline = not design.changed
        stages = self.plan.stages(design)
        if design.learned and not self._expected_to_fit(candidate, outcome):
            return
        repeat = design.learned and self._must_repeat(candidate)
        for stage, names in stages:
            for name in names:
                if (reading := self._reading(candidate, name, repeat, later)) is not None:
                    outcome.readings[name], outcome.values[name] = reading, reading.value
            if is_baseline:
                self.baseline = outcome.values
            if self._rejects(design, stage, outcome):
                return
        outcome.deployment = candidate.deployment if candidate.is_deployed else None
        if outcome.values.keys() != self.plan.metrics.keys():
            outcome.state = TrialState.SCREENED

    def _expected_to_fit(self, candidate: Candidate, outcome: Outcome) -> bool:
        """Check whether a design with learned shapes is expected to meet the constraints."""
        expected = self.plan.expected(self.plan.space.cost(candidate.design))
        violated = self._check(outcome, expected)
        if violated:
            outcome.state = TrialState.REJECTED
            outcome.reason = f"is expected to violate the constraint on {violated}"
        return not violated

    def _must_repeat(self, candidate: Candidate) -> bool:
        """Restore learned shapes; return whether all metrics must be measured again.

        All values of a design must be those of the same learned shapes.
        """
        design = candidate.design
        known = {name: self.lookup.find(name, design) for name in self.plan.metrics}
        weights = self.weights.load(design.id)
        if weights is None:
            return None in known.values()
        try:
            candidate.restore(weights)
        except WorkFailed:
            # The weights are of an earlier version of the network.
            return True
        counts = self.plan.expected(candidate.cost)
        return any(
            reading is not None and reading.value != counts.get(name, reading.value)
            for name, reading in known.items()
        )

    def _check(self, outcome: Outcome, values: Mapping[str, float]) -> str:
        """Store the violations of the constraints; return the names of the violated constraints."""
        outcome.violations = self.plan.violations(values, self.baseline)
        return ", ".join(outcome.violated)

    def _reading(
        self, candidate: Candidate, name: str, repeat: bool, later: Set[str]
    ) -> Measurement | None:
        design, metric = candidate.design, self.plan.metrics[name]
        known = None if repeat else self.lookup.find(name, design)
        if known is None and self.lookup.timed(name):
            self.on_status(Event(kind=Kind.DEPLOYING, design=design.id))
            known = share_reading(self.lookup, name, candidate)
        if known is not None:
            if metric.stage == "trained":
                self.weights.adopt(design.id)
            return known
        if name in later:
            return None
        self.on_status(Event(kind=_KINDS[metric.stage], design=design.id))
        reading = read_metric(name, metric, candidate)
        if metric.stage == "trained":
            # Weights first, because a value without its weights could not be exported.
            self.weights.save(design.id, candidate.trained())
        self.lookup.add(name, candidate, reading)
        return reading


def share_reading(lookup: Lookup, name: str, candidate: Candidate) -> Measurement | None:
    """Deploy a candidate and look up a timed metric of its deployed network.

    Args:
        lookup: Lookup of stored measurements.
        name: Name of the metric.
        candidate: The candidate.

    Returns:
        The newest reading of the same deployed network, if there is one.

    Raises:
        TrialFailed: If the network or code of the user fails.
    """
    with failing_as_trial(candidate.space):
        return lookup.share(name, candidate)


def read_metric(name: str, metric: Metric, candidate: Candidate) -> Measurement:
    """Measure one metric of a candidate.

    Args:
        name: Name of the metric.
        metric: The metric.
        candidate: The candidate.

    Returns:
        The reading.

    Raises:
        TrialFailed: If the reading is not a finite measurement, or code of the user fails.
    """
    with failing_as_trial(candidate.space):
        reading = metric.read(candidate)
    check_reading(name, reading)
    return reading


def read_metrics(
    name: str,
    metric: Metric,
    candidates: Sequence[Candidate],
    on_lock_wait: Callable[[], None] | None = None,
) -> Iterator[tuple[Candidate, Measurement]]:
    """Measure one metric of several candidates, interleaved if the metric can.

    Args:
        name: Name of the metric.
        metric: The metric.
        candidates: The candidates.
        on_lock_wait: Called if another process holds the device lock.

    Yields:
        Each candidate with its reading, as soon as it is known.

    Raises:
        TrialFailed: If a reading is not a finite measurement, if the number of readings is wrong,
            or if code fails that is not part of dsx.
    """
    if metric.read_interleaved is None or not candidates:
        for candidate in candidates:
            yield candidate, read_metric(name, metric, candidate)
        return
    with failing_as_trial(candidates[0].space):
        readings = metric.read_interleaved(candidates, on_lock_wait)
    if not isinstance(readings, list) or len(readings) != len(candidates):
        count = len(readings) if isinstance(readings, list) else type(readings).__name__
        raise TrialFailed(f"{name} returns {count} readings of {len(candidates)} networks")
    for reading in readings:
        check_reading(name, reading)
    yield from zip(candidates, readings, strict=True)


def check_reading(name: str, reading: object) -> None:
    """Check that a metric has returned a measurement that can be stored.

    Args:
        name: Name of the metric.
        reading: Result of the metric.

    Raises:
        TrialFailed: If it is not a measurement, if the value, an end of the interval or a number in
            the provenance is infinite or NaN, or if the value is not the mean of its results per
            example.
    """
    if not isinstance(reading, Measurement):
        raise TrialFailed(f"{name} returns a {type(reading).__name__}, not a Measurement")
    for number in (reading.value, reading.low, reading.high):
        if not isinstance(number, int | float):
            raise TrialFailed(f"{name} is {number!r}, which is not a number")
        if not math.isfinite(number):
            raise TrialFailed(f"{name} is {number}")
    if reading.examples is not None:
        mean = float(reading.examples.values.mean())
        if not math.isclose(mean, reading.value, rel_tol=EXAMPLES_ERROR, abs_tol=EXAMPLES_ERROR):
            raise TrialFailed(
                f"{name} is {reading.value}, but the mean of its results per example is {mean}"
            )
    if not isinstance(reading.provenance, Provenance):
        kind = type(reading.provenance).__name__
        raise TrialFailed(f"{name} has a provenance of type {kind}, not a Provenance")
    try:
        to_json(reading.provenance)
    except ValueError as error:
        raise TrialFailed(f"{name}: {error}") from error


_KINDS: Mapping[Stage, Kind] = {
    "static": Kind.COUNTING,
    "timed": Kind.TIMING,
    "projected": Kind.CLASSIFYING,
    "trained": Kind.TRAINING,
}
"""Kind of the work that measures a metric, by its stage."""
