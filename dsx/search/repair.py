"""Repair of a study with inconsistent tables, because rows were changed or lost.

`dsx_trials` holds the designs of a study. A design without all of its measurements is measured
again, and a trial that is missing in the tables of Optuna is added again under its number.
"""

from collections.abc import Callable

from dsx.analysis import MEASURED, TrialState
from dsx.conv import ConvSpec
from dsx.errors import SpecError
from dsx.search.evaluator import Evaluator
from dsx.search.sampling.encoding import parameters, sample
from dsx.search.sampling.study import SampledTrial, StudySampler
from dsx.space import Design, SearchSpace
from dsx.store.studies import Outcome, Study, Trials, load_measured, load_spec

Tell = Callable[[SampledTrial, Outcome], None]


class Repair:
    """Repairs a study before its search resumes.

    Args:
        evaluator: Evaluator of the study, which has evaluated the baseline.
        trials: Trials of the study.
        sampler: Sampler of the study.
        tell: Reports the outcome of a trial to Optuna.
    """

    def __init__(
        self, evaluator: Evaluator, trials: Trials, sampler: StudySampler, tell: Tell
    ) -> None:
        self.evaluator, self.trials = evaluator, trials
        self.sampler, self.tell = sampler, tell
        self.space: SearchSpace = evaluator.plan.space
        self.study: Study = evaluator.study

    def run(self) -> None:
        """Measure designs with missing measurements, then add missing trials to Optuna."""
        for number in self._incomplete():
            design = self.design(number)
            if design is None:
                self.trials.lose(number)
                continue
            self.study.measurements.add_design(design, design.description(self.space.analysis))
            self.trials.replace(number, design.id, self.evaluator.evaluate(design))
        for number in range(self.sampler.count, self.trials.next):
            self._tell_again(number)

    def _incomplete(self) -> list[int]:
        """List the complete trials without a design, or without a measurement on any device."""
        measured = load_measured(self.study.engine, self.study.row.name)
        wanted = set(self.evaluator.plan.metrics)
        return [
            number
            for number, state in self.trials.ends.items()
            if state == TrialState.COMPLETE
            and not any(wanted <= of for of in measured.get(self.trials.designs[number] or "", ()))
        ]

    def design(self, number: int) -> Design | None:
        """Find the design of a trial by its row, or by its parameters in Optuna.

        Args:
            number: Number of the trial.

        Returns:
            The design; None if it is lost.
        """
        identity = self.trials.designs[number]
        spec = load_spec(self.study.engine, identity)
        if isinstance(spec, dict):
            try:
                specs = {name: ConvSpec.from_json(dials) for name, dials in spec.items()}
                design = self.space.design(specs)
            except (SpecError, TypeError):
                design = None
            if design is not None and design.id == identity:
                return design
        params = self.sampler.params(number)
        try:
            sampled = sample(self.space, lambda name, options: params[name])
        except KeyError:
            return None
        return sampled if sampled.id == identity else None

    def _tell_again(self, number: int) -> None:
        design = None
        if self.trials.ends.get(number) in (*MEASURED, TrialState.REJECTED):
            design = self.design(number)
        params = None if design is None else parameters(self.space, design)
        if design is None or params is None:
            # Optuna requires trial numbers without gaps.
            self.sampler.ask(at_random=True).fail()
            return
        self.sampler.enqueue(params)
        trial = self.sampler.ask(at_random=True)
        self.tell(trial, self.evaluator.recall(sample(self.space, trial.suggest)))
