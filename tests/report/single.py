"""Made-up results of a single design."""

import dataclasses
from datetime import datetime
from typing import Any

from dsx.analysis.aggregate import estimate_of
from dsx.analysis.measurement import DeploymentFacts, Provenance, exact
from dsx.conv import ConvSpec
from dsx.errors import Unsupported
from dsx.lookup import find
from dsx.measure import Measurement, Metric
from dsx.measure.profile.profile import Breakdown, Layer
from dsx.search.design.measure_design import Measured, MetricResult
from dsx.space import Design, SearchSpace
from dsx.space.space import build_space

TEXT = """
model: small_cnn
model_args: {width: 4}
data: digits
measure: {batch: 8, threads: 2, deploy: portable}
slots: [{match: "stages.0.*", kernel_shape: [cross, point]}]
objectives: {params: minimize}
"""
NOON = datetime(2026, 11, 24, 12, 5, 30)


def space() -> SearchSpace:
    """Build a space with seven slots."""
    return build_space("mine", "mine.yaml", TEXT)


def crossed(of: SearchSpace) -> Design:
    """Build a design with one redesigned slot."""
    return of.design({"stages.0.conv1": ConvSpec(kernel_shape="cross")})


def number(reading: Measurement, stored: bool = False) -> MetricResult:
    """Build a result measured at noon."""
    newest = dataclasses.replace(reading, measured_at=NOON)
    return MetricResult(estimate=estimate_of(reading), newest=newest, stored=stored)


def latency(value: float, stored: bool = False, **facts: Any) -> MetricResult:
    """Build a latency with an interval of 2 %."""
    reading = Measurement(
        value=value, low=0.98 * value, high=1.02 * value, provenance=Provenance(**facts)
    )
    return number(reading, stored)


def measured() -> Measured:
    """Build counted and timed results of a design and of the baseline."""
    forms = {"stages.0.conv1": "shifted", "stages.0.conv2": "dense"}
    return Measured(
        metrics={name: find(Metric, name) for name in ("params", "flops", "latency_ms")},
        design={
            "params": number(exact(1200)),
            "flops": number(exact(31_000_000)),
            "latency_ms": latency(0.5, converged=False, deployment=DeploymentFacts(forms=forms)),
        },
        baseline={
            "params": number(exact(2400), stored=True),
            "flops": number(exact(62_000_000), stored=True),
            "latency_ms": latency(1.0, noisy=True),
        },
        unsupported={"energy_mj": Unsupported("cannot be measured on this machine")},
    )


def breakdown(of: SearchSpace, scale: float, forms: dict[str, str]) -> Breakdown:
    """Build rows of 1, 2, 3 ... times a number of milliseconds."""
    names: list[str | None] = [slot.name for slot in of.analysis.slots]
    layers = []
    for row, name in enumerate([*names, None]):
        value = scale * (row + 1)
        form = "" if name is None else forms.get(name, "conv")
        span = Measurement(value=value, low=0.9 * value, high=1.1 * value)
        layers.append(Layer(slot=name, form=form, ms=span, calls=2 if row == 1 else 1))
    whole = scale * sum(range(1, len(layers) + 1))
    plain = Measurement(value=whole, low=whole, high=whole)
    clocked = Measurement(value=1.02 * whole, low=whole, high=1.1 * whole)
    return Breakdown(layers=tuple(layers), plain=plain, clocked=clocked, passes=50)
