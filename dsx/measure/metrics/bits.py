"""Bits: storage of the parameters without file overhead; 32 bits for each real number."""

from dsx.analysis import Measurement, exact
from dsx.measure.candidate import Candidate
from dsx.measure.metrics._base import Metric


def read(candidate: Candidate) -> Measurement:
    """Compute the bits of a candidate by closed form.

    Args:
        candidate: The candidate; it is trained if its shapes are learned.

    Returns:
        The exact value.
    """
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
