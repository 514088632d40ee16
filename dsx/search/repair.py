"""Repair of a study whose tables do not agree, because a part of them was changed or lost.

`dsx_trials` holds the designs of a study. A design without all of its measurements is measured
again, and a trial that Optuna does not have any more is added to it again, under its number.
"""

from collections.abc import Callable, Sequence

from dsx.conv import ConvSpec
from dsx.errors import SpecError
from dsx.search.evaluator import Evaluator
from dsx.search.sampling.study import SampledTrial, StudySampler
from dsx.space import Design, SearchSpace, Value
from dsx.space.options import SlotOptions
from dsx.store.database import COMPLETE, REJECTED, Engine
from dsx.store.studies import Outcome, Trials, load_measured, load_spec

Tell = Callable[[SampledTrial, Outcome], None]


class Repair:
    """Repairs a study before its search resumes.

    Args:
        name: Name of the study.
        evaluator: Measures what is missing; the baseline is known to it.
        trials: The trials of the study.
        store: Optuna's side of the study.
        tell: Passes the outcome of a trial to Optuna.
    """

    def __init__(
        self, name: str, evaluator: Evaluator, trials: Trials, store: StudySampler, tell: Tell
    ) -> None:
        self.name, self.evaluator, self.trials = name, evaluator, trials
        self.store, self.tell = store, tell
        self.space: SearchSpace = evaluator.plan.space
        self.engine: Engine = evaluator.measurements.engine

    def run(self) -> None:
        """Measure what is missing, then tell Optuna of the trials that it lost."""
        for number in self._incomplete():
            design = self._design(number)
            if design is None:
                self.trials.lose(number)
                continue
            self.evaluator.measurements.add_design(design, design.words(self.space.analysis))
            self.trials.replace(number, design.id, self.evaluator.evaluate(design))
        for number in range(self.store.count, self.trials.next):
            self._tell_again(number)

    def _incomplete(self) -> list[int]:
        """List the complete trials without a design, or without a measurement on any device."""
        measured = load_measured(self.engine, self.name)
        wanted = set(self.evaluator.plan.metrics)
        return [
            number
            for number, state in self.trials.ends.items()
            if state == COMPLETE
            and not any(wanted <= of for of in measured.get(self.trials.designs[number] or "", ()))
        ]

    def _design(self, number: int) -> Design | None:
        """Find the design of a trial by its row, or by its parameters in Optuna."""
        identity = self.trials.designs[number]
        spec = load_spec(self.engine, identity)
        if isinstance(spec, dict):
            try:
                specs = {name: ConvSpec.from_json(dials) for name, dials in spec.items()}
                design = self.space.design(specs)
            except (SpecError, TypeError):
                design = None
            if design is not None and design.id == identity:
                return design
        params = self.store.params(number)
        try:
            drawn = self.space.sample(lambda name, options: params[name])
        except KeyError:
            return None
        return drawn if drawn.id == identity else None

    def _tell_again(self, number: int) -> None:
        design = None
        if self.trials.ends.get(number) in (COMPLETE, REJECTED):
            design = self._design(number)
        params = None if design is None else parameters(self.space, design)
        if design is None or params is None:
            # Optuna numbers its trials without gaps.
            self.store.ask(at_random=True).fail()
            return
        self.store.enqueue(params)
        trial = self.store.ask(at_random=True)
        self.tell(trial, self.evaluator.evaluate(self.space.sample(trial.pick)))


def parameters(space: SearchSpace, design: Design) -> dict[str, Value] | None:
    """Find the options with which a space draws a design.

    Args:
        space: The space.
        design: The design.

    Returns:
        Option by parameter; None if the space does not offer the design.
    """
    found: dict[str, Value] = {}
    for choices in space.slot_options:
        options = _options(choices, design)
        if options is None:
            return None
        found |= options
    return found


def _options(choices: SlotOptions, design: Design) -> dict[str, Value] | None:
    """Try every way through the options of some slots."""
    wanted = {slot.name: design.specs[slot.name] for slot in choices.slots}
    open_ways: list[dict[str, Value]] = [{}]
    while open_ways:
        way = open_ways.pop()

        def pick(name: str, options: Sequence[Value], way: dict[str, Value] = way) -> Value:
            if name not in way:
                open_ways.extend({**way, name: option} for option in options[1:])
                way[name] = options[0]
            return way[name]

        if choices.sample(pick) == wanted:
            return way
    return None
