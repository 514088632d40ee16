"""Options: the specs that a search space allows for each slot."""

from dsx.space.options.slot_options import KEEP_OPTION, Fork, Selector, SlotOptions, Tree

__all__ = ["KEEP_OPTION", "Fork", "Selector", "SlotOptions", "Tree"]
