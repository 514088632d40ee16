"""Samplers: the study of Optuna, its storage and its dashboard."""

from dsx.search.sampling.dashboard import check_dashboard, serve_dashboard

__all__ = ["check_dashboard", "serve_dashboard"]
