"""Results of a benchmark as ratios, some of them with a goal."""

from dataclasses import dataclass, field
from typing import Literal

from dsx.bench._base import Row


@dataclass(frozen=True, kw_only=True)
class Goal:
    """The bound that a figure should meet.

    Args:
        sign: Side of the bound on which a figure meets the goal.
        bound: The bound, which itself meets the goal.
    """

    sign: Literal["<=", ">="]
    bound: float

    def is_met(self, value: float) -> bool:
        """Check whether a figure meets the goal.

        Args:
            value: The figure; NaN never meets the goal.

        Returns:
            Whether it meets the goal.
        """
        return value <= self.bound if self.sign == "<=" else value >= self.bound

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}"


@dataclass(frozen=True)
class Figure:
    """One result.

    Args:
        part: Part of the benchmark.
        figure: Description of the figure.
        value: The figure, a ratio.
        goal: The goal; None if the figure is reported for comparison only.
        machine: Condition of the machine, such as "idle" or "loaded".
        made_from: Number and kind of the values that the figure is computed from.
    """

    part: str
    figure: str
    value: float
    goal: Goal | None = None
    machine: str = field(kw_only=True)
    made_from: str = field(kw_only=True)

    def row(self) -> Row:
        """Return the figure as a row of the results."""
        met = "" if self.goal is None else "yes" if self.goal.is_met(self.value) else "no"
        return {
            "part": self.part,
            "machine": self.machine,
            "figure": self.figure,
            "value": round(float(self.value), 4),
            "goal": "" if self.goal is None else str(self.goal),
            "met": met,
            "made_from": self.made_from,
        }


def describe(row: Row) -> str:
    """Describe a figure in one sentence.

    Args:
        row: Row of a `Figure`.

    Returns:
        The sentence.
    """
    text = (
        f"{row['part']} ({row['machine']}): {row['figure']}: {row['value']:g} [{row['made_from']}]"
    )
    if not row["goal"]:
        return text
    return f"{text}; goal {row['goal']}: {'met' if row['met'] == 'yes' else 'missed'}"
