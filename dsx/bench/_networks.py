"""Networks to be timed: designs of a space, drawn at random, deployed as a search does it."""

import random
import time
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass

from dsx.analysis import Timing
from dsx.conv import Run
from dsx.conv.deploy import Choice
from dsx.measure import Candidate, Measurement
from dsx.measure.timing import WorkloadClass, classify_workload, time_in_turn
from dsx.space import Design, SearchSpace, load_space
from dsx.space.yaml import Measure

SEED = 0


@dataclass(frozen=True, kw_only=True)
class Networks:
    """Networks that can be timed.

    Args:
        space: That they are from, by name or file.
        runs: Each runs one network once.
        measure: How they are timed: as the space says, but for the budget.
        known: Their deployed forms, for another process to deploy them alike.
        references: Milliseconds of the sentinel.
        company: What the sentinel is like.
        alike: How many of them have the dense form everywhere, so that they run as the baseline.
    """

    space: str
    runs: Sequence[Run]
    measure: Measure
    form_cache: Mapping[str, Choice]
    reference_times: MutableMapping[str, float]
    workload: WorkloadClass
    alike: int

    def time(self, chosen: Sequence[int]) -> "Timed":
        """Time some of them in turn.

        Args:
            chosen: Their numbers, from 0.

        Returns:
            Their readings, in that order, and how long it took.
        """
        begin = time.perf_counter()
        runs = [self.runs[n] for n in chosen]
        readings = time_in_turn(runs, self.measure, self.reference_times, self.workload)
        return Timed(readings=readings, seconds=time.perf_counter() - begin)


@dataclass(frozen=True, kw_only=True)
class Timed:
    """What one timing gave.

    Args:
        readings: Of each network.
        seconds: That it took, with all that is not the networks' own blocks.
    """

    readings: Sequence[Measurement]
    seconds: float

    @property
    def own_seconds(self) -> float:
        """Seconds of the networks' own blocks."""
        return sum(timing_of(reading).own_seconds for reading in self.readings)


def timing_of(reading: Measurement) -> Timing:
    """Return the facts of a timing.

    Args:
        reading: Measurement that was taken by timing.
    """
    timing = reading.provenance.timing
    assert timing is not None, "not taken by timing"
    return timing


def networks(
    space: str,
    count: int,
    budget_seconds: float,
    form_cache: Mapping[str, Choice] | None = None,
    reference_times: Mapping[str, float] | None = None,
) -> Networks:
    """Draw designs without learned shapes, always the same ones, and deploy them.

    Args:
        space: Name or file.
        count: How many.
        budget_seconds: For timing one of them.
        known: Deployed forms chosen before.
        references: Milliseconds of the sentinel, where they are known.

    Returns:
        The networks, with fresh weights.
    """
    loaded = load_space(space)
    forms, calm = dict(form_cache or {}), dict(reference_times or {})
    candidates = [Candidate(loaded, design, forms, calm) for design in drawn(loaded, count)]
    return Networks(
        space=space,
        runs=[candidate.run for candidate in candidates],
        measure=loaded.file.measure.model_copy(update={"budget_seconds": budget_seconds}),
        form_cache=forms,
        reference_times=calm,
        workload=classify_workload(loaded),
        alike=sum(_dense(candidate) for candidate in candidates),
    )


def _dense(candidate: Candidate) -> bool:
    choices = candidate.deployed.choices
    return all(choices[slot].form == "dense" for slot in candidate.design.changed)


def drawn(space: SearchSpace, count: int) -> list[Design]:
    """Draw different designs.

    Args:
        space: Has so many without learned shapes.
        count: How many.

    Returns:
        Designs without learned shapes, which would have to be trained first. The first ones are
        the same, however many are drawn.
    """
    rng = random.Random(SEED)
    found: dict[str, Design] = {}
    while len(found) < count:
        design = space.sample(lambda name, options: rng.choice(options))
        if not design.learned:
            found.setdefault(design.id, design)
    return list(found.values())
