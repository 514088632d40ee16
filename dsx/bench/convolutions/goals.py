"""The goals of the benchmark, and how results meet them.

Each measure is a ratio of times. "Sparse dials" are sampled dials, and other operators with a
density below 1/4; the density is the share of multiply-adds.
"""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dsx.bench._figures import Goal
from dsx.bench._rounds import Ratio
from dsx.bench.convolutions.contenders import COMPOSITION, DENSE, GROUPED
from dsx.bench.convolutions.operators import Family
from dsx.bench.convolutions.results import SLOWER, UNCHANGED, Result

Reading = Callable[[Result], float | None]
"""Function from a result to the measured value; None if the result does not belong to it."""

SPARSE = 0.25
"""Share of multiply-adds below which the fixed cost of a pass counts."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A measured quantity with goals.

    Args:
        name: Name of the quantity.
        value: Function from a result to the value of which the geometric mean is taken.
        mean: Goal for the geometric mean.
        worst: Goal for each case.
        worst_value: Function from a result to the value of which the worst is taken, if it is not
            the same.
    """

    name: str
    value: Reading
    mean: Goal | None = None
    worst: Goal | None = None
    worst_value: Reading | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a measure.

    Args:
        measure: The measure.
        threads: Number of threads of torch.
        mean: Geometric mean over the cases.
        worst: Worst value of a case.
        worst_case: Name of that case.
        cases: Number of cases.
    """

    measure: Measure
    threads: int
    mean: float
    worst: float
    worst_case: str
    cases: int

    @property
    def is_met(self) -> bool:
        """Whether all goals are met."""
        mean, worst = self.measure.mean, self.measure.worst
        return (mean is None or mean.is_met(self.mean)) and (
            worst is None or worst.is_met(self.worst)
        )

    @property
    def goal(self) -> str:
        """The goals in a few characters."""
        mean, worst = self.measure.mean, self.measure.worst
        parts = [] if mean is None else [f"mean {mean}"]
        return ", ".join(parts if worst is None else [*parts, f"worst {worst}"])


def _at_most(bound: float) -> Goal:
    return Goal(sign="<=", bound=bound)


def _at_least(bound: float) -> Goal:
    return Goal(sign=">=", bound=bound)


def _ratio(
    other: str,
    families: Iterable[Family],
    batches: Iterable[int],
    training: bool = False,
    keep: Callable[[Result], bool] = lambda result: True,
) -> Reading:
    """Build a function that reads the ratio to a contender from some results.

    A convolution that an operator keeps, such as a kernel shape of 1 x 1, belongs to none.
    """
    families, batches = frozenset(families), frozenset(batches)

    def read(result: Result) -> float | None:
        belongs = (
            result.family in families
            and result.batch in batches
            and result.training == training
            and result.form != UNCHANGED
            and other in result.over
            and keep(result)
        )
        return result.over[other].value if belongs else None

    return read


def _changed(read: Reading, change: Callable[[float, Result], float]) -> Reading:
    def changed(result: Result) -> float | None:
        value = read(result)
        return None if value is None else change(value, result)

    return changed


def _inverse(read: Reading) -> Reading:
    return _changed(read, lambda value, result: 1 / value)


def _per_share(read: Reading) -> Reading:
    return _changed(read, lambda value, result: value / result.share)


REPLACED = (Family.SLIDING, Family.SHAPE, Family.BINARY, Family.OTHER, Family.DIALS)
"""Kinds of measurements in which a deployed form replaces a dense convolution."""
_SLIDING = [Family.SLIDING]
_SERVING = (1, 32)


def _composed(result: Result) -> float | None:
    if result.family is not Family.SLIDING or COMPOSITION not in result.over:
        return None
    return 1 / result.over[COMPOSITION].value


def _of_limit(result: Result) -> float | None:
    known = result.family is Family.SLIDING and result.batch == 32 and result.limit > 0
    return result.seconds / result.limit if known else None


def _replaced(result: Result) -> Ratio | None:
    belongs = result.family in REPLACED and not result.training
    return result.over.get(DENSE) if belongs else None


def _replaced_value(result: Result) -> float | None:
    ratio = _replaced(result)
    return None if ratio is None else ratio.value


def _replaced_low(result: Result) -> float | None:
    ratio = _replaced(result)
    if ratio is None:
        return None
    assert ratio.low is not None, f"{ratio.rounds} rounds"
    return ratio.low


def _is_sparse(result: Result) -> bool:
    # The density of learned shapes is only approximately the target density.
    return result.family is Family.DIALS or result.share < 0.99 * SPARSE


_SHAPES = [Family.SHAPE]
_sparse = _ratio(DENSE, [Family.DIALS, Family.SHAPE, Family.OTHER], [32], keep=_is_sparse)
_dense_shapes = _ratio(DENSE, _SHAPES, [32], keep=lambda result: not _is_sparse(result))


def _network(name: str, bound: float) -> Measure:
    return Measure(
        name=f"network of {name} / dense network",
        value=_ratio(DENSE, [Family.NETWORK], [1], keep=lambda result: result.operator == name),
        worst=_at_most(bound),
    )


def _binary(name: str, bound: float) -> Measure:
    def with_any_splits(result: Result) -> bool:
        return result.operator.startswith(name)

    return Measure(
        name=f"{name} / dense, batch 1 and 32",
        value=_ratio(DENSE, [Family.BINARY], _SERVING, keep=with_any_splits),
        mean=_at_most(bound),
    )


MEASURES = (
    Measure(
        name="sliding / grouped, batch 32 and 128",
        value=_ratio(GROUPED, _SLIDING, (32, 128)),
        mean=_at_most(0.50),
        worst=_at_most(0.85),
    ),
    Measure(
        name="sliding / grouped, batch 1",
        value=_ratio(GROUPED, _SLIDING, [1]),
        mean=_at_most(0.65),
        worst=_at_most(1.03),
    ),
    Measure(
        name="sliding / grouped, batch 1, 4 and 8 groups",
        value=_ratio(GROUPED, _SLIDING, [1], keep=lambda result: result.groups > 2),
        mean=_at_most(0.58),
    ),
    Measure(
        name="sliding / grouped, training, batch 32",
        value=_ratio(GROUPED, _SLIDING, [32], training=True),
        mean=_at_most(0.60),
        worst=_at_most(0.90),
    ),
    Measure(
        name="composition / sliding",
        value=_composed,
        mean=_at_least(8),
        worst=_at_least(1.9),
    ),
    Measure(
        name="kernel shape / dense / density, batch 1",
        value=_per_share(_ratio(DENSE, _SHAPES, [1])),
        mean=_at_most(1.0),
        worst=_at_most(1.3),
    ),
    Measure(
        name="kernel shape / dense / density, batch 32",
        value=_per_share(_dense_shapes),
        mean=_at_most(1.2),
        worst=_at_most(1.3),
    ),
    Measure(
        name="sparse dials / dense / max(1.5 density, .35)",
        value=_changed(_sparse, lambda value, result: value / max(1.5 * result.share, 0.35)),
        mean=_at_most(1.0),
    ),
    Measure(
        name="sparse dials / dense",
        value=_sparse,
        worst=_at_most(1.0),
    ),
    Measure(
        name="dense / sliding in a separable block",
        value=_inverse(_ratio(DENSE, [Family.BLOCK], _SERVING)),
        mean=_at_least(4),
        worst=_at_least(2.3),
    ),
    _binary("slbf Cout/8", 0.35),
    _binary("slbf Cout/4", 0.55),
    Measure(
        name="deployed / replaced; worst: lower end",
        value=_replaced_value,
        worst_value=_replaced_low,
        worst=_at_most(SLOWER),
    ),
    Measure(
        name="sliding / limit of the device, batch 32",
        value=_of_limit,
        mean=_at_most(1.35),
    ),
    _network("scc", 0.35),
    _network("ssc corners", 0.55),
    _network("lhc .25", 0.40),
    Measure(
        name="composition / scc, training of ResNet-18",
        value=_inverse(_ratio(COMPOSITION, [Family.TRAINING], [128], training=True)),
        worst=_at_least(2),
    ),
)
"""The measures in the order of the table."""


def summarise(results: Sequence[Result]) -> list[Outcome]:
    """Compute the outcome of each measure for each number of threads.

    Args:
        results: Results of all cases.

    Returns:
        The outcomes of the measures to which any result belongs.
    """
    threads = sorted({result.threads for result in results})
    outcomes = (
        _outcome(measure, number, [each for each in results if each.threads == number])
        for number in threads
        for measure in MEASURES
    )
    return [outcome for outcome in outcomes if outcome is not None]


def _outcome(measure: Measure, threads: int, results: Sequence[Result]) -> Outcome | None:
    values = [value for each in results if (value := measure.value(each)) is not None]
    if not values:
        return None
    judged = measure.worst_value or measure.value
    cases = [(value, each) for each in results if (value := judged(each)) is not None]
    higher_is_better = measure.worst is not None and measure.worst.sign == ">="
    worst, case = (min if higher_is_better else max)(cases, key=lambda pair: pair[0])
    return Outcome(
        measure=measure,
        threads=threads,
        mean=statistics.geometric_mean(values),
        worst=worst,
        worst_case=f"{case.operator} on {case.layer}, batch {case.batch}",
        cases=len(values),
    )
