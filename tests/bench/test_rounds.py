"""Rounds of interleaved contenders, and ratios of their times."""

import gc
import time
from collections.abc import Callable

import pytest

from dsx.bench._rounds import (
    EFFORT,
    LEAST_INTERVAL,
    LEAST_OTHERS,
    SLOW_SECONDS,
    Effort,
    Ratio,
    time_briefly,
    time_rounds,
)


def busy(milliseconds: float) -> Callable[[], None]:
    def run() -> None:
        end = time.thread_time() + milliseconds / 1000
        while time.thread_time() < end:
            pass

    return run


@pytest.mark.timing
def test_a_ratio_of_times_is_measured() -> None:
    effort = Effort(seconds=0.1, least=7, most=7)
    rounds = time_rounds({"one": busy(1), "two": busy(2)}, effort, always=("one", "two"))
    assert 1.8 < Ratio.of(rounds, "two", "one").value < 2.2


def test_a_contender_that_exceeds_the_duration_takes_part_in_the_first_rounds_only() -> None:
    effort = Effort(seconds=0.05, least=8, most=8)
    runs = {"own": busy(30), "slow": busy(30), "other": busy(0.1)}
    rounds = time_rounds(runs, effort, always=("own",))
    assert [each.keys() for each in rounds[:LEAST_OTHERS]] == [runs.keys()] * LEAST_OTHERS
    assert [set(each) for each in rounds[LEAST_OTHERS:]] == [{"own", "other"}] * (8 - LEAST_OTHERS)


def test_no_round_starts_after_the_duration() -> None:
    rounds = time_rounds({"own": busy(5)}, Effort(seconds=0.0, least=2, most=99), always=("own",))
    assert len(rounds) == 2


def test_garbage_is_collected_again_afterwards() -> None:
    def fail() -> None:
        raise ValueError("of the run")

    with pytest.raises(ValueError, match="of the run"):
        time_rounds({"own": fail}, Effort(seconds=0.0, least=1, most=1), always=("own",))
    assert gc.isenabled()


def test_a_ratio_is_the_median_over_the_rounds_of_both() -> None:
    # The contenders that were left out of a round do not shift the others.
    rounds = [{"a": 1.0, "b": 1.0}, {"a": 100.0}, {"b": 100.0}, {"a": 4.0, "b": 2.0}]
    ratio = Ratio.of([*rounds, {"a": 9.0, "b": 3.0, "c": 1.0}], "a", "b")
    assert (ratio.value, ratio.rounds) == (2.0, 3)


def test_an_interval_needs_enough_rounds() -> None:
    # All of n rounds are on the same side of the median with a probability of 2 / 2^n.
    assert 2 / 2**LEAST_INTERVAL < 0.05 < 2 / 2 ** (LEAST_INTERVAL - 1)
    rounds = [{"a": float(number), "b": 1.0} for number in range(1, LEAST_INTERVAL + 1)]
    ratio = Ratio.of(rounds, "a", "b")
    assert (ratio.value, ratio.low, ratio.high) == (3.5, 1.0, 6.0)
    ratio = Ratio.of(rounds[:-1], "a", "b")
    assert (ratio.value, ratio.low, ratio.high) == (3.0, None, None)
    assert EFFORT.least >= LEAST_INTERVAL


def test_first_calls_that_are_all_slow_are_a_round() -> None:
    effort, count = Effort(seconds=0.0, least=2, most=99), []

    def slow() -> None:
        count.append(0)
        busy(60)()

    rounds = time_rounds({"own": slow, "other": slow}, effort, always=("own",))
    assert len(count) == sum(map(len, rounds)) == 4
    rounds = time_rounds({"own": slow, "other": busy(1)}, effort, always=("own",))
    # The first call of each is a warm-up.
    assert len(count) == 4 + 1 + 2 and len(rounds) == 2


def test_slow_calls_are_timed_once_and_others_repeatedly() -> None:
    counts = {"slow": 0, "fast": 0}

    def call(name: str, milliseconds: float) -> Callable[[], None]:
        def run() -> None:
            counts[name] += 1
            busy(milliseconds)()

        return run

    slow, fast = time_briefly([call("slow", 60), call("fast", 2)], seconds=0.0)
    assert counts["slow"] == 1 < counts["fast"]
    assert fast < SLOW_SECONDS < slow
