"""Check that a redesigned network computes the same once it is deployed."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dsx.conv import Run, deploy
from dsx.conv.deploy import SCREEN_SECONDS
from dsx.errors import DsxError
from dsx.space.network.network import run

TOLERANCE = 1e-3
"""Largest difference of two outputs, relative to the largest output; float32 rounds to 1e-5."""


class _InTurn:
    """A timer that times nothing: it prefers one form after the other."""

    def __init__(self) -> None:
        self.preferred = 0
        self.most = 0

    def __call__(self, runs: Sequence[Run], seconds: float) -> list[float]:
        # The final compares those that were best on the screen, the best one first.
        if seconds != SCREEN_SECONDS:
            return [float(place) for place in range(len(runs))]
        self.most = max(self.most, len(runs))
        return [float((place - self.preferred) % len(runs)) for place in range(len(runs))]


def check_deployed(network: nn.Module, sample: Tensor) -> None:
    """Deploy a redesigned network in every form that it can have, and run each.

    Args:
        network: The redesigned network, in eval mode.
        sample: An input batch.

    Raises:
        DsxError: If a deployed network does not run on the sample, or computes something else.
    """
    expected, timer = run(network, sample), _InTurn()
    while timer.preferred <= timer.most:
        try:
            deployed = deploy(network, sample, timer=timer)
            found = run(deployed, sample)
        except DsxError as error:
            raise DsxError(f"deployed, {error}") from error
        _compare(found, expected)
        # A trace calls every form in the same way; the network's own code reads what it finds.
        if deployed.untraced is None:
            return
        timer.preferred += 1


def _compare(found: Tensor, expected: Tensor) -> None:
    if found.shape != expected.shape:
        shapes = [" x ".join(map(str, tensor.shape)) for tensor in (found, expected)]
        raise DsxError(f"deployed, the network returns {shapes[0]} numbers, not {shapes[1]}")
    # A logarithm of a negative number is no number in either.
    largest = float(torch.nan_to_num(expected, posinf=0.0, neginf=0.0).abs().max())
    allowed = TOLERANCE * max(largest, 1e-6)
    if not torch.allclose(found, expected, rtol=0.0, atol=allowed, equal_nan=True):
        difference = float((found - expected).abs().max())
        raise DsxError(
            f"deployed, the network computes something else: the outputs differ by "
            f"{difference:.2g}, of at most {largest:.2g}"
        )
