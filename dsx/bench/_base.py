"""The contract of benchmarks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Row = Mapping[str, object]
Report = Callable[[str], None]
"""Receives a description of the part that is being measured."""


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
        measures: Description of the measured quantities, in one line.
        run: Function that measures on an otherwise idle machine and returns rows with equal keys.
            It receives whether to run a quick trial, whose results are meaningless, and a function
            that receives each part.
        describe: Function that describes a row in one sentence; None if there are tables.
        tables: Function that arranges the rows in tables, by title; None to describe each row.
        full: Function that measures all cases, of which `run` measures a part, saves each result
            and resumes an interrupted run; None if `run` measures all.
        page: Page of the results; None if there is none.
    """

    measures: str
    run: Callable[[bool, Report], Sequence[Row]]
    describe: Callable[[Row], str] | None = None
    tables: Callable[[Sequence[Row]], Mapping[str, Sequence[Row]]] | None = None
    full: Callable[[Report], Sequence[Row]] | None = None
    page: Page | None = None
