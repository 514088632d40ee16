"""Comparison of the latency of one design in several backends."""

from collections.abc import Sequence
from dataclasses import dataclass

from dsx.activity import Event, Kind
from dsx.errors import DsxError, Unsupported, parameter
from dsx.lookup import find, names
from dsx.measure import Candidate, Metric
from dsx.measure.backends import Backend, unsupported, with_other_settings
from dsx.measure.metrics.latency_ms import NAME as LATENCY
from dsx.process import torch_threads
from dsx.search.candidates import lock_wait
from dsx.search.design.measure_design import DesignMeasurement, MetricResult
from dsx.search.evaluator import read_metrics
from dsx.search.failures import failing_as_trial
from dsx.search.plan import Plan, plan_metrics
from dsx.space import SearchSpace
from dsx.space.weights import state_of

ALL, EAGER = "all", "eager"


@dataclass(frozen=True, kw_only=True)
class BackendLatency:
    """The latency of a design in a backend.

    Args:
        backend: Name of the backend.
        latency: Latency in milliseconds, or the reason why the backend is not supported.
    """

    backend: str
    latency: MetricResult | Unsupported


def compare_backends(single: DesignMeasurement, wanted: Sequence[str]) -> list[BackendLatency]:
    """Look up or measure the latency of a design in several backends, interleaved.

    Args:
        single: The design.
        wanted: Names of backends, or "all"; eager is always included.

    Returns:
        The latency in each backend; only with "all" some may be not supported.

    Raises:
        DsxError: If a named backend is unknown or not supported here, or if training is required
            but not permitted.
        WorkFailed: If the network fails.
    """
    spaces, problems = _usable(single.space, wanted)
    with torch_threads(single.space.file.measure.threads):
        numbers = _Comparison(single, spaces, ALL in wanted, problems).numbers()
    return [
        BackendLatency(backend=name, latency=latency)
        for name, latency in sorted(
            (numbers | problems).items(), key=lambda item: (item[0] != EAGER, item[0])
        )
    ]


def check_backends(space: SearchSpace, wanted: Sequence[str]) -> None:
    """Check that backends can be compared, before anything is measured.

    Args:
        space: Search space of the design.
        wanted: Names of backends, or "all".

    Raises:
        DsxError: If a backend that is named is unknown or cannot be used on this device.
    """
    _usable(space, wanted)


def _usable(
    space: SearchSpace, wanted: Sequence[str]
) -> tuple[dict[str, SearchSpace], dict[str, Unsupported]]:
    """Return the space for each usable backend, and why the others cannot be used."""
    everything = ALL in wanted
    spaces: dict[str, SearchSpace] = {}
    problems: dict[str, Unsupported] = {}
    for name in dict.fromkeys([EAGER, *(names(Backend) if everything else wanted)]):
        remade = with_other_settings(space, backend=name)
        problem = unsupported(remade.file.measure)
        if problem is None:
            spaces[name] = remade
        elif everything:
            problems[name] = problem
        else:
            raise DsxError(f"{parameter('backend')}: {problem.reason}")
    return spaces, problems


class _Comparison:
    """A comparison of backends.

    Args:
        single: The design.
        spaces: Backend to the search space with that backend.
        lenient: Whether to skip backends that do not support the network.
        problems: Reason for each skipped backend; more are added.
    """

    def __init__(
        self,
        single: DesignMeasurement,
        spaces: dict[str, SearchSpace],
        lenient: bool,
        problems: dict[str, Unsupported],
    ) -> None:
        self.single, self.spaces = single, spaces
        self.lenient, self.problems = lenient, problems

    def numbers(self) -> dict[str, MetricResult]:
        """Look up stored latencies and measure the others, interleaved."""
        single = self.single
        single.probe()
        plans = {name: self._plan(space) for name, space in self.spaces.items()}
        found = {
            name: known[LATENCY]
            for name, plan in plans.items()
            if (known := single.look_up(plan, single.design))
        }
        missing = [name for name in plans if name not in found]
        if not missing:
            return found
        single.check_shapes()
        with failing_as_trial(single.space):
            ready = self._prepared(missing)
            for name in list(ready) if not single.fresh else ():
                number = single.share(plans[name], LATENCY, ready[name])
                if number is not None:
                    found[name] = number
                    del ready[name]
            single.on_status(Event(kind=Kind.TIMING, design=single.design.id))
            metric, on_lock_wait = find(Metric, LATENCY), lock_wait(single.on_status)
            readings = list(read_metrics(LATENCY, metric, list(ready.values()), on_lock_wait))
        for name, (candidate, reading) in zip(ready, readings, strict=True):
            found[name] = single.add(plans[name], candidate, LATENCY, reading)
        return found

    def _plan(self, space: SearchSpace) -> Plan:
        metrics = {LATENCY: find(Metric, LATENCY)}
        return plan_metrics(space, metrics, self.single.measurements, self.single.design.learned)

    def _prepared(self, missing: Sequence[str]) -> dict[str, Candidate]:
        """Deploy the design in each backend, after at most one training."""
        single, ready = self.single, {}
        trained: Candidate | None = None
        for number, name in enumerate(missing):
            candidate = single.candidate(self.spaces[name], single.design)
            if single.design.learned and trained is not None:
                candidate.restore(state_of(trained.trained()))
            trained = trained or candidate
            single.on_status(
                Event(
                    kind=Kind.PREPARING_BACKEND,
                    design=single.design.id,
                    detail=name,
                    fraction=number / len(missing),
                )
            )
            try:
                _ = candidate.run
            except DsxError as error:
                if not self.lenient or name == EAGER:
                    raise
                self.problems[name] = Unsupported(str(error))
                continue
            ready[name] = candidate
        return ready
