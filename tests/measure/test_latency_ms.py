"""Latency: the median's interval against brute force, and sampling that ends by its limits."""

import statistics
import time
from math import comb

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dsx.measure import latency_ms
from dsx.measure.latency_ms import METRIC, PROTOCOL, median_interval, sample_calls, torch_threads
from tests.measure.candidates import SMALL, SPECS, candidate

SAMPLES = st.lists(st.floats(0, 1e6), min_size=1, max_size=60)


def ranks(count: int) -> tuple[int, int]:
    """Give the ranks of the ends, from 0, for that many samples."""
    _, low, high = median_interval(range(count))
    return int(low), int(high)


@given(SAMPLES, st.randoms(use_true_random=False))
def test_an_interval_holds_the_median_and_does_not_care_for_order(
    samples: list[float], random: "np.random.RandomState"
) -> None:
    median, low, high = median_interval(samples)
    assert median == statistics.median(samples)
    assert low <= median <= high
    assert {low, high} <= set(samples)
    random.shuffle(samples)
    assert median_interval(samples) == (median, low, high)


@pytest.mark.parametrize("count", [*range(6, 200), 500, 1000, 1999])
def test_the_coverage_is_at_least_95_percent_and_hardly_more_than_needed(count: int) -> None:
    low, high = ranks(count)
    assert low + high == count - 1

    def covered(low: int) -> int:
        """Count, of 2^n halves, those with the median between rank `low` and its mirror."""
        return int(2**count) - 2 * sum(comb(count, below) for below in range(low + 1))

    assert 20 * covered(low) >= 19 * 2**count
    # Two ranks further in, it would be less than 95 %.
    assert 20 * covered(low + 2) < 19 * 2**count


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_few_samples_are_their_own_interval(count: int) -> None:
    assert ranks(count) == (0, count - 1)


@pytest.mark.parametrize("count", [8, 30, 31, 101])
@pytest.mark.parametrize("skewed", [False, True])
def test_simulated_intervals_cover_the_true_median(count: int, skewed: bool) -> None:
    generator = np.random.RandomState(count)
    draws = generator.standard_normal((2000, count))
    draws = np.exp(2 * draws) if skewed else draws
    truth = 1.0 if skewed else 0.0
    intervals = [median_interval(row.tolist()) for row in draws]
    share = np.mean([low <= truth <= high for _, low, high in intervals])
    # Four standard errors of 2000 simulations are 2 %.
    assert 0.93 <= share <= 1.0


class Slow:
    """A callable that takes its time, and counts its calls."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        time.sleep(self.seconds)


def limit(monkeypatch: pytest.MonkeyPatch, most_seconds: float) -> None:
    """Shorten the limits of sampling."""
    short = {"warm_up_seconds": 0.01, "least_seconds": 0.02, "most_seconds": most_seconds}
    monkeypatch.setattr(latency_ms, "PROTOCOL", PROTOCOL | short)


@pytest.fixture
def quick_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten all limits, so that a test takes no second."""
    limit(monkeypatch, 0.1)


@pytest.mark.usefixtures("quick_limits")
def test_a_slow_call_is_sampled_a_few_times_and_no_more() -> None:
    call = Slow(0.05)
    times, walls = sample_calls(call)
    assert len(times) == len(walls) == 6
    assert call.calls == 6 + 1  # one to warm up
    assert min(walls) >= 50


def test_a_noisy_call_is_sampled_until_the_time_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, 0.5)
    spread = iter(range(10**9))
    monkeypatch.setattr(latency_ms, "default_clock", lambda: lambda: next(spread) ** 2)
    begin = time.perf_counter()
    times, _ = sample_calls(Slow(0.0002))
    spent = time.perf_counter() - begin
    assert len(times) > PROTOCOL["least_samples"]
    assert 0.5 < spent < 10  # a busy machine takes its time


def test_a_steady_call_is_sampled_no_longer_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, 60)
    ticks = iter(range(0, 10**12, 1000))
    monkeypatch.setattr(latency_ms, "default_clock", lambda: lambda: next(ticks))
    times, walls = sample_calls(Slow(0.001))
    assert len(times) == len(walls) == PROTOCOL["least_samples"]
    assert set(times) == {1000 / 1e6}


@pytest.mark.usefixtures("quick_limits")
def test_a_reading_says_how_it_was_made() -> None:
    one = candidate(specs=SPECS)
    reading = METRIC.read(one)
    assert (reading.value, reading.low, reading.high) == median_interval(reading.samples)
    assert reading.conditions["clock"] == "thread"
    assert set(reading.conditions["forms"]) == set(SPECS)
    assert reading.conditions["folded_norms"] == 7
    assert reading.conditions["untraced"] is None
    assert reading.conditions["wall_ms"] > 0
    width = (reading.high - reading.low) / reading.value
    assert reading.conditions["narrow"] == (width <= PROTOCOL["target_width"])


@pytest.mark.usefixtures("quick_limits")
def test_threads_are_those_of_the_space_while_it_is_timed() -> None:
    one = candidate(SMALL.replace("batch: 1}", "threads: 2}"))
    seen = set()
    one.deployed.register_forward_pre_hook(lambda *_: seen.add(torch.get_num_threads()))
    assert METRIC.read(one).conditions["clock"] == "wall"
    assert seen == {2}
    assert torch.get_num_threads() == 1


def test_threads_are_given_back_whatever_happens() -> None:
    with pytest.raises(KeyError, match="stop"), torch_threads(2):
        assert torch.get_num_threads() == 2
        raise KeyError("stop")
    assert torch.get_num_threads() == 1


@pytest.mark.usefixtures("quick_limits")
def test_a_network_can_be_trained_after_its_latency_was_measured() -> None:
    one = candidate(specs=SPECS)
    METRIC.read(one)
    assert len(one.trained().state_dict()) > 0
