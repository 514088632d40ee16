"""What a metric is."""

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
    """A measured quantity, and everything that the rest of dsx has to know of it.

    Args:
        unit: Of its values; empty for a plain count.
        direction: Which way is better.
        stage: What has to happen before it is known: nothing, a deployed network, one that has
            classified images as it was built, a trained one.
        read: Measures one candidate.
        protocol: What of a space the number depends on, as plain JSON values; numbers with
            another protocol are other numbers.
        noise: By what two measurements of one design differ: by nothing, by the moment, by the
            seed of the training; by default what is usual at that stage.
        closed_form: Reads the metric off the cost of a design; None if only `read` tells it.
        always: Whether it is measured in every space that has what it needs.
        rank: Place among the metrics of its stage in a list, before those with a larger one.
        read_in_turn: Measures several candidates so that a drift of the machine hits all alike;
            called with them and with what is told that the device is not free. None if they are
            measured one by one.
        read_exported: Measures exported files, as readings by name; None if exported files are not
            measured for this metric.
        unsupported: Function that returns why the metric cannot be measured for a space on this
            machine, as the rest of a sentence that begins with the metric's name; None if it can.
    """

    unit: str
    direction: Literal["minimize", "maximize"]
    stage: Stage
    read: Callable[[Candidate], Measurement]
    protocol: Callable[[SearchSpace], Mapping[str, Any]]
    noise: Noise | None = None
    closed_form: Callable[[Cost], float] | None = None
    always: bool = False
    rank: int = 10
    read_in_turn: (
        Callable[[Sequence[Candidate], Callable[[], None] | None], list[Measurement]] | None
    ) = None
    read_exported: Callable[[Exported], Mapping[str, Measurement]] | None = None
    unsupported: Callable[[SearchSpace], Unsupported | None] = lambda space: None

    @property
    def refinement(self) -> Refinement:
        """How its value becomes more certain; what is read after a training, by another one."""
        noise = self.noise or _USUAL_NOISE[self.stage]
        if noise == "exact":
            return "none"
        return "retrain" if noise == "seeded" or self.stage == "trained" else "re-measure"


def in_order(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """Sort metrics, the cheap ones first.

    Args:
        metrics: By name.

    Returns:
        The same, by stage, rank and name.
    """

    def place(item: tuple[str, Metric]) -> tuple[int, int, str]:
        name, metric = item
        return STAGES.index(metric.stage), metric.rank, name

    return dict(sorted(metrics.items(), key=place))
