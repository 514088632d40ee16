"""A/A check: agreement of repeated readings of the same deployed network.

Two such readings differ only in the time at which they were taken, so that their difference should
be within their 95 % intervals in about 95 of 100 pairs. If fewer pairs agree, the intervals on this
device are too narrow, and differences between designs are less significant than they appear.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from dsx.analysis import Measurement
from dsx.store.database.schema import DeploymentRow, MeasurementRow, StudyRow, TrialRow
from dsx.store.measurements.readings import is_usable


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Result of the A/A check.

    Args:
        networks: Number of deployed networks with several readings.
        pairs: Number of pairs of readings of the same network, none of them flagged.
        agreeing: Number of these pairs whose difference is within the intervals.
        flagged_pairs: Number of pairs with a flagged reading.
        flagged_agreeing: Number of these pairs whose difference is within the intervals.
    """

    networks: int = 0
    pairs: int = 0
    agreeing: int = 0
    flagged_pairs: int = 0
    flagged_agreeing: int = 0

    @property
    def words(self) -> str:
        """Description of the result."""
        if not self.networks:
            return "no deployed network has several readings yet"
        if not self.pairs:
            return (
                f"{self.flagged_agreeing} of {self.flagged_pairs} pairs of readings of the same "
                "deployed network, all of them with a flagged reading, agree within their 95 % "
                "intervals"
            )
        result = f"{self.agreeing} of {self.pairs} pairs of readings of the same deployed network "
        result += "agree within their 95 % intervals"
        if not self.flagged_pairs:
            return result
        return f"{result}; with a flagged reading {self.flagged_agreeing} of {self.flagged_pairs}"


def agreement(networks: Sequence[Sequence[Measurement]]) -> Agreement:
    """Compare all pairs of readings of each deployed network.

    Args:
        networks: Readings of each deployed network, under one protocol on one device.

    Returns:
        The counts.
    """
    pairs = [pair for readings in networks for pair in itertools.combinations(readings, 2)]
    unflagged = [pair for pair in pairs if not any(reading.flagged for reading in pair)]
    agreeing = sum(agree(*pair) for pair in unflagged)
    return Agreement(
        networks=sum(len(readings) > 1 for readings in networks),
        pairs=len(unflagged),
        agreeing=agreeing,
        flagged_pairs=len(pairs) - len(unflagged),
        flagged_agreeing=sum(agree(*pair) for pair in pairs) - agreeing,
    )


def agree(one: Measurement, other: Measurement) -> bool:
    """Check whether the 95 % interval of the difference of two readings contains zero.

    Args:
        one: A reading.
        other: Another reading of the same deployed network.
    """
    lower, upper = sorted((one, other), key=lambda reading: reading.value)
    margin = math.hypot(lower.high - lower.value, upper.value - upper.low)
    return upper.value - lower.value <= margin


def load_agreement(engine: Engine, device: str, study: StudyRow | None = None) -> Agreement:
    """Load the readings of a device, and compare those of the same deployed network.

    Args:
        engine: Engine of the database.
        device: Fingerprint of the device.
        study: Row of the study whose designs are checked; None for all designs of the database.

    Returns:
        The result over all timed metrics with samples, without damaged readings.
    """
    row = MeasurementRow
    query = (
        select(
            *(row.subject, row.protocol, row.value, row.low, row.high, row.provenance),
            func.length(row.samples).label("bytes"),
        )
        .where(row.device == device, row.subject != row.design, func.length(row.samples) > 0)
        .order_by(row.id)
    )
    if study is not None:
        own = [facts["protocol"] for facts in study.metrics.values()]
        sampled = select(TrialRow.design).where(TrialRow.study == study.name)
        deployed = select(DeploymentRow.subject).where(DeploymentRow.design.in_(sampled))
        query = query.where(row.protocol.in_(own), row.subject.in_(deployed))
    found: dict[tuple[str, str], list[Measurement]] = defaultdict(list)
    with Session(engine) as session:
        for stored in session.execute(query):
            if not is_usable(stored._mapping):
                continue
            reading = Measurement(
                value=stored.value,
                low=stored.low,
                high=stored.high,
                provenance=stored.provenance,
            )
            found[stored.subject, stored.protocol].append(reading)
    return agreement(list(found.values()))
