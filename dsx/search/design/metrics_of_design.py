"""Wanted: which metrics of a single design are measured, and which cannot be."""

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
