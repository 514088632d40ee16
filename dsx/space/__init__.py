"""Search spaces: what may be chosen, and the network a choice stands for."""

from dsx.space.design import Design
from dsx.space.dials import DIALS, Value
from dsx.space.draft import Draft, draft_space
from dsx.space.network.analysis import NetworkAnalysis, slots
from dsx.space.network.slots import Slot
from dsx.space.options.choices import Choices, Pick
from dsx.space.redesign import redesign
from dsx.space.remeasured import remeasured
from dsx.space.settings import outside, read_settings
from dsx.space.space import SearchSpace, build_space, load_space, shipped_spaces
from dsx.space.yaml.schema import SpaceFile

__all__ = [
    "DIALS",
    "Choices",
    "Design",
    "Draft",
    "NetworkAnalysis",
    "Pick",
    "SearchSpace",
    "Slot",
    "SpaceFile",
    "Value",
    "build_space",
    "draft_space",
    "load_space",
    "outside",
    "read_settings",
    "redesign",
    "remeasured",
    "shipped_spaces",
    "slots",
]
