"""Rules of a search space: the slots that a wildcard matches, and their options."""

import dataclasses
import fnmatch
from collections.abc import Iterator, Sequence

from dsx.activity import Kind, each
from dsx.errors import did_you_mean, quoted
from dsx.space.network.analysis import NetworkAnalysis
from dsx.space.network.slots import Slot
from dsx.space.options.options import fit_options
from dsx.space.options.slot_options import SlotOptions
from dsx.space.yaml.schema import Rule
from dsx.space.yaml.source import Source


def rule_options(
    rules: Sequence[Rule], source: Source, analysis: NetworkAnalysis
) -> Iterator[SlotOptions]:
    """Build the options of each slot from the first rule that matches it.

    Args:
        rules: Rules in the order of the file.
        source: Space file, for error messages.
        analysis: Network analysis of the network; slots that no rule matches are unchanged.

    Yields:
        The options of each slot, or of all slots of a rule that share one setting.

    Raises:
        SpaceError: If a rule matches no slot, or has no effect on any of its slots.
    """
    free = list(analysis.slots)
    fit = _OptionsCache()
    for number, rule in enumerate(rules):
        matched = [slot for slot in free if fnmatch.fnmatchcase(slot.name, rule.match)]
        if not matched:
            raise source.error(("slots", number, "match"), explain_no_match(rule.match, analysis))
        free = [slot for slot in free if slot not in matched]
        if rule.keep:
            continue
        shared = rule.share == "rule"
        groups = [matched] if shared else [[slot] for slot in matched]
        fitted = [
            fit(rule, rule.match if shared else group[0].name, group)
            for group in each(groups, Kind.LISTING_OPTIONS, "slot")
        ]
        if all(len(options.settings()) == 1 for options in fitted):
            raise source.error(("slots", number), _without_effect(fitted[0]))
        yield from fitted


def explain_no_match(wildcard: str, analysis: NetworkAnalysis, modules: bool = False) -> str:
    """Return the reason why a wildcard matches no slot, or only slots of earlier rules.

    Args:
        wildcard: Wildcard over slot names.
        analysis: Network analysis of the network.
        modules: Whether the name of a module is allowed in place of its slots.

    Returns:
        One line, with the nearest match.
    """
    names = [slot.name for slot in analysis.slots]
    for name, reason in analysis.excluded.items():
        if fnmatch.fnmatchcase(name, wildcard):
            return f"{quoted(wildcard)} matches no slot: {name} {reason}"
    if not names:
        return f"{quoted(wildcard)} matches no slot: the network has no nn.Conv2d"
    if any(fnmatch.fnmatchcase(name, wildcard) for name in names):
        return f"{quoted(wildcard)} matches only slots that an earlier rule matches"
    folders = {name[:end] for name in names for end, dot in enumerate(name) if dot == "."}
    wildcards = [f"{folder}.*" for folder in sorted(folders)]
    plain = [*sorted(folders), *names] if modules else names
    near = did_you_mean(wildcard, wildcards if "*" in wildcard else plain)
    return f"{quoted(wildcard)} matches no slot (the slots are {', '.join(names)}).{near}"


class _OptionsCache:
    """Cache of the options of slots that differ in name only, of which networks have many."""

    def __init__(self) -> None:
        self.cache: dict[tuple[str, Slot], SlotOptions] = {}

    def __call__(self, rule: Rule, name: str, slots: Sequence[Slot]) -> SlotOptions:
        options = rule.options if rule.sets_dials else None
        if len(slots) > 1:
            return fit_options(name, rule.match, slots, dict(rule.preset), options)
        nameless = dataclasses.replace(slots[0], name="")
        key = (rule.match, nameless)
        if key not in self.cache:
            self.cache[key] = fit_options("", rule.match, [nameless], dict(rule.preset), options)
        cached = self.cache[key]
        return dataclasses.replace(
            cached,
            name=name,
            slots=tuple(slots),
            # Each reason begins with the name of the slot.
            left_out={label: f"{name}{reason}" for label, reason in cached.left_out.items()},
        )


def _without_effect(options: SlotOptions) -> str:
    reasons = [f"{label}: {why}" for label, why in options.left_out.items()]
    more = f"; and {len(reasons) - 2} more" if len(reasons) > 2 else ""
    why = "; ".join(reasons[:2]) + more or "all of its options are equivalent to keep"
    return f"has no effect on {options.name} ({why})"
