"""Eager: torch runs operator after operator."""

import functools
from collections.abc import Sequence

from torch import Tensor, nn

from dsx.conv import Run
from dsx.measure.backends._base import Backend


def prepare(networks: Sequence[nn.Module], sample: Tensor, threads: int) -> list[Run]:
    """Call each network as it is; torch's threads are set around the timing."""
    return [functools.partial(network, sample) for network in networks]


BACKEND = Backend(prepare=prepare)
