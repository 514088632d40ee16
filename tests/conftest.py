"""Common settings and fixtures of all tests: one thread, random seed, hypothesis profiles."""

import os
import random
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import numpy as np
import pytest
import torch

from tests.search.postgres import Server, start_server

if TYPE_CHECKING:
    from dsx.conv.native import Kernels

pytest_plugins = ["tests.repetition"]

# Set before the first import of dsx: tests must not use the cache of the user. The list of fonts is
# kept, because matplotlib needs seconds to create it.
_OLD = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
_CACHE = tempfile.TemporaryDirectory(prefix="dsx-tests-")
os.environ.setdefault("MPLCONFIGDIR", str(_OLD / "matplotlib"))
os.environ["XDG_CACHE_HOME"] = _CACHE.name

# Several threads on loaded cores are slower by orders of magnitude, and not reproducible.
torch.set_num_threads(1)

# Background processes of a shell ignore Ctrl-C, and so do their children.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

IN_CI = bool(os.environ.get("CI"))
SEED = int(os.environ.get("DSX_TEST_SEED") or (0 if IN_CI else random.getrandbits(32)))


class _TorchRandom:
    """Seeds torch for hypothesis before each example, so that a shrunk example still fails."""

    seed = staticmethod(torch.manual_seed)
    getstate = staticmethod(torch.get_rng_state)
    setstate = staticmethod(torch.set_rng_state)


_TORCH_RANDOM = _TorchRandom()  # hypothesis keeps a weak reference only
hypothesis.register_random(_TORCH_RANDOM)

# No deadline: the first call of an operator may take long, and the machine may be loaded.
hypothesis.settings.register_profile("dev", deadline=None, max_examples=20)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=12, derandomize=True)
hypothesis.settings.load_profile("ci" if IN_CI else "dev")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options --fail-on-skip (for CI, which installs all required programs) and --long."""
    parser.addoption("--fail-on-skip", action="store_true", help="count a skipped test as failed")
    parser.addoption("--long", action="store_true", help="also run tests marked `long`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests marked `long` unless --long is given."""
    if config.getoption("--long"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run with skipped tests if --fail-on-skip is given."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    assert isinstance(reporter, pytest.TerminalReporter)
    if session.config.getoption("--fail-on-skip") and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def seed() -> int:
    """Seed all random generators; DSX_TEST_SEED reproduces an earlier run."""
    random.seed(SEED)
    np.random.seed(SEED)
    torch.manual_seed(SEED)
    return SEED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the random seed below the traceback of a failed test."""
    report = yield
    if report.failed:
        report.sections.append(("random seed", f"DSX_TEST_SEED={SEED}"))
    return report


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """PostgreSQL server; a test that stops it must start it again."""
    server = start_server()
    yield server
    server.remove()


@pytest.fixture
def postgres_storage(postgres: Server) -> str:
    """Empty database of the PostgreSQL server."""
    return postgres.create_database()


@pytest.fixture
def storage(tmp_path: Path) -> str:
    """URL of a database that does not exist yet."""
    return f"sqlite:///{tmp_path}/dsx.db"


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Database with two completed studies, `static` (the older one) and `tiny`; read only."""
    # The variables above must be set before dsx is imported.
    import dsx
    from tests.search.spaces import STATIC, TINY

    storage = f"sqlite:///{tmp_path_factory.mktemp('finished')}/dsx.db"
    dsx.search(STATIC, trials=6, storage=storage, sampler="random")
    dsx.search(TINY, trials=4, storage=storage, sampler="random")
    return storage


@pytest.fixture
def copied(finished: str, tmp_path: Path) -> str:
    """Writable copy of the database `finished`, without weight files."""
    file = tmp_path / "dsx.db"
    with (
        closing(sqlite3.connect(finished.removeprefix("sqlite:///"))) as old,
        closing(sqlite3.connect(file)) as new,
    ):
        old.backup(new)
    return f"sqlite:///{file}"


@pytest.fixture(scope="session")
def open_study(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Database with the study `quick`, in which all designs are contested; read only."""
    from tests.search.again import change, leave_open, searched
    from tests.search.spaces import QUICK

    storage = searched(QUICK, tmp_path_factory.mktemp("open"))
    change(storage, leave_open)
    return storage


@pytest.fixture
def native() -> "Kernels":
    """The compiled kernels of dsx."""
    from dsx.conv.native import Kernels, kernels

    found = kernels()
    if not isinstance(found, Kernels):
        pytest.skip(f"needs the compiled kernels: {found.reason}")
    return found


@pytest.fixture
def no_kernels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The missing library of an installation without compiled kernels."""
    from dsx.conv.native.library import VARIABLE, load

    missing = tmp_path / "none.so"
    monkeypatch.setenv(VARIABLE, str(missing))
    load.cache_clear()
    yield missing
    load.cache_clear()


@pytest.fixture(scope="session", autouse=True)
def own_device_lock() -> None:
    """Wait neither for other workers nor for other programs, such as a benchmark of minutes."""
    from dsx.measure.timing import device_lock

    device_lock.FOLDER = Path(_CACHE.name)


@pytest.fixture(scope="session", autouse=True)
def compiled_kernels() -> None:
    """Provide the library where exports look for it, because compiling it takes 13 seconds."""
    from dsx.conv.native import library_name
    from dsx.conv.native.compiling import LIBRARY

    if LIBRARY.is_file():
        place = Path(_CACHE.name) / "dsx"
        place.mkdir(exist_ok=True)
        shutil.copyfile(LIBRARY, place / library_name())
