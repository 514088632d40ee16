"""Run a study: ask, build, measure, tell; nothing measured is ever lost."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dsx.activity import subject
from dsx.analysis import Entry, Front, chance_notes
from dsx.errors import DsxError, WorkFailed
from dsx.measure import this_device
from dsx.measure.machine import load_since, read_counters
from dsx.measure.metrics.flops import space_notes
from dsx.parameters import parameter
from dsx.plain import plain
from dsx.process import torch_threads
from dsx.search.design.selection import design_of
from dsx.search.evaluator import Evaluator
from dsx.search.plan import Plan, make_plan
from dsx.search.remeasure import distinct, marked, remeasure, to_time
from dsx.search.repair import Repair
from dsx.search.resume import create_or_resume
from dsx.search.sampling.study import SampledTrial, StudySampler, quiet_optuna
from dsx.space import SearchSpace, load_space
from dsx.space.options import KEEPS
from dsx.store.database import (
    COMPLETE,
    DEFAULT_STORAGE,
    FAILED,
    REJECTED,
    SERVER_SECONDS,
    Engine,
    connection_lost,
    one_line_errors,
    open_database,
    roll_back_open,
)
from dsx.store.lease import Lease, claim
from dsx.store.measurements import MeasurementStore
from dsx.store.studies import Outcome, Trials, check_study_name, load_front, set_reference
from dsx.store.weights import Weights
from dsx.trust import restricted

MOST_TRIALS, LARGEST_SEED = 1_000_000, 2**32 - 1
MOST_DRAWS_PER_TRIAL = 20
WORSENED = 0.1
MOST_PERHAPS = 16
"""Designs off the front whose weights are kept, since they are perhaps on it."""
NOTE_REST = 20
"""The front is found anew when so many times as long has passed as it took: that grows with it."""
MOST_RESUMES = 100
"""With more broken connections than these, something else is wrong with the database."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a search stands.

    Args:
        study: Its name.
        complete: Designs measured to the end.
        trials: How many there shall be.
        counts: Draws by what became of them.
        front: Designs on the front so far.
        doing: What is being done, in a few words.
        marked: Designs that may be on the front, and the baseline, with a latency from bad
            conditions, as far as that was looked at.
        notes: Lines that the user should see as soon as possible.
    """

    study: str
    complete: int
    trials: int
    counts: Mapping[str, int]
    front: int
    doing: str
    marked: int = 0
    notes: Sequence[str] = ()


Report = Callable[[Progress], None]


@dataclass(frozen=True, kw_only=True)
class FinalTiming:
    """The repetition, at the end of a search, of timings that were taken under bad conditions.

    Args:
        designs: Largest number of designs that are timed again.
        quiet_seconds: Seconds for which the machine must be idle before.
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
    """Run a study, or go on with it, until enough designs are measured to the end.

    Args:
        space: A shipped space's name, the path of a space file, or a loaded space.
        study: Its name; by default that of the space.
        trials: Designs measured to the end, the baseline and those of earlier runs included.
        seed: Of the draws.
        storage: Any SQLAlchemy URL.
        timeout: Seconds after which no new trial begins.
        mix_devices: Whether to go on with a study that was begun on another device, and to join
            the numbers of all its devices.
        storage_timeout: Seconds for which a database server that goes away is waited for.
        adopt: Whether to add the tables of dsx to a database of Optuna or of another program.
        report: Called whenever something is begun or done.
        final_timing: How timings that were taken under bad conditions are repeated at the end.

    Returns:
        The front.

    Raises:
        SpaceError: If the space does not hold together.
        StorageError: If the database cannot be opened, another process runs the study, or the
            study was begun with another space or on another device.
        WorkFailed: If the baseline cannot be measured, or the database fails on the way.
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
        plan = make_plan(loaded, measurements)
        create_or_resume(name, plan, measurements, seed, mix_devices, engine=lease.engine)
        report = report or (lambda progress: None)
        _resume_if_lost(
            lambda: _Run(
                name, plan, measurements, lease, storage, seed, trials, report, final_timing
            ),
            lease,
            end,
        )
        return load_front(engine, name, mix_devices)


def _check(study: str | None, trials: int, seed: int) -> None:
    if study is not None:
        check_study_name(study)
    if not 1 <= trials <= MOST_TRIALS:
        raise DsxError(f"{parameter('trials')}: {trials} (allowed: 1 to {MOST_TRIALS})")
    if not 0 <= seed <= LARGEST_SEED:
        raise DsxError(f"{parameter('seed')}: {seed} (allowed: 0 to {LARGEST_SEED})")


def _resume_if_lost(resume: Callable[[], "_Run"], lease: Lease, end: float | None) -> None:
    """Run a study; if the connection to its server breaks, resume it as after a kill."""
    for last in (False,) * (MOST_RESUMES - 1) + (True,):
        try:
            resume().run(end)
        except Exception as error:
            if last or not connection_lost(error):
                # If another process runs the study, that is the reason.
                lease.check()
                raise
        else:
            return


class _Run:
    """One process's work on a study."""

    def __init__(
        self,
        name: str,
        plan: Plan,
        measurements: MeasurementStore,
        lease: Lease,
        storage: str,
        seed: int,
        wanted: int,
        report: Report,
        final_timing: FinalTiming,
    ) -> None:
        self.name = name
        self.plan = plan
        self.measurements = measurements
        self.lease = lease
        self.engine: Engine = lease.engine
        self.wanted = wanted
        self.report = report
        self.final_timing = final_timing
        self.trials = Trials(self.engine, name)
        self.front = self.marked = 0
        # The protocol of such a metric has loaded the data already.
        uses_data = any(
            metric.stage in ("projected", "trained") for metric in plan.metrics.values()
        )
        self.notes = [*plan.notes, *(plan.space.splits.notes if uses_data else ())]
        self.notes += space_notes(plan.space)
        self.note_again = 0.0
        self.weights = Weights(self.engine, storage, name, plan.training)
        self.weights.check_folder()
        self.evaluator = Evaluator(plan, measurements, self.weights, self._doing)
        self.store = StudySampler(self.engine, name, plan.space.file.objectives, seed)

    def run(self, end: float | None) -> None:
        """Draw and measure until there is enough, no more to be had, or the time is up."""
        try:
            self._run(end)
        finally:
            roll_back_open(self.engine)
            self.trials.interrupt()

    def _run(self, end: float | None) -> None:
        self._resume()
        at_random = False
        while not self._finished() and (end is None or time.monotonic() < end):
            self._doing("drawing")
            trial = self.store.ask(at_random)
            at_random = self._trial(trial)
        finished = self._finished()
        if finished:
            self._note_front()
            self._time_marked()
        self._doing(finished or "time is up")

    def _resume(self) -> None:
        """Take up what an interrupted run left, and know the baseline before all else."""
        self.trials.interrupt()
        baseline = self.plan.space.baseline
        if self.trials.complete:
            self.measurements.add_design(baseline, baseline.words(self.plan.space.analysis))
            self._note_baseline(self.evaluator.evaluate(baseline))
        Repair(self.name, self.evaluator, self.trials, self.store, self._tell).run()
        known = baseline.id in self.trials.complete
        if known:
            front = load_front(self.engine, self.name, mix_devices=True)
            self.front = len(front.on_front)
            self.notes += chance_notes(front)
        else:
            # All else is measured against the baseline; if it failed before, it is tried again.
            self.trials.seen.discard(baseline.id)
            names = [f"{choices.name}/redesign" for choices in self.plan.space.choices]
            self.store.enqueue(dict.fromkeys(names, KEEPS))
        for trial in self.store.unfinished():
            self._take_up(trial, known)

    def _take_up(self, trial: SampledTrial, baseline_known: bool) -> None:
        """End a trial that a stopped process left running."""
        if self.trials.ends.get(trial.number) in (COMPLETE, REJECTED):
            # It was stopped before the sampler was told; all numbers are there.
            self._tell(trial, self.evaluator.evaluate(self.plan.space.sample(trial.pick)))
            return
        trial.fail()
        if baseline_known and trial.number not in self.trials.ends:
            self.store.enqueue(trial.params)

    def _finished(self) -> str:
        """Say why there is nothing left to do; empty while there is."""
        if self.trials.counts[COMPLETE] >= self.wanted:
            return "finished"
        if len(self.trials.seen) >= self.plan.space.size:
            return f"all {self.plan.space.size} designs of the space were drawn"
        if self.trials.draws >= MOST_DRAWS_PER_TRIAL * self.wanted:
            return f"stopped after {self.trials.draws} draws"
        return ""

    def _trial(self, trial: SampledTrial) -> bool:
        """Take one draw to its end; say whether it had been drawn before."""
        design = self.plan.space.sample(trial.pick)
        self.measurements.add_design(design, design.words(self.plan.space.analysis))
        self.trials.begin(trial.number, design.id)
        if design.id in self.trials.seen:
            self.trials.repeat(trial.number)
            trial.fail()
            return True
        with subject(f"#{trial.number}"):
            outcome = self.evaluator.evaluate(design)
        if not design.changed:
            self._note_baseline(outcome)
        self.trials.end(trial.number, design.id, outcome)
        self._tell(trial, outcome)
        if not design.changed and outcome.state == FAILED:
            raise WorkFailed(f"the baseline cannot be measured: {outcome.reason}")
        if outcome.state == COMPLETE and time.monotonic() >= self.note_again:
            self._note_front()
        if not design.changed:
            self.notes += chance_notes(load_front(self.engine, self.name))
        return False

    def _note_front(self) -> None:
        """Find the front, and drop the weights of what is not on it; not while that takes long."""
        begin = time.monotonic()
        front = load_front(self.engine, self.name, mix_devices=True)
        self.front = len(front.on_front)
        # What is on the front of the study's own device may not be on that of all of them.
        own = load_front(self.engine, self.name) if front.devices else front
        perhaps = {entry.id for entry in front.possible[:MOST_PERHAPS]}
        self.weights.prune(front.front_ids | own.front_ids | perhaps | {front.baseline})
        end = time.monotonic()
        self.note_again = end + NOTE_REST * (end - begin)

    def _time_marked(self) -> None:
        """Time once more what was timed under bad conditions, if they are better now."""
        found = self._marked()
        if not found:
            return
        self._doing("looking whether the machine is quiet now")
        before = read_counters()
        time.sleep(self.final_timing.quiet_seconds)
        if load_since(before).noisy:
            return
        entries = distinct(found)[: self.final_timing.designs]
        designs = [design_of(self.plan.space, entry) for entry in entries]
        names = to_time(self._whole_front(), entries)
        remeasure(designs, names, self.plan, self.measurements, self.weights, self._doing)
        self._note_front()
        self._marked()

    def _whole_front(self) -> Front:
        return load_front(self.engine, self.name, mix_devices=True)

    def _marked(self) -> list[Entry]:
        found = marked(self._whole_front(), self.measurements.device)
        self.marked = len(found)
        return found

    def _tell(self, trial: SampledTrial, outcome: Outcome) -> None:
        if outcome.state == COMPLETE:
            trial.complete(outcome.values, outcome.violations)
        elif outcome.state == REJECTED:
            trial.reject(outcome.violations)
        else:
            trial.fail()

    def _note_baseline(self, outcome: Outcome) -> None:
        """Write the hypervolume's reference down, before anybody can read a front without it."""
        if outcome.state == FAILED:
            return
        reference = {
            name: outcome.values[name] * (1 + WORSENED * (1 if sense == "minimize" else -1))
            for name, sense in self.plan.space.file.objectives.items()
        }
        set_reference(self.engine, self.name, self.measurements.device, reference)

    def _doing(self, words: str) -> None:
        self.lease.check_seen()
        self.report(
            Progress(
                study=self.name,
                complete=self.trials.counts[COMPLETE],
                trials=self.wanted,
                counts=dict(self.trials.counts),
                front=self.front,
                doing=words,
                marked=self.marked,
                notes=tuple(self.notes),
            )
        )
