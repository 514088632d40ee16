"""Metrics that measure what no metric should."""

import math

from dsx.conv import DsxConv
from dsx.measure import Candidate, Metric, Reading


def _counted(end: str, number: float) -> Metric:
    ends = {"value": 3.0, "low": 3.0, "high": 3.0} | {end: number}
    return _metric_of([Reading(value=ends["value"], low=ends["low"], high=ends["high"])])


def _metric_of(readings: list[Reading]) -> Metric:
    left = list(readings)

    def read(candidate: Candidate) -> Reading:
        return left.pop(0) if len(left) > 1 else left[0]

    return Metric(
        unit="", direction="minimize", cost="static", read=read, protocol=lambda space: {}
    )


value_nan, low_nan, high_nan = (_counted(end, math.nan) for end in ("value", "low", "high"))
value_inf, low_inf, high_inf = (_counted(end, math.inf) for end in ("value", "low", "high"))

# No number at first, one from then on.
late = _metric_of(
    [Reading(value=math.nan, low=0.0, high=0.0), Reading(value=1.0, low=1.0, high=1.0)]
)


def _fragile(candidate: Candidate) -> Reading:
    if any(isinstance(module, DsxConv) for module in candidate.network.modules()):
        # Half of a surrogate pair, which no database stores.
        raise TypeError("a\udc80b")
    return Reading(value=3.0, low=3.0, high=3.0)


fragile = Metric(
    unit="", direction="minimize", cost="static", read=_fragile, protocol=lambda space: {}
)
