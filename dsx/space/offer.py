"""What of a rule's offer applies to its slots, and what of that makes a difference there."""

import dataclasses
import functools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

import torch

from dsx.conv import ConvSpec, window_channels
from dsx.errors import SpecError
from dsx.space.choices import Choices, Dials
from dsx.space.slots import Slot

T = TypeVar("T")
Strides = dict[int | str, tuple[float | str, ...]]


def offer(
    name: str, slots: Sequence[Slot], presets: Mapping[str, ConvSpec], dials: Dials | None
) -> Choices:
    """Leave out what cannot apply to the slots, and what means the same as something before it.

    Args:
        name: First part of the parameter names.
        slots: The slots that take the setting together; an option has to apply to each.
        presets: Whole presets, by their words.
        dials: The options of the dials, or None for presets only.

    Returns:
        The choices; they may be empty but for `keep`.
    """
    left_out: dict[str, str] = {}

    def applies(label: str, spec: ConvSpec) -> bool:
        reason = next(filter(None, (refusal(spec, slot) for slot in slots)), None)
        if reason:
            left_out.setdefault(label, reason)
        return reason is None

    def meaning(spec: ConvSpec) -> tuple[ConvSpec, ...]:
        return tuple(spec.at(slot) for slot in slots)

    def changes(spec: ConvSpec) -> bool:
        return not all(at.keeps for at in meaning(spec))

    labels = _distinct(
        (label, meaning(spec))
        for label, spec in presets.items()
        if applies(label, spec) and changes(spec)
    )
    kept, strides = _fitting_dials(dials, applies, meaning) if dials else (None, {})
    choices = Choices(
        name=name,
        slots=tuple(slots),
        presets={label: presets[label] for label in labels},
        dials=kept,
        strides=strides,
        left_out=left_out,
    )
    if any(changes(spec) for spec in choices.turned()):
        return choices
    return dataclasses.replace(choices, dials=None, strides={})


def _distinct(options: Iterable[tuple[T, Hashable]]) -> tuple[T, ...]:
    """Keep the first of the options that mean the same."""
    found: dict[Hashable, T] = {}
    for option, meaning in options:
        found.setdefault(meaning, option)
    return tuple(found.values())


def _fitting_dials(
    dials: Dials,
    applies: Callable[[str, ConvSpec], bool],
    meaning: Callable[[ConvSpec], Hashable],
) -> tuple[Dials | None, Strides]:
    shapes = _distinct(
        (shape, meaning(ConvSpec(kernel_shape=shape)))
        for shape in dials.kernel_shape
        if applies(f"kernel_shape {shape}", ConvSpec(kernel_shape=shape))
    )
    # Without a shape that fits, a separable convolution is still possible: it needs none.
    separable = _distinct(
        (option, meaning(ConvSpec(separable=option)))
        for option in dials.separable
        if option or shapes
    )
    strides: Strides = {}
    meanings: dict[int | str, Hashable] = {}
    for groups in dials.groups:
        specs = {r: ConvSpec(groups=groups, channel_stride=r) for r in dials.channel_stride}
        fitting = {r: spec for r, spec in specs.items() if applies(_label(groups, r), spec)}
        if fitting:
            strides[groups] = _distinct((r, meaning(spec)) for r, spec in fitting.items())
            meanings[groups] = tuple(meaning(specs[r]) for r in strides[groups])
    numbers = _distinct(meanings.items())
    if not numbers or not separable:
        return None, {}
    kept = dataclasses.replace(dials, separable=separable, kernel_shape=shapes, groups=numbers)
    return kept, {groups: strides[groups] for groups in numbers}


def _label(groups: int | str, stride: float | str) -> str:
    """Name an option of two dials; one group has no channel stride to speak of."""
    return f"groups {groups}" + ("" if groups == 1 else f", channel_stride {stride}")


def refusal(spec: ConvSpec, slot: Slot) -> str | None:
    """Say why a space leaves a spec out for a slot.

    Args:
        spec: Any spec.
        slot: The slot.

    Returns:
        The reason; None if the spec can be set there and reads every input channel.
    """
    try:
        at = spec.at(slot)
    except SpecError as error:
        return f"{slot.name}: {error}"
    if at.groups == 1:  # as `keep` has too: what stands there is no matter of the space
        return None
    stride = at.channel_stride or "block"
    unread = _unread(slot.in_channels, slot.out_channels, int(at.groups), stride)
    return f"{slot.name}: leaves {unread} of {slot.in_channels} channels unread" if unread else None


@functools.lru_cache(maxsize=65536)
def _unread(in_channels: int, out_channels: int, groups: int, stride: float | str) -> int:
    channels = window_channels(in_channels, out_channels, groups, stride)
    return int((torch.bincount(channels.flatten(), minlength=in_channels) == 0).sum())
