"""What a slot, or several that share one setting, may become, and how it is drawn."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dsx.conv import KEEP, ConvSpec
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
        channel_stride: Options of that dial.
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
        dials: The options that apply; None where there are none, or they change nothing.
        strides: The channel strides that apply, for each number of groups.
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
            pick: Draws one of several options; is not asked where there is one only, or where
                they would all mean the same.

        Returns:
            Spec by slot name.
        """
        spec = self._draw(pick)
        return {slot.name: spec.at(slot) for slot in self.slots}

    def _draw(self, pick: Pick) -> ConvSpec:
        use = self._one(pick, "redesign", self.uses)
        if use != DIALS:
            return KEEP if use == KEEPS else self.presets[str(use)]
        assert self.dials is not None
        separable = bool(self._one(pick, "separable", self.dials.separable))
        shape = "full"
        if not separable:
            shape = str(self._one(pick, "kernel_shape", self.dials.kernel_shape))
        groups = self._one(pick, "groups", self.dials.groups)
        assert isinstance(groups, int | str)
        return ConvSpec(
            kernel_shape=shape,
            groups=groups,
            channel_stride=self._stride(pick, groups),
            separable=separable,
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
        assert isinstance(stride, float | int | str)
        return stride

    def _one(self, pick: Pick, dial: str, options: Sequence[Value]) -> Value:
        return options[0] if len(options) == 1 else pick(f"{self.name}/{dial}", options)

    def settings(self) -> list[dict[str, ConvSpec]]:
        """List every distinct setting, the one that keeps all first."""
        found = {}
        for spec in (KEEP, *self.presets.values(), *self.turned()):
            setting = {slot.name: spec.at(slot) for slot in self.slots}
            found[tuple(setting.values())] = setting
        return list(found.values())

    def turned(self) -> Iterator[ConvSpec]:
        """Go through every combination of the dials."""
        if self.dials is None:
            return
        for separable, groups in itertools.product(self.dials.separable, self.dials.groups):
            shapes = ("full",) if separable else self.dials.kernel_shape
            for shape, stride in itertools.product(shapes, self.strides[groups]):
                yield ConvSpec(
                    kernel_shape=shape, groups=groups, channel_stride=stride, separable=separable
                )
