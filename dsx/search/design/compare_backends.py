"""Backends compared: the latency of one design in each of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from dsx.activity import Event, Kind
from dsx.errors import DsxError
from dsx.lookup import find, names
from dsx.measure import Candidate, Metric
from dsx.measure.backends import Backend, refusal
from dsx.measure.metrics.latency_ms import NAME as LATENCY
from dsx.process import torch_threads
from dsx.search.candidates import lock_wait
from dsx.search.design.measure_design import MetricResult, Single
from dsx.search.evaluator import failing_as_trial, read_metrics
from dsx.search.plan import Plan, plan_metrics
from dsx.space import SearchSpace, remeasured
from dsx.space.weights import state_of

ALL, EAGER = "all", "eager"


@dataclass(frozen=True, kw_only=True)
class InBackend:
    """How fast a design is in a backend.

    Args:
        backend: Its name.
        number: Milliseconds; None where it cannot be used.
        reason: Why it cannot.
    """

    backend: str
    number: MetricResult | None
    reason: str = ""


def compare_backends(single: Single, wanted: Sequence[str]) -> list[InBackend]:
    """Look up, or time in turn, the latency of a design in several backends.

    Args:
        single: The design.
        wanted: Names of backends, or "all"; eager is always among them.

    Returns:
        A line each; only with "all" some may be without a number.

    Raises:
        DsxError: If a backend that was named is unknown or cannot be used here, or a training is
            needed that was not asked for.
        WorkFailed: If the network fails.
    """
    spaces, reasons = _usable(single.space, wanted)
    with torch_threads(single.space.file.measure.threads):
        numbers = _Comparison(single, spaces, ALL in wanted, reasons).numbers()
    return [
        InBackend(backend=name, number=numbers.get(name), reason=reasons.get(name, ""))
        for name in sorted({*spaces, *reasons}, key=lambda name: (name != EAGER, name))
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
) -> tuple[dict[str, SearchSpace], dict[str, str]]:
    """Return the space for each usable backend, and why the others cannot be used."""
    everything = ALL in wanted
    spaces: dict[str, SearchSpace] = {}
    reasons: dict[str, str] = {}
    for name in dict.fromkeys([EAGER, *(names(Backend) if everything else wanted)]):
        remade = remeasured(space, backend=name)
        problem = refusal(remade.file.measure)
        if problem is None:
            spaces[name] = remade
        elif everything:
            reasons[name] = problem[1]
        else:
            raise DsxError(f"--backend: {problem[1]}")
    return spaces, reasons


class _Comparison:
    """The comparison on its way.

    Args:
        single: The design.
        spaces: By backend.
        lenient: Whether a backend that cannot take the network is passed over.
        reasons: Why a backend was passed over; added to.
    """

    def __init__(
        self,
        single: Single,
        spaces: dict[str, SearchSpace],
        lenient: bool,
        reasons: dict[str, str],
    ) -> None:
        self.single, self.spaces = single, spaces
        self.lenient, self.reasons = lenient, reasons

    def numbers(self) -> dict[str, MetricResult]:
        """Look up what is known, and time the others in turn."""
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
        """Deploy the design in each backend; one training is for all of them."""
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
                self.reasons[name] = str(error)
                continue
            ready[name] = candidate
        return ready
