"""Selection of the options of a rule that its slots support and that differ from each other."""

import functools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from dsx.conv import KEEP, ConvSpec, unread_channels
from dsx.errors import SpecError, Unsupported
from dsx.space.dials import DEFAULTS, DIALS, Dial, DialOptions, Value, set_dial
from dsx.space.network.slots import Slot
from dsx.space.options.slot_options import KEEP_OPTION, Fork, SlotOptions, Tree, leaves

T = TypeVar("T")
CanonicalSpecs = tuple[ConvSpec, ...]
"""The canonical spec of each slot."""


def fit_options(
    name: str,
    rule: str,
    slots: Sequence[Slot],
    presets: Mapping[str, ConvSpec],
    options: DialOptions | None,
) -> SlotOptions:
    """Select the options that all slots support, without those that are equivalent to earlier ones.

    Args:
        name: Prefix of the parameter names.
        rule: Wildcard of the rule.
        slots: Slots that share the setting; an option must be supported by each of them.
        presets: Specs of the presets by label.
        options: Options of the dials; None if the rule has presets only.

    Returns:
        The options; they may consist of `keep` only.
    """
    fitter = _Fitter(slots=slots, options=options or {})
    labels = {fitter.canonical(KEEP): KEEP_OPTION}
    for label, spec in presets.items():
        if fitter.is_supported(label, spec):
            labels.setdefault(fitter.canonical(spec), label)
    root = None if options is None else fitter.build_tree(DEFAULTS, DIALS)
    dials = root.tree if root and root.specs - labels.keys() else None
    return SlotOptions(
        name=name,
        rule=rule,
        slots=tuple(slots),
        presets={label: spec for label, spec in presets.items() if label in labels.values()},
        dials=dials,
        options={} if dials is None else _options_in(dials, fitter.options),
        left_out=fitter.left_out,
    )


@dataclass(frozen=True, kw_only=True)
class _Subtree:
    """A tree of settings, and the canonical specs of all of its leaves."""

    tree: Tree
    specs: frozenset[CanonicalSpecs]


@dataclass(frozen=True, kw_only=True)
class _Fitter:
    """Fitter of options to slots.

    Args:
        slots: Slots that share the setting.
        options: Options of the dials.
        left_out: Reason for each unsupported option, filled by the methods.
    """

    slots: Sequence[Slot]
    options: DialOptions
    left_out: dict[str, str] = field(default_factory=dict)

    def is_supported(self, label: str, spec: ConvSpec) -> bool:
        """Check whether every slot supports a spec, and record the reason if not."""
        problem = self._unsupported(spec)
        if problem is not None:
            self.left_out.setdefault(label, problem.reason)
        return problem is None

    def canonical(self, spec: ConvSpec) -> CanonicalSpecs:
        """Return the canonical form of a spec on each slot."""
        return tuple(slot.canonical(spec) for slot in self.slots)

    def build_tree(self, spec: ConvSpec, dials: Sequence[Dial]) -> _Subtree | None:
        """Build the tree of the remaining dials; None if no setting is supported."""
        if not dials:
            return _Subtree(tree=spec, specs=frozenset({self.canonical(spec)}))
        dial, following = dials[0], dials[1:]
        if not dial.requirement.is_met(spec):
            return self.build_tree(spec, following)
        branches: dict[Value, _Subtree] = {}
        for option in dial.values(self.options):
            changed = set_dial(spec, dial.name, option)
            branch = self.build_tree(changed, following) if self._check(dial, changed) else None
            if branch:
                branches[option] = branch
        distinct = _distinct((option, branch.specs) for option, branch in branches.items())
        if len(distinct) < 2:
            return branches[distinct[0]] if distinct else None
        return _Subtree(
            tree=Fork(
                dial=dial.name, branches={option: branches[option].tree for option in distinct}
            ),
            specs=frozenset().union(*(branches[option].specs for option in distinct)),
        )

    def _check(self, dial: Dial, spec: ConvSpec) -> bool:
        """Check a spec whose dials are set up to this one, and record the reason if unsupported."""
        if dial.neutral is None:
            return True
        problem = self._unsupported(spec)
        if problem is not None:
            self.left_out.setdefault(self._label(dial, dial.neutral, spec), problem.reason)
        return problem is None

    def _label(self, dial: Dial, neutral: Mapping[str, Value], spec: ConvSpec) -> str:
        """Return the settings of the dials that are responsible for an unsupported spec."""
        problem = self._unsupported(spec)
        responsible = [
            name
            for name in dict.fromkeys((*neutral, dial.name))
            if name not in neutral
            or self._unsupported(set_dial(spec, name, neutral[name])) != problem
        ]
        return ", ".join(f"{name} {_yaml(getattr(spec, name))}" for name in responsible)

    def _unsupported(self, spec: ConvSpec) -> Unsupported | None:
        return next(filter(None, (unsupported_spec(spec, slot) for slot in self.slots)), None)


def _distinct(options: Iterable[tuple[T, Hashable]]) -> tuple[T, ...]:
    """Return the first of each set of equivalent options."""
    found: dict[Hashable, T] = {}
    for option, specs in options:
        found.setdefault(specs, option)
    return tuple(found.values())


def _options_in(tree: Tree, options: DialOptions) -> DialOptions:
    """Return the options that occur in a tree, for each dial that has an effect there."""
    occurring = {
        (dial.name, getattr(spec, dial.name))
        for spec in leaves(tree)
        for dial in DIALS
        if dial.requirement.is_met(spec)
    }
    found = {
        name: tuple(option for option in values if (name, option) in occurring)
        for name, values in options.items()
    }
    return {name: values for name, values in found.items() if values}


def _yaml(option: Value) -> str:
    """Return the text of an option in a space file."""
    return str(option).lower() if isinstance(option, bool) else str(option)


def unsupported_spec(spec: ConvSpec, slot: Slot) -> Unsupported | None:
    """Return the reason why a search space excludes a spec for a slot.

    Args:
        spec: Any spec.
        slot: Slot to which the spec is applied.

    Returns:
        The reason; None if the spec is valid on the slot, reads every input channel, and has no
        more binary filters than the outputs can select.
    """
    try:
        at = slot.canonical(spec)
    except SpecError as error:
        return Unsupported(f"{slot.name}: {error}")
    # The original convolution is always allowed: the spec `keep` has one group and no basis.
    if at.groups != 1:
        stride = at.channel_stride or "block"
        unread = _unread(slot.in_channels, slot.out_channels, int(at.groups), stride)
        if unread:
            reason = f"leaves {unread} of {slot.in_channels} channels unread"
            return Unsupported(f"{slot.name}: {reason}")
    most = slot.out_channels * at.splits
    if at.binary_basis > most:
        reason = f"at most {most} of {at.binary_basis} binary filters can be selected"
        return Unsupported(f"{slot.name}: {reason}")
    return None


@functools.lru_cache(maxsize=65536)
def _unread(in_channels: int, out_channels: int, groups: int, stride: float | str) -> int:
    return unread_channels(in_channels, out_channels, groups, stride)
