"""What a rule offers to a slot, and how one of its choices is drawn."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dsx.conv import KEEP, ConvSpec, window_channels
from dsx.errors import SpecError
from dsx.space.slots import Slot

Value = str | int | float | bool
Pick = Callable[[str, Sequence[Value]], Value]
"""From a parameter's name and its options to the option drawn."""

KEEPS, DIALS = "keep", "dials"


@dataclass(frozen=True, kw_only=True)
class Dials:
    """The options of each dial, as a rule lists them.

    Args:
        separable: Options of that dial.
        kernel_shape: Options of that dial.
        groups: Options of that dial.
        channel_stride: Options of that dial; matter where there is more than one group.
    """

    separable: tuple[bool, ...]
    kernel_shape: tuple[str, ...]
    groups: tuple[int | str, ...]
    channel_stride: tuple[float | str, ...]


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What one slot, or all slots of a rule that share one setting, may become.

    Args:
        name: First part of the parameter names: the slot's name, or the rule's wildcard.
        slots: The slots that take the setting.
        presets: Whole presets that apply, by the words the rule gives them.
        dials: The options that apply; None where the rule offers presets only.
        strides: The channel strides that apply, for each number of groups above 1.
        left_out: What the rule offers and cannot apply here, with the reason.
    """

    name: str
    slots: tuple[Slot, ...]
    presets: Mapping[str, ConvSpec]
    dials: Dials | None
    strides: Mapping[int | str, tuple[float | str, ...]]
    left_out: Mapping[str, str]

    def draw(self, pick: Pick) -> dict[str, ConvSpec]:
        """Draw a setting, asking only for what matters.

        Args:
            pick: Draws one of several options; is not asked where there is one only.

        Returns:
            Spec by slot name.
        """
        spec = self._draw(pick)
        return {slot.name: spec.at(slot) for slot in self.slots}

    def _draw(self, pick: Pick) -> ConvSpec:
        use = pick(f"{self.name}/redesign", self.uses)
        if use != DIALS:
            return KEEP if use == KEEPS else self.presets[str(use)]
        assert self.dials is not None
        separable = bool(self._one(pick, "separable", self.dials.separable))
        shape = "full"
        if not separable:
            shape = str(self._one(pick, "kernel_shape", self.dials.kernel_shape))
        groups = self._one(pick, "groups", self.dials.groups)
        assert isinstance(groups, int | str)
        stride: float | str | None = None
        if groups in self.strides:
            stride = self._stride(pick, groups)
        return ConvSpec(
            kernel_shape=shape, groups=groups, channel_stride=stride, separable=separable
        )

    @property
    def uses(self) -> tuple[str, ...]:
        """The options of the first parameter: keep, the presets, the dials."""
        return (KEEPS, *self.presets, *([DIALS] if self.dials else []))

    def _stride(self, pick: Pick, groups: int | str) -> float | str:
        assert self.dials is not None
        options = self.strides[groups]
        # One parameter has one list of options; where fewer apply it is another parameter.
        narrower = "" if options == self.dials.channel_stride else f"@groups={groups}"
        stride = self._one(pick, f"channel_stride{narrower}", options)
        assert isinstance(stride, float | str)
        return stride

    def _one(self, pick: Pick, dial: str, options: Sequence[Value]) -> Value:
        return options[0] if len(options) == 1 else pick(f"{self.name}/{dial}", options)

    def settings(self) -> list[dict[str, ConvSpec]]:
        """List every distinct setting, the one that keeps all first."""
        found = {}
        for spec in self._specs():
            setting = {slot.name: spec.at(slot) for slot in self.slots}
            found[tuple(setting.values())] = setting
        return list(found.values())

    def _specs(self) -> Iterator[ConvSpec]:
        yield KEEP
        yield from self.presets.values()
        if self.dials is None:
            return
        for separable, groups in itertools.product(self.dials.separable, self.dials.groups):
            shapes = ("full",) if separable else self.dials.kernel_shape
            for shape, stride in itertools.product(shapes, self.strides.get(groups, (None,))):
                yield ConvSpec(
                    kernel_shape=shape, groups=groups, channel_stride=stride, separable=separable
                )


def offer(
    name: str, slots: Sequence[Slot], presets: Mapping[str, ConvSpec], dials: Dials | None
) -> Choices:
    """Leave out what cannot apply to the slots.

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

    fitting = {label: spec for label, spec in presets.items() if applies(label, spec)}
    strides: dict[int | str, tuple[float | str, ...]] = {}
    kept = None
    if dials and all(slot.kernel_size == (1, 1) for slot in slots):
        # A 1 x 1 kernel has one shape, and nothing to separate.
        dials = dataclasses.replace(dials, kernel_shape=("full",), separable=(False,))
    if dials:
        kept, strides = _fitting_dials(dials, applies)
    return Choices(
        name=name,
        slots=tuple(slots),
        presets=fitting,
        dials=kept,
        strides=strides,
        left_out=left_out,
    )


def _fitting_dials(
    dials: Dials, applies: Callable[[str, ConvSpec], bool]
) -> tuple[Dials | None, dict[int | str, tuple[float | str, ...]]]:
    shapes = tuple(
        shape
        for shape in dials.kernel_shape
        if applies(f"kernel_shape {shape}", ConvSpec(kernel_shape=shape))
    )
    groups, strides = [], {}
    for number in dials.groups:
        fitting = tuple(
            stride
            for stride in dials.channel_stride
            if applies(
                f"groups {number}, channel_stride {stride}",
                ConvSpec(groups=number, channel_stride=stride),
            )
        )
        if fitting:
            groups.append(number)
        if fitting and number != 1:
            strides[number] = fitting
    # Without a shape that fits, a separable convolution is still possible: it needs none.
    separable = tuple(option for option in dials.separable if option or shapes)
    if not groups or not separable:
        return None, {}
    kept = Dials(
        separable=separable,
        kernel_shape=shapes,
        groups=tuple(groups),
        channel_stride=dials.channel_stride,
    )
    return kept, strides


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
    if at.keeps or at.groups == 1:
        return None
    channels = window_channels(
        slot.in_channels, slot.out_channels, int(at.groups), at.channel_stride or "block"
    )
    unread = slot.in_channels - len(set(channels.flatten().tolist()))
    return f"{slot.name}: leaves {unread} of {slot.in_channels} channels unread" if unread else None
