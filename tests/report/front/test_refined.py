"""Notes about the refinement of a study."""

import pytest

from dsx.activity import End
from dsx.analysis.front import Front
from dsx.report.front.refined import refinement_notes
from dsx.search.refine import Refinement


@pytest.mark.parametrize(
    ("untimed", "lines"),
    [
        ([], []),
        (["a"], ["not timed: 1 design with learned shapes whose weights are not stored"]),
        (["a", "b"], ["not timed: 2 designs with learned shapes whose weights are not stored"]),
    ],
)
def test_designs_that_could_not_be_timed_or_trained_are_reported(
    two: Front, untimed: list[str], lines: list[str]
) -> None:
    found = Refinement(
        front=two, before=3, timed=2, trained=1, failed={"c": "seed 1: KeyError"},
        untimed=frozenset(untimed), end=End.TIMEOUT, seconds=1.0,
    )  # fmt: skip
    first, *others = refinement_notes(found)
    assert first.startswith("time budget exhausted: 3 contested pairs before, ")
    assert others == [*lines, "c: seed 1: KeyError"]
