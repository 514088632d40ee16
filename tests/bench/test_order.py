"""Order: simulated limits against the closed form of normal numbers, noise against its own size."""

import math

import numpy as np
import pytest

from dsx.bench import _order
from dsx.bench._networks import Timed
from dsx.measure import Measurement


def reading(value: float, half: float = 0.0) -> Measurement:
    return Measurement(value=value, low=value * (1 - half), high=value * (1 + half))


class Passes:
    """Networks whose passes are known."""

    runs, alike = [None] * 4, 1

    def __init__(self, *passes: list[Measurement]) -> None:
        self._passes = iter(passes)

    def time(self, chosen: range) -> Timed:
        assert list(chosen) == [0, 1, 2, 3]
        return Timed(readings=next(self._passes), seconds=1.0)


@pytest.mark.parametrize(("spread", "noise"), [(0.1, 0.01), (0.1, 0.05), (0.03, 0.012)])
def test_the_limit_is_that_of_normal_numbers(spread: float, noise: float) -> None:
    # Kendall's tau of two normal numbers that correlate is 2 / pi times the arc sine of that.
    logs = np.random.default_rng(0).normal(0, spread, 300)
    exact = 2 / math.pi * math.asin(spread**2 / (spread**2 + noise**2))
    assert _order.limit(logs, noise) == pytest.approx(exact, abs=0.03)


def test_allowed_noise_is_the_most_that_reaches_the_goal() -> None:
    logs = np.random.default_rng(1).normal(0, 0.2, 30)
    noise = _order.allowed(logs)
    assert _order.limit(logs, noise) >= 0.95 > _order.limit(logs, noise + _order.STEP)
    # Where designs are all but equal, none is allowed.
    assert _order.allowed(logs * 1e-4) == 0


def test_noise_is_what_designs_do_not_share() -> None:
    rng = np.random.default_rng(2)
    designs, drift = rng.normal(0, 0.3, 400), rng.normal(0, 0.5, (5, 1))
    passes = designs + drift + rng.normal(0, 0.02, (5, 400))
    assert _order._noise(list(passes)) == pytest.approx(0.02, rel=0.05)
    assert _order._noise([designs, designs + 1.0]) == pytest.approx(0, abs=1e-12)


def test_two_passes_are_compared() -> None:
    first = [reading(v, 0.02) for v in (1.0, 1.01, 1.5, 2.0)]
    second = [reading(v, 0.02) for v in (1.01, 1.0, 2.0, 1.5)]
    rows = {f.figure: f for f in _order.in_turn(Passes(first, second), "quiet")}  # type: ignore[arg-type]
    # Two of six pairs are the other way: tau = (4 - 2) / 6.
    assert rows["tau of two passes"].value == pytest.approx(1 / 3)
    assert rows["tau of two passes"].goal == _order.GOAL
    # All but the first pair are told apart, and the last pair is the other way.
    (pairs,) = [figure for words, figure in rows.items() if words.startswith("pairs")]
    assert pairs.value == pytest.approx(1 / 5)
    assert pairs.made_from == "5 pairs"
    assert rows["designs whose slots all fell back to dense"].value == 0.25


def test_no_pairs_told_apart_are_none_the_other_way() -> None:
    passes = [[reading(v, 0.5) for v in (1.0, 1.1, 1.2, 1.3)] for _ in range(2)]
    *_, pairs = _order.in_turn(Passes(*passes), "loaded")  # type: ignore[arg-type]
    assert (pairs.value, pairs.made_from, pairs.machine) == (0, "0 pairs", "loaded")


def test_passes_one_by_one_are_compared_with_the_next() -> None:
    # Same order, then one of three pairs the other way: tau 1, then 1/3.
    readings = [
        [reading(v) for v in own] for own in ([1.0, 1.1, 1.0], [2.0, 2.1, 3.0], [2.5, 3.0, 2.0])
    ]
    tau, noise = _order.one_by_one(readings, "quiet")
    assert tau.value == pytest.approx((1 + 1 / 3) / 2)
    assert noise.value > 0
