"""Fronts with one to four objectives, intervals, fallbacks and an infeasible design."""

import math
from dataclasses import replace

import pytest

from dsx.analysis.estimate import Estimate
from dsx.analysis.front import Direction, Entry, Front
from dsx.lookup import find, names
from dsx.measure import Metric
from dsx.store.studies.proxies import ProxyReport, compare
from tests.search.kinds import KINDS

UNITS = {name: find(Metric, name).unit for name in names(Metric)}
BASELINE = (313_201_664, 0.9344, 0.412, 577_322)
DESIGNS = [
    (313_201_664, 0.9344, 0.412, 577_322, ""),
    (20_713_472, 0.9012, 0.131, 61_010, "6x sep g2 r1/2"),
    (108_000_000, 0.9340, 0.287, 201_000, "5x corners; keep"),
    (74_500_000, 0.9301, 0.222, 160_300, "3x cross g4 r1/2; 3x keep"),
    (35_250_000, 0.9209, 0.159, 98_410, "6x learned d0.25 [rigid]"),
    (150_000_000, 0.9250, 0.226, 290_000, "6x het4"),
    (90_000_000, 0.8700, 0.350, 170_000, "6x point g4"),
    (210_400_000, 0.9371, 0.391, 400_000, "halves; 5x keep"),
    (15_000_000, 0.9100, 0.090, 40_000, "6x full b64/2"),
]


def _exact(number: float) -> Estimate:
    number = float(number)
    return Estimate(value=number, low=number, high=number)


def _entry(trial: int) -> Entry:
    flops, accuracy, latency, params, description = DESIGNS[trial]
    feasible = trial != 8
    return Entry(
        id=f"{0x3FA9C1 + 0x1F3B5 * trial:06x}{trial:06d}",
        trial=trial,
        feasible=feasible,
        metrics={
            "flops": _exact(flops),
            "accuracy": Estimate(value=accuracy, low=accuracy - 0.004, high=accuracy + 0.004),
            "latency_ms": Estimate(value=latency, low=0.97 * latency, high=1.02 * latency),
            "params": _exact(params),
            "bits": _exact(32 * params),
            "peak_memory_mb": _exact(3.25),
        },
        spec={"conv2": {"kernel_shape": "cross", "groups": 4}} if trial else {},
        description=description or "6x keep",
        redesigned=4 if trial else 0,
        fallbacks=trial % 3 if trial else 0,
    )


def make(*objectives: str, trials: range = range(9)) -> Front:
    ways: dict[str, Direction] = {
        name: "maximize" if name == "accuracy" else "minimize" for name in objectives
    }
    entries = tuple(_entry(trial) for trial in trials)
    return Front(
        study="vgg16-3",
        space="vgg16",
        objectives=ways,
        units=UNITS,
        kinds=KINDS,
        entries=entries,
        baseline=_entry(0).id,
        reference={
            name: _entry(0).metrics[name].value * (1.1 if way == "minimize" else 0.9)
            for name, way in ways.items()
        },
        conditions={"device": "Xeon, 1 thread, float32, batch 1"},
    )


@pytest.fixture
def two() -> Front:
    return make("flops", "accuracy")


@pytest.fixture
def three() -> Front:
    return make("flops", "latency_ms", "accuracy")


@pytest.fixture
def four() -> Front:
    return make("flops", "latency_ms", "accuracy", "params")


@pytest.fixture
def one() -> Front:
    """Build a front with a single objective."""
    return make("accuracy")


@pytest.fixture
def baseline_only() -> Front:
    """Build a front that contains only the baseline."""
    return make("flops", "accuracy", trials=range(1))


@pytest.fixture
def infeasible() -> Front:
    """Build a study without a feasible design and without a baseline."""
    return make("flops", "accuracy", trials=range(8, 9))


@pytest.fixture
def incomplete() -> Front:
    """Build a front without baseline, with infinite values and intervals, and missing metrics."""
    front = make("flops", "accuracy", "latency_ms", trials=range(1, 9))
    first, second, *rest = front.entries
    slow = Estimate(value=math.inf, low=0.1, high=math.inf)
    endless = replace(first, metrics={**first.metrics, "latency_ms": slow, "flops": _exact(1000)})
    unsure = Estimate(value=0.94, low=-math.inf, high=math.inf)
    unsized = {name: second.metrics[name] for name in ("flops", "latency_ms")}
    vague = replace(second, metrics={**unsized, "accuracy": unsure})
    bare = replace(first, id="b" * 12, trial=9, feasible=False, metrics={}, fallbacks=None)
    return replace(front, entries=(endless, vague, *rest, bare))


@pytest.fixture(scope="session")
def proxies() -> ProxyReport:
    """Build a report on nine designs and a rejected one, with constant peak memory."""
    front = make("flops", "latency_ms", "accuracy")
    numbers = {entry.id: entry.metrics for entry in front.entries}
    rejected = {"params": _exact(9000), "flops": _exact(9e9), "latency_ms": _exact(0.5)}
    numbers = {**numbers, "rejected": rejected}
    return ProxyReport(
        front=front,
        numbers=numbers,
        proxies=compare(numbers, KINDS, front.study),
        unknown_operators={"aten::fft_fft": 2},
    )


@pytest.fixture
def flagged_front(three: Front) -> Front:
    """Build a front with means over seeds, flagged values and two devices."""

    def doubt(entry: Entry) -> Entry:
        metrics = dict(entry.metrics)
        if entry.trial in (3, 4):
            metrics["accuracy"] = replace(metrics["accuracy"], seeds=3, readings=4)
        if entry.trial in (1, 2):
            latency = metrics["latency_ms"]
            metrics["latency_ms"] = replace(latency, converged=False, noisy=entry.trial == 1)
        return replace(entry, metrics=metrics, device="b" * 12 if entry.trial == 4 else "a" * 12)

    entries = tuple(map(doubt, three.entries))
    conditions = {"device": "2 devices mixed", "device 1": "Xeon", "device 2": "EPYC"}
    devices = {"a" * 12: 1, "b" * 12: 2}
    return replace(three, entries=entries, conditions=conditions, devices=devices)


@pytest.fixture
def crowded(two: Front) -> Front:
    """Build a front with fourteen possible members that are dominated by value."""

    def near(n: int) -> Entry:
        twin = two.entries[2]
        flops = twin.metrics["flops"].value + n
        metrics = {**twin.metrics, "flops": _exact(flops)}
        return replace(twin, id=f"{n:012x}", trial=n, metrics=metrics)

    return replace(two, entries=(*two.entries, *(near(n) for n in range(20, 34))))
