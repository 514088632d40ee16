"""Single: one design beside the baseline, each number looked up before it is measured."""

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
from dsx.search.lookup import Recall
from dsx.search.plan import Plan, plan_metrics
from dsx.space import Design, SearchSpace
from dsx.space.probe import probe
from dsx.store.measurements import Calibration, FormCache, MeasurementStore, load_readings_under


@dataclass(frozen=True, kw_only=True)
class MetricResult:
    """The estimate of a metric of a design, and where it is from.

    Args:
        estimate: Estimate from all measurements.
        newest: The newest measurement, which is stored.
        stored: Whether it was found in the database.
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
    """What is known of a design.

    Args:
        metrics: What was asked for, by name, the cheap ones first.
        design: By metric.
        baseline: The same of the baseline; empty if that is the design.
        unsupported: Reasons why other metrics cannot be measured here, by name.
    """

    metrics: Mapping[str, Metric]
    design: Mapping[str, MetricResult]
    baseline: Mapping[str, MetricResult]
    unsupported: Mapping[str, Unsupported]


class Single:
    """Measures one design.

    Args:
        space: Whose network it is of.
        design: Any design, whether the space offers it or not.
        measurements: Measurements of this device.
        train: Whether it may be trained.
        fresh: Whether what the database knows is measured again.
        weights: Of an earlier training of the design; in their place none is needed.
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
        """The design, and the baseline if that is another one."""
        return [self.design, self.space.baseline][: 1 + bool(self.design.changed)]

    def measure(self, wanted: Sequence[str]) -> Measured:
        """Look up, or measure, metrics of the design and of the baseline.

        Args:
            wanted: Names of metrics; none for all that need no more than is allowed.

        Returns:
            What is known; everything that was measured is in the database.

        Raises:
            DsxError: If there is no such metric, it cannot be had here, or needs a training that
                was not asked for.
            WorkFailed: If the network fails.
        """
        with torch_threads(self.space.file.measure.threads):
            return self._measured(wanted)

    def _measured(self, wanted: Sequence[str]) -> Measured:
        metrics, unsupported = choose_metrics(self.space, wanted, self.train)
        # Numbers of learned shapes are of one training: if one is taken anew, so are all.
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
        """Clock where the time goes, in the design and in the baseline.

        Returns:
            A breakdown of each, the design first; just one if they are the same.

        Raises:
            DsxError: If it needs a training that was not asked for, or is not run in eager on the
                CPU.
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
        """Find out, before anything is measured, whether the network can be redesigned.

        Raises:
            SpaceError: If it cannot.
        """
        if self.design.changed or self.space.is_user_model:
            probe(self.space)

    def check_shapes(self) -> None:
        """Refuse to go on without the training that learned shapes need.

        Raises:
            DsxError: If they have none, and must not have one.
        """
        if self.design.learned and not self.train and self.weights is None:
            advice = f"add {parameter('train', True)}"
            raise DsxError(
                f"the design has learned shapes, which are known only after training: {advice}"
            )

    def look_up(self, plan: Plan, design: Design) -> dict[str, MetricResult]:
        """Find what the database knows of a design.

        Args:
            plan: The metrics and their protocols.
            design: The design.

        Returns:
            By metric, as far as it is known; of learned shapes all of it or nothing.
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
        recall = Recall(measurements=self.measurements, plan=plan)
        reading = recall.find(name, design)
        if reading is None:
            # Pooled from readings whose samples are damaged.
            return None
        return MetricResult(estimate=value, newest=reading, stored=True)

    def _values(self, plan: Plan, design: Design) -> dict[str, Estimate]:
        """Pool what the database holds of a design, as the front of a study does it."""
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
                    whose = "the design" if one.changed else "the baseline"
                    raise DsxError(
                        f"{parameter('metric')}: {name} of {whose} is known only after training "
                        f"(add {parameter('train', True)})"
                    )

    def _fill(
        self, plan: Plan, found: Mapping[str, dict[str, MetricResult]], wanted: Sequence[str]
    ) -> dict[str, Unsupported]:
        """Measure what is missing, one metric after another.

        Returns:
            Why metrics that were not asked for by name cannot be counted, by name.
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
        """Measure a metric of some candidates, each deployed network once."""
        recall, alike = Recall(measurements=self.measurements, plan=plan), defaultdict(list)
        for candidate in candidates:
            timed = recall.timed(name)
            alike[candidate.deployed_id if timed else candidate.design.id].append(candidate)
        numbers = {}
        for subject, (first, *_) in alike.items() if recall.timed(name) and not self.fresh else ():
            if (known := self.share(plan, name, first)) is not None:
                numbers[subject] = known
        missing = {
            first: subject for subject, (first, *_) in alike.items() if subject not in numbers
        }
        for candidate, reading in self._read(name, metric, list(missing)):
            numbers[missing[candidate]] = self.add(plan, candidate, name, reading)
        for _, *others in alike.values():
            for other in others:
                recall.share(name, other)
        return {one.design.id: numbers[subject] for subject, ones in alike.items() for one in ones}

    def share(self, plan: Plan, name: str, candidate: Candidate) -> MetricResult | None:
        """Look up a timed metric by the deployed network of a candidate.

        Args:
            plan: Plan with the protocol of the metric.
            name: Name of the metric.
            candidate: The candidate; it is deployed for this.

        Returns:
            The number, if the same deployed network was measured before.
        """
        if Recall(measurements=self.measurements, plan=plan).share(name, candidate) is None:
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
        """Make a candidate; learned shapes are as known weights have them.

        Args:
            space: The space, which may be measured in another way.
            design: Of its network.

        Returns:
            The candidate.
        """
        candidate = self.candidates.build(space, design)
        # Else it is timed with the weights it was built with, as in a search.
        if design.learned:
            self._restore(candidate)
        return candidate

    def _restore(self, candidate: Candidate) -> None:
        if self.weights is not None and candidate.design is self.design:
            candidate.restore(self.weights)

    def add(
        self, plan: Plan, candidate: Candidate, name: str, reading: Measurement
    ) -> MetricResult:
        """Write a number down.

        Args:
            plan: Knows its protocol.
            candidate: What was measured.
            name: Of the metric.
            reading: What it is.

        Returns:
            The number.
        """
        stored = Recall(measurements=self.measurements, plan=plan).add(name, candidate, reading)
        return MetricResult(estimate=estimate_of(stored), newest=stored, stored=False)
