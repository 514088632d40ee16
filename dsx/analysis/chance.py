"""Notes about a baseline that is not better than constant predictions."""

from dsx.analysis.aggregate import SHARES
from dsx.analysis.estimate import Estimate
from dsx.analysis.front import Front


def chance_notes(front: Front) -> list[str]:
    """Describe the objectives in which the baseline is not better than chance.

    Args:
        front: The front.

    Returns:
        One line for each of these objectives, with advice.
    """
    baseline = front.baseline_entry
    if baseline is None:
        return []
    return [
        f"{name}: {_verdict(baseline.metrics[name], front.units.get(name, ''))}; comparisons with "
        "it are withheld. Change the training (another learning rate, more epochs), add batch norm "
        "to the network, or check the images and labels, before you search."
        for name in front.objectives
        if name in baseline.metrics and baseline.metrics[name].at_chance
    ]


def _verdict(value: Estimate, unit: str) -> str:
    assert value.chance is not None
    ends = f"95 % interval {_formatted(value.low, unit)} to {_formatted(value.high, unit)}"
    constant = "; it predicts the same class for every image" if value.constant else ""
    return (
        f"the baseline is not better than chance ({_formatted(value.value, unit)}, {ends}; always "
        f"predicting the most frequent class gives {_formatted(value.chance, unit)}{constant})"
    )


def _formatted(number: float, unit: str) -> str:
    return f"{number:.1%}".replace("%", " %") if unit in SHARES else f"{number:.3g} {unit}".rstrip()
