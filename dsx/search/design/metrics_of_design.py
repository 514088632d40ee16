"""Selection of the metrics of a single design."""

from collections.abc import Sequence

from dsx.errors import DsxError
from dsx.lookup import find, names
from dsx.measure import Metric
from dsx.measure.metrics import in_order
from dsx.space import SearchSpace


def choose_metrics(
    space: SearchSpace, wanted: Sequence[str], train: bool
) -> tuple[dict[str, Metric], dict[str, str]]:
    """Select the metrics to measure.

    Args:
        space: The search space.
        wanted: Names of metrics; empty for all supported metrics.
        train: Whether metrics that require training are supported.

    Returns:
        The metrics by name in the order of their stages, and the reason for each metric that is
        not supported on this machine.

    Raises:
        DsxError: If a requested metric is unknown or not supported.
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
    # Metrics that the space does not support are not reported unless they are requested.
    return in_order(had), absent


def _find(name: str) -> Metric:
    try:
        return find(Metric, name)
    except DsxError as error:
        raise DsxError(f"--metric: {error}") from error
