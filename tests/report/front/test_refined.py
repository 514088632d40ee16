"""Notes about the refinement of a study."""

import pytest

from dsx.activity import End
from dsx.analysis.front import Front
from dsx.report.front.refined import outlook_notes, refinement_notes
from dsx.search.refining.choice import Outlook
from dsx.search.refining.refine import Refinement


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
    first, claim, *others = refinement_notes(found)
    assert claim.startswith("accuracy is compared ")
    assert first.startswith("time budget exhausted: 3 contested pairs before, ")
    assert others == [*lines, "c: seed 1: KeyError"]


def test_the_outlook_is_described() -> None:
    found = Outlook(contested=42, expected=7.4, inseparable=30, images=360)
    assert outlook_notes(found) == [
        "42 contested pairs, of which about 7 can be decided in this time",
        "30 of them cannot be expected to be decided by any number of measurements within the "
        "limits, or by these 360 validation images",
    ]
    found = Outlook(contested=1, expected=1, inseparable=0, images=0)
    assert outlook_notes(found) == [
        "1 contested pair, of which about 1 can be decided in this time"
    ]
    found = Outlook(contested=2, expected=0, inseparable=2, images=0)
    assert outlook_notes(found)[1].endswith("any number of measurements within the limits")
