"""The search loop: sample a design, evaluate it, store the results, and tell the sampler."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dsx.activity import End, Event, Kind, subject
from dsx.analysis import Entry, Front, TrialState, chance_notes
from dsx.errors import DsxError, WorkFailed, parameter
from dsx.measure import this_device
from dsx.measure.machine import load_since, read_counters
from dsx.measure.metrics.flops import space_notes
from dsx.plain import plain
from dsx.process import torch_threads
from dsx.search.design.selection import design_of
from dsx.search.evaluator import Evaluator
from dsx.search.plan import Plan, make_plan
from dsx.search.remeasure import flagged_designs, metrics_to_time, one_per_network, remeasure
from dsx.search.repair import Repair
from dsx.search.resume import create_or_resume, with_stored_forms
from dsx.search.sampling.study import SampledTrial, StudySampler, quiet_optuna
from dsx.space import SearchSpace, load_space
from dsx.space.options import KEEP_OPTION
from dsx.store.database import (
    DEFAULT_STORAGE,
    SERVER_SECONDS,
    connection_lost,
    one_line_errors,
    open_database,
    roll_back_open,
)
from dsx.store.lease import Lease, claim
from dsx.store.measurements import MeasurementStore
from dsx.store.studies import (
    Outcome,
    Study,
    Trials,
    check_study_name,
    load_front,
    load_study,
    set_reference,
)
from dsx.trust import restricted

MAX_TRIALS, MAX_SEED = 1_000_000, 2**32 - 1
MAX_SAMPLES_PER_TRIAL = 20
"""Largest number of sampled designs per requested trial, because a sampler may repeat designs."""
WORSENED = 0.1
"""Relative distance of the hypervolume's reference point from the baseline."""
MAX_POSSIBLE = 16
"""Largest number of designs that are kept with their weights because they may be on the front."""
FRONT_INTERVAL = 20
"""Shortest time between two computations of the front, relative to the duration of one."""
MAX_RESUMES = 100
"""Largest number of broken connections; with more of them, the database has another problem."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The progress of a search.

    Args:
        study: Name of the study.
        complete: Number of completed trials.
        trials: Requested number of completed trials.
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


DEFAULT_FINAL_TIMING = FinalTiming()


def search(
    space: str | Path | SearchSpace,
    *,
    study: str | None = None,
    trials: int = 60,
    seed: int = 0,
    storage: str = DEFAULT_STORAGE,
    timeout: float | None = None,
    mix_devices: bool = False,
    storage_timeout: float = SERVER_SECONDS,
    adopt: bool = False,
    report: Report | None = None,
    final_timing: FinalTiming = DEFAULT_FINAL_TIMING,
) -> Front:
    """Run or resume a study until the requested number of trials is complete.

    Args:
        space: Name of a shipped search space, path of a space file, or a loaded search space.
        study: Name of the study; by default the name of the space.
        trials: Number of completed trials, including the baseline and previous runs.
        seed: Random seed of the sampler.
        storage: SQLAlchemy URL of the database.
        timeout: Time in seconds after which no new trial starts; None for no limit.
        mix_devices: Whether to resume a study that was created on another device, and to include
            the measurements of all devices.
        storage_timeout: Seconds to wait for a database server that becomes unreachable.
        adopt: Whether to add the tables of dsx to a database of Optuna or of another program.
        report: Function that receives the progress before each step.
        final_timing: Limits of the repetition of flagged timings at the end.

    Returns:
        The front.

    Raises:
        SpaceError: If the search space is invalid.
        StorageError: If the database cannot be opened, another process runs the study, or the
            study was created with another search space or on another device.
        WorkFailed: If the baseline cannot be measured, or the database fails.
    """
    trials, seed, timeout = plain((trials, seed, timeout))
    _check(study, trials, seed)
    loaded = space if isinstance(space, SearchSpace) else load_space(space)
    name = loaded.name if study is None else study
    advice = f"choose another: {parameter('study', 'NAME')}"
    check_study_name(name, f" (the name of the space; {advice})")
    engine = open_database(storage, True, storage_timeout, adopt)
    measurements = MeasurementStore(engine, this_device())
    end = None if timeout is None else time.monotonic() + timeout
    with (
        torch_threads(loaded.file.measure.threads),
        quiet_optuna(),
        restricted(loaded.imports),
        one_line_errors(storage),
        claim(engine, name) as lease,
    ):
        loaded = with_stored_forms(loaded, load_study(engine, name))
        plan = make_plan(loaded, measurements)
        row = create_or_resume(name, plan, measurements, seed, mix_devices, engine=lease.engine)
        opened = Study.of(lease.engine, storage, row, measurements)
        settings = _Settings(seed=seed, trials=trials, end=end, final_timing=final_timing)
        report = report or (lambda progress: None)
        _resume_if_lost(lambda: _Run(opened, plan, lease, settings, report), lease)
        return load_front(opened, mix_devices)


def _check(study: str | None, trials: int, seed: int) -> None:
    if study is not None:
        check_study_name(study)
    if not 1 <= trials <= MAX_TRIALS:
        raise DsxError(f"{parameter('trials')}: {trials} (allowed: 1 to {MAX_TRIALS})")
    if not 0 <= seed <= MAX_SEED:
        raise DsxError(f"{parameter('seed')}: {seed} (allowed: 0 to {MAX_SEED})")


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """Arguments of a search.

    Args:
        seed: Random seed of the sampler.
        trials: Requested number of completed trials.
        end: `time.monotonic` after which no new trial starts; None for no limit.
        final_timing: Limits of the repetition of flagged timings at the end.
    """

    seed: int
    trials: int
    end: float | None
    final_timing: FinalTiming


def _resume_if_lost(resume: Callable[[], "_Run"], lease: Lease) -> None:
    """Run a study; if the connection to its server breaks, resume it as after a crash."""
    for last in (False,) * (MAX_RESUMES - 1) + (True,):
        try:
            resume().run()
        except Exception as error:
            if last or not connection_lost(error):
                # If another process runs the study, that is the reason.
                lease.check()
                raise
        else:
            return


class _Run:
    """The work of one process on a study."""

    def __init__(
        self, study: Study, plan: Plan, lease: Lease, settings: _Settings, report: Report
    ) -> None:
        self.study, self.plan, self.lease = study, plan, lease
        self.settings, self.report = settings, report
        self.trials = Trials(study.engine, study.row.name)
        self.front = self.flagged = 0
        # The protocol of such a metric has loaded the data already.
        uses_data = any(
            metric.stage in ("projected", "trained") for metric in plan.metrics.values()
        )
        self.notes = [*plan.notes, *(plan.space.splits.notes if uses_data else ())]
        self.notes += space_notes(plan.space)
        self.next_front = 0.0
        study.weights.check_folder()
        self.evaluator = Evaluator(plan, study, self._report)
        self.sampler = StudySampler(
            study.engine, study.row.name, plan.space.file.objectives, settings.seed
        )

    def run(self) -> None:
        """Sample and evaluate designs until the search ends."""
        try:
            self._run()
        finally:
            roll_back_open(self.study.engine)
            self.trials.interrupt()

    def _run(self) -> None:
        self._resume()
        at_random = False
        while (end := self._end()) is None:
            self._report(Event(kind=Kind.SAMPLING))
            at_random = self._trial(self.sampler.ask(at_random))
        if end != End.TIMEOUT:
            self._update_front()
            self._repeat_flagged()
        self._report(Event(kind=Kind.ENDED, end=end))

    def _resume(self) -> None:
        """Evaluate the baseline first, then complete what an interrupted run left behind."""
        self.trials.interrupt()
        baseline = self.plan.space.baseline
        if self.trials.complete:
            self.study.measurements.add_design(
                baseline, baseline.description(self.plan.space.analysis)
            )
            self._store_reference(self.evaluator.evaluate(baseline))
        Repair(self.evaluator, self.trials, self.sampler, self._tell).run()
        is_measured = baseline.id in self.trials.complete
        if is_measured:
            front = load_front(self.study, mix_devices=True)
            self.front = len(front.on_front)
            self.notes += chance_notes(front)
        else:
            # All designs are compared with the baseline, so it is tried again if it failed before.
            self.trials.seen.discard(baseline.id)
            names = [f"{choices.name}/redesign" for choices in self.plan.space.slot_options]
            self.sampler.enqueue(dict.fromkeys(names, KEEP_OPTION))
        for trial in self.sampler.unfinished():
            self._close_interrupted(trial, is_measured)

    def _close_interrupted(self, trial: SampledTrial, baseline_measured: bool) -> None:
        """Close a trial of Optuna that an interrupted process left running."""
        if self.trials.ends.get(trial.number) in (TrialState.COMPLETE, TrialState.REJECTED):
            # It was interrupted before the report to the sampler; all values are stored.
            self._tell(trial, self.evaluator.evaluate(self.plan.space.sample(trial.suggest)))
            return
        trial.fail()
        if baseline_measured and trial.number not in self.trials.ends:
            self.sampler.enqueue(trial.params)

    def _end(self) -> End | None:
        """Return the reason for which the search ends now, if there is one."""
        if self.trials.counts[TrialState.COMPLETE] >= self.settings.trials:
            return End.FINISHED
        if len(self.trials.seen) >= self.plan.space.size:
            return End.EXHAUSTED
        if self.trials.total >= MAX_SAMPLES_PER_TRIAL * self.settings.trials:
            return End.SAMPLE_LIMIT
        end = self.settings.end
        return End.TIMEOUT if end is not None and time.monotonic() >= end else None

    def _trial(self, trial: SampledTrial) -> bool:
        """Evaluate the design of a trial; return whether the design was sampled before."""
        design = self.plan.space.sample(trial.suggest)
        self.study.measurements.add_design(design, design.description(self.plan.space.analysis))
        self.trials.start(trial.number, design.id)
        if design.id in self.trials.seen:
            self.trials.repeat(trial.number)
            trial.fail()
            return True
        with subject(f"#{trial.number}"):
            outcome = self.evaluator.evaluate(design)
        if not design.changed:
            self._store_reference(outcome)
        self.trials.end(trial.number, design.id, outcome)
        self._tell(trial, outcome)
        if not design.changed and outcome.state == TrialState.FAILED:
            raise WorkFailed(f"the baseline cannot be measured: {outcome.reason}")
        if outcome.state == TrialState.COMPLETE and time.monotonic() >= self.next_front:
            self._update_front()
        if not design.changed:
            self.notes += chance_notes(load_front(self.study))
        return False

    def _update_front(self) -> None:
        """Compute the front, and prune the weights of the designs that are not on it."""
        start = time.monotonic()
        front = self._front()
        self.front = len(front.on_front)
        # The front of all devices may lack designs that are on that of the study's own device.
        own = load_front(self.study) if front.devices else front
        possible = {entry.id for entry in front.possible[:MAX_POSSIBLE]}
        kept = front.front_ids | own.front_ids | possible | {front.baseline}
        self.study.weights.prune(kept)
        end = time.monotonic()
        self.next_front = end + FRONT_INTERVAL * (end - start)

    def _repeat_flagged(self) -> None:
        """Time designs with flagged values again, if the machine is idle now."""
        found = self._flagged()
        if not found:
            return
        self._report(Event(kind=Kind.CHECKING_NOISE))
        before = read_counters()
        time.sleep(self.settings.final_timing.quiet_seconds)
        if load_since(before).noisy:
            return
        entries = one_per_network(found)[: self.settings.final_timing.designs]
        designs = [design_of(self.plan.space, entry) for entry in entries]
        names = metrics_to_time(self._front(), entries)
        remeasure(designs, names, self.plan, self.study, self._report)
        self._update_front()
        self._flagged()

    def _front(self) -> Front:
        return load_front(self.study, mix_devices=True)

    def _flagged(self) -> list[Entry]:
        found = flagged_designs(self._front(), self.study.device.fingerprint)
        self.flagged = len(found)
        return found

    def _tell(self, trial: SampledTrial, outcome: Outcome) -> None:
        """Report the outcome of a trial to the sampler."""
        if outcome.state == TrialState.COMPLETE:
            trial.complete(outcome.values, outcome.violations)
        elif outcome.state == TrialState.REJECTED:
            trial.reject(outcome.violations)
        else:
            trial.fail()

    def _store_reference(self, outcome: Outcome) -> None:
        """Store the reference point of the hypervolume, before the baseline's trial is complete."""
        if outcome.state == TrialState.FAILED:
            return
        reference = {
            name: outcome.values[name] * (1 + WORSENED * (1 if direction == "minimize" else -1))
            for name, direction in self.plan.space.file.objectives.items()
        }
        study = self.study
        set_reference(study.engine, study.row.name, study.device.fingerprint, reference)

    def _report(self, event: Event) -> None:
        self.lease.check_seen()
        self.report(
            Progress(
                study=self.study.row.name,
                complete=self.trials.counts[TrialState.COMPLETE],
                trials=self.settings.trials,
                counts=dict(self.trials.counts),
                front=self.front,
                event=event,
                flagged=self.flagged,
                notes=tuple(self.notes),
            )
        )
