"""Params: live real numbers and basis entries; BN scale and shift count too."""

from dsx.analysis import Measurement, exact
from dsx.measure.candidate import Candidate
from dsx.measure.metrics._base import Metric


def read(candidate: Candidate) -> Measurement:
    """Count by closed form."""
    return exact(candidate.cost.params)


METRIC = Metric(
    unit="",
    direction="minimize",
    stage="static",
    read=read,
    protocol=lambda space: {"version": 1},
    closed_form=lambda cost: cost.params,
    read_exported=lambda files: {"params": exact(files.params)},
    always=True,
    rank=2,
)
