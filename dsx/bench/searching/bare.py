"""Bare Optuna: the script that a user of Optuna would write, on the evaluator of dsx.

It has the same space, training loop, deployment and timing protocol as `dsx search`, and answers
repeated designs from memory, so that only the selection of designs differs.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import Trial, TrialState

from dsx.bench.searching.record import Found, Record
from dsx.bench.searching.trained import accuracy_on_test, keep_weights
from dsx.measure import Candidate, Metric
from dsx.process import torch_threads
from dsx.search import find_metrics
from dsx.search.sampling import quiet_optuna
from dsx.space import Design, SearchSpace
from dsx.space.options import KEEP_OPTION

Sampler = Callable[[int], optuna.samplers.BaseSampler]
SAMPLERS: Mapping[str, Sampler] = {
    "Optuna TPE": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "Optuna NSGA-II": lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=50),
}
MOST_SAMPLES = 20
"""Largest number of samples for each requested design."""


@dataclass(kw_only=True)
class Clock:
    """CPU time and wall time of a search, without work that only the benchmark needs.

    Args:
        stages: CPU seconds by stage.
    """

    stages: dict[str, float] = field(default_factory=dict)
    _cpu: float = field(default_factory=time.process_time)
    _wall: float = field(default_factory=time.perf_counter)

    @property
    def cpu(self) -> float:
        """CPU seconds of the search until now."""
        return time.process_time() - self._cpu

    @property
    def wall(self) -> float:
        """Seconds of the search until now."""
        return time.perf_counter() - self._wall

    def stage(self, name: str, work: Callable[[], Any]) -> Any:
        """Do some work, and add the CPU time to a stage.

        Args:
            name: Name of the stage.
            work: The work.

        Returns:
            The result of the work.
        """
        start = self.cpu
        try:
            return work()
        finally:
            self.stages[name] = self.stages.get(name, 0.0) + self.cpu - start

    def pause(self, work: Callable[[], Any]) -> Any:
        """Do work that is not a part of the search.

        Args:
            work: The work.

        Returns:
            The result of the work.
        """
        cpu, wall = time.process_time(), time.perf_counter()
        found = work()
        self._cpu += time.process_time() - cpu
        self._wall += time.perf_counter() - wall
        return found


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The result of the evaluation of a design.

    Args:
        values: Values of the objectives; None if the design was rejected.
        violations: Amount by which each constraint is violated.
    """

    values: list[float] | None
    violations: Mapping[str, float]


class Bare:
    """A search by bare Optuna.

    Args:
        space: The search space.
        contender: Name of a sampler in `SAMPLERS`.
        seed: Random seed.
        folder: Folder for the database of Optuna and the weights.
    """

    def __init__(self, space: SearchSpace, contender: str, seed: int, folder: Path) -> None:
        self.space, self.contender, self.seed, self.folder = space, contender, seed, folder
        self.metrics: dict[str, Metric] = find_metrics(space)
        self.clock = Clock()
        self.known: dict[str, Answer] = {}
        self.found: list[Found] = []
        self.baseline: Mapping[str, float] = {}
        self.forms: dict[str, Any] = {}
        self.times: dict[str, float] = {}
        self.repeated = 0

    def run(self, designs: int) -> Record:
        """Search until a number of designs is completed.

        Args:
            designs: The number, including the baseline.

        Returns:
            The record.
        """
        file = self.space.file
        with quiet_optuna(), torch_threads(file.measure.threads):
            self.clock = Clock()
            study = optuna.create_study(
                study_name="bare",
                storage=f"sqlite:///{self.folder / 'optuna.db'}",
                directions=list(file.objectives.values()),
                sampler=SAMPLERS[self.contender](self.seed),
            )
            study.enqueue_trial(baseline_parameters(self.space))
            samples = 0
            while len(self.found) < designs and samples < MOST_SAMPLES * designs:
                samples += 1
                self._trial(study)
        return Record(
            space=self.space.name,
            contender=self.contender,
            seed=self.seed,
            found=self.found,
            cpu=self.clock.cpu,
            wall=self.clock.wall,
            stages=self.clock.stages,
            repeated=self.repeated,
        )

    def _trial(self, study: optuna.Study) -> None:
        trial = self.clock.stage("sampling", study.ask)
        design = self.clock.stage("sampling", lambda: self.space.sample(select(trial)))
        if design.id in self.known:
            self.repeated += 1
        else:
            self.known[design.id] = self._evaluate(design)
        self.clock.stage("sampling", lambda: _tell(study, trial, self.known[design.id]))

    def _evaluate(self, design: Design) -> Answer:
        candidate = Candidate(self.space, design, self.forms, reference_times=self.times)
        values: dict[str, float] = {}
        stages = ["static", "timed", "projected", "trained"]
        for stage in [stages[-1], *stages[:-1]] if design.learned else stages:
            for name, metric in self.metrics.items():
                if metric.stage == stage:
                    values[name] = self.clock.stage(stage, partial(metric.read, candidate)).value
            violated = self._violations(values)
            if design.changed and stage != stages[-1] and max(violated.values(), default=0) > 0:
                return Answer(values=None, violations=violated)
        if not design.changed:
            self.baseline = values
        violated = self._violations(values)
        self._record(candidate, values, max(violated.values(), default=0) <= 0)
        objectives = [values[name] for name in self.space.file.objectives]
        return Answer(values=objectives, violations=violated)

    def _violations(self, values: Mapping[str, float]) -> dict[str, float]:
        return {
            name: bound.violation(values[name], self.baseline[name])
            for name, bound in self.space.file.constraints.items()
            if name in values and name in self.baseline
        }

    def _record(self, candidate: Candidate, values: Mapping[str, float], feasible: bool) -> None:
        cpu, wall = self.clock.cpu, self.clock.wall
        trains = any(metric.stage == "trained" for metric in self.metrics.values())

        def save() -> float | None:
            keep_weights(candidate, self.folder)
            return accuracy_on_test(candidate) if trains else None

        self.found.append(
            Found(
                id=candidate.design.id,
                spec=candidate.design.spec_json(),
                feasible=feasible,
                values=dict(values),
                test=self.clock.pause(save),
                cpu=cpu,
                wall=wall,
            )
        )


def baseline_parameters(space: SearchSpace) -> dict[str, Any]:
    """Return the parameters of Optuna with which all slots are unchanged.

    Args:
        space: The search space.

    Returns:
        Option by name of the parameter.
    """
    return {f"{options.name}/redesign": KEEP_OPTION for options in space.slot_options}


def select(trial: Trial) -> Callable[[str, Any], Any]:
    """Return the function by which a trial of Optuna selects options.

    Args:
        trial: The trial.

    Returns:
        Function from the name and the options of a parameter to one of the options.
    """
    return lambda name, options: trial.suggest_categorical(name, list(options))


def _tell(study: optuna.Study, trial: Trial, answer: Answer) -> None:
    for name, violation in answer.violations.items():
        trial.set_constraint(name, violation)
    if answer.values is None:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, answer.values)
