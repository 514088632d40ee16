"""Estimate: from blocks of a network and of the sentinel to one number with its interval."""

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
"""Half the width, relative to the value, of what no reading sees of itself: where the network and
the sentinel lie in memory, what their like differ in when the machine is slow. By experiment: the
spread of the values of one network that is measured again and again; see docs/measuring.md."""


def estimate(own: Values, reference_workload: Values, reference: float) -> Measurement:
    """Correct blocks for the drift of the machine, and take their median.

    Args:
        own: (n,) milliseconds of the network, block by block.
        sentinel: (n,) milliseconds of the sentinel around each block.
        reference: Milliseconds of the sentinel in calm moments.

    Returns:
        Value, interval and, as samples, the corrected blocks. The interval joins what the ranks of
        the blocks say (or how far groups of them lie apart, if that is more) and what a reading
        cannot see.
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
    """Half the width of the 95 % interval that the medians of consecutive groups show.

    Samples that follow each other are alike, so that their ranks alone promise too much.
    """
    if len(samples) < 4 * GROUPS:
        return 0.0
    medians = [float(np.median(group)) for group in np.array_split(samples, GROUPS)]
    return float(stdtrit(GROUPS - 1, 0.975)) * statistics.stdev(medians) / math.sqrt(GROUPS)


def median_interval(samples: Sequence[float]) -> tuple[float, float, float]:
    """Give the median and its 95 % interval.

    Args:
        samples: One or more.

    Returns:
        Median, lower end, upper end. The ends are samples themselves: those between whose ranks
        the median lies with at least 95 % probability, whatever the distribution; of fewer than
        six samples the least and the largest, with what probability these have.

    Source:
        W. J. Conover, Practical nonparametric statistics, 3rd edition, section 3.2: the exact
        binomial distribution of the number of samples below the median.
    """
    ordered = sorted(samples)
    count = len(ordered)
    # scipy.stats.quantile_test selects the same ends, but it takes 2 ms for 1000 samples, as long
    # as a block of calls, and returns nan below six samples, where the range of the samples is the
    # best that can be given.
    low = max(math.ceil(bdtrik(0.025, count, 0.5)) - 1, 0)
    return statistics.median(ordered), ordered[low], ordered[count - 1 - low]


def spread(values: Sequence[float]) -> float:
    """Give the width of a sample, from its 10th to its 90th percentile, over its median.

    Args:
        values: One or more, positive.

    Returns:
        The ratio.
    """
    low, middle, high = np.percentile(values, [10, 50, 90])
    return float((high - low) / middle)
