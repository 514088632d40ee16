"""Refinement of a study: repeated measurements of contested designs.

Designs are contested for two reasons. Designs whose latencies have overlapping intervals are timed
again, interleaved. The accuracy of one training depends on chance, and the best of many designs is
biased upwards, so contested designs are also trained with further seeds, those with the fewest
seeds first.
"""

import dataclasses
import logging
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from dsx.activity import End, Event, Kind, OnStatus, ignore_status, subject
from dsx.analysis import Entry, Front
from dsx.errors import CheckpointError, TrialFailed
from dsx.process import torch_threads
from dsx.search.candidates import Candidates
from dsx.search.design.selection import design_of, permitted, study_space
from dsx.search.evaluator import read_metric, share_reading
from dsx.search.failures import failing_as_trial, in_one_line
from dsx.search.lookup import Lookup
from dsx.search.plan import Plan, make_plan, plan_metrics
from dsx.search.remeasure import (
    MAX_INTERLEAVED,
    flagged_designs,
    metrics_to_time,
    network_of,
    one_per_network,
    remeasure,
)
from dsx.search.resume import check_resumable, with_stored_forms
from dsx.search.sampling.study import quiet_optuna
from dsx.space import Design, SearchSpace
from dsx.store.database import (
    DEFAULT_STORAGE,
    SERVER_SECONDS,
    one_line_errors,
)
from dsx.store.lease import Lease, claim
from dsx.store.studies import Study, load_front

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a refinement. Designs that are contested at these limits are regarded as tied.

    Args:
        readings: Largest number of readings of a contested design.
        seeds: Largest number of trainings of a contested design.
        flagged: Largest number of readings of a design that is not contested, if all readings are
            flagged.
        max_interleaved: Largest number of designs that are timed interleaved.
    """

    readings: int = 20
    seeds: int = 10
    flagged: int = 4
    max_interleaved: int = MAX_INTERLEAVED


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, kw_only=True)
class Refinement:
    """The result of a refinement.

    Args:
        front: Front after the refinement.
        before: Number of contested pairs before the refinement.
        timed: Number of new timings of designs.
        trained: Number of new trainings of designs.
        failed: Reason of each failed training, by design id.
        untimed: Ids of the designs with learned shapes that were not timed, because the study does
            not keep their weights.
        end: Reason for which the refinement ended.
        seconds: Duration, which may exceed the time budget, because no measurement is aborted.
    """

    front: Front
    before: int
    timed: int
    trained: int
    failed: dict[str, str]
    untimed: frozenset[str] = frozenset()
    end: End
    seconds: float


def refine_study(
    study: str | None,
    seconds: float,
    *,
    storage: str = DEFAULT_STORAGE,
    storage_timeout: float = SERVER_SECONDS,
    on_status: OnStatus = ignore_status,
    space: SearchSpace | None = None,
    trust: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> Refinement:
    """Measure contested designs of a study again.

    Args:
        study: Name of the study; None for the newest study.
        seconds: Time budget, after which no new measurement starts.
        storage: SQLAlchemy URL of the database.
        storage_timeout: Seconds to wait for a database server that becomes unreachable.
        on_status: Called with an event before each step.
        space: Search space of the study from a file of the user; required (unless `trust` is true)
            if the space names code outside dsx.
        trust: Whether to run code that only the database names.
        limits: Limits of the repetition.

    Returns:
        The front and a summary of the new measurements, all of which are in the database.

    Raises:
        StorageError: If the study cannot be resumed or was created on another device.
        WorkFailed: If the database fails.
    """
    found = Study.open(storage, study, writable=True, patience=storage_timeout)
    row, measurements = found.row, found.measurements
    with (
        quiet_optuna(),
        permitted(space, trust),
        one_line_errors(storage),
        claim(found.engine, row.name) as lease,
        ExitStack() as threads,
    ):
        space = with_stored_forms(study_space(row, space), row)
        threads.enter_context(torch_threads(space.file.measure.threads))
        plan = make_plan(space, measurements)
        check_resumable(row, plan, measurements)
        held = Study.of(lease.engine, storage, row, measurements)
        held.weights.check_folder()
        return _Refining(held, plan, lease, on_status, limits).run(seconds)


class _Refining:
    """The work of one process on the front of a study."""

    def __init__(
        self, study: Study, plan: Plan, lease: Lease, on_status: OnStatus, limits: Limits
    ) -> None:
        self.study, self.plan = study, plan
        self.lease, self._on_status = lease, on_status
        self.limits = limits
        self.candidates = Candidates.of_study(study, self._report)
        self.trained_metrics = [n for n, m in plan.metrics.items() if m.stage == "trained"]
        self.spent = {"timing": 0.0, "training": 0.0}
        self.done: Counter[str] = Counter()
        self.failed: dict[str, str] = {}
        self.untimed: set[str] = set()
        self.attempts: Counter[str] = Counter()

    def run(self, seconds: float) -> Refinement:
        """Measure until nothing is contested, nothing can be separated, or time is up.

        Args:
            seconds: Time budget, after which no new measurement starts.

        Returns:
            The front and a summary of the new measurements.
        """
        begin = time.monotonic()
        end = begin + seconds
        front = load_front(self.study)
        before = len(front.contested)
        while (reason := self._end(front, end)) is None:
            self.lease.check()
            self._step(front, end)
            front = load_front(self.study)
        return Refinement(
            front=front,
            before=before,
            timed=self.done["timing"],
            trained=self.done["training"],
            failed=self.failed,
            untimed=frozenset(self.untimed),
            end=reason,
            seconds=time.monotonic() - begin,
        )

    def _report(self, event: Event) -> None:
        """Report an event, as long as this process holds the lease."""
        self.lease.check_seen()
        self._on_status(event)

    def _end(self, front: Front, end: float) -> End | None:
        """Return the reason for which the refinement ends now, if there is one."""
        if any(self._work(front).values()):
            return End.TIMEOUT if time.monotonic() >= end else None
        if any(_flagged(entry, front) for pair in front.contested for entry in pair):
            return End.FLAGGED
        if front.contested and not _overlapping(front, self._refinable(front)):
            return End.NOT_REFINABLE
        return End.TIED if front.contested else End.DECIDED

    @staticmethod
    def _refinable(front: Front) -> list[str]:
        """List the objectives that a repeated measurement makes more precise."""
        refined = {*front.refined_by("re-measure"), *front.refined_by("retrain")}
        return [name for name in front.objectives if name in refined]

    def _work(self, front: Front) -> dict[str, list[Entry]]:
        return {"timing": self._to_time(front), "training": self._to_train(front)}

    def _step(self, front: Front, end: float) -> None:
        """Time or train, whichever took less time so far."""
        work = {kind: entries for kind, entries in self._work(front).items() if entries}
        kind = min(work, key=lambda kind: self.spent[kind])
        begin = time.monotonic()
        if kind == "timing":
            self._time(front, self._group(front, work[kind], end - begin))
        else:
            entry = work[kind][0]
            with subject(f"#{entry.trial}"):
                self._train(entry)
        self.spent[kind] += time.monotonic() - begin

    def _to_time(self, front: Front) -> list[Entry]:
        """List the designs to time again, those with the fewest readings first.

        These are contested designs, and designs with flagged values, whether contested or not.
        """
        flagged = {
            entry.id: (entry, self.limits.flagged)
            for entry in flagged_designs(front, self.study.device.fingerprint)
        }
        names = [name for name in front.refined_by("re-measure") if name in front.objectives]
        found = {entry.id: (entry, self.limits.readings) for entry in _overlapping(front, names)}
        entries = [
            entry
            for entry, most in (flagged | found).values()
            if max(_readings(front, entry), self.attempts[network_of(entry)]) < most
        ]
        return sorted(one_per_network(entries), key=lambda entry: _readings(front, entry))

    def _group(self, front: Front, entries: list[Entry], seconds: float) -> list[Entry]:
        """Select the designs to time now: as many as there is time for, and the baseline.

        All designs are compared with the baseline, so it must have at least as many readings.
        """
        done = self.done["timing"]
        each = self.spent["timing"] / done if done else self.plan.space.file.measure.budget_seconds
        most = min(max(round(seconds / each), 2), self.limits.max_interleaved)
        chosen, baseline = entries[:most], front.baseline_entry
        if baseline is None or baseline.device != self.study.device.fingerprint:
            return chosen
        if network_of(baseline) in map(network_of, chosen):
            return chosen
        if _readings(front, baseline) > min(_readings(front, entry) for entry in chosen):
            return chosen
        return [*chosen[: self.limits.max_interleaved - 1], baseline]

    def _to_train(self, front: Front) -> list[Entry]:
        """List the designs to train again, those with the fewest seeds first."""
        names = [name for name in self.trained_metrics if name in front.objectives]

        def seeds(entry: Entry) -> int:
            return min(entry.metrics[name].seeds for name in names)

        entries = [
            entry
            for entry in _overlapping(front, names)
            if seeds(entry) < self.limits.seeds and entry.id not in self.failed
        ]
        return sorted(entries, key=seeds)

    def _time(self, front: Front, entries: list[Entry]) -> None:
        designs = [design_of(self.plan.space, entry) for entry in entries]
        names = metrics_to_time(front, entries)
        most = self.limits.max_interleaved
        timed = remeasure(designs, names, self.plan, self.study, self._report, most)
        # Noisy readings may not count, and a design without its weights has no new reading.
        self.attempts.update(map(network_of, entries))
        self.done["timing"] += len(timed)
        self.untimed |= {design.id for design in designs} - set(timed)

    def _train(self, entry: Entry) -> None:
        design = design_of(self.plan.space, entry)
        plan, seed = self._next_seed(design)
        self._report(Event(kind=Kind.TRAINING, design=design.id, seed=seed))
        try:
            with failing_as_trial(plan.space):
                self._read_trained(design, plan)
        except CheckpointError as error:
            # The checkpoint is not needed, because the training can start again.
            _LOG.warning("%s %s; the training starts again", error.path, error.problem)
            self.study.weights.renew_checkpoint(design.id, plan.training)
            return
        # The other designs can still be trained.
        except TrialFailed as error:
            _LOG.info("the training of design %s failed", design.id, exc_info=error)
            self.failed[design.id] = f"seed {seed}: {in_one_line(error)}"
        self.study.weights.drop_checkpoint(design.id, plan.training)
        self.done["training"] += 1

    def _read_trained(self, design: Design, plan: Plan) -> None:
        lookup = Lookup(measurements=self.study.measurements, plan=plan)
        checkpoint = self.study.weights.checkpoint(design.id, plan.training)
        candidate = self.candidates.build(plan.space, design, checkpoint)
        for name in self._names(plan, design):
            if lookup.timed(name) and share_reading(lookup, name, candidate) is not None:
                continue
            lookup.add(name, candidate, read_metric(name, plan.metrics[name], candidate))

    def _names(self, plan: Plan, design: Design) -> list[str]:
        """List the metrics that depend on a training; with learned shapes all of them."""
        names = [name for _, names in plan.stages(design) for name in names]
        return names if design.learned else [n for n in names if n in self.trained_metrics]

    def _next_seed(self, design: Design) -> tuple[Plan, int]:
        """Find the first seed with which the design was not trained."""
        seed = self.plan.space.file.train.seed
        while True:
            seed += 1
            plan = plan_metrics(
                reseeded(self.plan.space, seed),
                self.plan.metrics,
                self.study.measurements,
                design.learned,
            )
            known = [
                self.study.measurements.find(design.id, name, plan.protocol(name, design))
                for name in self.trained_metrics
            ]
            if None in known:
                return plan, seed


def _readings(front: Front, entry: Entry) -> int:
    """Count the readings of the timed metrics of a design; a damaged metric has none."""
    names = metrics_to_time(front, [entry])
    return min((entry.metrics[n].readings if n in entry.metrics else 0 for n in names), default=0)


def reseeded(space: SearchSpace, seed: int) -> SearchSpace:
    """Return a search space with another training seed.

    Args:
        space: The search space.
        seed: Random seed of the weights, the order of the images and the augmentation.

    Returns:
        The search space, which is otherwise unchanged.
    """
    training = space.file.train.model_copy(update={"seed": seed})
    return dataclasses.replace(space, file=space.file.model_copy(update={"train": training}))


def _overlapping(front: Front, names: Iterable[str]) -> list[Entry]:
    """List the contested designs with overlapping intervals in a metric, most contested first."""
    pairs: Counter[str] = Counter()
    for one, other in front.contested:
        if any(_overlap(one, other, name) for name in names):
            pairs.update([one.id, other.id])
    entries = {entry.id: entry for entry in front.entries}
    return [entries[design] for design, _ in pairs.most_common()]


def _flagged(entry: Entry, front: Front) -> bool:
    return any(entry.metrics[name].flagged for name in front.objectives)


def _overlap(one: Entry, other: Entry, name: str) -> bool:
    a, b = one.metrics[name], other.metrics[name]
    # Both have the same deployed network, so further readings cannot separate them.
    if a.rests_on and a.rests_on == b.rests_on:
        return False
    return not (a.exact and b.exact) and a.low <= b.high and b.low <= a.high
