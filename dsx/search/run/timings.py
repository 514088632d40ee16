"""Timings of several designs together: of those that wait for one, and of flagged ones again."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dsx.activity import Event, Kind, OnStatus
from dsx.analysis import Entry, Front
from dsx.errors import TrialFailed
from dsx.measure.machine import load_since, read_counters
from dsx.search.design.selection import design_of
from dsx.search.plan import Plan
from dsx.search.refining.remeasure import (
    flagged_designs,
    metrics_to_time,
    one_per_network,
    remeasure,
)
from dsx.search.run.progress import FinalTiming
from dsx.search.sampling.study import SampledTrial
from dsx.space import Design
from dsx.store.studies import Study, load_front

TOGETHER = 4
"""Number of designs that are timed together, interleaved."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A trial whose design waits for a timing.

    Args:
        trial: The trial.
        design: Design of the trial.
    """

    trial: SampledTrial
    design: Design


def time_together(
    designs: Sequence[Design], names: Collection[str], plan: Plan, study: Study, on_status: OnStatus
) -> None:
    """Time designs interleaved, so that drift affects all of them equally.

    Args:
        designs: The designs.
        names: Names of the metrics.
        plan: Metrics of the study.
        study: The study, in which the readings are stored.
        on_status: Called with an event before each step.
    """
    try:
        remeasure(designs, sorted(names), plan, study, on_status)
    except TrialFailed:
        # Each design is evaluated alone after this, where the design at fault fails again and the
        # reason is stored with its trial.
        return


def time_flagged_again(plan: Plan, study: Study, limits: FinalTiming, on_status: OnStatus) -> bool:
    """Time designs with flagged values again, if the machine is idle now.

    Args:
        plan: Metrics of the study.
        study: The study.
        limits: Number of designs and the time for which the machine must be idle.
        on_status: Called with an event before each step.

    Returns:
        Whether any design was timed.
    """
    front = load_front(study, mix_devices=True)
    found = flagged(front, study)
    if not found:
        return False
    on_status(Event(kind=Kind.CHECKING_NOISE))
    before = read_counters()
    time.sleep(limits.quiet_seconds)
    if load_since(before).noisy:
        return False
    entries = one_per_network(found)[: limits.designs]
    designs = [design_of(plan.space, entry) for entry in entries]
    remeasure(designs, metrics_to_time(front, entries), plan, study, on_status)
    return True


def flagged(front: Front, study: Study) -> list[Entry]:
    """List the Pareto-relevant designs with a flagged value that can be measured again here.

    Args:
        front: The front.
        study: The study.

    Returns:
        The designs, as of `flagged_designs`.
    """
    return flagged_designs(front, study.device.fingerprint)
