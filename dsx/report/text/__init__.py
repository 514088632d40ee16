"""Text: numbers, lists, progress and messages as they are printed."""

from dsx.report.text.listing import print_rows
from dsx.report.text.outcomes import outcome_notes
from dsx.report.text.progress import SearchProgress, marked_note, working

__all__ = ["SearchProgress", "marked_note", "outcome_notes", "print_rows", "working"]
