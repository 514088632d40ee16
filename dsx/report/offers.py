"""What may become of the slots of a space: in words, and as data."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from rich.padding import Padding
from rich.table import Table

from dsx.conv import words
from dsx.conv.words import option_words
from dsx.space import Choices, SearchSpace
from dsx.space.schema import Rule

_DEFAULTS = Rule(match="*").options


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What some slots of a rule are offered alike.

    Args:
        name: The rule's wildcard where it offers the same to all of its slots; else their names.
        choices: Of each of them.
    """

    name: str
    choices: tuple[Choices, ...]

    @property
    def slots(self) -> list[str]:
        """The names of the slots."""
        return [slot.name for choices in self.choices for slot in choices.slots]

    @property
    def shared(self) -> bool:
        """Whether several slots take one setting together."""
        return len(self.slots) > len(self.choices)

    def rows(self) -> Iterator[tuple[str, str]]:
        """Say what is offered: a dial and its options, or a preset and what it means."""
        first = self.choices[0]
        for label, spec in first.presets.items():
            yield "preset", f"{label}: {words(spec)}"
        for dial, options in first.options.items():
            # The density is a number that means something also where there is just one.
            if options != _DEFAULTS.get(dial) or dial == "density":
                phrases = [option_words(dial, option) for option in options]
                yield dial.replace("_", " "), ", ".join(phrases)
        if first.options.get("binary_basis", (0,)) != (0,) and "scale" not in first.options:
            yield "scale", "where no BN follows"

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
    alike: dict[Hashable, list[Choices]] = {}
    for choices in space.choices:
        offered = (tuple(choices.presets.items()), tuple(choices.options.items()))
        alike.setdefault((choices.rule, offered), []).append(choices)
    rules = [group[0].rule for group in alike.values()]
    found = []
    for group in alike.values():
        rule = group[0].rule
        names = [slot.name for choices in group for slot in choices.slots]
        name = rule if rules.count(rule) == 1 else ", ".join(names)
        found.append(Offer(name=name, choices=tuple(group)))
    return found


def offer_block(offer: Offer) -> Table:
    """Lay an offer out under the name of its slots."""
    block = Table.grid()
    block.add_row(f"{offer.name}{', one setting for all' if offer.shared else ''}:")
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    for title, phrases in offer.rows():
        lines.add_row(title, phrases)
    if not lines.rows:
        lines.add_row("as it is", "")
    block.add_row(Padding(lines, (0, 0, 0, 2)))
    return block
