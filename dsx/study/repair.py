"""Repair of a study whose tables do not agree, because a part of them was changed or lost.

`dsx_trials` holds the designs of a study. A design without all of its measurements is measured
again, and a trial that Optuna does not have any more is added to it again, under its number.
"""

from collections.abc import Callable, Sequence

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from dsx.conv import ConvSpec
from dsx.errors import SpecError
from dsx.space import Design, SearchSpace
from dsx.space.choices import Choices
from dsx.space.dials import Value
from dsx.study.checked import damage
from dsx.study.evaluate import Evaluator, Outcome
from dsx.study.readings import load_readings
from dsx.study.store import Draw, Store
from dsx.study.tables import COMPLETE, REJECTED, DesignRow, StudyRow
from dsx.study.trials import Trials

Tell = Callable[[Draw, Outcome], None]


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
        self, name: str, evaluator: Evaluator, trials: Trials, store: Store, tell: Tell
    ) -> None:
        self.name, self.evaluator, self.trials = name, evaluator, trials
        self.store, self.tell = store, tell
        self.space: SearchSpace = evaluator.plan.space
        self.engine: Engine = evaluator.memory.engine

    def run(self) -> None:
        """Measure what is missing, then tell Optuna of the trials that it lost."""
        for number in self._incomplete():
            design = self._design(number)
            if design is None:
                self.trials.lose(number)
                continue
            self.evaluator.memory.add_design(design, design.words(self.space.census))
            self.trials.replace(number, design.id, self.evaluator.evaluate(design))
        for number in range(self.store.count, self.trials.next):
            self._tell_again(number)

    def _incomplete(self) -> list[int]:
        """List the complete trials without a design, or without a measurement on any device."""
        with Session(self.engine) as session:
            study = session.get_one(StudyRow, self.name)
            readings = load_readings(session, study)
            known = _sound_designs(session)
        wanted = set(self.evaluator.plan.metrics)
        return [
            number
            for number, state in self.trials.ends.items()
            if state == COMPLETE
            and not (
                (design := self.trials.designs[number]) in known
                and any(wanted <= {one.metric for one in of} for of in readings[design].values())
            )
        ]

    def _design(self, number: int) -> Design | None:
        """Find the design of a trial by its row, or by its parameters in Optuna."""
        identity = self.trials.designs[number]
        with Session(self.engine) as session:
            spec = session.scalar(select(DesignRow.spec).where(DesignRow.id == identity))
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
            drawn = self.space.draw(lambda name, options: params[name])
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
        draw = self.store.ask(at_random=True)
        self.tell(draw, self.evaluator.evaluate(self.space.draw(draw.pick)))


def parameters(space: SearchSpace, design: Design) -> dict[str, Value] | None:
    """Find the options with which a space draws a design.

    Args:
        space: The space.
        design: The design.

    Returns:
        Option by parameter; None if the space does not offer the design.
    """
    found: dict[str, Value] = {}
    for choices in space.choices:
        options = _options(choices, design)
        if options is None:
            return None
        found |= options
    return found


def _options(choices: Choices, design: Design) -> dict[str, Value] | None:
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

        if choices.draw(pick) == wanted:
            return way
    return None


def _sound_designs(session: Session) -> set[str]:
    row = DesignRow
    query = select(row.id, row.model, row.model_args, row.spec, row.words)
    return {
        found.id
        for found in session.execute(query)
        if not damage(DesignRow.__table__, found._mapping)
    }
