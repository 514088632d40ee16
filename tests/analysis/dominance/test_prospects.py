"""Expected decisions of repeated measurements, and their choice in simulated studies."""

import numpy as np
import pytest

from dsx.analysis.differences import Objective
from dsx.analysis.dominance.membership import contested_pairs
from dsx.analysis.dominance.prospects import Prospects, Repeatable
from dsx.analysis.estimate import Estimate
from dsx.analysis.examples import ExampleResults

QUANTILE = 1.959964
BUDGETS = (0, 4, 8, 16, 32)


def exact(values: list[float]) -> Objective:
    estimates = [
        Estimate(value=v, low=v, high=v, rests_on=frozenset({n})) for n, v in enumerate(values)
    ]
    return Objective(estimates=estimates, sign=1)


def timed(values: list[float], errors: list[float], flags: list[bool] | None = None) -> Objective:
    """Return an objective with the standard error of each mean."""
    return Objective(
        estimates=[
            Estimate(
                value=value,
                low=value - QUANTILE * error,
                high=value + QUANTILE * error,
                noisy=bool(flags and flags[n]),
                rests_on=frozenset({n}),
            )
            for n, (value, error) in enumerate(zip(values, errors, strict=True))
        ],
        sign=1,
    )


def again(objective: Objective, counts: list[float], most: float = 20) -> Repeatable:
    return Repeatable(objective=objective, counts=np.array(counts), most=np.full(len(counts), most))


@pytest.mark.parametrize(("further", "other"), [(1.0, 0.0), (2.0, 2.0), (0.0, 5.0)])
def test_the_probability_is_that_of_simulated_measurements(further: float, other: float) -> None:
    rng = np.random.default_rng(0)
    values, errors, counts = [1.0, 0.8], [0.12, 0.1], [2.0, 1.0]
    found = Prospects([again(timed(values, errors), counts)], [(0, 1)])
    (chance,) = found.chances(0, np.array([further]), np.array([other]))
    # The true values given the readings, and the means after further readings.
    means = []
    for value, error, count, more in zip(values, errors, counts, (further, other), strict=True):
        true = rng.normal(value, error, 200_000)
        single = error * np.sqrt(count)
        new = rng.normal(true, single / np.sqrt(more)) if more else np.full(len(true), value)
        means.append((count * value + more * new) / (count + more))
    later = [e**2 * n / (n + m) for e, n, m in zip(errors, counts, (further, other), strict=True)]
    decided = np.abs(means[0] - means[1]) > QUANTILE * np.sqrt(sum(later))
    assert chance == pytest.approx(decided.mean(), abs=0.005)


def test_only_an_advantage_decides_a_pair_with_another_undecided_objective() -> None:
    # The first is slower by one standard error, or faster by one.
    latency = again(timed([1.1, 1.0], [0.1, 0.1]), [1, 1])
    once = (np.array([3.0]), np.array([3.0]))
    alone = Prospects([latency, exact([2, 1])], [(0, 1)]).chances(0, *once)
    both = Prospects([latency, timed([2.1, 2.0], [0.1, 0.1])], [(0, 1)]).chances(0, *once)
    assert 0 < both[0] < alone[0]
    faster = again(timed([1.0, 1.1], [0.1, 0.1]), [1, 1])
    found = Prospects([faster, timed([2.1, 2.0], [0.1, 0.1])], [(0, 1)]).chances(0, *once)
    assert both[0] + found[0] == pytest.approx(alone[0])


def test_decided_and_shared_values_have_no_prospects() -> None:
    apart = Prospects([again(timed([1.0, 9.0], [0.1, 0.1]), [1, 1])], [(0, 1)])
    assert apart.rates(0).tolist() == [0, 0] and not apart.undecided.any()
    shared = timed([1.0, 1.0], [0.1, 0.1])
    same = [
        Estimate(value=each.value, low=each.low, high=each.high, rests_on=frozenset({7}))
        for each in shared.estimates
    ]
    found = Prospects([again(Objective(estimates=same, sign=1), [1, 1])], [(0, 1)])
    assert found.rates(0).tolist() == [0, 0] and found.most().tolist() == [0]


def test_a_flagged_value_is_worth_a_measurement() -> None:
    latency = timed([1.0, 1.3, 1.31], [0.01, 0.01, 0.01], [False, True, False])
    found = Prospects([again(latency, [3, 3, 3])], [(0, 1), (1, 2)])
    rates = found.rates(0)
    assert rates[1] > 0.5 and rates[0] == pytest.approx(0, abs=1e-3)
    # Its next reading is as precise as those of the other designs.
    chance = found.chances(0, np.array([0.0, 1.0]), np.array([1.0, 0.0]))
    assert chance[0] > 0.8 and chance[1] > 0.8


def test_designs_at_the_limit_are_not_measured() -> None:
    latency = again(timed([1.0, 1.1], [0.1, 0.1]), [4, 4], most=4)
    assert Prospects([latency], [(0, 1)]).rates(0).tolist() == [0, 0]
    more = again(timed([1.0, 1.1], [0.1, 0.1]), [4, 4], most=12)
    found = Prospects([more], [(0, 1)])
    assert found.rates(0).min() > 0
    assert set(found.best_times(0)) <= {1, 2, 4, 8}
    planned = found.decided([np.array([8.0, 8.0])])
    assert planned == pytest.approx(found.most())
    assert found.decided([None]).tolist() == [0]


def test_without_contested_pairs_there_is_nothing_to_decide() -> None:
    found = Prospects([again(timed([1.0, 2.0], [0.1, 0.1]), [1, 1])], [])
    assert found.rates(0).tolist() == [0, 0]
    assert found.most().shape == (0,)


class SimulatedStudy:
    """Designs of known accuracy, whose trainings are simulated."""

    def __init__(self, seed: int, designs: int = 14, images: int = 360) -> None:
        self.rng = np.random.default_rng(seed)
        self.ability = self.rng.normal(4.2, 0.5, designs)
        self.cost = np.exp(self.rng.normal(0, 1, designs)) + 0.3 * (self.ability - 4.2)
        self.images = self.rng.normal(0, 1.6, images)
        self.taste = self.rng.normal(0, 0.8, (designs, images))
        self.results = [[self.train(design)] for design in range(designs)]
        others, noise = (
            self.rng.normal(0, 1.6, 20_000),
            self.rng.normal(0, np.hypot(0.8, 0.25), 20_000),
        )
        self.truth = np.array([_chance(each + noise - others).mean() for each in self.ability])

    def train(self, design: int) -> np.ndarray:
        logits = self.ability[design] + self.taste[design] - self.images
        chance = _chance(logits + self.rng.normal(0, 0.25))
        return (self.rng.random(len(self.images)) < chance).astype(float)

    @property
    def accuracy(self) -> Objective:
        estimates = []
        for number, own in enumerate(self.results):
            mean = float(np.mean(own))
            half = QUANTILE * np.sqrt(max(mean * (1 - mean), 1e-3) / len(self.images))
            estimates.append(
                Estimate(
                    value=mean, low=mean - half, high=mean + half, seeds=len(own),
                    examples=tuple(ExampleResults.of(each, "images") for each in own),
                    rests_on=frozenset({number}),
                )
            )  # fmt: skip
        return Objective(estimates=estimates, sign=-1)

    def refine(self) -> None:
        """Train the design that is expected to decide most pairs."""
        accuracy, rows = self.accuracy, np.arange(len(self.cost))
        objectives = [exact(self.cost.tolist()), accuracy]
        pairs = contested_pairs(objectives, rows, rows)
        counts = np.array([len(own) for own in self.results], dtype=float)
        repeatable = Repeatable(objective=accuracy, counts=counts, most=np.full(len(rows), 10.0))
        rates = Prospects([objectives[0], repeatable], pairs).rates(1)
        if rates.max() > 0:
            best = int(rates.argmax())
            self.results[best].append(self.train(best))

    def decisions(self) -> tuple[int, int, float]:
        """Count right and wrong claims about designs, and average the width of the intervals."""
        accuracy, rows = self.accuracy, np.arange(len(self.cost))
        if accuracy.noise is None:
            # The order of designs is not claimed before the differences of seeds are known.
            return 0, 0, np.inf
        low, high = accuracy.bounds(rows, rows)
        cheaper = self.cost[None, :] < self.cost[:, None]
        worse, better = (low > 0) & cheaper, (high < 0) & cheaper
        true = self.truth[None, :] > self.truth[:, None]
        right = int((worse & true).sum() + (better & ~true).sum())
        return right, int((worse | better).sum()) - right, float((high - low)[cheaper].mean())


def _chance(logits: np.ndarray) -> np.ndarray:
    found: np.ndarray = 1 / (1 + np.exp(-logits))
    return found


def test_refining_raises_the_number_of_right_decisions() -> None:
    right, wrong = np.zeros(len(BUDGETS)), np.zeros(len(BUDGETS))
    for seed in range(12):
        study = SimulatedStudy(seed)
        for trained in range(max(BUDGETS) + 1):
            if trained in BUDGETS:
                found = study.decisions()
                right[BUDGETS.index(trained)] += found[0]
                wrong[BUDGETS.index(trained)] += found[1]
            study.refine()
    assert (np.diff(right) > 0).all()
    assert right[-1] > 12 * 25
    assert (wrong <= 0.05 * (right + wrong)).all()


def test_further_seeds_do_not_widen_the_intervals() -> None:
    widths = np.zeros(4)
    for seed in range(12):
        study = SimulatedStudy(seed)
        # The differences between seeds are known from two designs.
        for design in (0, 1):
            study.results[design].append(study.train(design))
        for seeds in range(1, 5):
            for design, own in enumerate(study.results):
                own += [study.train(design) for _ in range(seeds - len(own))]
            widths[seeds - 1] += study.decisions()[2]
    assert (np.diff(widths) < 0).all()
