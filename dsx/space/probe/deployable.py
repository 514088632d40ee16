"""Check that a redesigned network computes the same output after it is deployed."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dsx.conv import Run, deploy
from dsx.conv.deploy import SCREEN_SECONDS
from dsx.errors import DsxError
from dsx.space.network.network import run

TOLERANCE = 1e-3
"""Largest difference of two outputs, relative to the largest value; rounding in float32 causes
about 1e-5."""


class _CyclingTimer:
    """Timer that measures nothing; it reports each form as the fastest in one deployment."""

    def __init__(self) -> None:
        self.preferred = 0
        self.largest = 0

    def __call__(self, runs: Sequence[Run], seconds: float) -> list[float]:
        # The final comparison is between the fastest forms of the screening, fastest first.
        if seconds != SCREEN_SECONDS:
            return [float(index) for index in range(len(runs))]
        self.largest = max(self.largest, len(runs))
        return [float((index - self.preferred) % len(runs)) for index in range(len(runs))]


def check_deployed(network: nn.Module, sample: Tensor, native: bool = False) -> None:
    """Deploy a redesigned network in each of its deployed forms, and check the outputs.

    Args:
        network: Redesigned network in eval mode.
        sample: Input batch.
        native: Whether to include forms that require native kernels of dsx.

    Raises:
        DsxError: If a deployed network does not run on the sample, or computes another output.
    """
    expected, timer = run(network, sample), _CyclingTimer()
    while timer.preferred <= timer.largest:
        try:
            deployed = deploy(network, sample, timer=timer, native=native)
            output = run(deployed, sample)
        except DsxError as error:
            raise DsxError(f"deployed, {error}") from error
        _compare(output, expected)
        # A traced network calls each form in the same way, while code of the user may inspect it.
        if deployed.untraced is None:
            return
        timer.preferred += 1


def _compare(output: Tensor, expected: Tensor) -> None:
    if output.shape != expected.shape:
        shapes = [" x ".join(map(str, tensor.shape)) for tensor in (output, expected)]
        raise DsxError(f"deployed, the network returns {shapes[0]} values, not {shapes[1]}")
    # NaN at the same position in both outputs, such as a logarithm of a negative value, is equal.
    largest = float(torch.nan_to_num(expected, posinf=0.0, neginf=0.0).abs().max())
    allowed = TOLERANCE * max(largest, 1e-6)
    if not torch.allclose(output, expected, rtol=0.0, atol=allowed, equal_nan=True):
        difference = float((output - expected).abs().max())
        raise DsxError(
            f"deployed, the network computes another output: it differs by {difference:.2g} "
            f"(the largest value is {largest:.2g})"
        )
