"""DsxConv: the interface of all convolution modules of dsx."""

import abc
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from dsx.conv.cost import Cost
from dsx.conv.sparsity.attributes import checked_pair
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
    """A drop-in replacement for a nn.Conv2d, defined by the dials of a canonical spec.

    Args:
        spec: Canonical spec for the slot.
        like: Convolution that is replaced, whose channels, kernel size, stride, padding and
            dilation are adopted.

    Attributes:
        spec: Setting of the dials.
        geometry: Channels, kernel size, stride, padding and dilation as numbers.
        has_bias: Whether the replaced convolution had a bias.
        in_channels, out_channels, kernel_size, stride, padding, padding_mode, dilation, transposed,
            output_padding: Attributes with the same meaning as in nn.Conv2d.
        groups: Number of groups of the spec.
        DECISIONS: Names of the parameters of which only the sign or the order matters, with the
            fraction of training after which their decisions are final.
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
        padding = plain(like.padding)
        self.padding = padding if isinstance(padding, str) else checked_pair(padding)
        self.padding_mode = like.padding_mode
        self.dilation = self.geometry.dilation
        self.groups = int(spec.groups)
        self.transposed, self.output_padding = False, (0, 0)

    @abc.abstractmethod
    def dense_weight(self) -> Tensor:
        """Return the weight of the equivalent nn.Conv2d, (Cout, Cin, K, K), differentiable."""

    @abc.abstractmethod
    def dense_bias(self) -> Tensor | None:
        """Return the bias of the equivalent nn.Conv2d, (Cout,) or None, differentiable."""

    @abc.abstractmethod
    def cost(self, out_hw: tuple[int, int]) -> Cost:
        """Compute the cost in closed form.

        Args:
            out_hw: Height and width of the output.

        Returns:
            The params, flops and bits.
        """

    @abc.abstractmethod
    def counting_form(self) -> nn.Module:
        """Build the same function from ordinary convolutions over live positions only.

        Returns:
            A slow module of nn.Conv2d for counting and checking; an operator counter yields the
            same cost for it as `cost`.
        """

    @abc.abstractmethod
    def scale_outputs(self, scale: Tensor, shift: Tensor) -> None:
        """Fold a factor and a shift of the outputs into weights and bias, as for a BN.

        Args:
            scale: Factor of each output channel, (Cout,).
            shift: Shift of each output channel, applied after the factor, (Cout,).
        """

    @abc.abstractmethod
    def project(self, weight: Tensor, bias: Tensor | None) -> None:
        """Project a trained dense weight onto the spec and adopt the result.

        Args:
            weight: Dense weight, (Cout, Cin, K, K).
            bias: Bias, (Cout,), or None.
        """

    def finalize(self) -> None:
        """Finalize the decisions, if any, so that a cast to a smaller dtype cannot change them."""

    def decisions(self) -> dict[nn.Parameter, float]:
        """Return the fraction of training after which each decision parameter is final."""
        return {self.get_parameter(name): end for name, end in self.DECISIONS.items()}

    def extra_repr(self) -> str:
        """Return the sizes and the dials for the representation of the module."""
        dials = ", ".join(f"{name}={value!r}" for name, value in self.spec.to_json().items())
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}, {dials}"
        )
