"""The work of one process on a study: sample a design, evaluate it, and store the results."""

import random
import time

from dsx.activity import End, Event, Kind, subject
from dsx.analysis import CHECKED, MEASURED, NOT_TIMED, STOPPED, TrialState, chance_notes
from dsx.errors import WorkFailed
from dsx.measure.metrics.flops import space_notes
from dsx.search.evaluator import Evaluator
from dsx.search.plan import Plan
from dsx.search.repair import Repair
from dsx.search.run.progress import Progress, Report, Settings
from dsx.search.run.timings import (
    TOGETHER,
    Waiting,
    flagged,
    time_flagged_again,
    time_together,
)
from dsx.search.sampling.encoding import first_branches, parameters, sample
from dsx.search.sampling.study import SAMPLERS, SampledTrial, StudySampler
from dsx.search.screening.screening import LIKELY, Screening
from dsx.space import Design
from dsx.store.database import roll_back_open
from dsx.store.lease import Lease
from dsx.store.studies import Outcome, Study, Trials, load_front, set_reference

MAX_SAMPLES_PER_TRIAL = 20
"""Largest number of sampled designs per requested trial, because a sampler may repeat designs."""
WORSENED = 0.1
"""Relative distance of the hypervolume's reference point from the baseline."""
MAX_POSSIBLE = 16
"""Largest number of designs that are kept with their weights because they may be on the front."""
FRONT_INTERVAL = 20
"""Shortest time between two computations of the front, relative to the duration of one."""


class Run:
    """The work of one process on a study.

    Args:
        study: The study.
        plan: Metrics of the study.
        lease: Lease of the study.
        settings: Arguments of the search.
        report: Function that receives the progress before each step.
    """

    def __init__(
        self, study: Study, plan: Plan, lease: Lease, settings: Settings, report: Report
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
        self.waiting: list[Waiting] = []
        study.weights.check_folder()
        self.evaluator = Evaluator(plan, study, self._report)
        named = settings.sampler if settings.sampler in SAMPLERS else "tpe"
        self.sampler = StudySampler(
            study.engine, study.row.name, plan.space.file.objectives, settings.seed, named
        )
        screens = settings.sampler not in SAMPLERS
        self.screening = Screening(plan, settings.seed) if screens else None
        self.later = frozenset[str]() if self.screening is None else self.screening.later

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
        while (end := self._end()) is None or self.waiting:
            if end is not None or len(self.waiting) >= TOGETHER:
                self._time_waiting()
            else:
                at_random = self._trial(self._ask(at_random))
        if self.screening is not None:
            self.notes += self.screening.notes
        if end != End.TIMEOUT:
            self._check_screened()
            self._update_front()
            if time_flagged_again(self.plan, self.study, self.settings.final_timing, self._report):
                self._update_front()
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
        repair = Repair(self.evaluator, self.trials, self.sampler, self._tell)
        repair.run()
        is_measured = baseline.id in self.trials.complete
        if is_measured:
            front = load_front(self.study, mix_devices=True)
            self.front = len(front.on_front)
            self.notes += chance_notes(front)
            self._recall_all(repair)
        else:
            # All designs are compared with the baseline, so it is tried again if it failed before.
            self.trials.seen.discard(baseline.id)
            self._enqueue(baseline)
        for trial in self.sampler.unfinished():
            self._close_interrupted(trial, is_measured)

    def _recall_all(self, repair: Repair) -> None:
        """Let the models know the designs of earlier runs, the baseline first."""
        if self.screening is None:
            return
        self.screening.add(
            self.plan.space.baseline, self.evaluator.recall(self.plan.space.baseline)
        )
        for number, state in self.trials.ends.items():
            if state != TrialState.REPEATED:
                design = repair.design(number)
                if design is not None and design.changed:
                    outcome = self.evaluator.recall(design)
                    losses = self.evaluator.losses(design) if state == TrialState.STOPPED else ()
                    outcome.state = state
                    self.screening.add(design, outcome, losses)

    def _enqueue(self, design: Design) -> None:
        found = parameters(self.plan.space, design)
        assert found is not None, "the design is in the space"
        self.sampler.enqueue(found)

    def _close_interrupted(self, trial: SampledTrial, baseline_measured: bool) -> None:
        """Close a trial of Optuna that an interrupted process left running."""
        if self.trials.ends.get(trial.number) in (*MEASURED, TrialState.REJECTED):
            # It was interrupted before the report to the sampler; all values are stored.
            self._tell(trial, self.evaluator.recall(sample(self.plan.space, trial.suggest)))
            return
        trial.fail()
        if baseline_measured and trial.number not in self.trials.ends:
            self.sampler.enqueue(trial.params)

    def _end(self) -> End | None:
        """Return the reason for which the search ends now, if there is one."""
        if self.trials.measured + len(self.waiting) >= self.settings.trials:
            return End.FINISHED
        if len(self.trials.seen) >= self.plan.space.size:
            return End.EXHAUSTED
        if self.trials.total >= MAX_SAMPLES_PER_TRIAL * self.settings.trials:
            return End.SAMPLE_LIMIT
        end = self.settings.end
        return End.TIMEOUT if end is not None and time.monotonic() >= end else None

    def _ask(self, at_random: bool) -> SampledTrial:
        """Start a trial, whose design the models select unless it is fixed already."""
        self._report(Event(kind=Kind.SAMPLING))
        if self.screening is not None and not self.sampler.waiting:
            design = self.screening.next(self.sampler.count)
            if design is not None:
                self._enqueue(design)
        if not self.sampler.waiting and (at_random or self.sampler.starts):
            # The options of a parameter have equal probabilities, and the first one of a tree
            # would leave half of the slots unchanged.
            seed = f"{self.settings.seed}/{self.sampler.count}"
            if branches := first_branches(self.plan.space, random.Random(seed)):
                self.sampler.enqueue(branches)
        return self.sampler.ask(at_random)

    def _trial(self, trial: SampledTrial) -> bool:
        """Evaluate the design of a trial; return whether the design was sampled before."""
        design = sample(self.plan.space, trial.suggest)
        self.study.measurements.add_design(design, design.description(self.plan.space.analysis))
        self.trials.start(trial.number, design.id)
        if design.id in self.trials.seen:
            self._repeat(trial, design)
            return True
        with subject(f"#{trial.number}"):
            outcome = self._evaluate(trial, design)
        if not design.changed:
            self._store_reference(outcome)
        if outcome.state == TrialState.SCREENED and self._may_be_on_front(design, outcome):
            self.trials.seen.add(design.id)
            self.waiting.append(Waiting(trial=trial, design=design))
            return False
        self._finish(trial, design, outcome)
        if not design.changed:
            self.notes += chance_notes(load_front(self.study))
        return False

    def _evaluate(self, trial: SampledTrial, design: Design) -> Outcome:
        if self.screening is None or not design.changed:
            return self.evaluator.evaluate(design)
        screening = self.screening
        return self.evaluator.evaluate(
            design, self.later, lambda losses: screening.stops(design, losses, trial.number)
        )

    def _repeat(self, trial: SampledTrial, design: Design) -> None:
        """Answer a trial whose design was sampled before from the stored measurements."""
        self.trials.repeat(trial.number)
        self._tell(trial, self.evaluator.recall(design))

    def _may_be_on_front(self, design: Design, outcome: Outcome) -> bool:
        """Check whether a design that is measured except for its timing is worth one."""
        assert self.screening is not None
        self.screening.add(design, outcome)
        if outcome.meets_constraints:
            (probability,) = self.screening.probabilities([design], self.sampler.count)
            return probability >= LIKELY
        return False

    def _time_waiting(self) -> None:
        """Time the designs that wait for it, and finish their trials."""
        designs = [each.design for each in self.waiting]
        time_together(designs, self.later, self.plan, self.study, self._report)
        while self.waiting:
            each = self.waiting[0]
            with subject(f"#{each.trial.number}"):
                outcome = self.evaluator.evaluate(each.design)
            self._finish(each.trial, each.design, outcome)
            self.waiting.remove(each)

    def _finish(self, trial: SampledTrial, design: Design, outcome: Outcome) -> None:
        """Store the outcome of a trial, and report it to the samplers."""
        if outcome.state == TrialState.SCREENED:
            outcome.reason = NOT_TIMED
        elif outcome.state == TrialState.STOPPED:
            outcome.reason = STOPPED
        self.trials.end(trial.number, design.id, outcome)
        self._tell(trial, outcome)
        if not design.changed and outcome.state == TrialState.FAILED:
            raise WorkFailed(f"the baseline cannot be measured: {outcome.reason}")
        # A stopped training is known already.
        if self.screening is not None and outcome.state != TrialState.STOPPED:
            self.screening.add(design, outcome)
        if outcome.state == TrialState.COMPLETE and time.monotonic() >= self.next_front:
            self._update_front()

    def _check_screened(self) -> None:
        """Time the screened designs that may be on the front after all, and some others."""
        numbers = self.trials.numbers(TrialState.SCREENED)
        if self.screening is None or not numbers:
            return
        repair = Repair(self.evaluator, self.trials, self.sampler, self._tell)
        designs = {number: design for number in numbers if (design := repair.design(number))}
        chances = self.screening.probabilities([*designs.values()], self.sampler.count)
        likely = [n for n, chance in zip(designs, chances, strict=True) if chance >= LIKELY]
        self._time_screened({number: designs.pop(number) for number in likely}, "")
        checked = self.screening.to_check([*designs.values()], self.sampler.count)
        ids = {design.id for design in checked}
        self._time_screened({n: each for n, each in designs.items() if each.id in ids}, CHECKED)

    def _time_screened(self, designs: dict[int, Design], reason: str) -> None:
        time_together([*designs.values()], self.later, self.plan, self.study, self._report)
        for number, design in designs.items():
            outcome = self.evaluator.evaluate(design)
            outcome.reason = outcome.reason or reason
            self.trials.replace(number, design.id, outcome)
            assert self.screening is not None
            self.screening.add(design, outcome)

    def _update_front(self) -> None:
        """Compute the front, and prune the weights of the designs that are not on it."""
        start = time.monotonic()
        front = load_front(self.study, mix_devices=True)
        self.front = len(front.on_front)
        self.flagged = len(flagged(front, self.study))
        # The front of all devices may lack designs that are on that of the study's own device.
        own = load_front(self.study) if front.devices else front
        possible = {entry.id for entry in front.possible[:MAX_POSSIBLE]}
        # Weights that are needed for a timing, and checkpoints of stopped trainings.
        kept = {each.design.id for each in self.waiting}
        kept |= {
            self.trials.designs[each] or "" for each in self.trials.numbers(TrialState.STOPPED)
        }
        kept |= front.front_ids | own.front_ids | possible | {front.baseline}
        self.study.weights.prune(kept)
        end = time.monotonic()
        self.next_front = end + FRONT_INTERVAL * (end - start)

    def _tell(self, trial: SampledTrial, outcome: Outcome) -> None:
        """Report the outcome of a trial to the sampler."""
        if outcome.state == TrialState.COMPLETE:
            trial.complete(outcome.values, outcome.violations)
        elif outcome.state in (TrialState.REJECTED, TrialState.SCREENED, TrialState.STOPPED):
            trial.prune(outcome.violations)
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
        if self.screening is not None:
            self.screening.set_reference(reference)

    def _report(self, event: Event) -> None:
        self.lease.check_seen()
        self.report(
            Progress(
                study=self.study.row.name,
                complete=self.trials.measured,
                trials=self.settings.trials,
                counts=dict(self.trials.counts),
                front=self.front,
                event=event,
                flagged=self.flagged,
                notes=tuple(self.notes),
            )
        )
