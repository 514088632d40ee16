"""Search spaces and the slots of networks."""

from dsx.report.space.options import left_out_note
from dsx.report.space.slots import print_analysis, untraced_note
from dsx.report.space.space import print_space

__all__ = ["left_out_note", "print_analysis", "print_space", "untraced_note"]
