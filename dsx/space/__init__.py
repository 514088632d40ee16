"""Search spaces: what may be chosen, and the network a choice stands for."""

from dsx.space.census import Census, slots
from dsx.space.choices import Choices, Pick
from dsx.space.design import Design
from dsx.space.draft import Draft, draft_space
from dsx.space.redesign import redesign
from dsx.space.schema import SpaceFile
from dsx.space.slots import Slot
from dsx.space.space import SearchSpace, load_space, shipped_spaces

__all__ = [
    "Census",
    "Choices",
    "Design",
    "Draft",
    "Pick",
    "SearchSpace",
    "Slot",
    "SpaceFile",
    "draft_space",
    "load_space",
    "redesign",
    "shipped_spaces",
    "slots",
]
