"""Table of the cases of the robustness tests by kind, printed at the end of a run."""

from collections import Counter
from collections.abc import Callable

import pytest

Tally = Callable[[str, bool], None]
_NAME = "robustness"


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Tally:
    """Count a case by its kind ("bad inputs", "damaged databases", ...) and its correctness.

    A test counts each of its cases and fails if the result of one of them is wrong.
    """

    def count(kind: str, right: bool) -> None:
        record_property(_NAME, [kind, int(right)])

    return count


def check_case(tally: Tally, kind: str, right: bool, what: object) -> None:
    """Count a case, and fail with the result if it is wrong."""
    tally(kind, right)
    assert right, what


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table: kind, number of cases, number of correct cases."""
    tried: Counter[str] = Counter()
    right: Counter[str] = Counter()
    reports = [report for found in terminalreporter.stats.values() for report in found]
    for report in reports:
        if not isinstance(report, pytest.TestReport) or report.when != "call":
            continue
        for name, value in report.user_properties:
            if name == _NAME:
                assert isinstance(value, list)
                tried[value[0]] += 1
                right[value[0]] += value[1]
    if tried:
        terminalreporter.section("robustness")
        terminalreporter.write_line(f"{'kind':<44}{'cases tried':>12}{'cases right':>12}")
        for kind in sorted(tried):
            terminalreporter.write_line(f"{kind:<44}{tried[kind]:>12}{right[kind]:>12}")
