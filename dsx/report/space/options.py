"""The options of the slots of a space, as text and as JSON values."""

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
class OptionGroup:
    """Slots of a rule with equal options.

    Args:
        name: The wildcard of the rule if all of its slots are in the group; else their names.
        choices: Options of each slot or shared setting.
    """

    name: str
    choices: tuple[SlotOptions, ...]

    @property
    def slots(self) -> list[str]:
        """Names of the slots."""
        return [slot.name for choices in self.choices for slot in choices.slots]

    @property
    def shared(self) -> bool:
        """Whether several slots share one setting."""
        return len(self.slots) > len(self.choices)

    def rows(self) -> Iterator[tuple[str, str]]:
        """List the presets with their notation, and the dials with their options.

        Yields:
            A title and its text.
        """
        presets, options = self.choices[0].presets, self.choices[0].options
        for label, spec in presets.items():
            yield "preset", f"{label}: {notation(spec)}"
        for dial in DIALS:
            title, own = dial.name.replace("_", " "), options.get(dial.name, ())
            # The density is shown even if there is only one value.
            if own and (own != _DEFAULTS.get(dial.name) or dial.name == "density"):
                yield title, ", ".join(_written(option) for option in own)
            elif dial.name == "scale" and any(options.get("binary_basis", ())):
                yield title, self._scale()

    def _scale(self) -> str:
        """Describe which slots have a scale if the rule does not specify it."""
        scaled = {slot.scaled for choices in self.choices for slot in choices.slots}
        if len(scaled) > 1:
            return "true where no BN follows"
        return "true" if scaled.pop() else "false (BNs follow)"

    def text(self, width: int) -> str:
        """Format the group as text.

        Args:
            width: Maximum number of characters of a line.

        Returns:
            The name of the slots, and below it the rows.
        """
        rows = list(self.rows()) or [("keep", "")]
        indent = max(len(title) for title, _ in rows) + 4
        heading = f"{self.name}{', one setting shared by all' if self.shared else ''}:"
        lines = [textwrap.fill(heading, width, subsequent_indent="  ")]
        for title, text in rows:
            start, rest = f"  {title}".ljust(indent), " " * indent
            lines.append(textwrap.fill(start + text, width, subsequent_indent=rest))
        return "\n".join(lines)

    def to_json(self) -> dict[str, object]:
        """Describe the group as plain JSON values.

        Returns:
            Names of the slots, presets and options of the dials.
        """
        first = self.choices[0]
        return {
            "name": self.name,
            "slots": self.slots,
            "shared": self.shared,
            "presets": {label: spec.to_json() for label, spec in first.presets.items()},
            "dials": {dial: list(options) for dial, options in first.options.items()},
        }


def option_groups(space: SearchSpace) -> list[OptionGroup]:
    """Group the slots of each rule that have equal options.

    Args:
        space: The space.

    Returns:
        The groups in the order of their first slots.
    """
    keyed = (
        (choices, (tuple(choices.presets.items()), tuple(choices.options.items())))
        for choices in space.slot_options
    )
    return [
        OptionGroup(name=_name(space, group), choices=tuple(group)) for _, group in _grouped(keyed)
    ]


def unsupported_options(space: SearchSpace) -> list[tuple[str, str, str]]:
    """Group the slots of each rule that do not support the same option.

    Args:
        space: The space.

    Returns:
        For each option: the slots, the option, and the reason for the first slot.
    """
    labels = ((choices, label) for choices in space.slot_options for label in choices.left_out)
    return [
        (_name(space, group), label, group[0].left_out[label]) for label, group in _grouped(labels)
    ]


def unsupported_note(space: SearchSpace) -> str | None:
    """Count the options of a space that some slots do not support.

    Args:
        space: The space.

    Returns:
        One line; None if there are no such options.
    """
    found = unsupported_options(space)
    if not found:
        return None
    _, label, reason = found[0]
    options = "1 option is" if len(found) == 1 else f"{len(found)} options are"
    return (
        f"note: {options} not supported by some slots, the first: {label} ({reason}); "
        "`dsx space` lists all"
    )


def _written(option: object) -> str:
    """Format an option as in a search space file."""
    return str(option).lower() if isinstance(option, bool) else str(option)


def _grouped(found: Iterable[tuple[SlotOptions, T]]) -> list[tuple[T, list[SlotOptions]]]:
    """Group the slots of each rule by a key."""
    groups: dict[tuple[str, T], list[SlotOptions]] = {}
    for choices, what in found:
        groups.setdefault((choices.rule, what), []).append(choices)
    return [(what, group) for (_, what), group in groups.items()]


def _name(space: SearchSpace, group: Sequence[SlotOptions]) -> str:
    rule = group[0].rule
    if len(group) == sum(choices.rule == rule for choices in space.slot_options):
        return rule
    return ", ".join(slot.name for choices in group for slot in choices.slots)
