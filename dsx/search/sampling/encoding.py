"""The parameters of Optuna that encode a design.

A slot has one parameter for all of its settings where these are few. A tree of dials, in which each
dial is a parameter, keeps half of the slots unchanged in random samples, since that is the first of
two options, and divides the experience of a sampler among many parameters.
"""

import functools
import random
from collections.abc import Sequence

from dsx.conv import ConvSpec, notation
from dsx.space import Design, SearchSpace, Value
from dsx.space.options import KEEP_OPTION, Selector, SlotOptions

MAX_FLAT = 1000
"""Largest number of settings of a slot that one parameter has as options."""
KEEP_SHARE = 1 / 6
"""Probability that a random design leaves a slot unchanged."""


def sample(space: SearchSpace, select: Selector) -> Design:
    """Sample a design.

    Args:
        space: The search space.
        select: Function that selects one of several options of a named parameter.

    Returns:
        The design.
    """
    specs: dict[str, ConvSpec] = {}
    for options in space.slot_options:
        specs |= _sample(options, select)
    return space.design(specs)


def parameters(space: SearchSpace, design: Design) -> dict[str, Value] | None:
    """Find the parameters with which a space samples a design.

    Args:
        space: The search space.
        design: The design.

    Returns:
        Parameter to option; None if the design is not in the space.
    """
    found: dict[str, Value] = {}
    for options in space.slot_options:
        wanted = {slot.name: design.specs[slot.name] for slot in options.slots}
        own = _flat(options, wanted) if is_flat(options) else _in_tree(options, wanted)
        if own is None:
            return None
        found |= own
    return found


def is_flat(options: SlotOptions) -> bool:
    """Check whether one parameter has all settings of some slots as options.

    Args:
        options: Options of the slots.
    """
    return 1 < len(options.settings()) <= MAX_FLAT


def first_branches(space: SearchSpace, chance: random.Random) -> dict[str, Value]:
    """Select the first branch of each tree of parameters at random.

    Args:
        space: The search space.
        chance: Source of randomness.

    Returns:
        Parameter to option for the slots that are encoded by a tree: unchanged with a probability
        of 1/6 instead of one divided by the number of branches, which is 1/2 for dials alone.
    """
    found: dict[str, Value] = {}
    for options in space.slot_options:
        if not is_flat(options) and len(options.redesigns) > 1:
            keep, *others = options.redesigns
            kept = chance.random() < KEEP_SHARE
            found[f"{options.name}/redesign"] = keep if kept else chance.choice(others)
    return found


def labels(options: SlotOptions) -> tuple[str, ...]:
    """Name the settings of some slots.

    Args:
        options: Options of the slots.

    Returns:
        A distinct name for each setting, in the order of `options.settings()`: the notations of
        its specs.
    """
    # Slots that differ in name only have equal labels.
    nameless = tuple((slot.in_channels, slot.out_channels) for slot in options.slots)
    return _labels(nameless, tuple(tuple(each.values()) for each in options.settings()))


@functools.lru_cache(maxsize=256)
def _labels(
    channels: tuple[tuple[int, int], ...], settings: tuple[tuple[ConvSpec, ...], ...]
) -> tuple[str, ...]:
    whole = [
        [notation(spec, *sizes) for spec, sizes in zip(setting, channels, strict=True)]
        for setting in settings
    ]
    short = [" | ".join(dict.fromkeys(codes)) for codes in whole]
    if len(set(short)) < len(short):
        short = [" | ".join(codes) for codes in whole]
    return (KEEP_OPTION, *short[1:])


def _sample(options: SlotOptions, select: Selector) -> dict[str, ConvSpec]:
    if not is_flat(options):
        return options.sample(select)
    names = labels(options)
    return options.settings()[names.index(str(select(options.name, names)))]


def _flat(options: SlotOptions, wanted: dict[str, ConvSpec]) -> dict[str, Value] | None:
    settings = options.settings()
    if wanted not in settings:
        return None
    return {options.name: labels(options)[settings.index(wanted)]}


def _in_tree(options: SlotOptions, wanted: dict[str, ConvSpec]) -> dict[str, Value] | None:
    """Search the tree of the dials for a setting."""
    remaining: list[dict[str, Value]] = [{}]
    while remaining:
        params = remaining.pop()

        def pick(name: str, options: Sequence[Value], params: dict[str, Value] = params) -> Value:
            if name not in params:
                remaining.extend({**params, name: option} for option in options[1:])
                params[name] = options[0]
            return params[name]

        if options.sample(pick) == wanted:
            return params
    return None
