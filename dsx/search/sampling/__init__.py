"""Samplers: the study of Optuna, its storage and its dashboard."""

from dsx.search.sampling.dashboard import check_dashboard, serve_dashboard
from dsx.search.sampling.study import quiet_optuna

__all__ = ["check_dashboard", "quiet_optuna", "serve_dashboard"]
