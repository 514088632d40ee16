"""The findings of a study in a paragraph: the dials that its front uses, and the gains."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from dsx.analysis import Entry, Front, chance_notes
from dsx.conv import ConvSpec
from dsx.conv.sparsity import ratio as part_of_window
from dsx.report.front.view import ratio
from dsx.report.text.numbers import human, title

USES: dict[str, Callable[[ConvSpec], bool]] = {
    "a separable form": lambda spec: spec.separable,
    "a sparse kernel shape": lambda spec: (
        not spec.separable and not spec.learned and spec.kernel_shape != "full"
    ),
    "learned shapes": lambda spec: spec.learned,
    "several groups": lambda spec: spec.groups != 1,
    "a sliding channel window": lambda spec: (
        spec.channel_stride not in (None, "block") and part_of_window(spec.channel_stride or 1) < 1
    ),
    "a binary basis": lambda spec: spec.binary_basis > 0,
}
"""Property of a spec to its predicate; a redesigned slot may have several properties, or none."""


def findings(front: Front) -> str:
    """Summarise the findings of a study in a paragraph.

    Args:
        front: Front of the study.

    Returns:
        A few sentences with counts and measured values; empty if the front is empty or the
        baseline is not measured.
    """
    baseline = front.baseline_entry
    if not front.on_front or baseline is None:
        return ""
    sentences = [_dials(front), *_gains(front, baseline), *_undecided(front, baseline)]
    return " ".join(sentence for sentence in sentences if sentence)


def _dials(front: Front) -> str:
    specs = [_read(dials) for entry in front.on_front for dials in entry.spec.values()]
    redesigned = [spec for spec in specs if not spec.keeps]
    if not redesigned:
        return "No slot of any design on the front is redesigned."
    shares = [
        f"{sum(map(uses, redesigned)) / len(redesigned):.0%} have {what}"
        for what, uses in USES.items()
        if any(map(uses, redesigned))
    ]
    dense = sum(entry.fallbacks or 0 for entry in front.on_front)
    deployed = f"; {dense} of them are deployed in their dense form" if dense else ""
    return (
        f"The {len(front.on_front)} designs on the front redesign {len(redesigned)} of "
        f"{len(specs)} slots: {', '.join(shares)}{deployed}."
    )


def _read(dials: Mapping[str, object]) -> ConvSpec:
    """Build a spec; a user-defined shape, whose code is not run here, counts as sparse."""
    outside = ":" in str(dials.get("kernel_shape", ""))
    return ConvSpec.from_json({**dials, "kernel_shape": "cross"} if outside else dials)


def _gains(front: Front, baseline: Entry) -> Iterator[str]:
    """Describe the lowest value of each minimised objective, and the quality at that value."""
    quality = next((name for name, way in front.objectives.items() if way == "maximize"), None)
    costs = [name for name, way in front.objectives.items() if way == "minimize"]
    if quality is None or not costs or quality not in baseline.metrics:
        return
    if notes := chance_notes(front):
        yield " ".join(notes)
        return
    name_of_quality = title(quality, front.units.get(quality, ""))
    least = baseline.metrics[quality].value
    as_good = [entry for entry in front.on_front if entry.metrics[quality].value >= least]
    if as_good:
        parts = [_lowest(front, as_good, name, None) for name in costs]
        yield f"At the {name_of_quality} of the baseline or better, {' and '.join(parts)}."
    parts = [_lowest(front, front.on_front, name, quality) for name in costs]
    yield f"At any {name_of_quality} on the front, {' and '.join(parts)}."


def _lowest(front: Front, entries: Sequence[Entry], name: str, price: str | None) -> str:
    best = min(entries, key=lambda entry: (entry.metrics[name].value, entry.id))
    lowest = f"{title(name, front.units.get(name, ''))} decreases to {ratio(front, best, name)}"
    if price is None:
        return f"{lowest} (#{best.trial})"
    paid = human(best.metrics[price].value, front.units.get(price, ""))
    return f"{lowest} (#{best.trial}, {title(price, front.units.get(price, ''))} {paid})"


def _undecided(front: Front, baseline: Entry) -> Iterator[str]:
    """Count the designs that do not certainly differ from the baseline, in each objective."""
    for name in front.objectives:
        known = baseline.metrics.get(name)
        if known is None or known.exact or known.at_chance:
            continue
        others = [entry for entry in front.on_front if entry.id != baseline.id]
        undecided = sum(not front.is_decided(entry, baseline, name) for entry in others)
        if undecided:
            yield (
                f"In {title(name, front.units.get(name, ''))}, {undecided} of {len(others)} "
                "designs cannot be distinguished from the baseline."
            )
