"""What a study found, in a paragraph: which dials its front uses, and what that is worth."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from dsx.analysis import Entry, Front, chance_notes
from dsx.conv import ConvSpec
from dsx.conv.sparsity import ratio as part_of_window
from dsx.report.front.view import ratio
from dsx.report.text.numbers import human, title

USES: dict[str, Callable[[ConvSpec], bool]] = {
    "a depthwise stage in front": lambda spec: spec.separable,
    "a sparse kernel shape": lambda spec: (
        not spec.separable and not spec.learned and spec.kernel_shape != "full"
    ),
    "learned shapes": lambda spec: spec.learned,
    "several groups": lambda spec: spec.groups != 1,
    "a sliding window": lambda spec: (
        spec.channel_stride not in (None, "block") and part_of_window(spec.channel_stride or 1) < 1
    ),
    "a binary basis": lambda spec: spec.binary_basis > 0,
}
"""What a redesigned slot may have; it may have several of them, or none."""


def findings(front: Front) -> str:
    """Say in a paragraph what a study found.

    Args:
        front: A front.

    Returns:
        A few sentences, each a count or a measured number; nothing where nothing is on the front,
        or no baseline is there to compare with.
    """
    baseline = front.baseline_entry
    if not front.on_front or baseline is None:
        return ""
    sentences = [_dials(front), *_worth(front, baseline), *_doubt(front, baseline)]
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
        f"The {len(front.on_front)} designs of the front redesign {len(redesigned)} of their "
        f"{len(specs)} slots: {', '.join(shares)}{deployed}."
    )


def _read(dials: Mapping[str, object]) -> ConvSpec:
    """Read dials; a shape from outside dsx, whose code is not run for this, is a sparse one."""
    outside = ":" in str(dials.get("kernel_shape", ""))
    return ConvSpec.from_json({**dials, "kernel_shape": "cross"} if outside else dials)


def _worth(front: Front, baseline: Entry) -> Iterator[str]:
    """Say how far each objective to be minimised comes down, and at what price."""
    wish = next((name for name, way in front.objectives.items() if way == "maximize"), None)
    costs = [name for name, way in front.objectives.items() if way == "minimize"]
    if wish is None or not costs or wish not in baseline.metrics:
        return
    if notes := chance_notes(front):
        yield " ".join(notes)
        return
    quality = title(wish, front.units.get(wish, ""))
    least = baseline.metrics[wish].value
    as_good = [entry for entry in front.on_front if entry.metrics[wish].value >= least]
    if as_good:
        parts = [_lowest(front, as_good, name, None) for name in costs]
        yield f"At the baseline's {quality} or more, {' and '.join(parts)}."
    parts = [_lowest(front, front.on_front, name, wish) for name in costs]
    yield f"At any {quality} on the front, {' and '.join(parts)}."


def _lowest(front: Front, entries: Sequence[Entry], name: str, price: str | None) -> str:
    best = min(entries, key=lambda entry: (entry.metrics[name].value, entry.id))
    said = f"{title(name, front.units.get(name, ''))} comes down to {ratio(front, best, name)}"
    if price is None:
        return f"{said} (#{best.trial})"
    paid = human(best.metrics[price].value, front.units.get(price, ""))
    return f"{said} (#{best.trial}, {title(price, front.units.get(price, ''))} {paid})"


def _doubt(front: Front, baseline: Entry) -> Iterator[str]:
    """Count the designs whose intervals hold the baseline's value, in each objective."""
    for name in front.objectives:
        known = baseline.metrics.get(name)
        if known is None or known.exact or known.at_chance:
            continue
        metrics = [entry.metrics[name] for entry in front.on_front if entry.id != baseline.id]
        alike = sum(metric.low <= known.value <= metric.high for metric in metrics)
        if alike:
            yield (
                f"In {title(name, front.units.get(name, ''))} {alike} of the {len(metrics)} cannot "
                "be told from the baseline: its value lies in their intervals."
            )
