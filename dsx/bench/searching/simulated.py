"""Searches in the simulated world, whose measurements cost no time."""

import time
from collections.abc import Callable

import numpy as np
import optuna
from optuna.trial import TrialState

from dsx.bench.searching.bare import SAMPLERS, baseline_parameters, select
from dsx.bench.searching.contests import BARE
from dsx.bench.searching.merit import ACCURACY, LATENCY, Judge
from dsx.bench.searching.record import Found, Record
from dsx.bench.searching.world import IMAGES, SECONDS, World
from dsx.search import find_metrics
from dsx.search.sampling import quiet_optuna
from dsx.search.screening import Known, Reading, Rows, Screener

NAME = "simulated digits"
SCREENING = "dsx screening"
TIMING_ERROR = 0.02
"""Relative standard error of a simulated timing."""


class Simulation:
    """Searches of one seed in a world.

    Args:
        world: The world.
        seed: Random seed of the samplers and of the readings.
        designs: Number of designs of each search, including the baseline.
    """

    def __init__(self, world: World, seed: int, designs: int) -> None:
        self.world, self.seed, self.designs = world, seed, designs
        self.bound = world.space.file.constraints["flops"]

    def run(self) -> tuple[list[Record], Judge]:
        """Search with bare Optuna and with screening.

        Returns:
            The records, and the true values of all designs.
        """
        records = [self._record(BARE, self._bare), self._record(SCREENING, self._screening)]
        found = [each for record in records for each in record.found]
        latencies = {each.id: self.world.latency(_row(each.id)) for each in found}
        objectives = list(self.world.space.file.objectives)
        return records, Judge(objectives=objectives, latencies=latencies, baseline=found[0])

    def _record(self, contender: str, search: Callable[[list[Found]], int]) -> Record:
        found: list[Found] = []
        cpu, wall = time.process_time(), time.perf_counter()
        repeated = search(found)
        measured = SECONDS * len(found)
        sampling = time.process_time() - cpu
        return Record(
            space=NAME,
            contender=contender,
            seed=self.seed,
            found=found,
            cpu=sampling + measured,
            wall=time.perf_counter() - wall + measured,
            stages={"sampling": sampling},
            repeated=repeated,
        )

    def _bare(self, found: list[Found]) -> int:
        rng = np.random.default_rng(self.seed)
        space, start = self.world.space, time.process_time()
        known: dict[str, list[float] | None] = {}
        repeated = 0
        with quiet_optuna():
            study = optuna.create_study(
                directions=list(space.file.objectives.values()), sampler=SAMPLERS[BARE](self.seed)
            )
            study.enqueue_trial(baseline_parameters(space))
            while len(found) < self.designs:
                trial = study.ask()
                row = self.world.tables.row(space.sample(select(trial)).specs)
                assert row is not None, "a design of the space"
                repeated += _id(row) in known
                if _id(row) not in known:
                    known[_id(row)] = self._measure(row, rng, found, start)
                values = known[_id(row)]
                trial.set_constraint("flops", self._violation(row))
                if values is None:
                    study.tell(trial, state=TrialState.PRUNED)
                else:
                    study.tell(trial, values)
        return repeated

    def _measure(
        self, row: Rows, rng: np.random.Generator, found: list[Found], start: float
    ) -> list[float] | None:
        """Measure a design, unless it violates the constraint; return its objectives."""
        if row.any() and self._violation(row) > 0:
            return None
        observed = self.world.observe(row, rng)
        values = {**self.world.values(row), ACCURACY: observed.accuracy, LATENCY: observed.latency}
        found.append(self._found(row, values, len(found) + 1, start))
        return [values[name] for name in self.world.space.file.objectives]

    def _screening(self, found: list[Found]) -> int:
        rng = np.random.default_rng(self.seed)
        space, start = self.world.space, time.process_time()
        screener = Screener(
            space, self.world.tables, find_metrics(space), space.file.max_loss, [LATENCY]
        )
        row: Rows | None = np.zeros(len(self.world.tables.slots), dtype=int)
        while row is not None and len(found) < self.designs:
            observed = self.world.observe(row, rng)
            counts = self.world.values(row)
            error = TIMING_ERROR * observed.latency
            readings = {name: Reading(value=value) for name, value in counts.items()}
            readings[ACCURACY] = Reading(value=observed.accuracy, examples=IMAGES)
            readings[LATENCY] = Reading(value=observed.latency, error=error)
            if row.any():
                screener.note(row, observed.forms)
            feasible = self._violation(row) <= 0
            screener.add(Known(row=row, readings=readings, feasible=feasible))
            values = {name: reading.value for name, reading in readings.items()}
            found.append(self._found(row, values, len(found) + 1, start))
            if not row.any():
                screener.reference = {
                    name: values[name] * (0.9 if way == "maximize" else 1.1)
                    for name, way in space.file.objectives.items()
                }
            row = screener.propose(rng)
        return 0

    def _violation(self, row: Rows) -> float:
        flops = self.world.values(row)["flops"]
        return self.bound.violation(flops, float(self.world.tables.baseline[1]))

    def _found(self, row: Rows, values: dict[str, float], number: int, start: float) -> Found:
        spent = time.process_time() - start + SECONDS * number
        return Found(
            id=_id(row),
            spec={},
            feasible=self._violation(row) <= 0,
            values=values,
            test=self.world.accuracy(row),
            cpu=spent,
            wall=spent,
        )


def _id(row: Rows) -> str:
    return "-".join(map(str, row.tolist()))


def _row(name: str) -> Rows:
    return np.array([int(part) for part in name.split("-")])
