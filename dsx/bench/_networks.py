"""Networks for timing: randomly sampled designs of a space, deployed as in a search."""

import random
import time
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass

from dsx.analysis import Timing
from dsx.conv import Run
from dsx.conv.deploy import Choice
from dsx.measure import Candidate, Measurement
from dsx.measure.timing import WorkloadClass, classify_workload, time_interleaved
from dsx.space import Design, SearchSpace, load_space
from dsx.space.yaml import Measure

SEED = 0


@dataclass(frozen=True, kw_only=True)
class Networks:
    """Networks that can be timed.

    Args:
        space: Name or file of the search space.
        runs: Functions that each run one network once.
        measure: Settings of the timing, those of the space except for the time budget.
        form_cache: Selected deployed forms, with which another process deploys equal networks.
        reference_times: Reference times of the reference workload in milliseconds.
        workload: Workload class of the search space.
        all_dense: Number of networks that fall back to dense in every slot, as the baseline.
    """

    space: str
    runs: Sequence[Run]
    measure: Measure
    form_cache: Mapping[str, Choice]
    reference_times: MutableMapping[str, float]
    workload: WorkloadClass
    all_dense: int

    def time(self, numbers: Sequence[int]) -> "Timed":
        """Time some of the networks, interleaved.

        Args:
            numbers: Numbers of the networks, from 0.

        Returns:
            The readings in the same order, and the duration of the timing.
        """
        begin = time.perf_counter()
        runs = [self.runs[n] for n in numbers]
        readings = time_interleaved(runs, self.measure, self.reference_times, self.workload)
        return Timed(readings=readings, seconds=time.perf_counter() - begin)


@dataclass(frozen=True, kw_only=True)
class Timed:
    """The result of one timing.

    Args:
        readings: Reading of each network.
        seconds: Duration of the timing, including the reference samples and all other overhead.
    """

    readings: Sequence[Measurement]
    seconds: float

    @property
    def own_seconds(self) -> float:
        """Duration of the blocks of the networks alone, in seconds."""
        return sum(timing_of(reading).own_seconds for reading in self.readings)


def timing_of(reading: Measurement) -> Timing:
    """Return the provenance of a timing.

    Args:
        reading: Reading of a timed metric.
    """
    timing = reading.provenance.timing
    assert timing is not None, "not a timing"
    return timing


def build_networks(
    space: str,
    count: int,
    budget_seconds: float,
    form_cache: Mapping[str, Choice] | None = None,
    reference_times: Mapping[str, float] | None = None,
) -> Networks:
    """Sample designs without learned shapes with a fixed seed, and deploy them.

    Args:
        space: Name or file of the search space.
        count: Number of designs.
        budget_seconds: Time budget of one network in seconds.
        form_cache: Previously selected deployed forms.
        reference_times: Known reference times of the reference workload in milliseconds.

    Returns:
        The networks, with untrained weights.
    """
    loaded = load_space(space)
    forms, references = dict(form_cache or {}), dict(reference_times or {})
    candidates = [
        Candidate(loaded, design, forms, references) for design in sample_designs(loaded, count)
    ]
    return Networks(
        space=space,
        runs=[candidate.run for candidate in candidates],
        measure=loaded.file.measure.model_copy(update={"budget_seconds": budget_seconds}),
        form_cache=forms,
        reference_times=references,
        workload=classify_workload(loaded),
        all_dense=sum(_is_dense(candidate) for candidate in candidates),
    )


def _is_dense(candidate: Candidate) -> bool:
    choices = candidate.deployed.choices
    return all(choices[slot].form == "dense" for slot in candidate.design.changed)


def sample_designs(space: SearchSpace, count: int) -> list[Design]:
    """Sample different designs.

    Args:
        space: Search space with at least that number of designs without learned shapes.
        count: Number of designs.

    Returns:
        Designs without learned shapes, which would require a training. The first designs do not
        depend on the number of designs.
    """
    rng = random.Random(SEED)
    found: dict[str, Design] = {}
    while len(found) < count:
        design = space.sample(lambda name, options: rng.choice(options))
        if not design.learned:
            found.setdefault(design.id, design)
    return list(found.values())
