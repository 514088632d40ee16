"""Analysis of measured values: fronts, their uncertainty, aggregation and rank correlation."""

from dsx.analysis.aggregate import SHARES, aggregate_all, estimate_of, examples_of, row_number
from dsx.analysis.chance import chance_notes
from dsx.analysis.differences import Objective
from dsx.analysis.dominance.membership import Membership
from dsx.analysis.dominance.pareto import Values, dominate, hypervolume, non_dominated
from dsx.analysis.dominance.prospects import Prospects, Repeatable
from dsx.analysis.estimate import Estimate
from dsx.analysis.examples import ExampleResults
from dsx.analysis.front import Entry, Front, MetricKind
from dsx.analysis.measurement import (
    DeploymentFacts,
    Energy,
    Machine,
    Measurement,
    OperatorCount,
    PeakMemory,
    Predictions,
    Process,
    Provenance,
    Record,
    Timing,
    exact,
    from_json,
    to_json,
)
from dsx.analysis.rank_correlation import (
    Agreement,
    Numbers,
    Pairs,
    agreement,
    ceiling,
    half_interval,
    pairs,
    tau,
)
from dsx.analysis.reasons import (
    CHECKED,
    MEASURED,
    NOT_TIMED,
    STOPPED,
    Outcomes,
    Reason,
    TrialState,
    grouped,
    most_common,
)

__all__ = [
    "CHECKED",
    "MEASURED",
    "NOT_TIMED",
    "SHARES",
    "STOPPED",
    "Agreement",
    "DeploymentFacts",
    "Energy",
    "Entry",
    "Estimate",
    "ExampleResults",
    "Front",
    "Machine",
    "Measurement",
    "Membership",
    "MetricKind",
    "Numbers",
    "Objective",
    "OperatorCount",
    "Outcomes",
    "Pairs",
    "PeakMemory",
    "Predictions",
    "Process",
    "Prospects",
    "Provenance",
    "Reason",
    "Record",
    "Repeatable",
    "Timing",
    "TrialState",
    "Values",
    "aggregate_all",
    "agreement",
    "ceiling",
    "chance_notes",
    "dominate",
    "estimate_of",
    "exact",
    "examples_of",
    "from_json",
    "grouped",
    "half_interval",
    "hypervolume",
    "most_common",
    "non_dominated",
    "pairs",
    "row_number",
    "tau",
    "to_json",
]
