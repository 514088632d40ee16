"""A/A check: whether repeated readings of the same deployed network agree with each other.

Nothing differs between two such readings but the moment, so their 95 % intervals should allow for
the difference in about 95 of 100 pairs. Where fewer agree, intervals of this device promise too
much, and differences between designs mean less than they seem to.
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
from dsx.store.measurements.readings import usable


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Result of the A/A check.

    Args:
        networks: Number of deployed networks with several readings.
        pairs: Number of pairs of readings of the same network, none of them flagged.
        agreeing: Number of these pairs whose difference the intervals allow for.
        flagged_pairs: Number of pairs with a flagged reading.
        flagged_agreeing: Number of these pairs whose difference the intervals allow for.
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
        said = f"{self.agreeing} of {self.pairs} pairs of readings of the same deployed network "
        said += "agree within their 95 % intervals"
        if not self.flagged_pairs:
            return said
        return f"{said}; with a flagged reading {self.flagged_agreeing} of {self.flagged_pairs}"


def agreement(networks: Sequence[Sequence[Measurement]]) -> Agreement:
    """Compare all pairs of readings of each deployed network.

    Args:
        networks: Readings of each, under one protocol on one device.

    Returns:
        The counts.
    """
    pairs = [pair for readings in networks for pair in itertools.combinations(readings, 2)]
    calm = [pair for pair in pairs if not any(reading.flagged for reading in pair)]
    agreeing = sum(agree(*pair) for pair in calm)
    return Agreement(
        networks=sum(len(readings) > 1 for readings in networks),
        pairs=len(calm),
        agreeing=agreeing,
        flagged_pairs=len(pairs) - len(calm),
        flagged_agreeing=sum(agree(*pair) for pair in pairs) - agreeing,
    )


def agree(one: Measurement, other: Measurement) -> bool:
    """Check whether zero lies in the 95 % interval of the difference of two readings."""
    lower, upper = sorted((one, other), key=lambda reading: reading.value)
    room = math.hypot(lower.high - lower.value, upper.value - upper.low)
    return upper.value - lower.value <= room


def load_agreement(engine: Engine, device: str, study: StudyRow | None = None) -> Agreement:
    """Check the stored readings of a device.

    Args:
        engine: The database.
        device: Fingerprint of the device.
        study: A study whose designs are checked; None for all that the database holds.

    Returns:
        The result over all timed metrics that have samples, without damaged readings.
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
        drawn = select(TrialRow.design).where(TrialRow.study == study.name)
        deployed = select(DeploymentRow.subject).where(DeploymentRow.design.in_(drawn))
        query = query.where(row.protocol.in_(own), row.subject.in_(deployed))
    found: dict[tuple[str, str], list[Measurement]] = defaultdict(list)
    with Session(engine) as session:
        for stored in session.execute(query):
            if not usable(stored._mapping):
                continue
            reading = Measurement(
                value=stored.value,
                low=stored.low,
                high=stored.high,
                provenance=stored.provenance,
            )
            found[stored.subject, stored.protocol].append(reading)
    return agreement(list(found.values()))
