"""Rules: which slots a wildcard matches, and what is offered to them."""

import dataclasses
import fnmatch
from collections.abc import Iterator, Sequence

from dsx.activity import Kind, each
from dsx.errors import did_you_mean, quoted
from dsx.space.network.analysis import NetworkAnalysis
from dsx.space.network.slots import Slot
from dsx.space.options.choices import Choices
from dsx.space.options.options import offer
from dsx.space.yaml.schema import Rule
from dsx.space.yaml.source import Source


def rule_choices(
    rules: Sequence[Rule], source: Source, analysis: NetworkAnalysis
) -> Iterator[Choices]:
    """Give each slot to the first rule that matches it.

    Args:
        rules: In the order of the file.
        source: The file, for complaints.
        census: Of the network; slots that no rule matches stay as they are.

    Yields:
        The choices of each slot, or of all slots of a rule that share one setting.

    Raises:
        SpaceError: If a rule matches no slot, or leaves nothing to choose for any of its slots.
    """
    free = list(analysis.slots)
    offer = _Offers()
    for number, rule in enumerate(rules):
        matched = [slot for slot in free if fnmatch.fnmatchcase(slot.name, rule.match)]
        if not matched:
            raise source.error(("slots", number, "match"), no_match(rule.match, analysis))
        free = [slot for slot in free if slot not in matched]
        if rule.keep:
            continue
        shared = rule.share == "rule"
        groups = [matched] if shared else [[slot] for slot in matched]
        offers = [
            offer(rule, rule.match if shared else group[0].name, group)
            for group in each(groups, Kind.LISTING_OPTIONS, "slot")
        ]
        if all(len(choices.settings()) == 1 for choices in offers):
            raise source.error(("slots", number), _nothing_left(offers[0]))
        yield from offers


def no_match(wildcard: str, analysis: NetworkAnalysis, modules: bool = False) -> str:
    """Say why a wildcard matches no slot, or none that an earlier rule has not, and what is near.

    Args:
        wildcard: As it was given.
        census: Of the network.
        modules: Whether a module that holds slots would stand for them.

    Returns:
        One line.
    """
    names = [slot.name for slot in analysis.slots]
    for name, reason in analysis.excluded.items():
        if fnmatch.fnmatchcase(name, wildcard):
            return f"{quoted(wildcard)} matches no slot: {name} {reason}"
    if not names:
        return f"{quoted(wildcard)} matches no slot: the network has no nn.Conv2d"
    if any(fnmatch.fnmatchcase(name, wildcard) for name in names):
        return f"{quoted(wildcard)} matches only slots that an earlier rule has"
    folders = {name[:end] for name in names for end, dot in enumerate(name) if dot == "."}
    wildcards = [f"{folder}.*" for folder in sorted(folders)]
    plain = [*sorted(folders), *names] if modules else names
    near = did_you_mean(wildcard, wildcards if "*" in wildcard else plain)
    return f"{quoted(wildcard)} matches no slot (the slots are {', '.join(names)}).{near}"


class _Offers:
    """Makes the offer of each slot; equal slots, of which networks have many, share the work."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, Slot], Choices] = {}

    def __call__(self, rule: Rule, name: str, slots: Sequence[Slot]) -> Choices:
        options = rule.options if rule.turns_dials else None
        if len(slots) > 1:
            return offer(name, rule.match, slots, dict(rule.preset), options)
        nameless = dataclasses.replace(slots[0], name="")
        key = (rule.match, nameless)
        if key not in self.known:
            self.known[key] = offer("", rule.match, [nameless], dict(rule.preset), options)
        known = self.known[key]
        return dataclasses.replace(
            known,
            name=name,
            slots=tuple(slots),
            # Each reason begins with the name of the slot.
            left_out={label: f"{name}{reason}" for label, reason in known.left_out.items()},
        )


def _nothing_left(choices: Choices) -> str:
    reasons = [f"{label}: {why}" for label, why in choices.left_out.items()]
    more = f"; and {len(reasons) - 2} more" if len(reasons) > 2 else ""
    why = "; ".join(reasons[:2]) + more or "it offers no change"
    return f"leaves nothing to choose for {choices.name} ({why})"
