"""Contract of a metric."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dsx.analysis import Measurement
from dsx.conv import Cost
from dsx.errors import Unsupported
from dsx.measure.candidate import Candidate, Exported
from dsx.space import SearchSpace

Stage = Literal["static", "timed", "projected", "trained"]
STAGES: tuple[Stage, ...] = ("static", "timed", "projected", "trained")
Noise = Literal["exact", "sampled", "seeded"]
Refinement = Literal["none", "re-measure", "retrain"]
_USUAL_NOISE: Mapping[Stage, Noise] = {
    "static": "exact", "timed": "sampled", "projected": "exact", "trained": "seeded"
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measured quantity, with everything that other packages need to know about it.

    Args:
        unit: Unit of the values; empty for a plain count.
        direction: Whether smaller or larger values are better.
        stage: Requirement before the metric can be read: nothing (`static`), a deployed
            network (`timed`), a built network and the data (`projected`), or a trained network.
        read: Function that measures one candidate.
        protocol: Function that returns the settings of a space on which the values depend, as
            plain JSON values; values with different protocols are not comparable.
        noise: Why repeated measurements of one design differ: not at all (`exact`), from one
            measurement to the next (`sampled`), or with the training seed (`seeded`). None for
            the usual noise of the stage.
        closed_form: Function that returns the value for the cost of a design; None if there is no
            closed form.
        sums_forms: Whether the value is about a constant plus the sum of the times of the deployed
            forms of the convolutions, so that timed selections of forms predict it.
        always: Whether the metric is measured in every space that supports it.
        rank: Position in lists of the metrics of a stage; smaller ranks come first.
        read_interleaved: Function that measures several candidates by interleaved timing, so that
            drift affects all of them equally. Its arguments are the candidates and a function to
            be called if the device lock is held. None to measure candidates one by one.
        read_exported: Function that measures exported files and returns readings by name; None if
            the metric is not measured for exported files.
        unsupported: Function that returns why the metric cannot be measured for a space on this
            machine; None if it can. The reason is the rest of a sentence that begins with the name
            of the metric.
    """

    unit: str
    direction: Literal["minimize", "maximize"]
    stage: Stage
    read: Callable[[Candidate], Measurement]
    protocol: Callable[[SearchSpace], Mapping[str, Any]]
    noise: Noise | None = None
    closed_form: Callable[[Cost], float] | None = None
    sums_forms: bool = False
    always: bool = False
    rank: int = 10
    read_interleaved: (
        Callable[[Sequence[Candidate], Callable[[], None] | None], list[Measurement]] | None
    ) = None
    read_exported: Callable[[Exported], Mapping[str, Measurement]] | None = None
    unsupported: Callable[[SearchSpace], Unsupported | None] = lambda space: None

    @property
    def refinement(self) -> Refinement:
        """Way in which the estimate of the metric becomes more precise."""
        noise = self.noise or _USUAL_NOISE[self.stage]
        if noise == "exact":
            return "none"
        return "retrain" if noise == "seeded" or self.stage == "trained" else "re-measure"


def in_order(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """Sort metrics from the cheapest to the most expensive.

    Args:
        metrics: Metrics by name.

    Returns:
        The metrics sorted by stage, rank and name.
    """

    def position(item: tuple[str, Metric]) -> tuple[int, int, str]:
        name, metric = item
        return STAGES.index(metric.stage), metric.rank, name

    return dict(sorted(metrics.items(), key=position))
