"""Deterministic sampling: all samples, or those that hypothesis generates."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from hypothesis import strategies as st

from dsx.space import Design, SearchSpace, Selector
from dsx.space.dials import Value

T = TypeVar("T")


@dataclass
class Sample:
    """One sample: option numbers for the first parameters, then the first option of each."""

    answers: Sequence[int]
    questions: list[tuple[str, tuple[Value, ...], int]] = field(default_factory=list)

    def pick(self, name: str, options: Sequence[Value]) -> Value:
        """Select an option, and record the parameter, the options, and the selected number."""
        place = len(self.questions)
        answer = self.answers[place] if place < len(self.answers) else 0
        self.questions.append((name, tuple(options), answer))
        return options[answer]


def every_sample(sample: Callable[[Selector], T]) -> Iterator[tuple[Sample, T]]:
    """Generate every possible sample, in lexicographic order of the selected options."""
    answers: list[int] = []
    while True:
        asked = Sample(answers)
        yield asked, sample(asked.pick)
        answers = [answer for _, _, answer in asked.questions]
        while answers and answers[-1] + 1 == len(asked.questions[len(answers) - 1][1]):
            answers.pop()
        if not answers:
            return
        answers[-1] += 1


def sample_design(data: st.DataObject, space: SearchSpace) -> Design:
    """Sample a design with hypothesis."""
    return space.sample(lambda name, options: data.draw(st.sampled_from(list(options)), label=name))
