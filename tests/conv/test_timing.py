"""Interleaved timing with a simulated clock."""

import time
from collections.abc import Callable
from itertools import count

import pytest
import torch

from dsx.conv.timing import (
    MIN_ROUNDS,
    call_timer,
    default_clock,
    interleaved,
    medians,
    rounds_until,
)


class Work:
    """Callables that advance a simulated clock by given nanoseconds and record their order."""

    def __init__(self, *costs: int) -> None:
        self.now = 0
        self.log: list[int] = []
        self.runs = [self._run(number, cost) for number, cost in enumerate(costs)]

    def _run(self, number: int, cost: int) -> Callable[[], None]:
        def run() -> None:
            assert torch.is_inference_mode_enabled()
            self.log.append(number)
            self.now += cost

        return run


def test_runs_are_interleaved_after_one_warm_up_each() -> None:
    work = Work(10, 20, 30)
    samples = interleaved(work.runs, 0, call_timer(lambda: work.now))
    assert work.log == [0, 1, 2] * (1 + MIN_ROUNDS)
    assert samples == [[1e-8] * 3, [2e-8] * 3, [3e-8] * 3]


@pytest.mark.timing
def test_rounds_continue_until_the_time_budget_is_exhausted() -> None:
    begin = time.perf_counter()
    (samples,) = interleaved([lambda: time.sleep(0.001)], 0.03, call_timer(time.perf_counter_ns))
    assert time.perf_counter() - begin >= 0.03
    assert len(samples) >= MIN_ROUNDS


@pytest.mark.parametrize("least", [0, 1, 5])
def test_the_minimum_number_of_rounds_is_run_after_the_deadline(least: int) -> None:
    assert list(rounds_until(time.perf_counter(), least)) == list(range(least))


def test_the_median_is_computed_for_each_run() -> None:
    times = iter([9.0, 7.0, 1.0, 2.0, 5.0, 6.0])
    assert medians([lambda: None] * 2, 0, lambda run: next(times)) == [5.0, 6.0]


def test_the_clock_measures_cpu_time_only_for_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = count(1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: next(threads))
    assert default_clock() is time.thread_time_ns
    assert default_clock() is time.perf_counter_ns
