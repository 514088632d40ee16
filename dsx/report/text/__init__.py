"""Text output: numbers, lists, progress and messages."""

from dsx.report.text.listing import print_rows
from dsx.report.text.outcomes import outcome_notes
from dsx.report.text.progress import SearchProgress, flagged_note, working

__all__ = ["SearchProgress", "flagged_note", "outcome_notes", "print_rows", "working"]
