"""Screening: selection of the next design, and of the designs that are worth a timing."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dsx.analysis import DeploymentFacts, dominate, non_dominated
from dsx.measure import Metric
from dsx.search.screening.acquisition import expected_improvements
from dsx.search.screening.candidates import farthest, generate
from dsx.search.screening.history import Known, rows_of
from dsx.search.screening.latency import LatencyModel
from dsx.search.screening.models import Fitted, Models
from dsx.search.screening.tables import Rows, Tables, Values
from dsx.space import SearchSpace

START = 3
"""Number of very different designs after the baseline; 6 and 12 were worse."""
START_DESIGNS = 400
"""Number of random designs among which these are selected."""
RATED = 150
"""Largest number of candidates for which the expected improvement is computed."""
RATED_SEVERAL = 30
"""The same number if several objectives are uncertain."""
OPTIMISM = 0.7
"""Number of standard deviations by which candidates are rated better when they are selected."""
DRAWS = 400
"""Number of samples from which the probability of being on the front is estimated."""


class Screener:
    """Selects designs by models of their values.

    Args:
        space: Search space of the study.
        tables: Tables of the space.
        metrics: Metrics by name.
        max_loss: Largest loss of a share such as accuracy, compared with the baseline, at which a
            design is still of interest.
        summed: Names of the metrics that are predicted from timed selections of forms.
    """

    def __init__(
        self,
        space: SearchSpace,
        tables: Tables,
        metrics: Mapping[str, Metric],
        max_loss: float,
        summed: Sequence[str],
    ) -> None:
        self.space, self.tables, self.metrics = space, tables, metrics
        self.max_loss = max_loss
        self.latencies = {name: LatencyModel(tables) for name in summed}
        self.designs: dict[tuple[int, ...], Known] = {}
        self.reference: Mapping[str, float] = {}
        self._models: Models | None = None

    def add(self, known: Known) -> None:
        """Take the values of a design into account, in place of earlier values of it.

        Args:
            known: The design; the baseline must be the first one.
        """
        before = self.designs.get(tuple(known.row.tolist()))
        self.designs[tuple(known.row.tolist())] = known
        for name, model in self.latencies.items():
            if name in known.readings and (before is None or name not in before.readings):
                model.add(known.row, known.readings[name].value)
        self._models = None

    def note(self, row: Rows, deployed: DeploymentFacts) -> None:
        """Take the times of the forms of a deployed design into account.

        Args:
            row: (slots,) numbers of settings.
            deployed: Facts of the deployed network.
        """
        for model in self.latencies.values():
            model.note(row, deployed)
        self._models = None

    @property
    def models(self) -> Models:
        """The models, fitted to all known designs."""
        if self._models is None:
            self._models = Models(
                self.space, self.tables, self.metrics, [*self.designs.values()], self.latencies
            )
        return self._models

    def propose(self, rng: np.random.Generator) -> Rows | None:
        """Select the next design.

        Args:
            rng: Source of randomness.

        Returns:
            (slots,) numbers of settings; None if no candidate is expected to meet the constraints.
        """
        if len(self.designs) < 1 + START:
            return self._far_apart(rng)
        costs, rows = self._known()
        front = non_dominated(costs)
        candidates = generate(self.tables, rows[front], self.models.feasible, self._optimistic, rng)
        stopped = [each for each in self.designs.values() if each.stopped]
        candidates = np.concatenate([candidates, rows_of(stopped, len(self.tables.slots))])
        fresh = self._fresh(candidates)
        return self._best(fresh, costs[front], rng) if len(fresh) else None

    def _fresh(self, rows: Rows) -> Rows:
        """Return the designs of which nothing is known, and those whose training was stopped."""
        known = [self.designs.get(tuple(row)) for row in rows.tolist()]
        return rows[[each is None or each.stopped for each in known]]

    def _far_apart(self, rng: np.random.Generator) -> Rows | None:
        """Select a design that is far from those that are known."""
        rows = self.tables.random(START_DESIGNS, rng)
        rows = rows[self.models.feasible(rows)]
        known = rows_of([*self.designs.values()][1:], len(self.tables.slots))
        rows = self._fresh(rows)
        return farthest(rows, known, self.tables, rng) if len(rows) else None

    def _known(self) -> tuple[Values, Rows]:
        """Return the feasible designs with all objectives measured or predicted.

        A modelled objective has the mean of its posterior, since the best of many readings is an
        overestimate.
        """
        designs = [each for each in self.designs.values() if each.feasible and not each.stopped]
        rows = rows_of(designs, len(self.tables.slots))
        costs = self.models.costs(rows)
        for column, name in enumerate(self.models.objectives):
            if isinstance(self.models.model(name), Fitted):
                continue
            for place, each in enumerate(designs):
                if name in each.readings:
                    costs[place, column] = self.models.signs[column] * each.readings[name].value
        return costs, rows

    def _optimistic(self, rows: Rows) -> NDArray[np.bool_]:
        """Return which candidates are on the front of all, with optimistic predictions."""
        costs = self.models.costs(rows)
        for column, each in self.models.uncertain(rows).items():
            mean, deviation = each.predicted
            costs[:, column] = each.scale.back(mean - OPTIMISM * deviation)
        return non_dominated(costs)

    def _best(self, rows: Rows, front: Values, rng: np.random.Generator) -> Rows:
        """Return the candidate with the largest expected improvement."""
        reference = self._reference(tight=True)
        if not (front < reference).all(axis=1).any():
            reference = self._reference(tight=False)
        rated = rows[self._optimistic(rows)]
        costs, uncertain = self.models.costs(rated), self.models.uncertain(rated[:1])
        exact = [column for column in range(costs.shape[1]) if column not in uncertain]
        within = (costs[:, exact] < reference[exact]).all(axis=1)
        rated = rated[within] if within.any() else rated
        most = RATED if len(uncertain) < 2 else RATED_SEVERAL
        rated = rng.permutation(rated)[:most]
        found = expected_improvements(
            self.models.costs(rated), self.models.uncertain(rated), front, reference
        )
        best: Rows = rated[int(np.argmax(found))]
        return best

    def _reference(self, tight: bool) -> Values:
        """Return the reference point of the acquisition, as costs.

        Args:
            tight: Whether shares such as accuracy may be worse than those of the baseline by
                `max_loss` only; otherwise the reference point is that of the study.
        """
        baseline = next(iter(self.designs.values()))
        values = self.models.signs * [self.reference[name] for name in self.models.objectives]
        for column, name in enumerate(self.models.objectives):
            reading = baseline.readings.get(name)
            if tight and reading is not None and reading.examples is not None:
                # Not the reading, which can be several points from the mean over seeds.
                (expected,) = self.models.model(name).predict(baseline.row[None]).values
                values[column] = self.models.signs[column] * expected + self.max_loss
        found: Values = values
        return found

    def probabilities(self, rows: Rows, rng: np.random.Generator) -> Values:
        """Estimate the probability that each of several designs is on the front.

        Args:
            rows: (n, slots) designs.
            rng: Source of randomness.

        Returns:
            (n,) probabilities that no completely measured design dominates the design, by samples
            from the predictions.
        """
        complete = [
            each
            for each in self.designs.values()
            if each.feasible and all(name in each.readings for name in self.models.objectives)
        ]
        rivals = rows_of(complete, len(self.tables.slots))
        drawn = self._drawn(np.concatenate([rivals, rows]), rng)
        count = len(rivals)
        own = [tuple(row) for row in rivals.tolist()]
        same = np.array([[tuple(row) == other for other in own] for row in rows.tolist()], bool)
        beaten = np.zeros(len(rows))
        for costs in drawn:
            dominated = dominate(costs[:count], costs[count:])
            beaten += (dominated & ~same.reshape(dominated.shape)).any(axis=1)
        found: Values = 1 - beaten / len(drawn)
        return found

    def _drawn(self, rows: Rows, rng: np.random.Generator) -> Values:
        """Sample the objectives of designs, (draws, n, m)."""
        known = [self.designs.get(tuple(row)) for row in rows.tolist()]
        drawn = np.empty((DRAWS, len(rows), len(self.models.objectives)))
        for column, name in enumerate(self.models.objectives):
            model, sign = self.models.model(name), self.models.signs[column]
            noise = rng.standard_normal((DRAWS, len(rows)))
            if isinstance(model, Fitted):
                drawn[:, :, column] = model.sample(rows, noise)
                continue
            values, deviations = model.predict(rows)
            for place, each in enumerate(known):
                if each is not None and name in each.readings:
                    values[place], deviations[place] = each.readings[name].value, 0.0
            drawn[:, :, column] = sign * (values + noise * deviations)
        return drawn
