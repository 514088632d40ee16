"""Proxies: how well cheap metrics predict the ranking of designs by expensive metrics."""

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
from dsx.store.database.checked import describe_damage
from dsx.store.database.schema import MeasurementRow, StudyRow
from dsx.store.studies.read import load_front, load_values
from dsx.store.studies.results import StudyResults
from dsx.store.studies.study import Study

MIN_DESIGNS = 3
"""Minimum number of designs for a comparison of rankings."""

Estimates = Mapping[str, Mapping[str, Estimate]]
"""Estimates by design id and metric."""


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """A proxy metric, compared with the metric that it predicts.

    Args:
        name: Name of the proxy metric.
        target: Name of the predicted metric.
        designs: Number of designs with both metrics.
        constant: Metric whose value is equal for all designs; empty if there is none.
        agreement: Rank correlation of the two metrics; None if one of them is constant.
        pairs: Pairs of designs with a significant difference of the target; None if one of the
            metrics is constant.
        ceiling: Expected tau of two measurements of the target; None if one of the metrics is
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
        """The share of the significant pairs that the proxy orders wrongly; None without pairs."""
        if self.pairs is None or not self.pairs.decided:
            return None
        return self.pairs.misordered / self.pairs.decided


@dataclass(frozen=True, kw_only=True)
class ProxyReport:
    """The proxy metrics of a study, compared with the metrics that they predict on its device.

    Args:
        front: Front of the study.
        numbers: Estimates of all sampled designs, including rejected and failed ones.
        proxies: All pairs of proxy and target that enough designs have.
        unknown_operators: Number of occurrences in the baseline of each operator that the operator
            counter does not know.
    """

    front: Front
    numbers: Estimates
    proxies: tuple[Proxy, ...]
    unknown_operators: Mapping[str, int] = field(default_factory=dict)

    def points(self, proxy: Proxy) -> dict[str, tuple[Estimate, Estimate]]:
        """Return the estimates of the designs that have both metrics of a proxy.

        Args:
            proxy: The proxy.

        Returns:
            Estimates of proxy and target by design id.
        """
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
    """Compare the rankings of the designs of an archived study by different metrics.

    Args:
        results: Results of the study, which contain its completed designs only.

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


def proxy_pairs(kinds: Mapping[str, MetricKind]) -> list[tuple[str, str]]:
    """List the pairs of proxy metric and target.

    Args:
        kinds: Stage and refinement by metric.

    Returns:
        The pairs of names: static metrics and exact metrics of the deployed network for metrics
        that are timed repeatedly, projected metrics for trained ones.
    """
    timed = [n for n, kind in kinds.items() if kind == MetricKind("timed", "re-measure")]
    trained = [name for name, kind in kinds.items() if kind.stage == "trained"]
    exact = MetricKind("timed", "none")
    counted = [n for n, kind in kinds.items() if kind.stage == "static" or kind == exact]
    projected = [name for name, kind in kinds.items() if kind.stage == "projected"]
    pairs = [(counted, timed), (projected, trained)]
    return [(name, target) for proxies, targets in pairs for target in targets for name in proxies]


def compare(numbers: Estimates, kinds: Mapping[str, MetricKind], study: str) -> tuple[Proxy, ...]:
    """Compare each proxy metric with its target.

    Args:
        numbers: Estimates by design id and metric.
        kinds: Stage and refinement by metric.
        study: Name of the study for the error message.

    Returns:
        The proxies for which at least three designs have both metrics.

    Raises:
        StorageError: If there are no such proxies.
    """
    pairs = proxy_pairs(kinds)
    found = {pair: list(_points(numbers, *pair).values()) for pair in pairs}
    proxies = [
        _proxy(*pair, points) for pair, points in found.items() if len(points) >= MIN_DESIGNS
    ]
    if proxies:
        return tuple(proxies)
    if not pairs:
        raise StorageError(
            f"study '{study}' has neither a timed metric nor a projected and a trained metric, so "
            "that there are no proxies to compare (a study measures its objectives and constraints)"
        )
    most = max(map(len, found.values()))
    targets = " or ".join(dict.fromkeys(target for _, target in pairs))
    raise StorageError(
        f"study '{study}' has {most} designs with {targets} (at least {MIN_DESIGNS} are needed to "
        "compare rankings)"
    )


def _points(numbers: Estimates, name: str, target: str) -> dict[str, tuple[Estimate, Estimate]]:
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
    """Number the estimates so that those based on the same readings have the same number."""
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
    sound = [row for row in rows if not describe_damage(MeasurementRow.__table__, row._mapping)]
    # The newest reading of each metric replaces earlier ones.
    newest = {row.metric: row.provenance for row in sound}
    return _unknown(newest.values())


def _unknown(provenances: Iterable[Provenance]) -> dict[str, int]:
    """Combine the unknown operators of several readings."""
    found: dict[str, int] = {}
    for operators in (provenance.operators for provenance in provenances):
        found |= {} if operators is None else operators.unknown_operators
    return found
