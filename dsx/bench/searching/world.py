"""A simulated world, fitted to the designs of real searches, in which a search takes seconds.

Accuracy and latency are functions of the design: predictions of Gaussian processes that are fitted
to the accuracies on the test split and the jointly timed latencies of `world.json`, plus a constant
deviation of each design. A reading of the accuracy has the noise of a seed and of the images, a
reading of the latency that of a timing. The accuracy model of screening is of the same kind as this
world, which favours it; the counts are exact in both.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dsx.analysis import DeploymentFacts
from dsx.conv import ConvSpec
from dsx.search.screening import LogErrors, Process, Rows, Tables
from dsx.space import SearchSpace, load_space

FILE = Path(__file__).with_name("world.json")
SPACE = "digits"
IMAGES = 360
SECONDS = 7.0
"""Seconds in which a design is trained and timed, the median of the searches of `world.json`."""
DEVIATION, SEEDS = 0.2, 0.2
"""Standard deviations of the logarithm of the errors: of designs, and of seeds."""
TIMED, FORMS = 0.04, 0.05
"""Relative standard deviations of latencies of designs, and of timings of forms."""
LEAST_MS = 0.01


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The readings of a design.

    Args:
        accuracy: Accuracy on the validation split.
        latency: Milliseconds.
        forms: Facts of the deployed network, with the times of its forms.
    """

    accuracy: float
    latency: float
    forms: DeploymentFacts


class World:
    """The world.

    Attributes:
        space: The search space.
        tables: Tables of the space.
    """

    def __init__(self) -> None:
        self.space: SearchSpace = load_space(SPACE)
        self.tables = Tables.of(self.space)
        self._scale = LogErrors(examples=IMAGES, offset=1.0)

    @cached_property
    def _models(self) -> tuple[Process, Process]:
        """Gaussian processes of the logarithm of the errors, and of the latency."""
        rows, accuracies, latencies = [], [], []
        for each in json.loads(FILE.read_text()):
            specs = {name: ConvSpec.from_json(spec) for name, spec in each["spec"].items()}
            row = self.tables.row(self.space.design(specs).specs)
            assert row is not None, "a design of the space"
            rows.append(row)
            accuracies.append(each["accuracy"])
            latencies.append(each["latency_ms"])
        known, costs = np.array(rows), -np.array(accuracies)
        errors = Process(self.tables, known, self._scale.of(costs), self._scale.variances(costs))
        times = Process(
            self.tables,
            known,
            np.array(latencies),
            np.full(len(known), (TIMED * np.mean(latencies)) ** 2),
        )
        return errors, times

    def accuracy(self, row: Rows) -> float:
        """Return the true accuracy of a design.

        Args:
            row: (slots,) numbers of settings.
        """
        return self._accuracy(row, 0.0)

    def latency(self, row: Rows) -> float:
        """Return the true latency of a design in milliseconds.

        Args:
            row: (slots,) numbers of settings.
        """
        deviation = TIMED * _deviation(row, "latency") if row.any() else 0.0
        return max(self._expected_latency(row) * (1 + deviation), LEAST_MS)

    def observe(self, row: Rows, rng: np.random.Generator) -> Observed:
        """Measure a design.

        Args:
            row: (slots,) numbers of settings.
            rng: Source of randomness.

        Returns:
            The readings.
        """
        chance = self._accuracy(row, SEEDS * rng.standard_normal())
        return Observed(
            accuracy=float(rng.binomial(IMAGES, chance)) / IMAGES,
            latency=self.latency(row) * float(np.exp(0.02 * rng.standard_normal())),
            forms=self._forms(row, rng),
        )

    def _accuracy(self, row: Rows, seed: float) -> float:
        errors = self._models[0].predict(row[None]).mean[0]
        value = errors + DEVIATION * _deviation(row, "accuracy") + seed
        return float(np.clip(-self._scale.back(np.array([value]))[0], 0.0, 1.0))

    def _expected_latency(self, row: Rows) -> float:
        return float(self._models[1].predict(row[None]).mean[0])

    def _forms(self, row: Rows, rng: np.random.Generator) -> DeploymentFacts:
        """Return the times of the forms: what the latency changes if only this slot is changed."""
        baseline = self.latency(np.zeros_like(row))
        selected: dict[str, float] = {}
        dense: dict[str, float] = {}
        for place in np.flatnonzero(row).tolist():
            table = self.tables.slots[place]
            share = table.costs[0, 1] / self.tables.baseline[1]
            alone = np.zeros_like(row)
            alone[place] = row[place]
            saved = baseline - self._expected_latency(alone)
            noise = np.exp(FORMS * rng.standard_normal(2))
            for slot in table.options.slots:
                dense[slot.name] = float(share * baseline * noise[0])
                least = max(share * baseline - saved, LEAST_MS)
                selected[slot.name] = float(min(least * noise[1], dense[slot.name]))
        return DeploymentFacts(
            forms=dict.fromkeys(dense, "simulated"), selected_ms=selected, dense_ms=dense
        )

    def values(self, row: Rows) -> Mapping[str, float]:
        """Return the counts of a design.

        Args:
            row: (slots,) numbers of settings.
        """
        params, flops, bits = self.tables.costs(row[None])[0].tolist()
        return {"params": params, "flops": flops, "bits": bits}


def _deviation(row: Rows, metric: str) -> float:
    """Return a number from the standard normal distribution that is constant for each design."""
    return float(np.random.default_rng([*metric.encode(), *row.tolist()]).standard_normal())
