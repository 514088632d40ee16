"""Draw by hand: every draw there is, or the one that hypothesis wants."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from hypothesis import strategies as st

from dsx.space import Design, SearchSpace, Selector
from dsx.space.dials import Value

T = TypeVar("T")


@dataclass
class Asked:
    """One draw: answers by number as far as they go, then the first option of each question."""

    answers: Sequence[int]
    questions: list[tuple[str, tuple[Value, ...], int]] = field(default_factory=list)

    def pick(self, name: str, options: Sequence[Value]) -> Value:
        """Answer, and note the name, the options, and the number of the one given."""
        place = len(self.questions)
        answer = self.answers[place] if place < len(self.answers) else 0
        self.questions.append((name, tuple(options), answer))
        return options[answer]


def every_draw(sample: Callable[[Selector], T]) -> Iterator[tuple[Asked, T]]:
    """Draw in every way there is, like an odometer that turns its last wheel first."""
    answers: list[int] = []
    while True:
        asked = Asked(answers)
        yield asked, sample(asked.pick)
        answers = [answer for _, _, answer in asked.questions]
        while answers and answers[-1] + 1 == len(asked.questions[len(answers) - 1][1]):
            answers.pop()
        if not answers:
            return
        answers[-1] += 1


def drawn(data: st.DataObject, space: SearchSpace) -> Design:
    """Draw a design as hypothesis wants."""
    return space.sample(lambda name, options: data.draw(st.sampled_from(list(options)), label=name))
