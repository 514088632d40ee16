"""Search spaces and the slots of networks."""

from dsx.report.space.options import unsupported_note
from dsx.report.space.slots import print_analysis, untraced_note
from dsx.report.space.space import print_space

__all__ = ["print_analysis", "print_space", "unsupported_note", "untraced_note"]
