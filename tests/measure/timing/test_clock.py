"""Clocks: what each of them includes and excludes."""

import threading
import time

import pytest
import torch

from dsx.lookup import find, names
from dsx.measure.backends import Backend
from dsx.measure.timing.clock import CpuClock, EventClock, clock_for
from tests.measure.work import Counting, spin


@pytest.mark.parametrize("single", ["thread", "process"])
def test_one_thread_is_timed_in_cpu_time_and_several_in_wall_time(single: str) -> None:
    one, two = clock_for("cpu", 1, single), clock_for("cpu", 2, single)
    assert (one.name, one.device) == (single, "cpu")
    assert (two.name, two.device) == ("wall", "cpu")


def test_gpu_is_timed_by_events() -> None:
    clock = clock_for("cuda", 1, "thread")
    assert (clock.name, clock.device) == ("events", "cuda")


@pytest.mark.parametrize("name", names(Backend))
def test_every_backend_names_a_clock_for_one_thread(name: str) -> None:
    clock = clock_for("cpu", 1, find(Backend, name).clock)
    assert clock.time(lambda: None, 3).own >= 0


@pytest.mark.parametrize("name", ["thread", "process", "wall"])
@pytest.mark.timing
def test_all_calls_of_a_block_are_timed(name: str) -> None:
    run = Counting(0.002)
    own, wall = CpuClock(name).time(run, 7)
    assert run.calls == 7
    # Milliseconds of one call, independent of the load of the machine.
    assert own >= 2
    assert wall >= 2
    if name != "wall":
        assert own < 40


@pytest.mark.timing
def test_own_time_is_a_median_and_wall_time_a_mean() -> None:
    found = CpuClock("thread").time(Counting(0.03, 0.001), 5)
    # A mean would be 6.8 or more.
    assert 1 <= found.own < 6.8
    assert found.wall >= (30 + 4) / 5


@pytest.mark.timing
def test_waiting_takes_no_cpu_time() -> None:
    own, wall = CpuClock("thread").time(lambda: time.sleep(0.02), 2)
    assert own < 10
    assert wall >= 20


@pytest.mark.timing
def test_process_clock_includes_other_threads() -> None:
    def with_help() -> None:
        thread = threading.Thread(target=spin, args=[0.03])
        thread.start()
        thread.join()

    assert CpuClock("thread").time(with_help, 1).own < 15
    assert CpuClock("process").time(with_help, 1).own >= 30


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
@pytest.mark.timing
def test_events_measure_the_time_of_the_gpu() -> None:
    x = torch.randn(2048, 2048, device="cuda")

    def squares(times: int) -> None:
        for _ in range(times):
            x @ x

    clock = EventClock()
    clock.time(lambda: squares(1), 3)
    little, much = (clock.time(lambda: squares(1), 5), clock.time(lambda: squares(20), 5))
    # Twenty times as much work, although the calls return immediately.
    assert 10 * little.own < much.own < 40 * little.own
    assert much.wall >= 0.9 * much.own
