"""Samplers: the study of Optuna and its storage."""
