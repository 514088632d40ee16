"""Eager: torch runs the operators one by one."""

import functools
from collections.abc import Sequence

from torch import Tensor, nn

from dsx.conv import Run
from dsx.measure.backends._base import Backend


def prepare(networks: Sequence[nn.Module], sample: Tensor, threads: int) -> list[Run]:
    """Prepare networks to be called directly.

    Args:
        networks: Networks in eval mode.
        sample: Input of the networks.
        threads: Number of threads; the caller sets it whenever a network is run.

    Returns:
        One run for each network.
    """
    return [functools.partial(network, sample) for network in networks]


BACKEND = Backend(prepare=prepare, native_forms=True)
