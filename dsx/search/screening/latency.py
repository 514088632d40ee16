"""Prediction of latency from timed selections of deployed forms.

When a design is deployed, each of its convolutions is timed in several equivalent forms. The
latency of a design is predicted as that of the baseline plus, for each slot, the time of the
selected form minus that of the dense one. Settings that were not deployed yet are predicted from
the features of their slots. The model ranks designs; it never replaces a measurement.
"""

from typing import NamedTuple

import numpy as np

from dsx.analysis import DeploymentFacts
from dsx.conv.deploy import DENSE
from dsx.search.screening.tables import Rows, Tables, Values

FEWEST = 6
"""Smallest number of timed selections from which others are predicted."""
SCATTER, WEIGHT = 0.15, 4
"""Prior of the relative deviation from measured latencies, and its weight in designs."""
SCALES = (0.5, 1.5)
"""Bounds of the factor of the sum over the slots."""
LENGTHS = (0.1, 0.3, 1.0, 3.0)
"""Squared lengths of the kernel between settings, of which the likeliest is used."""
NOISE = 0.1
"""Standard deviation of the logarithm of a timed ratio."""


class FormTimes(NamedTuple):
    """Times of the convolutions of one setting in milliseconds.

    Attributes:
        selected: Time of the selected forms.
        dense: Time of the dense forms; both are 0 if no other form applies, so that none is timed.
    """

    selected: float
    dense: float


class LatencyModel:
    """Predicts the latency of designs.

    Args:
        tables: Tables of the search space.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.baseline: float | None = None
        self.times: list[dict[int, FormTimes]] = [{} for _ in tables.slots]
        self._timed: list[tuple[Rows, float]] = []
        self._noted: list[tuple[Rows, DeploymentFacts]] = []
        self._table: list[Values] | None = None

    def note(self, row: Rows, deployed: DeploymentFacts) -> None:
        """Take the times of the forms of a deployed design into account.

        Args:
            row: (slots,) numbers of settings.
            deployed: Facts of the deployed network.
        """
        self._noted.append((row, deployed))
        for number, known, table in zip(row.tolist(), self.times, self.tables.slots, strict=True):
            found = _times([slot.name for slot in table.options.slots], deployed)
            if number and found is not None:
                known[number] = found
                self._table = None

    def add(self, row: Rows, latency: float) -> None:
        """Take a measured latency into account; the first one must be that of the baseline.

        Args:
            row: (slots,) numbers of settings.
            latency: Latency in milliseconds.
        """
        if not row.any():
            self.baseline = latency
        self._timed.append((row, latency))
        self._table = None

    def predict(self, rows: Rows) -> Values:
        """Predict latencies.

        Args:
            rows: (n, slots) numbers of settings.

        Returns:
            (n,) latencies in milliseconds.
        """
        assert self.baseline is not None, "the baseline is timed first"
        saved = self._saved(rows)
        # A network takes some time even if its convolutions take none.
        found: Values = np.maximum(self.baseline - self._factor() * saved, 0.05 * self.baseline)
        return found

    @property
    def scatter(self) -> float:
        """Relative standard deviation of measured from predicted latencies."""
        rows, measured = self._measured()
        errors = np.log(measured / self.predict(rows)) if len(rows) else np.zeros(0)
        squares = WEIGHT * SCATTER**2 + float((errors**2).sum())
        return float(np.sqrt(squares / (WEIGHT + len(errors))))

    def _measured(self) -> tuple[Rows, Values]:
        """Return the timed designs except the baseline, and their latencies."""
        own = [(row, latency) for row, latency in self._timed if row.any()]
        rows = np.array([row for row, _ in own], dtype=np.intp).reshape(
            len(own), len(self.tables.slots)
        )
        return rows, np.array([latency for _, latency in own])

    def leave_one_out(self) -> tuple[Values, Values]:
        """Predict each measured latency from the other designs.

        Returns:
            (n,) measured and (n,) predicted latencies in milliseconds, without the baseline.
        """
        rows, measured = self._measured()
        predicted = [self._without(row).predict(row[None])[0] for row in rows]
        return measured, np.array(predicted)

    def _without(self, left_out: Rows) -> "LatencyModel":
        """Build the model from the other designs only."""
        other = LatencyModel(self.tables)
        for row, deployed in self._noted:
            if (row != left_out).any():
                other.note(row, deployed)
        for row, latency in self._timed:
            if (row != left_out).any():
                other.add(row, latency)
        return other

    def _factor(self) -> float:
        """Fit the factor of the sum by least squares; without timed designs it is 1."""
        assert self.baseline is not None
        rows, measured = self._measured()
        if not len(rows):
            return 1.0
        saved = self._saved(rows)
        prior = (0.2 * self.baseline) ** 2
        fitted = (saved @ (self.baseline - measured) + prior) / (saved @ saved + prior)
        return float(np.clip(fitted, *SCALES))

    def _saved(self, rows: Rows) -> Values:
        """Sum the predicted savings of the slots, (n,) milliseconds."""
        if self._table is None:
            self._table = self._savings()
        columns = zip(rows.T, self._table, strict=True)
        found: Values = np.sum([table[column] for column, table in columns], axis=0)
        return found

    def _savings(self) -> list[Values]:
        """Compute the saving of every setting of each slot in milliseconds."""
        ratios = self._ratios()
        savings = []
        for place, (known, ratio) in enumerate(zip(self.times, ratios, strict=True)):
            saved = self._dense(place) * (1 - ratio)
            for number, times in known.items():
                saved[number] = times.dense - times.selected
            saved[0] = 0.0
            savings.append(saved)
        return savings

    def _ratios(self) -> list[Values]:
        """Predict the time of every setting, relative to the dense form."""
        inputs = [self._inputs(place) for place in range(len(self.tables.slots))]
        known = [
            (inputs[place][number], times.selected / times.dense)
            for place, own in enumerate(self.times)
            for number, times in own.items()
            if times.dense
        ]
        if len(known) < FEWEST:
            flops = [table.costs[:, 1] for table in self.tables.slots]
            return [np.minimum(own / max(own[0], 1), 1.0) for own in flops]
        return _regress(inputs, known)

    def _inputs(self, place: int) -> Values:
        """Return the features of every setting of a slot, followed by the number of the slot."""
        features = self.tables.slots[place].features
        scaled = (features - features.mean(axis=0)) / (features.std(axis=0) + 0.15)
        own = np.zeros((len(features), len(self.tables.slots)))
        own[:, place] = 1.0
        return np.concatenate([scaled / np.sqrt(features.shape[1]), own], axis=1)

    def _dense(self, place: int) -> float:
        """Return the time of the dense form of a slot; unknown, it is in proportion to FLOPs."""
        known = [times.dense for times in self.times[place].values() if times.dense]
        if known:
            return float(np.median(known))
        assert self.baseline is not None
        share = self.tables.slots[place].costs[0, 1] / max(self.tables.baseline[1], 1)
        return float(self.baseline * share)


def _regress(inputs: list[Values], known: list[tuple[Values, float]]) -> list[Values]:
    """Predict the ratio of every setting from known ones by a Gaussian process."""
    rows = np.array([each for each, _ in known])
    ratios = np.log(np.maximum([ratio for _, ratio in known], 1e-3))
    centre, spread = ratios.mean(), ratios.var() + NOISE**2
    best, chosen = -np.inf, (1.0, np.zeros(len(rows)))
    for length in LENGTHS:
        covariance = spread * _radial(rows, rows, length) + NOISE**2 * np.eye(len(rows))
        factor = np.linalg.cholesky(covariance)
        whitened = np.linalg.solve(factor, ratios - centre)
        evidence = -0.5 * whitened @ whitened - np.log(np.diag(factor)).sum()
        if evidence > best:
            best, chosen = evidence, (length, np.linalg.solve(factor.T, whitened))
    length, weights = chosen
    return [np.exp(centre + spread * _radial(own, rows, length) @ weights) for own in inputs]


def _radial(these: Values, those: Values, length: float) -> Values:
    squares = (these**2).sum(1)[:, None] + (those**2).sum(1)[None] - 2 * these @ those.T
    found: Values = np.exp(-np.maximum(squares, 0.0) / (2 * length))
    return found


def _times(slots: list[str], deployed: DeploymentFacts) -> FormTimes | None:
    """Sum the times of the slots of one setting; None if one of them is unknown."""
    selected = dense = 0.0
    for slot in slots:
        if slot in deployed.selected_ms:
            selected += deployed.selected_ms[slot]
            dense += deployed.dense_ms[slot]
        elif deployed.forms.get(slot) != DENSE:
            return None
    return FormTimes(selected, dense)
