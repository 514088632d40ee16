"""Metrics, one file for each."""

from dsx.measure.metrics._base import STAGES, Stage, in_order

__all__ = ["STAGES", "Stage", "in_order"]
