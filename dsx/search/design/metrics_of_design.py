"""Wanted: which metrics of a single design are measured, and which cannot be."""

from collections.abc import Sequence

from dsx.errors import DsxError
from dsx.lookup import find, names
from dsx.measure import Metric
from dsx.measure.metrics import in_order
from dsx.space import SearchSpace


def choose_metrics(
    space: SearchSpace, wanted: Sequence[str], train: bool
) -> tuple[dict[str, Metric], dict[str, str]]:
    """Choose what is measured.

    Args:
        space: The space.
        wanted: Names of metrics; none for all that can be had.
        train: Whether those that need a training can.

    Returns:
        The metrics by name, the cheap ones first, and why others cannot be had on this machine.

    Raises:
        DsxError: If a wanted metric is unknown, or cannot be had.
    """
    found = {name: _find(name) for name in wanted or names(Metric)}
    lacking = {name: why for name, metric in found.items() if (why := metric.lacks(space))}
    absent = {name: why for name, metric in found.items() if (why := metric.absent(space))}
    for name, why in (lacking | absent).items():
        if wanted:
            raise DsxError(f"--metric: {name} {why}")
    had = {
        name: metric
        for name, metric in found.items()
        if name not in lacking | absent and (wanted or train or metric.stage != "trained")
    }
    # What a space lacks is no fault of the machine, and not worth a word each time.
    return in_order(had), absent


def _find(name: str) -> Metric:
    try:
        return find(Metric, name)
    except DsxError as error:
        raise DsxError(f"--metric: {error}") from error
