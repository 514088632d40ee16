"""Search spaces: the options of each slot, and the network that a design specifies."""

from dsx.space.design import Design
from dsx.space.dials import DIALS, Value
from dsx.space.draft import Draft, draft_space
from dsx.space.measure_settings import with_measure_settings
from dsx.space.network.analysis import NetworkAnalysis, slots
from dsx.space.network.slots import Slot
from dsx.space.options.slot_options import Selector, SlotOptions
from dsx.space.redesign import redesign
from dsx.space.settings import outside, parse_settings
from dsx.space.space import SearchSpace, build_space, load_space, shipped_spaces
from dsx.space.yaml.schema import SpaceFile

__all__ = [
    "DIALS",
    "Design",
    "Draft",
    "NetworkAnalysis",
    "SearchSpace",
    "Selector",
    "Slot",
    "SlotOptions",
    "SpaceFile",
    "Value",
    "build_space",
    "draft_space",
    "load_space",
    "outside",
    "parse_settings",
    "redesign",
    "shipped_spaces",
    "slots",
    "with_measure_settings",
]
