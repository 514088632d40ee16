"""Backends that run deployed networks, one file for each."""

from dsx.measure.backends._base import Backend
from dsx.measure.backends._check import unsupported, versions
from dsx.measure.backends._forms import (
    forms_note,
    no_native_forms,
    resolved,
    with_other_settings,
)
from dsx.measure.backends._prepare import prepare, runner

__all__ = [
    "Backend",
    "forms_note",
    "no_native_forms",
    "prepare",
    "resolved",
    "runner",
    "unsupported",
    "versions",
    "with_other_settings",
]
