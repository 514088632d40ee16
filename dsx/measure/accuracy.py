"""Accuracy: top-1 on the validation split, 0 to 1."""

import math
from collections.abc import Mapping
from typing import Any

from dsx.measure._base import Candidate, Metric, Reading
from dsx.space import SearchSpace
from dsx.train import predict


def read(candidate: Candidate) -> Reading:
    """Train, and classify the validation split."""
    validation = candidate.splits.validation
    hits = int((predict(candidate.trained(), validation) == validation.labels).sum())
    low, high = wilson(hits, len(validation))
    return Reading(
        value=hits / len(validation),
        low=low,
        high=high,
        conditions={"images": len(validation), "losses": candidate.losses},
    )


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """Give the 95 % interval of a share.

    Args:
        hits: Successes.
        trials: Attempts, at least 1.

    Returns:
        Lower and upper end.

    Source:
        E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """
    z = 1.959963984540054
    share, spread = hits / trials, z * z / trials
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    # The ends lie at 0 and 1 exactly where the share does; rounding must not push them past it.
    return max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share))


def protocol(space: SearchSpace) -> Mapping[str, Any]:
    """Data and training settings."""
    return {"version": 1, "data": space.file.data, "train": space.file.train.model_dump()}


METRIC = Metric(unit="fraction", direction="maximize", cost="trained", read=read, protocol=protocol)
