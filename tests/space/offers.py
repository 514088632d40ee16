"""Slots of all kinds, and dials and presets to offer to them."""

import functools
from typing import TypeVar

import torch
from hypothesis import strategies as st

from dsx.conv import ConvSpec, preset
from dsx.space import Choices, Slot, slots
from dsx.space.choices import Dials
from dsx.space.offer import offer
from tests.space.networks import Tangle, Tiny

T = TypeVar("T")
PRESETS = {
    "scc": preset("scc"),
    "scc again": preset("scc", groups=2, overlap=0.5),
    "depthwise": preset("depthwise"),
    "hetconv": preset("hetconv", p=2),
    "standard": preset("standard"),
    "group": preset("group", groups=4, channel_stride=0.25),
    "halves": ConvSpec(kernel_shape="halves"),
}


@functools.cache
def all_slots() -> dict[str, Slot]:
    """Give the slots of two networks by name."""
    found = slots(Tangle(), torch.zeros(2, 3, 12, 12)) + slots(Tiny(), torch.zeros(2, 1, 8, 8))
    return {slot.name: slot for slot in found}


def dials(
    *,
    separable: tuple[bool, ...] = (False,),
    kernel_shape: tuple[str, ...] = ("full",),
    groups: tuple[int | str, ...] = (1,),
    channel_stride: tuple[float | str, ...] = ("block",),
) -> Dials:
    """Give dials of which only some are turned."""
    return Dials(
        separable=separable,
        kernel_shape=kernel_shape,
        groups=groups,
        channel_stride=channel_stride,
    )


def several(values: list[T]) -> st.SearchStrategy[tuple[T, ...]]:
    """Draw some of the values, in any order."""
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True).map(tuple)


DIALS = st.builds(
    dials,
    separable=several([False, True]),
    kernel_shape=several(["full", "point", "cross", "corners", "het2", "het4", "halves"]),
    groups=several([1, 2, 3, 4, 8, "all"]),
    channel_stride=several(["block", 1, 0.5, 0.25, "1/3", 0.05]),
)


@st.composite
def choices(draw: st.DrawFn) -> Choices:
    """Draw what is offered to one slot, or to two that share it."""
    names = draw(
        st.lists(st.sampled_from(sorted(all_slots())), min_size=1, max_size=2, unique=True)
    )
    labels = draw(st.lists(st.sampled_from(sorted(PRESETS)), max_size=3, unique=True))
    return offer(
        "rule",
        [all_slots()[name] for name in names],
        {label: PRESETS[label] for label in labels},
        draw(st.none() | DIALS),
    )
