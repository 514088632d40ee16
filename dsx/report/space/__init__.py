"""Search spaces and the slots of networks."""

from dsx.report.space.options import left_out_note
from dsx.report.space.slots import print_census, untraced_note
from dsx.report.space.space import print_space

__all__ = ["left_out_note", "print_census", "print_space", "untraced_note"]
