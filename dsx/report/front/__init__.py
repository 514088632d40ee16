"""The front of a study as table, figure, page and rows."""

from dsx.report.front.refined import outlook_notes, refinement_notes
from dsx.report.front.result import print_front, print_message
from dsx.report.front.table import Hints
from dsx.report.front.view import axes

__all__ = ["Hints", "axes", "outlook_notes", "print_front", "print_message", "refinement_notes"]
