"""Stage and refinement of the metrics of dsx, as stored with a study."""

from dsx.analysis.front import MetricKind
from dsx.lookup import find, names
from dsx.measure import Metric
from dsx.measure.metrics._base import in_order

KINDS = {
    name: MetricKind(metric.stage, metric.refinement)
    for name, metric in in_order({name: find(Metric, name) for name in names(Metric)}).items()
}
"""The cheap ones first."""
