"""What a convolution costs, by closed form."""

import dataclasses
import functools
from dataclasses import dataclass

from dsx.conv.geometry import Geometry
from dsx.conv.layout import layout
from dsx.conv.spec import ConvSpec

REAL_BITS = 32


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a convolution, or a whole network, costs.

    Args:
        params: Live real numbers and basis entries.
        flops: Multiply-adds of one image, each counted once.
        bits: Storage of the params, payload only.
    """

    params: int
    flops: int
    bits: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            params=self.params + other.params,
            flops=self.flops + other.flops,
            bits=self.bits + other.bits,
        )


def real_cost(weights: int, biases: int, out_hw: tuple[int, int]) -> Cost:
    """Cost of a convolution with real weights.

    Args:
        weights: Live (output, channel, position) triples.
        biases: Numbers in the bias.
        out_hw: Rows and columns of the output.

    Returns:
        One multiply-add per live triple and output pixel; 32 bits per number.
    """
    params = weights + biases
    return Cost(params=params, flops=weights * out_hw[0] * out_hw[1], bits=REAL_BITS * params)


def spec_cost(spec: ConvSpec, geometry: Geometry, bias: bool, out_hw: tuple[int, int]) -> Cost:
    """Cost of a canonical spec on one slot; nothing is built for it.

    Args:
        spec: A canonical spec other than `keep`.
        geometry: Of the slot.
        bias: Whether the slot has one.
        out_hw: Rows and columns of the output.

    Returns:
        What the module's own `cost` says.
    """
    if not spec.separable:
        biases = geometry.out_channels if bias else 0
        return real_cost(_live_count(spec, geometry), biases, out_hw)
    channels = geometry.in_channels
    positions = geometry.kernel_size[0] * geometry.kernel_size[1]
    pointwise = dataclasses.replace(spec, separable=False)
    return real_cost(channels * positions, channels, out_hw) + spec_cost(
        pointwise, dataclasses.replace(geometry, kernel_size=(1, 1)), False, out_hw
    )


@functools.lru_cache(maxsize=65536)
def _live_count(spec: ConvSpec, geometry: Geometry) -> int:
    return layout(spec, geometry).live_count
