"""DsxConv: the contract that every convolution module of dsx keeps."""

import abc
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from dsx.conv.cost import Cost
from dsx.conv.sparsity.attributes import numbers
from dsx.conv.sparsity.geometry import Geometry
from dsx.conv.spec.spec import ConvSpec
from dsx.plain import plain

ATTRIBUTES = (
    "in_channels",
    "out_channels",
    "kernel_size",
    "stride",
    "padding",
    "padding_mode",
    "dilation",
    "groups",
    "transposed",
    "output_padding",
)
"""Attributes of nn.Conv2d that the code of a network may read from a module that replaces it."""


class DsxConv(nn.Module, abc.ABC):
    """A drop-in for the nn.Conv2d it replaces, with the dials of a canonical spec.

    Args:
        spec: A canonical spec for the slot.
        like: The convolution whose channels, kernel, stride, padding and dilation it takes over.

    Attributes:
        spec: The dials.
        geometry: Channels, kernel, stride, padding and dilation as numbers.
        has_bias: Whether the convolution replaced had a bias.
        in_channels, out_channels, kernel_size, stride, padding, padding_mode, dilation, transposed,
            output_padding: As in nn.Conv2d.
        groups: Number of groups of the spec.
        DECISIONS: Names of the parameters of which only sign or order counts, and the part of a
            training after which they are settled.
    """

    DECISIONS: ClassVar[Mapping[str, float]] = {}

    def __init__(self, spec: ConvSpec, like: nn.Conv2d) -> None:
        super().__init__()
        self.spec = spec
        self.geometry = Geometry.of(like)
        self.has_bias = like.bias is not None
        self.in_channels = self.geometry.in_channels
        self.out_channels = self.geometry.out_channels
        self.kernel_size = self.geometry.kernel_size
        self.stride = self.geometry.stride
        own = plain(like.padding)
        self.padding = own if isinstance(own, str) else numbers(own)
        self.padding_mode = like.padding_mode
        self.dilation = self.geometry.dilation
        self.groups = int(spec.groups)
        self.transposed, self.output_padding = False, (0, 0)

    @abc.abstractmethod
    def dense_weight(self) -> Tensor:
        """Give the weight of the equal nn.Conv2d, (Cout, Cin, K, K), differentiable."""

    @abc.abstractmethod
    def dense_bias(self) -> Tensor | None:
        """Give the bias of the equal nn.Conv2d, (Cout,) or None, differentiable."""

    @abc.abstractmethod
    def cost(self, out_hw: tuple[int, int]) -> Cost:
        """Count params, flops and bits by closed form, for an output of out_hw pixels."""

    @abc.abstractmethod
    def counting_form(self) -> nn.Module:
        """Write the same function as ordinary convolutions over live positions only.

        Returns:
            A module of nn.Conv2d that an operator counter counts as `cost` does; slow, for
            counting and checking.
        """

    @abc.abstractmethod
    def scale_outputs(self, scale: Tensor, shift: Tensor) -> None:
        """Multiply and shift the outputs by changing weights and bias, as folding a BN asks.

        Args:
            scale: Factor per output channel, (Cout,).
            shift: Added after it, (Cout,).
        """

    @abc.abstractmethod
    def project(self, weight: Tensor, bias: Tensor | None) -> None:
        """Take over what can be kept of a trained dense weight.

        Args:
            weight: (Cout, Cin, K, K).
            bias: (Cout,) or None.
        """

    def finalize(self) -> None:
        """Write decisions, where there are any, so that no cast to a smaller dtype changes them."""

    def decisions(self) -> dict[nn.Parameter, float]:
        """Give the parameters that are decisions, and when they are settled."""
        return {self.get_parameter(name): end for name, end in self.DECISIONS.items()}

    def extra_repr(self) -> str:
        dials = ", ".join(f"{name}={value!r}" for name, value in self.spec.to_json().items())
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}, {dials}"
        )
