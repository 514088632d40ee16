"""Bits: storage of the params, payload only; 32 per real number."""

from dsx.analysis import Measurement, exact
from dsx.measure.candidate import Candidate
from dsx.measure.metrics._base import Metric


def read(candidate: Candidate) -> Measurement:
    """Count by closed form."""
    return exact(candidate.cost.bits)


METRIC = Metric(
    unit="bit",
    direction="minimize",
    stage="static",
    read=read,
    protocol=lambda space: {"version": 1},
    closed_form=lambda cost: cost.bits,
    read_exported=lambda files: {"bits": exact(files.bits)},
    always=True,
    rank=3,
)
