"""Selection of the metrics of a single design."""

from collections.abc import Sequence

from dsx.errors import DsxError, Unsupported, parameter
from dsx.lookup import find, names
from dsx.measure import Metric
from dsx.measure.metrics import in_order
from dsx.search.plan import unsupported_metric
from dsx.space import SearchSpace


def choose_metrics(
    space: SearchSpace, wanted: Sequence[str], train: bool
) -> tuple[dict[str, Metric], dict[str, Unsupported]]:
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
    found: dict[str, Metric] = {}
    unsupported: dict[str, Unsupported] = {}
    for name in wanted or names(Metric):
        try:
            found[name] = find(Metric, name)
            problem = unsupported_metric(name, found[name], space)
        except DsxError as error:
            raise DsxError(f"{parameter('metric')}: {error}") from error
        if problem is not None and wanted:
            raise DsxError(f"{parameter('metric')}: {name} {problem.reason}")
        if problem is not None:
            unsupported[name] = problem
    had = {
        name: metric
        for name, metric in found.items()
        if name not in unsupported and (wanted or train or metric.stage != "trained")
    }
    return in_order(had), unsupported
