"""Proxies: how well counted numbers stand for measured ones, over the designs of a study."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from dsx.errors import StorageError
from dsx.study.checked import damage
from dsx.study.front import Front, Value
from dsx.study.plan import COUNTED, PROJECTED
from dsx.study.rank import Agreement, Numbers, Pairs, agreement, ceiling, pairs
from dsx.study.read import find_study, load_front, load_values
from dsx.study.tables import MeasurementRow, StudyRow

LATENCY = "latency_ms"
PROXIES = {**dict.fromkeys((*COUNTED, "peak_memory_mb"), LATENCY), PROJECTED: "accuracy"}
"""What is cheap to know, and the dear number that it stands for."""

LEAST = 3
"""Fewer designs have no order to speak of."""

Numbered = Mapping[str, Mapping[str, Value]]
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
        if self.pairs is None or not self.pairs.told_apart:
            return None
        return self.pairs.misordered / self.pairs.told_apart


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

    def points(self, proxy: Proxy) -> dict[str, tuple[Value, Value]]:
        """Give the designs that have both numbers: design id to proxy and target."""
        return _points(self.numbers, proxy.name, proxy.target)


def load_proxies(engine: Engine, name: str | None) -> ProxyReport:
    """Compare the orders in which metrics put the designs of a study.

    Args:
        engine: The database.
        name: Of the study; None for the newest one.

    Returns:
        The report.

    Raises:
        StorageError: If there is no such study, or too few of its designs were measured.
    """
    study = find_study(engine, name)
    numbers = load_values(engine, study)
    return ProxyReport(
        front=load_front(engine, study.name),
        numbers=numbers,
        proxies=compare(numbers, study.name),
        unknown_operators=_unknown_operators(engine, study),
    )


def compare(numbers: Numbered, study: str) -> tuple[Proxy, ...]:
    """Compare each proxy with what it stands for.

    Args:
        numbers: Of each design.
        study: Its name, for the error.

    Returns:
        The proxies that at least three designs have, beside the number that they stand for.

    Raises:
        StorageError: If there are none.
    """
    found = {name: _points(numbers, name, target) for name, target in PROXIES.items()}
    proxies = [
        _proxy(name, PROXIES[name], list(points.values()))
        for name, points in found.items()
        if len(points) >= LEAST
    ]
    if not proxies:
        timed = sum(LATENCY in measured for measured in numbers.values())
        raise StorageError(
            f"study '{study}' has {timed} designs with {LATENCY}, and to compare orders takes at "
            f"least {LEAST} (a study measures {LATENCY} if it is an objective or a constraint)"
        )
    return tuple(proxies)


def _points(numbers: Numbered, name: str, target: str) -> dict[str, tuple[Value, Value]]:
    return {
        design: (measured[name], measured[target])
        for design, measured in numbers.items()
        if name in measured and target in measured
    }


def _proxy(name: str, target: str, points: list[tuple[Value, Value]]) -> Proxy:
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


def _same(values: list[Value]) -> NDArray[np.intp]:
    """Number the values such that those which rest on the same readings have the same number."""
    first: dict[object, int] = {}
    keys = [value.rests_on or place for place, value in enumerate(values)]
    return np.array([first.setdefault(key, place) for place, key in enumerate(keys)], dtype=np.intp)


def _array(numbers: Iterable[float]) -> Numbers:
    return np.fromiter(numbers, dtype=float)


def _unknown_operators(engine: Engine, study: StudyRow) -> dict[str, int]:
    query = (
        select(MeasurementRow.conditions)
        .where(MeasurementRow.design == study.baseline, MeasurementRow.device == study.device)
        .where(MeasurementRow.metric == "flops")
        .order_by(MeasurementRow.id.desc())
        .limit(1)
    )
    with Session(engine) as session:
        row = session.execute(query).first()
    if row is None or damage(MeasurementRow.__table__, row._mapping):
        return {}
    return dict(row.conditions.get("unknown_operators", {}))
