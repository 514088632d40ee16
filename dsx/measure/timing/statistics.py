"""Statistics: the value and confidence interval of a latency from its blocks."""

import math
import statistics
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrik, stdtrit

from dsx.analysis import Measurement

Values = NDArray[np.float64]

GROUPS = 6
UNSEEN = 0.02
"""Half-width, relative to the value, of the variation between readings that is not visible within
one reading: the locations of the network and the reference workload in memory, and their different
response to disturbances. Determined from repeated readings of one network, see
docs/measuring.md."""


def estimate(own: Values, reference_workload: Values, reference: float) -> Measurement:
    """Correct blocks for the drift of the machine and compute their median.

    Args:
        own: Milliseconds of the network for each block, (n,).
        reference_workload: Milliseconds of the reference workload around each block, (n,).
        reference: Reference time in milliseconds.

    Returns:
        Value, interval and, as samples, the corrected blocks. The interval combines the interval of
        the median (or that of the medians of groups of blocks, if it is wider) and the variation
        between readings.
    """
    corrected = own * (reference / reference_workload)
    samples = corrected.tolist()
    value, low, high = median_interval(samples)
    drifting, unseen = _drifting(corrected), UNSEEN * value
    return Measurement(
        value=value,
        low=max(0.0, value - math.hypot(max(value - low, drifting), unseen)),
        high=value + math.hypot(max(high - value, drifting), unseen),
        samples=samples,
    )


def _drifting(samples: Values) -> float:
    """Return the half-width of the 95 % interval from the medians of consecutive groups.

    Consecutive samples are correlated, so that the interval from their ranks is too narrow.
    """
    if len(samples) < 4 * GROUPS:
        return 0.0
    medians = [float(np.median(group)) for group in np.array_split(samples, GROUPS)]
    return float(stdtrit(GROUPS - 1, 0.975)) * statistics.stdev(medians) / math.sqrt(GROUPS)


def median_interval(samples: Sequence[float]) -> tuple[float, float, float]:
    """Compute the median and its 95 % interval for any distribution.

    Args:
        samples: At least one sample.

    Returns:
        Median, lower end and upper end. The ends are order statistics that contain the median with
        a probability of at least 95 %; for fewer than six samples they are the minimum and the
        maximum, whose probability is lower.

    Source:
        W. J. Conover, Practical nonparametric statistics, 3rd edition, section 3.2: the exact
        binomial distribution of the number of samples below the median.
    """
    ordered = sorted(samples)
    count = len(ordered)
    # scipy.stats.quantile_test selects the same ends, but it takes 2 ms for 1000 samples, as long
    # as a block of calls, and returns nan for fewer than six samples.
    low = max(math.ceil(bdtrik(0.025, count, 0.5)) - 1, 0)
    return statistics.median(ordered), ordered[low], ordered[count - 1 - low]


def spread(values: Sequence[float]) -> float:
    """Compute the range from the 10th to the 90th percentile, divided by the median.

    Args:
        values: At least one positive value.

    Returns:
        The ratio.
    """
    low, middle, high = np.percentile(values, [10, 50, 90])
    return float((high - low) / middle)
