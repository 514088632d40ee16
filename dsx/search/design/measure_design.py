"""Measurement of one design and the baseline; stored measurements are used if there are any."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from torch import Tensor

from dsx.activity import Event, Kind, OnStatus, ignore_status
from dsx.analysis import Estimate, aggregate_all, estimate_of
from dsx.errors import DsxError, NotCounted, Unsupported, parameter
from dsx.lookup import find, names
from dsx.measure import Candidate, Measurement, Metric
from dsx.measure.profile import Breakdown, break_down, check_clocked
from dsx.process import torch_threads
from dsx.search.candidates import Candidates, lock_wait
from dsx.search.design.metrics_of_design import choose_metrics
from dsx.search.evaluator import read_metrics
from dsx.search.failures import failing_as_trial
from dsx.search.lookup import Lookup
from dsx.search.plan import Plan, plan_metrics
from dsx.space import Design, SearchSpace
from dsx.space.probe import probe
from dsx.store.measurements import Calibration, FormCache, MeasurementStore, load_readings_under


@dataclass(frozen=True, kw_only=True)
class MetricResult:
    """The estimate of a metric of a design.

    Args:
        estimate: Estimate from all measurements.
        newest: Newest measurement, as it is stored.
        stored: Whether the newest measurement was found in the database.
    """

    estimate: Estimate
    newest: Measurement
    stored: bool

    @property
    def measured_at(self) -> datetime:
        """Time of the newest measurement in UTC."""
        assert self.newest.measured_at is not None, "not stored"
        return self.newest.measured_at


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The metrics of a design and of the baseline.

    Args:
        metrics: Metrics by name, in the order of their stages.
        design: Results of the design by metric.
        baseline: Results of the baseline by metric; empty if the design is the baseline.
        unsupported: Metric to the reason why it is not supported here.
    """

    metrics: Mapping[str, Metric]
    design: Mapping[str, MetricResult]
    baseline: Mapping[str, MetricResult]
    unsupported: Mapping[str, Unsupported]


class DesignMeasurement:
    """Measures one design.

    Args:
        space: Search space of the network.
        design: Design of the network, which need not be in the space.
        measurements: Measurements of this device.
        train: Whether to permit training.
        fresh: Whether to measure again what is stored.
        weights: Trained weights of the design, which make training unnecessary.
        on_status: Called with an event before each step.
    """

    def __init__(
        self,
        space: SearchSpace,
        design: Design,
        measurements: MeasurementStore,
        *,
        train: bool = False,
        fresh: bool = False,
        weights: Mapping[str, Tensor] | None = None,
        on_status: OnStatus = ignore_status,
    ) -> None:
        self.space, self.design = space, design
        self.train, self.fresh = train, fresh
        self.weights = None if train and fresh else weights
        self.on_status = on_status
        self.measurements = measurements
        self.candidates = Candidates(
            form_cache=FormCache(self.measurements),
            reference_times=Calibration(self.measurements),
            on_lock_wait=lock_wait(on_status),
        )
        for one in self.designs:
            self.measurements.add_design(one, one.description(space.analysis))

    @property
    def designs(self) -> list[Design]:
        """The design and, if that is another design, the baseline."""
        return [self.design, self.space.baseline][: 1 + bool(self.design.changed)]

    def measure(self, wanted: Sequence[str]) -> Measured:
        """Look up or measure metrics of the design and of the baseline.

        Args:
            wanted: Names of metrics; empty for all supported metrics.

        Returns:
            The results, all of which are stored.

        Raises:
            DsxError: If a metric is unknown or not supported here, or if training is required but
                not permitted.
            WorkFailed: If the network fails.
        """
        with torch_threads(self.space.file.measure.threads):
            return self._measured(wanted)

    def _measured(self, wanted: Sequence[str]) -> Measured:
        metrics, unsupported = choose_metrics(self.space, wanted, self.train)
        # All values of learned shapes must be those of the same training.
        known = {
            name: find(Metric, name) for name in (names(Metric) if self.design.learned else ())
        }
        more = {name: m for name, m in known.items() if m.closed_form is not None} | metrics
        self.probe()
        plan = plan_metrics(self.space, more, self.measurements, self.design.learned)
        found = {one.id: self.look_up(plan, one) for one in self.designs}
        self._check_training(plan, found)
        uncounted = self._fill(plan, found, wanted)
        metrics = {name: metric for name, metric in metrics.items() if name not in uncounted}
        shown = [{name: of[name] for name in metrics} for of in found.values()]
        baseline = shown[1] if len(shown) > 1 else {}
        return Measured(
            metrics=metrics,
            design=shown[0],
            baseline=baseline,
            unsupported=unsupported | uncounted,
        )

    def layers(self) -> list[Breakdown]:
        """Measure the time of each slot of the design and of the baseline.

        Returns:
            The breakdown of the design and, if that is another design, of the baseline.

        Raises:
            DsxError: If training is required but not permitted, or if the network is not run in
                eager mode on the CPU.
            WorkFailed: If the network fails.
        """
        check_clocked(self.space.file.measure)
        self.check_shapes()
        with torch_threads(self.space.file.measure.threads):
            self.probe()
            candidates = [self.candidate(self.space, one) for one in self.designs]
            self.on_status(Event(kind=Kind.PROFILING, design=self.design.id))
            with failing_as_trial(self.space):
                return break_down(candidates)

    def probe(self) -> None:
        """Check whether the network can be redesigned.

        Raises:
            SpaceError: If the network cannot be redesigned.
        """
        if self.design.changed or self.space.is_user_model:
            probe(self.space)

    def check_shapes(self) -> None:
        """Check that learned shapes are known or may be trained.

        Raises:
            DsxError: If they are not known and training is not permitted.
        """
        if self.design.learned and not self.train and self.weights is None:
            advice = f"add {parameter('train', True)}"
            raise DsxError(
                f"the design has learned shapes, which are known only after training: {advice}"
            )

    def look_up(self, plan: Plan, design: Design) -> dict[str, MetricResult]:
        """Look up the stored metrics of a design.

        Args:
            plan: Metrics and their protocols.
            design: The design.

        Returns:
            Results by metric; with learned shapes either all or none.
        """
        if self.fresh:
            return {}
        values = self._values(plan, design)
        if design.learned and len(values) < len(plan.metrics):
            return {}
        found = {name: self._stored(plan, design, name, value) for name, value in values.items()}
        return {name: number for name, number in found.items() if number is not None}

    def _stored(
        self, plan: Plan, design: Design, name: str, value: Estimate
    ) -> MetricResult | None:
        lookup = Lookup(measurements=self.measurements, plan=plan)
        reading = lookup.find(name, design)
        if reading is None:
            # The estimate is from readings whose samples are damaged.
            return None
        return MetricResult(estimate=value, newest=reading, stored=True)

    def _values(self, plan: Plan, design: Design) -> dict[str, Estimate]:
        """Aggregate the stored readings of a design, like the front of a study."""
        protocols = {plan.protocol(name, one) for name in plan.metrics for one in self.designs}
        readings = load_readings_under(self.measurements.engine, protocols)
        device = self.measurements.device
        own = {one: of[device] for one, of in readings.items() if device in of}
        if design.id not in own:
            return {}
        units = {name: metric.unit for name, metric in plan.metrics.items()}
        return aggregate_all(own, units)[design.id]

    def _check_training(self, plan: Plan, found: Mapping[str, Mapping[str, MetricResult]]) -> None:
        for one in self.designs:
            missing = [name for name in plan.metrics if name not in found[one.id]]
            if one.learned and missing:
                self.check_shapes()
            own = self.weights is not None and one is self.design
            for name in missing if not (self.train or own) else ():
                if plan.metrics[name].stage == "trained":
                    subject = "the design" if one.changed else "the baseline"
                    raise DsxError(
                        f"{parameter('metric')}: {name} of {subject} is known only after training "
                        f"(add {parameter('train', True)})"
                    )

    def _fill(
        self, plan: Plan, found: Mapping[str, dict[str, MetricResult]], wanted: Sequence[str]
    ) -> dict[str, Unsupported]:
        """Measure missing metrics, one after another.

        Returns:
            Metric to the reason why it cannot be counted, unless it was requested by name.
        """
        candidates: dict[str, Candidate] = {}
        uncounted: dict[str, Unsupported] = {}
        for name, metric in plan.metrics.items():
            missing = [one for one in self.designs if name not in found[one.id]]
            for one in missing:
                if one.id not in candidates:
                    candidates[one.id] = self.candidate(self.space, one)
            open_ones = [candidates[one.id] for one in missing]
            try:
                with failing_as_trial(self.space):
                    numbers = self._measure(plan, name, metric, open_ones)
            except NotCounted as error:
                if name in wanted:
                    raise
                uncounted[name] = Unsupported(str(error))
                continue
            for design, number in numbers.items():
                found[design][name] = number
        return uncounted

    def _measure(
        self, plan: Plan, name: str, metric: Metric, candidates: Sequence[Candidate]
    ) -> dict[str, MetricResult]:
        """Measure a metric of some candidates, once for each deployed network."""
        lookup, by_subject = Lookup(measurements=self.measurements, plan=plan), defaultdict(list)
        for candidate in candidates:
            timed = lookup.timed(name)
            by_subject[candidate.deployed_id if timed else candidate.design.id].append(candidate)
        numbers = {}
        for subject, (first, *_) in (
            by_subject.items() if lookup.timed(name) and not self.fresh else ()
        ):
            if (known := self.share(plan, name, first)) is not None:
                numbers[subject] = known
        missing = {
            first: subject for subject, (first, *_) in by_subject.items() if subject not in numbers
        }
        for candidate, reading in self._read(name, metric, list(missing)):
            numbers[missing[candidate]] = self.add(plan, candidate, name, reading)
        for _, *others in by_subject.values():
            for other in others:
                lookup.share(name, other)
        return {
            one.design.id: numbers[subject] for subject, ones in by_subject.items() for one in ones
        }

    def share(self, plan: Plan, name: str, candidate: Candidate) -> MetricResult | None:
        """Look up a timed metric by the deployed network of a candidate.

        Args:
            plan: Plan with the protocol of the metric.
            name: Name of the metric.
            candidate: The candidate; it is deployed for this.

        Returns:
            The result; None if the deployed network was not measured before.
        """
        if Lookup(measurements=self.measurements, plan=plan).share(name, candidate) is None:
            return None
        value = self._values(plan, candidate.design)[name]
        return self._stored(plan, candidate.design, name, value)

    def _read(
        self, name: str, metric: Metric, candidates: Sequence[Candidate]
    ) -> Iterator[tuple[Candidate, Measurement]]:
        if candidates and metric.stage != "static":
            self.on_status(Event(kind=Kind.MEASURING, design=self.design.id, detail=name))
        for candidate in candidates if metric.stage == "trained" else ():
            self._restore(candidate)
        yield from read_metrics(name, metric, candidates, self.candidates.on_lock_wait)

    def candidate(self, space: SearchSpace, design: Design) -> Candidate:
        """Build a candidate; learned shapes are restored from known weights.

        Args:
            space: Search space, whose measurement settings may differ.
            design: Design of the network.

        Returns:
            The candidate.
        """
        candidate = self.candidates.build(space, design)
        # Otherwise it is timed with its initial weights, as in a search.
        if design.learned:
            self._restore(candidate)
        return candidate

    def _restore(self, candidate: Candidate) -> None:
        if self.weights is not None and candidate.design is self.design:
            candidate.restore(self.weights)

    def add(
        self, plan: Plan, candidate: Candidate, name: str, reading: Measurement
    ) -> MetricResult:
        """Store a reading.

        Args:
            plan: Plan with the protocol of the metric.
            candidate: Candidate that was measured.
            name: Name of the metric.
            reading: The reading.

        Returns:
            The result.
        """
        stored = Lookup(measurements=self.measurements, plan=plan).add(name, candidate, reading)
        return MetricResult(estimate=estimate_of(stored), newest=stored, stored=False)
