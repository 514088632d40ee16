"""Metrics that return invalid values."""

import math
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from dsx.analysis.measurement import Predictions
from dsx.conv import DsxConv
from dsx.errors import Unsupported
from dsx.measure import Candidate, ExampleResults, Measurement, Metric, Provenance
from dsx.space import SearchSpace


def _counted(end: str, number: float) -> Metric:
    ends = {"value": 3.0, "low": 3.0, "high": 3.0} | {end: number}
    return _metric_of([Measurement(value=ends["value"], low=ends["low"], high=ends["high"])])


def _metric_of(readings: list[Measurement]) -> Metric:
    left = list(readings)

    def read(candidate: Candidate) -> Measurement:
        return left.pop(0) if len(left) > 1 else left[0]

    return Metric(
        unit="", direction="minimize", stage="static", read=read, protocol=lambda space: {}
    )


value_nan, low_nan, high_nan = (_counted(end, math.nan) for end in ("value", "low", "high"))
value_inf, low_inf, high_inf = (_counted(end, math.inf) for end in ("value", "low", "high"))

# NaN at first, then a number.
late = _metric_of(
    [Measurement(value=math.nan, low=0.0, high=0.0), Measurement(value=1.0, low=1.0, high=1.0)]
)


def _sized(number: Callable[[float], Any]) -> Metric:
    """Build a metric that returns and depends on numpy scalars."""

    def read(candidate: Candidate) -> Measurement:
        value = number(candidate.cost.params)
        details = {"low": number(1), "flag": np.bool_(True)}
        samples = np.array([1, 2], dtype=np.float32)
        return Measurement(
            value=value,
            low=value,
            high=value,
            samples=samples,  # type: ignore[arg-type]
            provenance=Provenance(details=details),
        )

    return Metric(
        unit="",
        direction="minimize",
        stage="static",
        read=read,
        protocol=lambda space: {"version": np.int64(1)},
    )


numpy_float, numpy_int, tensor = _sized(np.float32), _sized(np.int64), _sized(torch.tensor)
bare = Metric(
    unit="",
    direction="minimize",
    stage="static",
    read=lambda candidate: np.float32(3),  # type: ignore[arg-type, return-value]
    protocol=lambda space: {},
)
other_mean = _metric_of(
    [Measurement(value=1.0, low=1.0, high=1.0, examples=ExampleResults.of([0.0, 1.0], "x"))]
)
text = _metric_of([Measurement(value="3", low=3.0, high=3.0)])  # type: ignore[arg-type]


def _exits(given: object) -> Any:
    sys.exit()


exits = Metric(
    unit="", direction="minimize", stage="static", read=_exits, protocol=lambda space: {}
)
protocol_exits = Metric(unit="", direction="minimize", stage="static", read=_exits, protocol=_exits)
fraction, decimal = _sized(lambda number: Fraction(number) / 3), _sized(Decimal)
complex_number = _metric_of([Measurement(value=3j, low=3.0, high=3.0)])  # type: ignore[arg-type]


def _fragile(candidate: Candidate) -> Measurement:
    if any(isinstance(module, DsxConv) for module in candidate.network.modules()):
        # A lone surrogate, which no database can store.
        raise TypeError("a\udc80b")
    return Measurement(value=3.0, low=3.0, high=3.0)


fragile = Metric(
    unit="", direction="minimize", stage="static", read=_fragile, protocol=lambda space: {}
)


def _made(provenance: Any) -> Metric:
    return _metric_of([Measurement(value=3.0, low=3.0, high=3.0, provenance=provenance)])


mapping = _made({"details": {}})
detail_nan = _made(Provenance(details={"loss": math.nan}))
chance_inf = _made(Provenance(predictions=Predictions(chance=math.inf)))
detail_object = _made(Provenance(details={"loss": object()}))


def _refusing(unsupported: Callable[[SearchSpace], Any]) -> Metric:
    return Metric(
        unit="",
        direction="minimize",
        stage="static",
        read=_exits,
        protocol=lambda space: {},
        unsupported=unsupported,
    )


unsupported_here = _refusing(lambda space: Unsupported("needs the power meter"))
unsupported_text = _refusing(lambda space: "")
unsupported_exits = _refusing(_exits)


def _interleaved(readings: Callable[[int], Any]) -> Metric:
    """Build a metric that is valid for one network, but not for several interleaved networks."""

    def read_interleaved(candidates: Sequence[Candidate], waiting: object) -> list[Measurement]:
        found: list[Measurement] = readings(len(candidates))
        return found

    return Metric(
        unit="",
        direction="minimize",
        stage="projected",
        noise="sampled",
        read=lambda candidate: Measurement(value=3.0, low=2.0, high=4.0),
        protocol=lambda space: {},
        read_interleaved=read_interleaved,
    )


_SOUND = Measurement(value=3.0, low=2.0, high=4.0)
interleaved_nan = _interleaved(
    lambda count: [_SOUND] * (count - 1) + [Measurement(value=math.nan, low=2.0, high=4.0)]
)
interleaved_number = _interleaved(lambda count: [_SOUND] * (count - 1) + [3.0])
interleaved_short = _interleaved(lambda count: [_SOUND] * (count - 1))
interleaved_none = _interleaved(lambda count: None)
interleaved_exits = _interleaved(_exits)
