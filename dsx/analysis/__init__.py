"""Analysis of measured values: fronts, their uncertainty, aggregation and rank correlation."""

from dsx.analysis.aggregate import SHARES, Stored, chance_facts, pool_all
from dsx.analysis.chance import chance_notes
from dsx.analysis.front import Entry, Front, MetricKind, Value
from dsx.analysis.measurement import Reading, exact
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
from dsx.analysis.reasons import Outcomes, Reason, grouped, most_common

__all__ = [
    "SHARES",
    "Agreement",
    "Entry",
    "Front",
    "MetricKind",
    "Numbers",
    "Outcomes",
    "Pairs",
    "Reading",
    "Reason",
    "Stored",
    "Value",
    "agreement",
    "ceiling",
    "chance_facts",
    "chance_notes",
    "exact",
    "grouped",
    "half_interval",
    "most_common",
    "pairs",
    "pool_all",
    "tau",
]
