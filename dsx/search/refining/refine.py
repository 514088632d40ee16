"""Refinement of a study: repeated measurements of contested designs.

Designs are timed again, interleaved, or trained with further seeds, whichever can be expected to
decide more contested pairs per second.
"""

import dataclasses
import logging
import statistics
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise

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
from dsx.search.refining.choice import Choice, Limits, Outlook, readings
from dsx.search.refining.remeasure import metrics_to_time, network_of, remeasure
from dsx.search.resume import check_resumable, with_stored_forms
from dsx.search.sampling.study import quiet_optuna
from dsx.space import Design, SearchSpace
from dsx.store.database import (
    DEFAULT_STORAGE,
    SERVER_SECONDS,
    one_line_errors,
)
from dsx.store.lease import Lease, claim
from dsx.store.studies import Study, load_front, load_times

_LOG = logging.getLogger(__name__)


DEFAULT_LIMITS = Limits()
SHORTEST = 0.1
"""Smallest number of seconds that is assumed for a training before the first one."""


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
    tell: Callable[[Outlook], None] = lambda _: None,
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
        tell: Called with what can be expected before the first measurement of contested designs.
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
        return _Refining(held, plan, lease, on_status, tell, limits).run(seconds)


class _Refining:
    """The work of one process on the front of a study."""

    def __init__(
        self,
        study: Study,
        plan: Plan,
        lease: Lease,
        on_status: OnStatus,
        tell: Callable[[Outlook], None],
        limits: Limits,
    ) -> None:
        self.study, self.plan = study, plan
        self.lease, self._on_status, self._tell = lease, on_status, tell
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
        choice = self._choose(load_front(self.study))
        before = len(choice.front.contested)
        if before:
            self._tell(choice.outlook(seconds, self._costs()))
        while (reason := self._end(choice, end)) is None:
            self.lease.check()
            self._step(choice, end)
            choice = self._choose(load_front(self.study))
        front = choice.front
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

    def _choose(self, front: Front) -> Choice:
        return Choice(
            front=front,
            limits=self.limits,
            device=self.study.device.fingerprint,
            trained=self.trained_metrics,
            attempts=self.attempts,
            untrainable=self.failed,
        )

    @staticmethod
    def _end(choice: Choice, end: float) -> End | None:
        """Return the reason for which the refinement ends now, if there is one."""
        front = choice.front
        if choice.to_time or choice.to_train:
            return End.TIMEOUT if time.monotonic() >= end else None
        names = front.objectives
        if any(each.metrics[n].flagged for pair in front.contested for each in pair for n in names):
            return End.FLAGGED
        if front.contested and not choice.is_open:
            return End.NOT_REFINABLE
        return End.TIED if front.contested else End.DECIDED

    def _step(self, choice: Choice, end: float) -> None:
        """Time or train, whichever decides more pairs per second."""
        begin = time.monotonic()
        kind = choice.best(self._costs())
        if kind == "timing":
            self._time(choice.front, self._group(choice, end - begin))
        else:
            entry = choice.to_train[0]
            with subject(f"#{entry.trial}"):
                self._train(entry)
        self.spent[kind] += time.monotonic() - begin

    def _costs(self) -> dict[str, float]:
        """Return the mean seconds of a timing and of a training of one design."""
        guess = {"timing": self.plan.space.file.measure.budget_seconds, "training": self._trial()}
        return {
            kind: self.spent[kind] / self.done[kind] if self.done[kind] else guess[kind]
            for kind in guess
        }

    def _trial(self) -> float:
        """Estimate the seconds of a training by the median time between two trials."""
        starts = [start for start, _ in load_times(self.study.engine, self.study.row.name).values()]
        seconds = [(after - before).total_seconds() for before, after in pairwise(starts)]
        return max(statistics.median(seconds or [SHORTEST]), SHORTEST)

    def _group(self, choice: Choice, seconds: float) -> list[Entry]:
        """Select the designs to time now: as many as there is time for, and the baseline.

        All designs are compared with the baseline, so it must have at least as many readings.
        """
        front = choice.front
        most = min(max(round(seconds / self._costs()["timing"]), 2), self.limits.max_interleaved)
        chosen, baseline = choice.to_time[:most], front.baseline_entry
        if baseline is None or baseline.device != self.study.device.fingerprint:
            return chosen
        if network_of(baseline) in map(network_of, chosen):
            return chosen
        if readings(front, baseline) > min(readings(front, entry) for entry in chosen):
            return chosen
        return [*chosen[: most - 1], baseline]

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
