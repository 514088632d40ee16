"""Rounds of interleaved contenders, and ratios of their times."""

import gc
import time
from collections.abc import Callable

import pytest

from dsx.bench._rounds import LEAST_OTHERS, Effort, Ratio, time_rounds


def busy(milliseconds: float) -> Callable[[], None]:
    def run() -> None:
        end = time.thread_time() + milliseconds / 1000
        while time.thread_time() < end:
            pass

    return run


@pytest.mark.timing
def test_a_ratio_of_times_is_measured() -> None:
    effort = Effort(seconds=0.1, least=7, most=7)
    samples = time_rounds({"one": busy(1), "two": busy(2)}, effort)
    assert [len(times) for times in samples.values()] == [7, 7]
    assert 1.8 < Ratio.of(samples["two"], samples["one"]).value < 2.2


def test_a_contender_that_exceeds_the_duration_takes_part_in_the_first_rounds_only() -> None:
    effort = Effort(seconds=0.05, least=8, most=8)
    samples = time_rounds({"own": busy(0.1), "slow": busy(30), "other": busy(0.1)}, effort)
    assert [len(times) for times in samples.values()] == [8, LEAST_OTHERS, 8]


def test_no_round_starts_after_the_duration() -> None:
    samples = time_rounds({"own": busy(5)}, Effort(seconds=0.0, least=2, most=99))
    assert len(samples["own"]) == 2


def test_garbage_is_collected_again_afterwards() -> None:
    def fail() -> None:
        raise ValueError("of the run")

    with pytest.raises(ValueError, match="of the run"):
        time_rounds({"own": fail}, Effort(seconds=0.0, least=1, most=1))
    assert gc.isenabled()


def test_a_ratio_is_the_median_over_the_rounds_of_both() -> None:
    ratio = Ratio.of([1.0, 4.0, 9.0, 100.0], [1.0, 2.0, 3.0])
    assert (ratio.value, ratio.low, ratio.high, ratio.rounds) == (2.0, 1.0, 3.0, 3)
