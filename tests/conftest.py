"""What all tests share: one thread, a seed that a failing test shows, hypothesis profiles."""

import os
import random
import signal
import sqlite3
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch

from tests.search.postgres import Server, start_server

pytest_plugins = ["tests.repetition"]

# Before anything asks for it: no test may read, or fill, the cache of whoever runs the tests. But
# to list the fonts anew would take matplotlib seconds.
_OLD = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
_CACHE = tempfile.TemporaryDirectory(prefix="dsx-tests-")
os.environ.setdefault("MPLCONFIGDIR", str(_OLD / "matplotlib"))
os.environ["XDG_CACHE_HOME"] = _CACHE.name

# More threads on busy cores are slower by orders of magnitude, and never the same twice.
torch.set_num_threads(1)

# A shell lets the processes that it starts in the background ignore Ctrl-C, and these let theirs.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

IN_CI = bool(os.environ.get("CI"))
SEED = int(os.environ.get("DSX_TEST_SEED") or (0 if IN_CI else random.getrandbits(32)))


class _TorchRandom:
    """Lets hypothesis seed torch before each example, so that a shrunk example stays red."""

    seed = staticmethod(torch.manual_seed)
    getstate = staticmethod(torch.get_rng_state)
    setstate = staticmethod(torch.set_rng_state)


_TORCH_RANDOM = _TorchRandom()  # hypothesis keeps a weak reference only
hypothesis.register_random(_TORCH_RANDOM)

# No deadline: the first call of an operator, and a busy machine, take any time they like.
hypothesis.settings.register_profile("dev", deadline=None, max_examples=20)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=12, derandomize=True)
hypothesis.settings.load_profile("ci" if IN_CI else "dev")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let CI, which installs every program that a test may need, fail where one is skipped."""
    parser.addoption("--fail-on-skip", action="store_true", help="count a skipped test as failed")
    parser.addoption("--long", action="store_true", help="run also what is marked `long`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests out that take minutes, unless they are asked for."""
    if config.getoption("--long"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn a run with skipped tests into a failed one, if asked to."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    assert isinstance(reporter, pytest.TerminalReporter)
    if session.config.getoption("--fail-on-skip") and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def seed() -> int:
    """Seed all random numbers of a test; DSX_TEST_SEED repeats an earlier run."""
    random.seed(SEED)
    np.random.seed(SEED)
    torch.manual_seed(SEED)
    return SEED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the seed under the traceback of a failed test."""
    report = yield
    if report.failed:
        report.sections.append(("random seed", f"DSX_TEST_SEED={SEED}"))
    return report


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server; a test that stops it starts it again."""
    server = start_server()
    yield server
    server.remove()


@pytest.fixture
def postgres_storage(postgres: Server) -> str:
    """An empty database of that server."""
    return postgres.create_database()


@pytest.fixture
def storage(tmp_path: Path) -> str:
    """A database that does not exist yet."""
    return f"sqlite:///{tmp_path}/dsx.db"


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with two finished studies, `static` (the older one) and `tiny`; only read it."""
    # Imported here: the variables above have to be set before dsx is imported.
    import dsx
    from tests.search.spaces import STATIC, TINY

    storage = f"sqlite:///{tmp_path_factory.mktemp('finished')}/dsx.db"
    dsx.search(STATIC, trials=6, storage=storage)
    dsx.search(TINY, trials=4, storage=storage)
    return storage


@pytest.fixture
def copied(finished: str, tmp_path: Path) -> str:
    """A copy of that database, to be written to; without the weights."""
    file = tmp_path / "dsx.db"
    with (
        closing(sqlite3.connect(finished.removeprefix("sqlite:///"))) as old,
        closing(sqlite3.connect(file)) as new,
    ):
        old.backup(new)
    return f"sqlite:///{file}"


@pytest.fixture(scope="session")
def open_study(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with the study `quick`, in which any design may dominate another; only read it."""
    from tests.search.again import change, leave_open, searched
    from tests.search.spaces import QUICK

    storage = searched(QUICK, tmp_path_factory.mktemp("open"))
    change(storage, leave_open)
    return storage
