"""Slots: the convolutions of a network that can be redesigned."""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass

from dsx.conv import KEEP, ConvSpec, Cost, DsxConv, original_spec, spec_cost
from dsx.conv.sparsity import Geometry
from dsx.plain import plain_fields


@functools.lru_cache(maxsize=65536)
def _canonical(slot: "Slot", spec: ConvSpec) -> ConvSpec:
    return spec.at(slot).scaled(slot.scaled)


@dataclass(frozen=True, kw_only=True)
class Slot:
    """An `nn.Conv2d` of a network that can be redesigned.

    Args:
        name: Dotted module name.
        geometry: Channels, kernel size, stride, padding and dilation.
        groups: Number of groups of the original convolution.
        bias: Whether the original convolution has a bias.
        out_hw: Height and width of the output, for each call in one forward pass.
        scaled: Whether a binary basis has a scale by default: true unless a batch norm follows
            directly and exclusively, or if weights are kept.
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
        """Number of input channels."""
        return self.geometry.in_channels

    @property
    def out_channels(self) -> int:
        """Number of output channels."""
        return self.geometry.out_channels

    @property
    def stride(self) -> tuple[int, int]:
        """Vertical and horizontal stride."""
        return self.geometry.stride

    @property
    def kernel_size(self) -> tuple[int, int]:
        """Height and width of the kernel."""
        return self.geometry.kernel_size

    def canonical(self, spec: ConvSpec) -> ConvSpec:
        """Return the canonical form of a spec on this slot, with a defined scale.

        Args:
            spec: Any spec.

        Returns:
            `spec.at(slot)`; if a binary basis leaves the scale undefined, it has one if `scaled`.

        Raises:
            SpecError: If the spec cannot be applied to this slot, with the reason.
        """
        return _canonical(self, spec)

    def cost(self, spec: ConvSpec = KEEP) -> Cost:
        """Compute the closed-form cost of a spec on this slot.

        Args:
            spec: Any spec; by default the original convolution.

        Returns:
            The cost, with flops summed over all calls.

        Raises:
            SpecError: If the spec cannot be applied to this slot, with the reason.
        """
        return self.cost_of_canonical(self.canonical(spec))

    def cost_of_canonical(self, spec: ConvSpec) -> Cost:
        """Compute the closed-form cost of a spec that is known to be canonical on this slot.

        Args:
            spec: Canonical spec.

        Returns:
            The cost, as of `cost`.
        """
        at = original_spec(self) if spec.keeps else spec
        return self._over_calls(lambda out_hw: spec_cost(at, self.geometry, self.bias, out_hw))

    def cost_of(self, conv: DsxConv) -> Cost:
        """Compute the cost of a convolution that replaces this slot, in its current state.

        Args:
            conv: Convolution built for this slot.

        Returns:
            The cost, with flops summed over all calls.
        """
        return self._over_calls(conv.cost)

    def _over_calls(self, cost: Callable[[tuple[int, int]], Cost]) -> Cost:
        costs = [cost(out_hw) for out_hw in self.out_hw]
        return dataclasses.replace(costs[0], flops=sum(call.flops for call in costs))
