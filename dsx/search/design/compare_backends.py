"""Backends compared: the latency of one design in each of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from dsx.errors import DsxError, Unsupported, WorkFailed
from dsx.lookup import find, names
from dsx.measure import Candidate, Metric, read_latencies
from dsx.measure.backends import Backend, unsupported
from dsx.measure.metrics.latency_ms import NAME as LATENCY
from dsx.parameters import parameter
from dsx.process import torch_threads
from dsx.search.design.measure_design import MetricResult, Single
from dsx.search.evaluator import WAITING
from dsx.search.failures import outside_dsx
from dsx.search.plan import Plan, plan_metrics
from dsx.space import SearchSpace, remeasured
from dsx.space.weights import state_of

ALL, EAGER = "all", "eager"


@dataclass(frozen=True, kw_only=True)
class InBackend:
    """Latency of a design in a backend.

    Args:
        backend: Name of the backend.
        latency: Latency in milliseconds, or the reason why the backend cannot be used.
    """

    backend: str
    latency: MetricResult | Unsupported


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
    everything = ALL in wanted
    spaces: dict[str, SearchSpace] = {}
    problems: dict[str, Unsupported] = {}
    for name in dict.fromkeys([EAGER, *(names(Backend) if everything else wanted)]):
        space = remeasured(single.space, backend=name)
        problem = unsupported(space.file.measure)
        if problem is None:
            spaces[name] = space
        elif everything:
            problems[name] = problem
        else:
            raise DsxError(f"{parameter('backend')}: {problem.reason}")
    with torch_threads(single.space.file.measure.threads):
        numbers = _Comparison(single, spaces, everything, problems).numbers()
    return [
        InBackend(backend=name, latency=latency)
        for name, latency in sorted(
            (numbers | problems).items(), key=lambda item: (item[0] != EAGER, item[0])
        )
    ]


class _Comparison:
    """The comparison on its way.

    Args:
        single: The design.
        spaces: By backend.
        lenient: Whether a backend that cannot take the network is passed over.
        problems: Reasons why backends are left out, by name; reasons are added.
    """

    def __init__(
        self,
        single: Single,
        spaces: dict[str, SearchSpace],
        lenient: bool,
        problems: dict[str, Unsupported],
    ) -> None:
        self.single, self.spaces = single, spaces
        self.lenient, self.problems = lenient, problems

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
        with outside_dsx(single.space.imports, WorkFailed):
            ready = self._prepared(missing)
            for name in list(ready) if not single.fresh else ():
                number = single.share(plans[name], LATENCY, ready[name])
                if number is not None:
                    found[name] = number
                    del ready[name]
            single.doing("timing in all of them")
            readings = read_latencies(list(ready.values()), lambda: single.doing(WAITING))
        for (name, candidate), reading in zip(ready.items(), readings, strict=True):
            found[name] = single.add(plans[name], candidate, LATENCY, reading)
        return found

    def _plan(self, space: SearchSpace) -> Plan:
        metrics = {LATENCY: find(Metric, LATENCY)}
        return plan_metrics(space, metrics, self.single.measurements, self.single.design.learned)

    def _prepared(self, missing: Sequence[str]) -> dict[str, Candidate]:
        """Deploy the design in each backend; one training is for all of them."""
        single, ready = self.single, {}
        trained: Candidate | None = None
        for name in missing:
            candidate = single.candidate(self.spaces[name], single.design)
            if single.design.learned and trained is not None:
                candidate.restore(state_of(trained.trained()))
            trained = trained or candidate
            single.doing(f"preparing {name}")
            try:
                _ = candidate.run
            except DsxError as error:
                if not self.lenient or name == EAGER:
                    raise
                self.problems[name] = Unsupported(str(error))
                continue
            ready[name] = candidate
        return ready
