"""The search: sampling and evaluation of designs, and refinement of studies."""

from dsx.search.doctor import examine
from dsx.search.evaluator import read_metric
from dsx.search.loop import Progress, search
from dsx.search.model_quality import model_quality
from dsx.search.plan import find_metrics, unmet_constraints
from dsx.search.refining.choice import Outlook
from dsx.search.refining.refine import Refinement, refine_study
from dsx.search.screening import ModelQuality

__all__ = [
    "ModelQuality",
    "Outlook",
    "Progress",
    "Refinement",
    "examine",
    "find_metrics",
    "model_quality",
    "read_metric",
    "refine_study",
    "search",
    "unmet_constraints",
]
