"""Params: nonzero real parameters and binary basis entries, including the scale and shift of BN."""

from dsx.analysis import Measurement, exact
from dsx.measure.candidate import Candidate
from dsx.measure.metrics._base import Metric


def read(candidate: Candidate) -> Measurement:
    """Compute the params of a candidate by closed form.

    Args:
        candidate: The candidate; it is trained if its shapes are learned.

    Returns:
        The exact value.
    """
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
