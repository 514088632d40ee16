"""A search by dsx, recorded like a search by bare Optuna."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from dsx.activity import Kind
from dsx.analysis import Entry, TrialState
from dsx.bench.searching.record import Found, Record
from dsx.bench.searching.trained import accuracy_on_test, design_of, keep_weights
from dsx.measure import Candidate
from dsx.search import Progress, search
from dsx.space import SearchSpace
from dsx.store.studies import Study, load_front, load_times
from dsx.store.weights import Weights

SAMPLERS: Mapping[str, str] = {"dsx screening": "screening", "dsx TPE": "tpe"}
"""Sampler of `dsx search` by the name of the contender."""
STAGES = {
    Kind.SAMPLING: "sampling",
    Kind.COUNTING: "static",
    Kind.DEPLOYING: "timed",
    Kind.TIMING: "timed",
    Kind.CHECKING_NOISE: "timed",
    Kind.CLASSIFYING: "projected",
    Kind.TRAINING: "trained",
}


class Follower:
    """Follows the progress of a search.

    Attributes:
        stages: CPU seconds by stage.
        times: Time in UTC, CPU seconds and seconds of the search at each report.
    """

    def __init__(self) -> None:
        self.stages: dict[str, float] = {}
        self.times: list[tuple[datetime, float, float]] = []
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        self._stage = "other"
        self.note()

    def note(self) -> None:
        """Note the current time."""
        now = datetime.now(UTC).replace(tzinfo=None)
        cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
        self.times.append((now, cpu, wall))

    def report(self, progress: Progress) -> None:
        """Receive the progress.

        Args:
            progress: Progress of the search.
        """
        before = self.times[-1][1]
        self.note()
        spent = self.times[-1][1] - before
        self.stages[self._stage] = self.stages.get(self._stage, 0.0) + spent
        self._stage = STAGES.get(progress.event.kind, "other")

    def at(self, when: datetime) -> tuple[float, float]:
        """Return the CPU seconds and the seconds of the search at a time.

        Args:
            when: Time in UTC.

        Returns:
            Those of the first report after that time.
        """
        return next(
            ((cpu, wall) for now, cpu, wall in self.times if now >= when), self.times[-1][1:]
        )


def run_ours(space: SearchSpace, contender: str, seed: int, folder: Path, designs: int) -> Record:
    """Search a space with `dsx search`.

    Args:
        space: The search space.
        contender: Name in `SAMPLERS`.
        seed: Random seed.
        folder: Folder of the database.
        designs: Number of designs, including the baseline.

    Returns:
        The record.
    """
    storage = f"sqlite:///{folder / 'dsx.db'}"
    follower = Follower()
    # The accuracy on the test split is measured after the search, for all of its designs.
    with _all_weights_kept():
        search(
            space,
            study="bench",
            trials=designs,
            seed=seed,
            storage=storage,
            report=follower.report,
            sampler=SAMPLERS[contender],
        )
    follower.note()
    study = Study.open(storage, "bench")
    front = load_front(study)
    ends = {number: end for number, (_, end) in load_times(study.engine, "bench").items()}
    done = sorted((e for e in front.entries if not e.missing), key=lambda e: ends[e.trial])
    return Record(
        space=space.name,
        contender=contender,
        seed=seed,
        found=[
            _found(space, study, entry, follower.at(ends[entry.trial]), folder) for entry in done
        ],
        cpu=follower.times[-1][1],
        wall=follower.times[-1][2],
        stages=follower.stages,
        repeated=front.outcomes.counts.get(TrialState.REPEATED, 0),
    )


@contextmanager
def _all_weights_kept() -> Iterator[None]:
    """Keep the weights of designs that are not on the front while the context is active."""
    prune = Weights.prune
    Weights.prune = lambda self, designs: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        Weights.prune = prune  # type: ignore[method-assign]


def _found(
    space: SearchSpace, study: Study, entry: Entry, at: tuple[float, float], folder: Path
) -> Found:
    found = Found(
        id=entry.id,
        spec=entry.spec,
        feasible=entry.feasible,
        values={name: value.value for name, value in entry.metrics.items()},
        test=None,
        cpu=at[0],
        wall=at[1],
    )
    weights = study.weights.load(entry.id)
    if weights is None:
        return found
    candidate = Candidate(space, design_of(space, found))
    candidate.restore(weights)
    keep_weights(candidate, folder)
    return replace(found, test=accuracy_on_test(candidate))
