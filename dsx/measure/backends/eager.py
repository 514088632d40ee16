"""Eager: torch runs operator after operator."""

import functools

from torch import Tensor, nn

from dsx.conv.timing import Run
from dsx.measure.backends._base import Backend


def prepare(network: nn.Module, sample: Tensor, threads: int) -> Run:
    """Call the network as it is; torch's threads are set around the timing."""
    return functools.partial(network, sample)


BACKEND = Backend(prepare=prepare)
