"""What may become of the slots of a space: in words, and as data."""

import textwrap
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from dsx.conv import notation
from dsx.space import DIALS, SearchSpace, SlotOptions
from dsx.space.yaml import Rule

T = TypeVar("T", bound=Hashable)
_DEFAULTS = Rule(match="*").options


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What some slots of a rule are offered alike.

    Args:
        name: The rule's wildcard where it offers the same to all of its slots; else their names.
        choices: Of each of them.
    """

    name: str
    choices: tuple[SlotOptions, ...]

    @property
    def slots(self) -> list[str]:
        """The names of the slots."""
        return [slot.name for choices in self.choices for slot in choices.slots]

    @property
    def shared(self) -> bool:
        """Whether several slots take one setting together."""
        return len(self.slots) > len(self.choices)

    def rows(self) -> Iterator[tuple[str, str]]:
        """Say what is offered: a preset and what it means, or a dial and its options."""
        presets, options = self.choices[0].presets, self.choices[0].options
        for label, spec in presets.items():
            yield "preset", f"{label}: {notation(spec)}"
        for dial in DIALS:
            title, own = dial.name.replace("_", " "), options.get(dial.name, ())
            # The density is a number that says something also where there is just one.
            if own and (own != _DEFAULTS.get(dial.name) or dial.name == "density"):
                yield title, ", ".join(_written(option) for option in own)
            elif dial.name == "scale" and any(options.get("binary_basis", ())):
                yield title, self._scale()

    def _scale(self) -> str:
        """Say which slots have a scale where the rule leaves that open."""
        scaled = {slot.scaled for choices in self.choices for slot in choices.slots}
        if len(scaled) > 1:
            return "true where no BN follows"
        return "true" if scaled.pop() else "false (BNs follow)"

    def text(self, width: int) -> str:
        """Write the rows under the name of the slots, in lines of at most so many characters."""
        rows = list(self.rows()) or [("keep", "")]
        indent = max(len(title) for title, _ in rows) + 4
        heading = f"{self.name}{', one setting for all' if self.shared else ''}:"
        lines = [textwrap.fill(heading, width, subsequent_indent="  ")]
        for title, phrases in rows:
            start, rest = f"  {title}".ljust(indent), " " * indent
            lines.append(textwrap.fill(start + phrases, width, subsequent_indent=rest))
        return "\n".join(lines)

    def to_json(self) -> dict[str, object]:
        """Write the same as plain JSON values."""
        first = self.choices[0]
        return {
            "name": self.name,
            "slots": self.slots,
            "shared": self.shared,
            "presets": {label: spec.to_json() for label, spec in first.presets.items()},
            "dials": {dial: list(options) for dial, options in first.options.items()},
        }


def offers(space: SearchSpace) -> list[Offer]:
    """Put together the slots of each rule that are offered the same.

    Args:
        space: The space.

    Returns:
        The offers in the order of their first slots.
    """
    offered = (
        (choices, (tuple(choices.presets.items()), tuple(choices.options.items())))
        for choices in space.slot_options
    )
    return [
        Offer(name=_name(space, group), choices=tuple(group)) for _, group in _together(offered)
    ]


def left_out(space: SearchSpace) -> list[tuple[str, str, str]]:
    """Put together the slots of each rule that the same cannot be applied to.

    Args:
        space: The space.

    Returns:
        Of each option: the slots, the option, and the reason for the first of them.
    """
    labels = ((choices, label) for choices in space.slot_options for label in choices.left_out)
    return [
        (_name(space, group), label, group[0].left_out[label]) for label, group in _together(labels)
    ]


def left_out_note(space: SearchSpace) -> str | None:
    """Count the options that are left out of a space, in one line; None if there are none."""
    found = left_out(space)
    if not found:
        return None
    _, label, reason = found[0]
    options = "1 option is" if len(found) == 1 else f"{len(found)} options are"
    return (
        f"note: {options} left out for slots that cannot take them, the first: {label} ({reason}); "
        "`dsx space` lists all"
    )


def _written(option: object) -> str:
    """Write an option as a search space file does."""
    return str(option).lower() if isinstance(option, bool) else str(option)


def _together(found: Iterable[tuple[SlotOptions, T]]) -> list[tuple[T, list[SlotOptions]]]:
    """Put together the choices of each rule of which the same is found."""
    groups: dict[tuple[str, T], list[SlotOptions]] = {}
    for choices, what in found:
        groups.setdefault((choices.rule, what), []).append(choices)
    return [(what, group) for (_, what), group in groups.items()]


def _name(space: SearchSpace, group: Sequence[SlotOptions]) -> str:
    rule = group[0].rule
    if len(group) == sum(choices.rule == rule for choices in space.slot_options):
        return rule
    return ", ".join(slot.name for choices in group for slot in choices.slots)
