"""The result of one case, and its form in JSON."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dsx.bench._base import Row
from dsx.bench._rounds import Ratio
from dsx.bench.convolutions.contenders import COMPOSITION, DENSE, GROUPED, LAST
from dsx.bench.convolutions.operators import Family

CONTENDERS = (DENSE, GROUPED, COMPOSITION, DENSE + LAST, GROUPED + LAST)
BLOCK_SPARSE = "block_sparse"
TRAINED, UNCHANGED, LEFT_OUT = "trained", "unchanged", "left out"
"""Forms of a module that is trained and not deployed, of a convolution that the operator keeps, and
of a case that is not timed."""
SLOWER = 1.03
"""Ratio above which a deployed form counts as slower than the convolution that it replaces."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of one case.

    Args:
        family: Kind of the measurement.
        operator: Name of the operator, or of the preset in all slots of a network.
        layer: Name of the layer shape, or of the network.
        batch: Number of images.
        threads: Number of threads of torch.
        training: Whether forward and backward passes were timed, else deployed forward passes.
        form: Deployed form that was timed, or `TRAINED`, `UNCHANGED` or `LEFT_OUT`.
        over: Ratio of the time of dsx to that of each contender.
        skipped: Reason for which the case is left out; empty if it is not.
        groups: Number of groups of the operator.
        share: Multiply-adds of the operator over those of the dense convolution; 0 if unknown.
        padding: Packed weights over live weights in the block-sparse plan of the operator; 0 if
            unknown.
        seconds: Median duration of a pass of dsx; 0 if it was not timed.
        limit: Least duration of a pass by the limits of the device in seconds; 0 if unknown.
    """

    family: Family
    operator: str
    layer: str
    batch: int
    threads: int
    training: bool
    form: str
    over: Mapping[str, Ratio]
    skipped: str = ""
    groups: int = 1
    share: float = 1.0
    padding: float = 0.0
    seconds: float = 0.0
    limit: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Result":
        """Build a result from the return value of `to_json`.

        Args:
            values: Value of each field.

        Returns:
            The result.
        """
        over = {name: Ratio(**ratio) for name, ratio in values["over"].items()}
        return cls(**{**values, "family": Family(values["family"]), "over": over})

    def row(self) -> Row:
        """Return the result as a row of the benchmark; unknown values are empty strings."""
        dense = self.over.get(DENSE)
        over = {
            f"over_{name.replace(' ', '_')}": round(self.over[name].value, 4)
            for name in CONTENDERS
            if name in self.over
        }
        return row(
            "case",
            family=str(self.family),
            operator=self.operator,
            layer=self.layer,
            batch=self.batch,
            threads=self.threads,
            passes="forward and backward" if self.training else "forward",
            form=self.form,
            us=round(self.seconds * 1e6, 2) if self.seconds else "",
            share=round(self.share, 4) if self.share else "",
            padding=round(self.padding, 4) if self.padding else "",
            **over,
            over_dense_low=_rounded(None if dense is None else dense.low),
            over_dense_high=_rounded(None if dense is None else dense.high),
            over_limit=round(self.seconds / self.limit, 4) if self.limit else "",
            rounds="" if dense is None else dense.rounds,
            skipped=self.skipped,
        )


def _rounded(value: float | None) -> float | str:
    return "" if value is None else round(value, 4)


_COLUMNS = (
    "row", "family", "operator", "layer", "batch", "threads", "passes", "form", "us", "share",
    "padding", "over_dense", "over_dense_low", "over_dense_high", "over_grouped",
    "over_composition", "over_limit", "over_dense_channels_last", "over_grouped_channels_last",
    "rounds", "skipped", "measure", "goal", "mean", "worst", "worst_case", "cases", "met",
)  # fmt: skip


def row(kind: str, **values: object) -> Row:
    """Build a row of the benchmark.

    Args:
        kind: Kind of the row: "goal", "device", "case" or "check".
        **values: Values of some columns.

    Returns:
        The row with all columns, of which the others are empty strings.
    """
    assert values.keys() <= set(_COLUMNS), values.keys() - set(_COLUMNS)
    return {**dict.fromkeys(_COLUMNS, ""), "row": kind, **values}
