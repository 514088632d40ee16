"""Metrics, one file each."""

from dsx.measure.metrics._base import STAGES, Stage, in_order

__all__ = ["STAGES", "Stage", "in_order"]
