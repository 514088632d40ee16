"""The cost of a convolution in closed form."""

import dataclasses
import functools
from dataclasses import dataclass

from dsx.conv.modules.basis import basis_count
from dsx.conv.sparsity.geometry import Geometry
from dsx.conv.sparsity.layout import layout
from dsx.conv.spec.spec import ConvSpec
from dsx.plain import plain_fields

REAL_BITS = 32
RIGID_BITS = 4
"""Bits of the index of one of the 15 rigid shapes."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of a convolution or of a whole network.

    Args:
        params: Number of live real parameters and basis entries.
        flops: Multiply-adds for one image, each counted as 1.
        bits: Storage of the parameters in bits, without metadata.
        expected: Whether the cost includes learned shapes that are not yet trained, which are
            counted at their target density.
    """

    params: int
    flops: int
    bits: int
    expected: bool = False

    def __post_init__(self) -> None:
        plain_fields(self)

    @property
    def numbers(self) -> dict[str, int]:
        """The params, flops and bits by name."""
        return {"params": self.params, "flops": self.flops, "bits": self.bits}

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            params=self.params + other.params,
            flops=self.flops + other.flops,
            bits=self.bits + other.bits,
            expected=self.expected or other.expected,
        )


def real_cost(weights: int, biases: int, out_hw: tuple[int, int]) -> Cost:
    """Compute the cost of a convolution with real weights.

    Args:
        weights: Number of live (output, channel, position) triples.
        biases: Number of entries of the bias.
        out_hw: Height and width of the output.

    Returns:
        The cost: one multiply-add per live triple and output pixel, 32 bits per parameter.
    """
    params = weights + biases
    return Cost(params=params, flops=weights * out_hw[0] * out_hw[1], bits=REAL_BITS * params)


def learned_cost(
    spec: ConvSpec, geometry: Geometry, live: int, biases: int, out_hw: tuple[int, int]
) -> Cost:
    """Compute the cost of a convolution with learned shapes.

    Args:
        spec: Canonical spec with learned shapes.
        geometry: Geometry of the slot.
        live: Number of live weights.
        biases: Number of entries of the bias.
        out_hw: Height and width of the output.

    Returns:
        The cost of the live weights; its bits include the encoding of the learned shapes.
    """
    kernel = geometry.kernel_size[0] * geometry.kernel_size[1]
    blocks = -(-geometry.in_channels // spec.block_in) * -(-geometry.out_channels // spec.block_out)
    cost = real_cost(live, biases, out_hw)
    shape_bits = blocks * (RIGID_BITS if spec.rigid else kernel)
    return dataclasses.replace(cost, bits=cost.bits + shape_bits)


def spec_cost(spec: ConvSpec, geometry: Geometry, bias: bool, out_hw: tuple[int, int]) -> Cost:
    """Compute the cost of a canonical spec on one slot without building the module.

    Args:
        spec: Canonical spec other than `keep`.
        geometry: Geometry of the slot.
        bias: Whether the slot has a bias.
        out_hw: Height and width of the output.

    Returns:
        The same cost as `cost` of the module; for learned shapes the cost at the target density.
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
        # Equal to the count of `layout`, without the channel table of a large layer.
        return _all_weights(geometry) // int(spec.groups)
    return layout(spec, geometry).live_count
