"""Proxies: how well counted numbers stand for measured ones, over the designs of a study."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from dsx.analysis import (
    Agreement,
    Estimate,
    Front,
    MetricKind,
    Numbers,
    Pairs,
    Provenance,
    agreement,
    ceiling,
    pairs,
)
from dsx.errors import StorageError
from dsx.store.database.checked import damage
from dsx.store.database.schema import MeasurementRow, StudyRow
from dsx.store.studies.read import load_front, load_values
from dsx.store.studies.results import StudyResults
from dsx.store.studies.study import Study

LEAST = 3
"""Fewer designs have no order to speak of."""

Numbered = Mapping[str, Mapping[str, Estimate]]
"""Design id to its numbers, by metric."""


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """How well one metric stands for another.

    Args:
        name: The metric that is cheap to know.
        target: The metric that it stands for.
        designs: How many designs have both.
        constant: Which of the two is the same for all designs; empty if neither is.
        agreement: Of their orders; None where one is constant.
        pairs: Of designs that the target tells apart; None where one is constant.
        ceiling: The tau that two measurements of the target would reach; None where one is
            constant.
    """

    name: str
    target: str
    designs: int
    constant: str = ""
    agreement: Agreement | None = None
    pairs: Pairs | None = None
    ceiling: float | None = None

    @property
    def misordered(self) -> float | None:
        """The share of the pairs told apart that the proxy orders wrongly; None of no pairs."""
        if self.pairs is None or not self.pairs.decided:
            return None
        return self.pairs.misordered / self.pairs.decided


@dataclass(frozen=True, kw_only=True)
class ProxyReport:
    """What the counted numbers of a study are worth on its device.

    Args:
        front: The study's front.
        numbers: Of every design that was drawn, also of those that were rejected or failed.
        proxies: Each pair of metrics that enough designs have.
        unknown_operators: What the operator counter met in the baseline and did not know: name to
            how many times.
    """

    front: Front
    numbers: Numbered
    proxies: tuple[Proxy, ...]
    unknown_operators: Mapping[str, int] = field(default_factory=dict)

    def points(self, proxy: Proxy) -> dict[str, tuple[Estimate, Estimate]]:
        """Give the designs that have both numbers: design id to proxy and target."""
        return _points(self.numbers, proxy.name, proxy.target)


def load_proxies(study: Study) -> ProxyReport:
    """Compare the rankings of the designs of a study by different metrics.

    Args:
        study: The study.

    Returns:
        The report.

    Raises:
        StorageError: If too few designs were measured.
    """
    numbers, front = load_values(study), load_front(study)
    return ProxyReport(
        front=front,
        numbers=numbers,
        proxies=compare(numbers, front.kinds, front.study),
        unknown_operators=_unknown_operators(study.engine, study.row),
    )


def proxies_of(results: StudyResults) -> ProxyReport:
    """Compare the rankings of the designs of an archived study by several metrics.

    Args:
        results: The results of the study, which hold its completed designs only.

    Returns:
        The report.

    Raises:
        StorageError: If too few designs were measured.
    """
    front = results.front
    numbers = {entry.id: entry.metrics for entry in front.entries}
    baseline = [each for each in results.measurements if each.design == front.baseline]
    newest = {each.metric: each.provenance for each in baseline}
    return ProxyReport(
        front=front,
        numbers=numbers,
        proxies=compare(numbers, front.kinds, front.study),
        unknown_operators=_unknown(newest.values()),
    )


def stand_ins(kinds: Mapping[str, MetricKind]) -> list[tuple[str, str]]:
    """List each metric that is cheap to know with a dear one that it may stand for.

    Args:
        kinds: Stage and refinement of each metric.

    Returns:
        Pairs: what is counted, and what is exact of a deployed network, for what is timed; what is
        read before a training for what is read after it.
    """
    timed = [n for n, kind in kinds.items() if kind == MetricKind("timed", "re-measure")]
    trained = [name for name, kind in kinds.items() if kind.stage == "trained"]
    exact = MetricKind("timed", "none")
    counted = [n for n, kind in kinds.items() if kind.stage == "static" or kind == exact]
    projected = [name for name, kind in kinds.items() if kind.stage == "projected"]
    pairs = [(counted, timed), (projected, trained)]
    return [(name, target) for cheap, dear in pairs for target in dear for name in cheap]


def compare(numbers: Numbered, kinds: Mapping[str, MetricKind], study: str) -> tuple[Proxy, ...]:
    """Compare each proxy with what it stands for.

    Args:
        numbers: Of each design.
        kinds: Stage and refinement of each metric.
        study: Its name, for the error.

    Returns:
        The proxies that at least three designs have, beside the number that they stand for.

    Raises:
        StorageError: If there are none.
    """
    pairs = stand_ins(kinds)
    found = {pair: list(_points(numbers, *pair).values()) for pair in pairs}
    proxies = [_proxy(*pair, points) for pair, points in found.items() if len(points) >= LEAST]
    if proxies:
        return tuple(proxies)
    if not pairs:
        raise StorageError(
            f"study '{study}' measures nothing that is timed, and nothing both before and after a "
            "training, for which another metric could stand (a study measures what is an objective "
            "or a constraint)"
        )
    most = max(map(len, found.values()))
    targets = " or ".join(dict.fromkeys(target for _, target in pairs))
    raise StorageError(
        f"study '{study}' has {most} designs with {targets}, and to compare orders takes at least "
        f"{LEAST}"
    )


def _points(numbers: Numbered, name: str, target: str) -> dict[str, tuple[Estimate, Estimate]]:
    return {
        design: (measured[name], measured[target])
        for design, measured in numbers.items()
        if name in measured and target in measured
    }


def _proxy(name: str, target: str, points: list[tuple[Estimate, Estimate]]) -> Proxy:
    x = _array(proxy.value for proxy, _ in points)
    value, low, high = (
        _array(getattr(measured, part) for _, measured in points)
        for part in ("value", "low", "high")
    )
    if not np.ptp(x) or not np.ptp(value):
        constant = target if np.ptp(x) else name
        return Proxy(name=name, target=target, designs=len(points), constant=constant)
    return Proxy(
        name=name,
        target=target,
        designs=len(points),
        agreement=agreement(x, value),
        pairs=pairs(x, low, high),
        ceiling=ceiling(value, low, high, _same([measured for _, measured in points])),
    )


def _same(values: list[Estimate]) -> NDArray[np.intp]:
    """Number the values such that those which rest on the same readings have the same number."""
    first: dict[object, int] = {}
    keys = [value.rests_on or place for place, value in enumerate(values)]
    return np.array([first.setdefault(key, place) for place, key in enumerate(keys)], dtype=np.intp)


def _array(numbers: Iterable[float]) -> Numbers:
    return np.fromiter(numbers, dtype=float)


def _unknown_operators(engine: Engine, study: StudyRow) -> dict[str, int]:
    protocols = {str(facts["protocol"]) for facts in study.metrics.values()}
    query = (
        select(MeasurementRow.metric, MeasurementRow.provenance)
        .where(MeasurementRow.design == study.baseline, MeasurementRow.device == study.device)
        .where(MeasurementRow.protocol.in_(protocols))
        .order_by(MeasurementRow.id)
    )
    with Session(engine) as session:
        rows = session.execute(query).all()
    sound = [row for row in rows if not damage(MeasurementRow.__table__, row._mapping)]
    # The newest reading of each metric counts.
    newest = {row.metric: row.provenance for row in sound}
    return _unknown(newest.values())


def _unknown(provenances: Iterable[Provenance]) -> dict[str, int]:
    """Join the operators that counts leave out."""
    found: dict[str, int] = {}
    for operators in (provenance.operators for provenance in provenances):
        found |= {} if operators is None else operators.unknown_operators
    return found
