"""Slot: a convolution of a network that may be redesigned."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from dsx.conv import KEEP, ConvSpec, Cost, DsxConv, original_spec, spec_cost
from dsx.conv.sparsity import Geometry
from dsx.plain import plain_fields


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A nn.Conv2d of a network that may be redesigned.

    Args:
        name: Dotted module name.
        geometry: Channels, kernel, stride, padding and dilation.
        groups: Of the convolution that stands there.
        bias: Whether it has one.
        out_hw: Rows and columns of its output, for each time it is called in one forward pass.
        scaled: Whether a binary basis here has a scale unless told otherwise: where no BN directly
            and only follows, or weights are kept.
    """

    name: str
    geometry: Geometry
    groups: int
    bias: bool
    out_hw: tuple[tuple[int, int], ...]
    scaled: bool = True

    def __post_init__(self) -> None:
        plain_fields(self)

    @property
    def in_channels(self) -> int:
        """Cin."""
        return self.geometry.in_channels

    @property
    def out_channels(self) -> int:
        """Cout."""
        return self.geometry.out_channels

    @property
    def stride(self) -> tuple[int, int]:
        """Rows and columns from one output to the next."""
        return self.geometry.stride

    @property
    def kernel_size(self) -> tuple[int, int]:
        """Rows and columns of the kernel."""
        return self.geometry.kernel_size

    def canonical(self, spec: ConvSpec) -> ConvSpec:
        """Give the canonical form of a spec here, with a word on the scale of a binary basis.

        Args:
            spec: The dials.

        Returns:
            `spec.at(slot)`; where it leaves the scale open, there is one if `scaled`.

        Raises:
            SpecError: If these dials cannot be set on this slot; says why.
        """
        return spec.at(self).scaled(self.scaled)

    def cost(self, spec: ConvSpec = KEEP) -> Cost:
        """Count what a spec costs here.

        Args:
            spec: The dials.

        Returns:
            Params and bits once, flops over all calls.

        Raises:
            SpecError: If these dials cannot be set on this slot; says why.
        """
        at = self.canonical(spec)
        at = original_spec(self) if at.keeps else at
        return self._over_calls(lambda out_hw: spec_cost(at, self.geometry, self.bias, out_hw))

    def cost_of(self, conv: DsxConv) -> Cost:
        """Count what a built convolution costs here, as it is now: params and bits once."""
        return self._over_calls(conv.cost)

    def _over_calls(self, cost: Callable[[tuple[int, int]], Cost]) -> Cost:
        each = [cost(out_hw) for out_hw in self.out_hw]
        return dataclasses.replace(each[0], flops=sum(one.flops for one in each))
