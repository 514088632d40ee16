"""A pytest plugin that repeats a failed test of the marker `timing` once, and lists it.

Such a test reads a clock, so that another process of the machine can make it fail.
"""

import pytest
from _pytest.runner import runtestprotocol

REPEATED = "repeated after"
"""Name of the property of a report that holds the failure of the first attempt."""
_repeated = pytest.StashKey[dict[str, str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the list of repeated tests."""
    config.stash[_repeated] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a test of the marker `timing` again, with fresh fixtures, if its call fails."""
    if item.get_closest_marker("timing") is None:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    failed = [report for report in reports if report.when == "call" and report.failed]
    if failed:
        item.user_properties.append((REPEATED, _reason(failed[0])))
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _reason(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return "" if crash is None else str(crash.message).partition("\n")[0]


class Listing:
    """Collects the repeated tests from the reports, which workers of pytest-xdist send too."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that was repeated."""
        reason = dict(report.user_properties).get(REPEATED)
        if reason is not None:
            self.config.stash[_repeated][report.nodeid] = str(reason)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Collect reports; only the process that prints the summary shows them."""
    session.config.pluginmanager.register(Listing(session.config))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the repeated tests with the failure of their first attempts."""
    repeated = terminalreporter.config.stash[_repeated]
    if repeated:
        terminalreporter.section("timing tests that were repeated")
    for name, reason in sorted(repeated.items()):
        terminalreporter.write_line(f"{name}: {reason}")
