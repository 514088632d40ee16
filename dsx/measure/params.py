"""Params: live real numbers and basis entries; BN scale and shift count too."""

from dsx.measure._base import Metric
from dsx.measure.candidate import Candidate
from dsx.measure.measurement import Measurement, exact


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
