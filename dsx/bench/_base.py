"""What a benchmark is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Row = Mapping[str, object]
Tell = Callable[[str], None]
"""Told in a few words what is being measured."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of the documentation that shows the results of a benchmark.

    Args:
        file: Path of the page in a checkout.
        write: Function from the rows to the text of the page.
    """

    file: str
    write: Callable[[Sequence[Row]], str]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A benchmark.

    Args:
        measures: What it measures, in one line.
        run: Measures, on an otherwise idle machine; with True as fast as it can, for numbers that
            mean nothing. Tells what it does, and gives rows with the same keys.
        say: Puts a row into a sentence.
        page: The page of its results; None if it has none.
    """

    measures: str
    run: Callable[[bool, Tell], Sequence[Row]]
    say: Callable[[Row], str]
    page: Page | None = None
