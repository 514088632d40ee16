"""Figures: the rows of a benchmark whose results are ratios, some of them with a goal."""

from dataclasses import dataclass, field
from typing import Literal

from dsx.bench._base import Row


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a figure should be.

    Args:
        sign: On which side of the bound.
        bound: The bound itself is good enough.
    """

    sign: Literal["<=", ">="]
    bound: float

    def met(self, value: float) -> bool:
        """Say whether a figure is good enough; one that is not a number never is."""
        return value <= self.bound if self.sign == "<=" else value >= self.bound

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}"


@dataclass(frozen=True)
class Figure:
    """One result.

    Args:
        part: Of the benchmark.
        figure: What it is.
        value: A ratio.
        goal: None where it is told for comparison.
        machine: What else went on: "quiet", "loaded" and others.
        made_from: How many of what.
    """

    part: str
    figure: str
    value: float
    goal: Goal | None = None
    machine: str = field(kw_only=True)
    made_from: str = field(kw_only=True)

    def row(self) -> Row:
        """Put it into words and numbers."""
        met = "" if self.goal is None else "yes" if self.goal.met(self.value) else "no"
        return {
            "part": self.part,
            "machine": self.machine,
            "figure": self.figure,
            "value": round(float(self.value), 4),
            "goal": "" if self.goal is None else str(self.goal),
            "met": met,
            "made_from": self.made_from,
        }


def say(row: Row) -> str:
    """Put a figure into a sentence.

    Args:
        row: Of a `Figure`.

    Returns:
        The sentence.
    """
    told = (
        f"{row['part']} ({row['machine']}): {row['figure']}: {row['value']:g} [{row['made_from']}]"
    )
    if not row["goal"]:
        return told
    return f"{told}; goal {row['goal']}: {'met' if row['met'] == 'yes' else 'missed'}"
