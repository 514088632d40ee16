"""Slots of all kinds, with dials and presets as their options."""

import functools

import torch
from hypothesis import strategies as st

from dsx.conv import ConvSpec, preset
from dsx.space import Slot, SlotOptions, slots
from dsx.space.dials import DialOptions, Value
from dsx.space.options.options import fit_options
from tests.space.networks import Tangle, Tiny

PRESETS = {
    "scc": preset("scc"),
    "scc again": preset("scc", groups=2, overlap=0.5),
    "depthwise": preset("depthwise"),
    "hetconv": preset("hetconv", p=2),
    "standard": preset("standard"),
    "group": preset("group", groups=4, channel_stride=0.25),
    "halves": ConvSpec(kernel_shape="halves"),
    "lhc": preset("lhc"),
    "slbf": preset("slbf", k=4),
}


@functools.cache
def all_slots() -> dict[str, Slot]:
    """Return the slots of two networks by name."""
    found = slots(Tangle(), torch.zeros(2, 3, 12, 12)) + slots(Tiny(), torch.zeros(2, 1, 8, 8))
    return {slot.name: slot for slot in found}


def dials(**options: tuple[Value, ...]) -> DialOptions:
    """Return the options of some dials, and the defaults of the first four."""
    return {
        "separable": (False,),
        "kernel_shape": ("full",),
        "groups": (1,),
        "channel_stride": ("block",),
        **options,
    }


def several(values: list[Value], most: int = 3) -> st.SearchStrategy[tuple[Value, ...]]:
    """Generate a tuple of some of the values, in any order."""
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True).map(tuple)


SHAPES: list[Value] = ["full", "point", "cross", "corners", "het2", "het4", "halves", "learned"]
REQUIRED: dict[str, st.SearchStrategy[tuple[Value, ...]]] = {
    "separable": several([False, True]),
    "kernel_shape": several(SHAPES),
    "groups": several([1, 2, 3, 4, 8, "all"]),
    "channel_stride": several(["block", 1, 0.5, 0.25, "1/3", 0.05]),
}
OPTIONAL: dict[str, st.SearchStrategy[tuple[Value, ...]]] = {
    "density": several([0.25, 0.5, 1], 2),
    "rigid": several([False, True]),
    "block_in": several([2, 5, 32, 64], 2),
    "block_out": several([1, 4, 16], 2),
    "binary_basis": several([0, 1, 4, 7, 16, 100], 2),
    "splits": several([1, 2, 3, 4], 2),
    "scale": several([False, True]),
}
OPTIONS: st.SearchStrategy[DialOptions] = st.fixed_dictionaries(REQUIRED, optional=OPTIONAL)
"""Options of all dials; dials that depend on others are sometimes omitted."""


@st.composite
def slot_options(sample: st.DrawFn) -> SlotOptions:
    """Generate the options of one slot, or of two slots that share one setting."""
    names = sample(
        st.lists(st.sampled_from(sorted(all_slots())), min_size=1, max_size=2, unique=True)
    )
    labels = sample(st.lists(st.sampled_from(sorted(PRESETS)), max_size=3, unique=True))
    return fit_options(
        "rule",
        "rule",
        [all_slots()[name] for name in names],
        {label: PRESETS[label] for label in labels},
        sample(st.none() | OPTIONS),
    )
