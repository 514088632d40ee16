"""Predictions of all objectives and constraints of designs that need not be measured."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsx.analysis import SHARES, tau
from dsx.conv import Cost
from dsx.measure import Metric
from dsx.search.screening.acquisition import Uncertain
from dsx.search.screening.hints import Readings, with_hints
from dsx.search.screening.history import Known, having, rows_of, values_of
from dsx.search.screening.latency import LatencyModel
from dsx.search.screening.regression import Normal, Process
from dsx.search.screening.scales import LogErrors, Ranks
from dsx.search.screening.tables import Rows, Tables, Values
from dsx.space import SearchSpace

FEWEST = 3
"""Smallest number of designs to which a model of their values is fitted."""
CHECKED = 10
"""Number of designs from which a model is ignored if it does not predict left-out designs."""
LEARNED_DEVIATION, LEARNED_WEIGHT = 0.1, 4
"""Prior of the relative deviation of the cost of learned shapes from the expected cost, and its
weight in designs."""


class Predicted(NamedTuple):
    """Predicted values of one metric.

    Attributes:
        values: (n,) medians in the unit of the metric.
        deviations: (n,) standard deviations in the unit of the metric.
    """

    values: Values
    deviations: Values


@dataclass(frozen=True, kw_only=True)
class ClosedForm:
    """Exact values of a metric; those of learned shapes are expected ones.

    Args:
        tables: Tables of the search space.
        function: Function from a cost to the value.
        deviation: Relative standard deviation of the values with learned shapes.
    """

    tables: Tables
    function: Callable[[Cost], float]
    deviation: float

    def predict(self, rows: Rows) -> Predicted:
        """Predict the values of designs.

        Args:
            rows: (n, slots) numbers of settings.

        Returns:
            Medians and standard deviations in the unit of the metric.
        """
        values = self._values(rows)
        return Predicted(values, np.abs(values) * self.deviation * self.tables.learned(rows))

    def _values(self, rows: Rows) -> Values:
        try:
            # All designs at once, if the function consists of operators that arrays have too.
            found = np.asarray(self.function(self.tables.cost_arrays(rows)), dtype=float)
        except (TypeError, ValueError):
            found = np.zeros(())
        if found.shape == (len(rows),):
            return found
        return np.array([self.function(cost) for cost in self.tables.cost_objects(rows)], float)


@dataclass(frozen=True, kw_only=True)
class Timed:
    """Latencies predicted from timed selections of forms.

    Args:
        latency: Model of the latency.
    """

    latency: LatencyModel

    def predict(self, rows: Rows) -> Predicted:
        """Predict the values of designs.

        Args:
            rows: (n, slots) numbers of settings.

        Returns:
            Medians and standard deviations in the unit of the metric.
        """
        values = self.latency.predict(rows)
        return Predicted(values, values * self.latency.scatter)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """Values predicted by a Gaussian process.

    Args:
        process: The process; None if it does not predict, so that all designs have one value.
        scale: Scale of the process, on which smaller values are better.
        sign: 1 for a metric to be minimised, -1 for one to be maximised.
        constant: Mean of the readings on the scale.
        tau: Rank correlation of readings and their predictions from other designs; None if there
            are too few designs.
    """

    process: Process | None
    scale: LogErrors | Ranks
    sign: float
    constant: float
    tau: float | None

    def distribution(self, rows: Rows) -> Normal:
        """Predict the distributions of the values of designs on the scale.

        Args:
            rows: (n, slots) numbers of settings.

        Returns:
            Means and standard deviations on the scale.
        """
        if self.process is not None:
            return self.process.predict(rows)
        return Normal(np.full(len(rows), self.constant), np.full(len(rows), 1e-3))

    def sample(self, rows: Rows, noise: Values) -> Values:
        """Sample the costs of designs from their joint distribution.

        Args:
            rows: (n, slots) numbers of settings.
            noise: (draws, n) standard normal numbers.

        Returns:
            (draws, n) costs.
        """
        if self.process is not None:
            return self.scale.back(self.process.sample(rows, noise))
        mean, deviation = self.distribution(rows)
        return self.scale.back(mean + noise * deviation)

    def predict(self, rows: Rows) -> Predicted:
        """Predict the values of designs.

        Args:
            rows: (n, slots) numbers of settings.

        Returns:
            Medians and standard deviations in the unit of the metric.
        """
        mean, deviation = self.distribution(rows)
        ends = self.scale.back(mean - deviation), self.scale.back(mean + deviation)
        return Predicted(self.sign * self.scale.back(mean), (ends[1] - ends[0]) / 2)


Model = ClosedForm | Timed | Fitted


@dataclass(frozen=True, kw_only=True)
class ModelQuality:
    """The agreement of a model with measurements.

    Args:
        metric: Name of the metric.
        kind: Kind of the model.
        designs: Number of measured designs to which it is fitted.
        tau: Rank correlation of readings and their predictions from the other designs; None if it
            is not fitted, or to too few designs.
        used: Whether it is used; a model that does not predict is replaced by the mean.
    """

    metric: str
    kind: str
    designs: int
    tau: float | None
    used: bool


class Models:
    """Models of the metrics on which a search depends.

    Args:
        space: Search space of the study.
        tables: Tables of the space.
        metrics: Metrics by name.
        designs: Measured designs, the baseline among them.
        latencies: Model of each metric that is predicted from timed selections of forms.
    """

    def __init__(
        self,
        space: SearchSpace,
        tables: Tables,
        metrics: Mapping[str, Metric],
        designs: Sequence[Known],
        latencies: Mapping[str, LatencyModel],
    ) -> None:
        self.space, self.tables, self.metrics = space, tables, metrics
        self.designs, self.latencies = designs, latencies
        self._models: dict[str, Model] = {}
        self.objectives = list(space.file.objectives)
        self.signs = np.array(
            [1.0 if each == "minimize" else -1.0 for each in space.file.objectives.values()]
        )

    def model(self, name: str) -> Model:
        """Return the model of a metric.

        Args:
            name: Name of the metric.
        """
        if name not in self._models:
            self._models[name] = self._fit(name)
        return self._models[name]

    def quality(self, name: str) -> ModelQuality:
        """Determine how well a metric is predicted.

        Args:
            name: Name of the metric.

        Returns:
            The quality of its model.
        """
        model, designs = self.model(name), len(having(self.designs, name))
        if isinstance(model, ClosedForm):
            kind, found = "closed form", None
        elif isinstance(model, Timed):
            kind, found = "times of deployed forms", _agreement(*model.latency.leave_one_out())
        else:
            kind, found = "Gaussian process", model.tau
        ignored = isinstance(model, Fitted) and model.process is None
        return ModelQuality(metric=name, kind=kind, designs=designs, tau=found, used=not ignored)

    @property
    def ignored(self) -> list[str]:
        """The objectives whose model does not predict, although many designs are measured."""
        known = [n for n in self.objectives if len(having(self.designs, n)) >= CHECKED]
        models = {name: self.model(name) for name in known}
        return [n for n, m in models.items() if isinstance(m, Fitted) and m.process is None]

    @functools.cached_property
    def learned_deviation(self) -> float:
        """Relative deviation of the costs with learned shapes from the expected costs."""
        for name, metric in self.metrics.items():
            known = having(self.designs, name)
            if known and metric.closed_form is not None:
                return self._deviation(name, metric.closed_form, known)
        return LEARNED_DEVIATION

    def _deviation(
        self, name: str, function: Callable[[Cost], float], known: Sequence[Known]
    ) -> float:
        rows = rows_of(known, len(self.tables.slots))
        expected = np.array([function(cost) for cost in self.tables.cost_objects(rows)], float)
        own = self.tables.learned(rows) & (expected > 0)
        errors = np.log(np.maximum(values_of(known, name)[own], 1e-9) / expected[own])
        squares = LEARNED_WEIGHT * LEARNED_DEVIATION**2 + float((errors**2).sum())
        return float(np.sqrt(squares / (LEARNED_WEIGHT + len(errors))))

    def _fit(self, name: str) -> Model:
        metric = self.metrics[name]
        if metric.closed_form is not None:
            return ClosedForm(
                tables=self.tables, function=metric.closed_form, deviation=self.learned_deviation
            )
        if name in self.latencies:
            return Timed(latency=self.latencies[name])
        return fit(self.tables, name, metric.unit, self._sign(name), self.designs)

    def _sign(self, name: str) -> float:
        direction = self.space.file.objectives.get(name, self.metrics[name].direction)
        return 1.0 if direction == "minimize" else -1.0

    def costs(self, rows: Rows) -> Values:
        """Predict the objectives of designs, to be minimised.

        Args:
            rows: (n, slots) numbers of settings.

        Returns:
            (n, m) medians.
        """
        columns = [self.model(name).predict(rows).values for name in self.objectives]
        found: Values = np.stack(columns, axis=1) * self.signs
        return found

    def uncertain(self, rows: Rows) -> dict[int, Uncertain]:
        """Predict the distributions of the objectives that a Gaussian process predicts.

        Args:
            rows: (n, slots) numbers of settings.

        Returns:
            Predictions by number of the objective.
        """
        return {
            number: Uncertain(scale=model.scale, predicted=model.distribution(rows))
            for number, name in enumerate(self.objectives)
            if isinstance(model := self.model(name), Fitted)
        }

    def feasible(self, rows: Rows) -> NDArray[np.bool_]:
        """Predict which designs meet all constraints.

        Args:
            rows: (n, slots) numbers of settings.

        Returns:
            (n,) booleans; a predicted value must meet its bound with a margin of one standard
            deviation.
        """
        met = np.ones(len(rows), dtype=bool)
        baseline = next((each for each in self.designs if not each.row.any()), None)
        for name, bound in self.space.file.constraints.items():
            if baseline is None or name not in baseline.readings or not len(rows):
                continue
            predicted = self.model(name).predict(rows)
            sign = 1.0 if bound.at_most else -1.0
            margin = sign * predicted.values + predicted.deviations
            met &= margin + bound.violation(0.0, baseline.readings[name].value) <= 0
        return met


def fit(tables: Tables, name: str, unit: str, sign: float, designs: Sequence[Known]) -> Fitted:
    """Fit a Gaussian process to the readings of a metric.

    Args:
        tables: Tables of the search space.
        name: Name of the metric.
        unit: Unit of the metric.
        sign: 1 for a metric to be minimised, -1 for one to be maximised.
        designs: Measured designs; one at least has a reading of the metric.

    Returns:
        The fitted model.
    """
    scale, measured = _readings(name, unit, sign, designs)
    readings = with_hints(measured, _hints(designs))
    usable = np.flatnonzero(~np.isnan(readings.values)).tolist()
    rows = rows_of([designs[place] for place in usable], len(tables.slots))
    centre = float(readings.values[usable].mean())
    process, found = None, None
    if len(usable) >= FEWEST:
        process = Process(tables, rows, readings.values[usable], readings.variances[usable])
        # Hints agree with one another, and not only with the metric.
        found = _left_out_tau(process, measured.values[usable])
        if len(usable) >= CHECKED and (found is None or found <= 0):
            process = None
    return Fitted(process=process, scale=scale, sign=sign, constant=centre, tau=found)


def _readings(
    name: str, unit: str, sign: float, designs: Sequence[Known]
) -> tuple[LogErrors | Ranks, Readings]:
    """Choose the scale of a metric, and convert its readings."""
    known = having(designs, name)
    costs = sign * values_of(known, name)
    sizes = [size for each in known if (size := each.readings[name].examples) is not None]
    scale: LogErrors | Ranks
    if unit in SHARES and len(sizes) == len(known):
        scale = LogErrors(examples=float(np.median(sizes)), offset=1.0 if sign < 0 else 0.0)
        variances = scale.variances(costs)
    else:
        scale = Ranks(costs)
        variances = (np.array([each.readings[name].error for each in known]) / scale.slope) ** 2
    values, spread = np.full(len(designs), np.nan), np.full(len(designs), np.inf)
    places = [place for place, each in enumerate(designs) if name in each.readings]
    values[places], spread[places] = scale.of(costs), variances
    return scale, Readings(values, spread)


def _hints(designs: Sequence[Known]) -> dict[str, Values]:
    names = dict.fromkeys(name for each in designs for name in each.hints)
    return {name: np.array([each.hints.get(name, np.nan) for each in designs]) for name in names}


def _agreement(measured: Values, predicted: Values) -> float | None:
    """Kendall's tau; None if there are too few values, or constant ones."""
    if len(measured) < FEWEST or np.ptp(measured) == 0 or np.ptp(predicted) == 0:
        return None
    return tau(measured, predicted)


def _left_out_tau(process: Process, readings: Values) -> float | None:
    """Kendall's tau of readings (n,), NaN where not measured, and left-out predictions."""
    known = ~np.isnan(readings)
    return _agreement(readings[known], process.leave_one_out().mean[known])
