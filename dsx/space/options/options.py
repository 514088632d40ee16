"""What of a rule's offer applies to its slots, and what of that makes a difference there."""

import functools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from dsx.conv import KEEP, ConvSpec, unread_channels
from dsx.errors import SpecError, Unsupported
from dsx.space.dials import DIALS, UNTURNED, Dial, Options, Value, turn
from dsx.space.network.slots import Slot
from dsx.space.options.choices import KEEPS, Choices, Fork, Tree, leaves

T = TypeVar("T")
Meaning = tuple[ConvSpec, ...]
"""The canonical spec of each slot."""


def offer(
    name: str,
    rule: str,
    slots: Sequence[Slot],
    presets: Mapping[str, ConvSpec],
    options: Options | None,
) -> Choices:
    """Leave out what cannot apply to the slots, and what means the same as something before it.

    Args:
        name: First part of the parameter names.
        rule: The rule's wildcard.
        slots: The slots that take the setting together; an option has to apply to each.
        presets: Whole presets, by their words.
        options: Of the dials, or None for presets only.

    Returns:
        The choices; they may be empty but for `keep`.
    """
    fitting = _Fitting(slots=slots, options=options or {})
    known = {fitting.meaning(KEEP): KEEPS}
    for label, spec in presets.items():
        if fitting.applies(label, spec):
            known.setdefault(fitting.meaning(spec), label)
    grown = None if options is None else fitting.grow(UNTURNED, DIALS)
    dials = grown.tree if grown and grown.meanings - known.keys() else None
    return Choices(
        name=name,
        rule=rule,
        slots=tuple(slots),
        presets={label: spec for label, spec in presets.items() if label in known.values()},
        dials=dials,
        options={} if dials is None else _standing(dials, fitting.options),
        left_out=fitting.left_out,
    )


@dataclass(frozen=True, kw_only=True)
class _Grown:
    """A tree of settings, and all that they mean on the slots."""

    tree: Tree
    meanings: frozenset[Meaning]


@dataclass(frozen=True, kw_only=True)
class _Fitting:
    """Fits an offer to slots.

    Args:
        slots: The slots.
        options: Of the dials.
        left_out: Filled with what cannot apply, and the reason.
    """

    slots: Sequence[Slot]
    options: Options
    left_out: dict[str, str] = field(default_factory=dict)

    def applies(self, label: str, spec: ConvSpec) -> bool:
        """Say whether every slot can take a spec; note why not under its label."""
        problem = self._unsupported(spec)
        if problem is not None:
            self.left_out.setdefault(label, problem.reason)
        return problem is None

    def meaning(self, spec: ConvSpec) -> Meaning:
        """Give the canonical spec of each slot."""
        return tuple(slot.canonical(spec) for slot in self.slots)

    def grow(self, spec: ConvSpec, dials: Sequence[Dial]) -> _Grown | None:
        """Grow the tree of what is left to ask for; None where nothing fits."""
        if not dials:
            return _Grown(tree=spec, meanings=frozenset({self.meaning(spec)}))
        dial, after = dials[0], dials[1:]
        if not dial.need.met(spec):
            return self.grow(spec, after)
        grown: dict[Value, _Grown] = {}
        for option in dial.offered(self.options):
            turned = turn(spec, dial.name, option)
            branch = self.grow(turned, after) if self._fits(dial, turned) else None
            if branch:
                grown[option] = branch
        kept = _distinct((option, branch.meanings) for option, branch in grown.items())
        if len(kept) < 2:
            return grown[kept[0]] if kept else None
        return _Grown(
            tree=Fork(dial=dial.name, branches={option: grown[option].tree for option in kept}),
            meanings=frozenset().union(*(grown[option].meanings for option in kept)),
        )

    def _fits(self, dial: Dial, spec: ConvSpec) -> bool:
        if dial.harmless is None:
            return True
        problem = self._unsupported(spec)
        if problem is not None:
            self.left_out.setdefault(self._label(dial, dial.harmless, spec), problem.reason)
        return problem is None

    def _label(self, dial: Dial, harmless: Mapping[str, Value], spec: ConvSpec) -> str:
        """Name the dials of a refused spec without which it would not be refused for this."""
        problem = self._unsupported(spec)
        blamed = [
            name
            for name in dict.fromkeys((*harmless, dial.name))
            if name not in harmless
            or self._unsupported(turn(spec, name, harmless[name])) != problem
        ]
        return ", ".join(f"{name} {_written(getattr(spec, name))}" for name in blamed)

    def _unsupported(self, spec: ConvSpec) -> Unsupported | None:
        return next(filter(None, (unsupported_spec(spec, slot) for slot in self.slots)), None)


def _distinct(options: Iterable[tuple[T, Hashable]]) -> tuple[T, ...]:
    """Keep the first of the options that mean the same."""
    found: dict[Hashable, T] = {}
    for option, meaning in options:
        found.setdefault(meaning, option)
    return tuple(found.values())


def _standing(tree: Tree, options: Options) -> Options:
    """List the options that stand somewhere in a tree, of each dial that matters there."""
    standing = {
        (dial.name, getattr(spec, dial.name))
        for spec in leaves(tree)
        for dial in DIALS
        if dial.need.met(spec)
    }
    found = {
        name: tuple(option for option in offered if (name, option) in standing)
        for name, offered in options.items()
    }
    return {name: left for name, left in found.items() if left}


def _written(option: Value) -> str:
    """Write an option as in a space file."""
    return str(option).lower() if isinstance(option, bool) else str(option)


def unsupported_spec(spec: ConvSpec, slot: Slot) -> Unsupported | None:
    """Check whether a space can offer a spec for a slot.

    Args:
        spec: Any spec.
        slot: The slot.

    Returns:
        The reason; None if the spec can be set there, reads every input channel, and has no more
        binary filters than can be chosen.
    """
    try:
        at = slot.canonical(spec)
    except SpecError as error:
        return Unsupported(f"{slot.name}: {error}")
    # What stands there is no matter of the space: `keep` has one group, and no basis.
    if at.groups != 1:
        stride = at.channel_stride or "block"
        unread = _unread(slot.in_channels, slot.out_channels, int(at.groups), stride)
        if unread:
            reason = f"leaves {unread} of {slot.in_channels} channels unread"
            return Unsupported(f"{slot.name}: {reason}")
    most = slot.out_channels * at.splits
    if at.binary_basis > most:
        reason = f"of {at.binary_basis} binary filters only {most} can ever be chosen"
        return Unsupported(f"{slot.name}: {reason}")
    return None


@functools.lru_cache(maxsize=65536)
def _unread(in_channels: int, out_channels: int, groups: int, stride: float | str) -> int:
    return unread_channels(in_channels, out_channels, groups, stride)
