"""What a benchmark is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Row = Mapping[str, object]
Tell = Callable[[str], None]
"""Told in a few words what is being measured."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A benchmark.

    Args:
        measures: What it measures, in one line.
        run: Measures, on an otherwise idle machine; with True as fast as it can, for numbers that
            mean nothing. Tells what it does, and gives rows with the same keys.
        say: Puts a row into a sentence.
    """

    measures: str
    run: Callable[[bool, Tell], Sequence[Row]]
    say: Callable[[Row], str]
