"""What a convolution costs, by closed form."""

import dataclasses
import functools
from dataclasses import dataclass

from dsx.conv.modules.basis import basis_count
from dsx.conv.modules.layout import layout
from dsx.conv.sparsity.geometry import Geometry
from dsx.conv.spec.spec import ConvSpec
from dsx.plain import plain_fields

REAL_BITS = 32
RIGID_BITS = 4
"""Of the number of one of the 15 rigid shapes."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a convolution, or a whole network, costs.

    Args:
        params: Live real numbers and basis entries.
        flops: Multiply-adds of one image, each counted once.
        bits: Storage of the params, payload only.
        expected: Whether learned shapes are in it that are not learned yet: counted then is what
            their target density promises.
    """

    params: int
    flops: int
    bits: int
    expected: bool = False

    def __post_init__(self) -> None:
        plain_fields(self)

    @property
    def numbers(self) -> dict[str, int]:
        """params, flops and bits by these names."""
        return {"params": self.params, "flops": self.flops, "bits": self.bits}

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            params=self.params + other.params,
            flops=self.flops + other.flops,
            bits=self.bits + other.bits,
            expected=self.expected or other.expected,
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


def learned_cost(
    spec: ConvSpec, geometry: Geometry, live: int, biases: int, out_hw: tuple[int, int]
) -> Cost:
    """Cost of a convolution with learned shapes.

    Args:
        spec: A canonical spec with learned shapes.
        geometry: Of the slot.
        live: Live weights.
        biases: Numbers in the bias.
        out_hw: Rows and columns of the output.

    Returns:
        That of its live weights, and the bits that say which these are.
    """
    kernel = geometry.kernel_size[0] * geometry.kernel_size[1]
    blocks = -(-geometry.in_channels // spec.block_in) * -(-geometry.out_channels // spec.block_out)
    cost = real_cost(live, biases, out_hw)
    shape_bits = blocks * (RIGID_BITS if spec.rigid else kernel)
    return dataclasses.replace(cost, bits=cost.bits + shape_bits)


def spec_cost(spec: ConvSpec, geometry: Geometry, bias: bool, out_hw: tuple[int, int]) -> Cost:
    """Cost of a canonical spec on one slot; nothing is built for it.

    Args:
        spec: A canonical spec other than `keep`.
        geometry: Of the slot.
        bias: Whether the slot has one.
        out_hw: Rows and columns of the output.

    Returns:
        What the module's own `cost` says; for learned shapes what it can be expected to say.
    """
    biases = geometry.out_channels if bias else 0
    if spec.separable:
        channels = geometry.in_channels
        positions = geometry.kernel_size[0] * geometry.kernel_size[1]
        pointwise = dataclasses.replace(spec, separable=False)
        return real_cost(channels * positions, channels, out_hw) + spec_cost(
            pointwise, dataclasses.replace(geometry, kernel_size=(1, 1)), False, out_hw
        )
    if spec.learned:
        assert spec.density is not None
        live = round(spec.density * _all_weights(geometry))
        expected = learned_cost(spec, geometry, live, biases, out_hw)
        return dataclasses.replace(expected, expected=True)
    if spec.binary_basis:
        return _binary_cost(spec, geometry, biases, out_hw)
    return real_cost(_live_count(spec, geometry), biases, out_hw)


def _all_weights(geometry: Geometry) -> int:
    kernel = geometry.kernel_size[0] * geometry.kernel_size[1]
    return geometry.in_channels * geometry.out_channels * kernel


def _binary_cost(spec: ConvSpec, geometry: Geometry, biases: int, out_hw: tuple[int, int]) -> Cost:
    count = basis_count(spec, geometry)
    reals = biases + (geometry.out_channels if spec.scale else 0)
    return Cost(
        params=count.entries + reals,
        flops=count.flops * out_hw[0] * out_hw[1],
        bits=count.entries + count.selection_bits + REAL_BITS * reals,
    )


@functools.lru_cache(maxsize=65536)
def _live_count(spec: ConvSpec, geometry: Geometry) -> int:
    if spec.kernel_shape == "full":
        # As `layout` counts it, without writing all channels of large layers down.
        return _all_weights(geometry) // int(spec.groups)
    return layout(spec, geometry).live_count
