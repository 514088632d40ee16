"""Options of one slot, or of several slots that share one setting, and how a setting is sampled."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dsx.conv import KEEP, ConvSpec
from dsx.space.dials import DialOptions, Value
from dsx.space.network.slots import Slot

Selector = Callable[[str, Sequence[Value]], Value]
"""Function from the name of a parameter and its options to the selected option."""

KEEP_OPTION, DIALS_OPTION = "keep", "dials"


@dataclass(frozen=True, kw_only=True)
class Fork:
    """Node of a tree: a dial that is sampled.

    Args:
        dial: Name of the dial.
        branches: Subtree for each option of the dial; at least two, no two of which contain the
            same settings.
    """

    dial: str
    branches: Mapping[Value, "Tree"]


Tree = Fork | ConvSpec
"""Tree of all settings of the dials: the inner nodes are forks, the leaves are specs."""


def leaves(tree: Tree) -> Iterator[ConvSpec]:
    """Iterate over the specs at the leaves of a tree.

    Args:
        tree: Tree of settings.

    Yields:
        The specs, depth first.
    """
    if isinstance(tree, ConvSpec):
        yield tree
    else:
        for branch in tree.branches.values():
            yield from leaves(branch)


@dataclass(frozen=True, kw_only=True)
class SlotOptions:
    """Options of one slot, or of all slots of a rule that share one setting.

    Args:
        name: Prefix of the parameter names: the name of the slot, or the wildcard of the rule.
        rule: Wildcard of the rule.
        slots: Slots to which the setting applies.
        presets: Specs of the applicable presets by label.
        dials: Applicable settings of the dials; None if the rule sets no dials, or no setting of
            them changes a slot.
        options: Options of each dial that occur in `dials`, in the order of the rule.
        left_out: Reason for each option of the rule that the slots do not support.
    """

    name: str
    rule: str
    slots: tuple[Slot, ...]
    presets: Mapping[str, ConvSpec]
    dials: Tree | None
    options: DialOptions
    left_out: Mapping[str, str]

    def sample(self, select: Selector) -> dict[str, ConvSpec]:
        """Sample a setting, selecting only options that have an effect.

        Args:
            select: Function that selects one of several options; it is not called for a parameter
                whose options are all equivalent.

        Returns:
            Spec by slot name.
        """
        return self._setting(self._sample_spec(select))

    def _sample_spec(self, select: Selector) -> ConvSpec:
        redesign = self.redesigns[0]
        if len(self.redesigns) > 1:
            redesign = str(select(f"{self.name}/redesign", self.redesigns))
        if redesign != DIALS_OPTION:
            return KEEP if redesign == KEEP_OPTION else self.presets[redesign]
        tree = self.dials
        while isinstance(tree, Fork):
            tree = tree.branches[select(self._parameter(tree), tuple(tree.branches))]
        assert tree is not None
        return tree

    @property
    def redesigns(self) -> tuple[str, ...]:
        """The options of the first parameter: keep, the presets, and the dials."""
        return (KEEP_OPTION, *self.presets, *([DIALS_OPTION] if self.dials is not None else []))

    def _parameter(self, fork: Fork) -> str:
        """Return the name of the parameter of a fork.

        A parameter has a fixed list of options, so that a fork with fewer options has another name.
        """
        name, options = f"{self.name}/{fork.dial}", tuple(fork.branches)
        if options == self.options[fork.dial]:
            return name
        return f"{name}@{','.join(map(str, options))}"

    def _setting(self, spec: ConvSpec) -> dict[str, ConvSpec]:
        return {slot.name: slot.canonical(spec) for slot in self.slots}

    def settings(self) -> list[dict[str, ConvSpec]]:
        """List every distinct setting; the first one keeps all slots.

        Returns:
            Canonical specs by slot name, for each setting.
        """
        return list(self._settings)

    @functools.cached_property
    def _settings(self) -> tuple[dict[str, ConvSpec], ...]:
        found = {}
        for spec in (KEEP, *self.presets.values(), *self.dial_settings()):
            setting = self._setting(spec)
            found[tuple(setting.values())] = setting
        return tuple(found.values())

    def dial_settings(self) -> Iterator[ConvSpec]:
        """Iterate over every setting of the dials."""
        if self.dials is not None:
            yield from leaves(self.dials)

    @property
    def learned(self) -> bool:
        """Whether any setting has learned shapes."""
        return any(spec.learned for setting in self._settings for spec in setting.values())
