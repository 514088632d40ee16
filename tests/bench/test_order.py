"""Expected tau against the closed form of normal variables, and the estimated noise."""

import math

import numpy as np
import pytest

from dsx.bench import _order
from dsx.bench._networks import Timed
from dsx.measure import Measurement


def reading(value: float, half: float = 0.0) -> Measurement:
    return Measurement(value=value, low=value * (1 - half), high=value * (1 + half))


class Passes:
    """Networks with given readings of each pass."""

    runs, all_dense = [None] * 4, 1

    def __init__(self, *passes: list[Measurement]) -> None:
        self._passes = iter(passes)

    def time(self, numbers: range) -> Timed:
        assert list(numbers) == [0, 1, 2, 3]
        return Timed(readings=next(self._passes), seconds=1.0)


@pytest.mark.parametrize(("spread", "noise"), [(0.1, 0.01), (0.1, 0.05), (0.03, 0.012)])
def test_the_expected_tau_is_that_of_normal_variables(spread: float, noise: float) -> None:
    # Kendall's tau of two normal variables is 2 / pi times the arc sine of their correlation.
    logs = np.random.default_rng(0).normal(0, spread, 300)
    exact = 2 / math.pi * math.asin(spread**2 / (spread**2 + noise**2))
    assert _order.expected_tau(logs, noise) == pytest.approx(exact, abs=0.03)


def test_the_allowed_noise_is_the_largest_that_meets_the_goal() -> None:
    logs = np.random.default_rng(1).normal(0, 0.2, 30)
    noise = _order.allowed_noise(logs)
    assert _order.expected_tau(logs, noise) >= 0.95 > _order.expected_tau(logs, noise + _order.STEP)
    # If the designs are almost equal, no noise is allowed.
    assert _order.allowed_noise(logs * 1e-4) == 0


def test_noise_excludes_the_part_common_to_all_designs() -> None:
    rng = np.random.default_rng(2)
    designs, drift = rng.normal(0, 0.3, 400), rng.normal(0, 0.5, (5, 1))
    passes = designs + drift + rng.normal(0, 0.02, (5, 400))
    assert _order._noise(list(passes)) == pytest.approx(0.02, rel=0.05)
    assert _order._noise([designs, designs + 1.0]) == pytest.approx(0, abs=1e-12)


def test_two_passes_are_compared() -> None:
    first = [reading(v, 0.02) for v in (1.0, 1.01, 1.5, 2.0)]
    second = [reading(v, 0.02) for v in (1.01, 1.0, 2.0, 1.5)]
    rows = {f.figure: f for f in _order.compare_interleaved(Passes(first, second), "idle")}  # type: ignore[arg-type]
    # Two of six pairs are discordant: tau = (4 - 2) / 6.
    assert rows["tau of two passes"].value == pytest.approx(1 / 3)
    assert rows["tau of two passes"].goal == _order.GOAL
    # All pairs except the first are decided, and the last pair is discordant.
    (pairs,) = [figure for name, figure in rows.items() if name.startswith("pairs")]
    assert pairs.value == pytest.approx(1 / 5)
    assert pairs.made_from == "5 pairs"
    assert rows["designs whose slots all fell back to dense"].value == 0.25


def test_without_decided_pairs_none_is_discordant() -> None:
    passes = [[reading(v, 0.5) for v in (1.0, 1.1, 1.2, 1.3)] for _ in range(2)]
    *_, pairs = _order.compare_interleaved(Passes(*passes), "loaded")  # type: ignore[arg-type]
    assert (pairs.value, pairs.made_from, pairs.machine) == (0, "0 pairs", "loaded")


def test_each_pass_is_compared_with_the_next() -> None:
    # The same order, then one of three pairs discordant: tau is 1, then 1/3.
    readings = [
        [reading(v) for v in own] for own in ([1.0, 1.1, 1.0], [2.0, 2.1, 3.0], [2.5, 3.0, 2.0])
    ]
    tau, noise = _order.compare_separate(readings, "idle")
    assert tau.value == pytest.approx((1 + 1 / 3) / 2)
    assert noise.value > 0
