"""What a slot, or several that share one setting, may become, and how it is drawn."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dsx.conv import KEEP, ConvSpec
from dsx.space.dials import Options, Value
from dsx.space.network.slots import Slot

Pick = Callable[[str, Sequence[Value]], Value]
"""From a parameter's name and its options to the option drawn."""

KEEPS, DIALS = "keep", "dials"


@dataclass(frozen=True, kw_only=True)
class Fork:
    """A dial that is asked for.

    Args:
        dial: Its name.
        branches: What each of its options leads to; two options at least, no two to the same.
    """

    dial: str
    branches: Mapping[Value, "Tree"]


Tree = Fork | ConvSpec
"""All settings of the dials: forks, and a spec at the end of every way through them."""


def leaves(tree: Tree) -> Iterator[ConvSpec]:
    """Go through the specs at the ends of a tree."""
    if isinstance(tree, ConvSpec):
        yield tree
    else:
        for branch in tree.branches.values():
            yield from leaves(branch)


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What one slot, or all slots of a rule that share one setting, may become.

    Args:
        name: First part of the parameter names: the slot's name, or the rule's wildcard.
        rule: The rule's wildcard.
        slots: The slots that take the setting.
        presets: Whole presets that apply, by the words the rule gives them.
        dials: The settings of the dials that apply; None where there are none, or they change
            nothing.
        options: Every option of a dial that stands somewhere in `dials`, in the rule's order.
        left_out: What the rule offers and cannot apply here, with the reason.
    """

    name: str
    rule: str
    slots: tuple[Slot, ...]
    presets: Mapping[str, ConvSpec]
    dials: Tree | None
    options: Options
    left_out: Mapping[str, str]

    def sample(self, pick: Pick) -> dict[str, ConvSpec]:
        """Draw a setting, asking only for what matters.

        Args:
            pick: Draws one of several options; is not asked where there is one only, or where
                they would all mean the same.

        Returns:
            Spec by slot name.
        """
        return self._setting(self._draw(pick))

    def _draw(self, pick: Pick) -> ConvSpec:
        use = self.uses[0]
        if len(self.uses) > 1:
            use = str(pick(f"{self.name}/redesign", self.uses))
        if use != DIALS:
            return KEEP if use == KEEPS else self.presets[use]
        tree = self.dials
        while isinstance(tree, Fork):
            tree = tree.branches[pick(self._parameter(tree), tuple(tree.branches))]
        assert tree is not None
        return tree

    @property
    def uses(self) -> tuple[str, ...]:
        """The options of the first parameter: keep, the presets, the dials."""
        return (KEEPS, *self.presets, *([DIALS] if self.dials is not None else []))

    def _parameter(self, fork: Fork) -> str:
        """Name a fork: one parameter has one list of options, a shorter one is another's."""
        name, options = f"{self.name}/{fork.dial}", tuple(fork.branches)
        if options == self.options[fork.dial]:
            return name
        return f"{name}@{','.join(map(str, options))}"

    def _setting(self, spec: ConvSpec) -> dict[str, ConvSpec]:
        return {slot.name: slot.canonical(spec) for slot in self.slots}

    def settings(self) -> list[dict[str, ConvSpec]]:
        """List every distinct setting, the one that keeps all first."""
        return list(self._settings)

    @functools.cached_property
    def _settings(self) -> tuple[dict[str, ConvSpec], ...]:
        found = {}
        for spec in (KEEP, *self.presets.values(), *self.turned()):
            setting = self._setting(spec)
            found[tuple(setting.values())] = setting
        return tuple(found.values())

    def turned(self) -> Iterator[ConvSpec]:
        """Go through every combination of the dials."""
        if self.dials is not None:
            yield from leaves(self.dials)

    @property
    def learned(self) -> bool:
        """Whether some setting has learned shapes."""
        return any(spec.learned for setting in self._settings for spec in setting.values())
