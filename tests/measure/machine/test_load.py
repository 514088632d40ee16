"""Load by other processes: computed from two sets of counters, and with a real process."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from dsx.analysis.measurement import Machine
from dsx.measure.machine.load import (
    HEAVY_CORES,
    MAX_HEAVY,
    Counters,
    Load,
    heavy_processes,
    load_since,
    read_counters,
)


def counters(
    seconds: float = 1.0, cores: int = 2, own: float = 1.0, others: float = 0.0, stolen: float = 0.0
) -> tuple[Counters, Counters]:
    """Return counters before and after some seconds in which some cores were used."""
    before = Counters(
        wall=5.0, own=7.0, used=900.0, stolen=3.0, counted=9000.0, cores=cores, load_average=0.5
    )
    after = Counters(
        wall=5.0 + seconds,
        own=7.0 + own * seconds,
        used=900.0 + (own + others) * seconds,
        stolen=3.0 + stolen * seconds,
        counted=9000.0 + cores * seconds,
        cores=cores,
        load_average=0.9,
    )
    return before, after


@contextmanager
def spinning() -> Iterator[int]:
    """Load a core by another process and yield its id."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def share_since(pid: int) -> Callable[[], float]:
    """Return a function for the fraction of a core that a process has used since this call."""
    process, start = psutil.Process(pid), time.perf_counter()
    before = sum(process.cpu_times()[:2])
    return lambda: (sum(process.cpu_times()[:2]) - before) / (time.perf_counter() - start)


def test_cpu_time_of_this_process_is_excluded() -> None:
    found = load_since(*counters(own=1.0))
    assert found == Load(False, Machine(load_average=0.5, others=0.0, stolen=0.0))


@pytest.mark.parametrize(
    ("change", "noisy"),
    [
        ({"others": 0.05}, False),
        ({"others": 0.30}, False),
        ({"others": 0.40}, True),
        ({"others": 1.00}, True),
        ({"stolen": 0.40}, True),
        ({"others": 0.20, "stolen": 0.20}, True),
        # With many cores, the threshold is a twentieth of them.
        ({"others": 1.00, "cores": 64}, False),
        ({"others": 4.00, "cores": 64}, True),
        # In a short time, one tick of each core is uncertain.
        ({"others": 0.45, "seconds": 0.1}, False),
        ({"others": 1.00, "seconds": 0.1}, True),
        # Both processes share the only core.
        ({"own": 0.5, "others": 0.5, "cores": 1}, True),
    ],
)
def test_threshold_of_noise(change: dict[str, Any], noisy: bool) -> None:
    found = load_since(*counters(**change))
    assert found.noisy is noisy
    assert found.machine.others == pytest.approx(change.get("others", 0.0))
    assert found.machine.stolen == pytest.approx(change.get("stolen", 0.0))


def test_load_is_never_negative() -> None:
    assert load_since(*counters(others=-0.02)).machine.others == 0


def test_load_is_unknown_if_counters_do_not_advance() -> None:
    before, after = counters()
    still = Counters(**{**vars(after), "counted": before.counted})
    found = load_since(before, still)
    assert (found.machine.others, found.machine.stolen, found.noisy) == (None, None, None)
    assert found.machine.load_average == 0.5


def test_load_is_unknown_after_a_too_short_time() -> None:
    assert load_since(*counters(seconds=0.02, others=1.0)).noisy is None


@pytest.mark.timing
def test_loaded_core_is_detected_and_its_process_named() -> None:
    with spinning() as pid:
        begin = read_counters()
        time.sleep(0.5)
        found = load_since(begin)
        share = share_since(pid)
        named = heavy_processes(0.5)
        most = share()
    assert found.noisy
    assert (found.machine.others or 0.0) > 0.3
    own = [one for one in named if one.pid == pid]
    # On a loaded machine, the process may get too little CPU time, or others may get more.
    heavier = len(named) == MAX_HEAVY and named[-1].cores > most - 0.1
    assert own or most < 1.5 * HEAVY_CORES or heavier
    for one in own:
        assert "python" in one.process.lower()
        assert one.cores > HEAVY_CORES


@pytest.mark.timing
def test_own_cpu_time_is_included_in_both_counters() -> None:
    begin = read_counters()
    while time.process_time() - begin.own < 0.3:
        pass
    end = read_counters()
    assert end.used - begin.used > 0.2


def test_this_process_is_not_listed() -> None:
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            sum(range(1000))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        found = heavy_processes(0.3)
    finally:
        over.set()
        thread.join()
    assert os.getpid() not in [one.pid for one in found]


def test_processes_are_sorted_by_load() -> None:
    cores = [one.cores for one in heavy_processes(0.2)]
    assert cores == sorted(cores, reverse=True)
    assert len(cores) <= 5
