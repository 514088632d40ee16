"""Layer shapes: six named ones, and those of the convolutions of whole networks."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dsx.nets import network_builder

NETWORKS = ("resnet18", "vgg16", "mobilenet_v1")
SMALL_SIDE, LARGE_SIDE = 32, 224
LEAST_CHANNELS = 8
"""Convolutions with fewer input channels, which read the image, are left out."""
REDUCED_CHANNELS, REDUCED_SIDE = 32, 8


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The shape of a convolution with a square kernel and "same" padding.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        kernel: Side of the kernel.
        stride: Stride in both directions.
        side: Height and width of the input in pixels.
        groups: Number of groups.
    """

    in_channels: int
    out_channels: int
    kernel: int = 3
    stride: int = 1
    side: int
    groups: int = 1

    @property
    def name(self) -> str:
        """The shape in a few characters, such as "64-128@32 1x1/2"."""
        same = self.in_channels == self.out_channels
        channels = f"{self.in_channels}" if same else f"{self.in_channels}-{self.out_channels}"
        kernel = "" if self.kernel == 3 else f" {self.kernel}x{self.kernel}"
        stride = "" if self.stride == 1 else f" /{self.stride}"
        return f"{channels}@{self.side}{kernel}{stride}"

    @property
    def kernel_size(self) -> tuple[int, int]:
        """Height and width of the kernel, as in nn.Conv2d."""
        return self.kernel, self.kernel

    @property
    def out_side(self) -> int:
        """Height and width of the output in pixels."""
        return (self.side - 1) // self.stride + 1

    @property
    def pointwise(self) -> "Layer":
        """The 1 x 1 convolution with the channels and the output size of this one."""
        return dataclasses.replace(self, kernel=1, stride=1, side=self.out_side)

    @property
    def reduced(self) -> "Layer":
        """A small layer of the same kind, of which a check takes milliseconds."""

        def fewer(channels: int) -> int:
            return min(channels, max(REDUCED_CHANNELS, channels // 8))

        return dataclasses.replace(
            self,
            in_channels=fewer(self.in_channels),
            out_channels=fewer(self.out_channels),
            side=min(self.side, REDUCED_SIDE),
        )

    def conv(self) -> nn.Conv2d:
        """Build the convolution.

        Returns:
            The convolution with initial weights and without a bias.
        """
        return nn.Conv2d(
            self.in_channels, self.out_channels, self.kernel, self.stride,
            padding=self.kernel // 2, groups=self.groups, bias=False,
        )  # fmt: skip


def _square(channels: int, side: int) -> Layer:
    return Layer(in_channels=channels, out_channels=channels, side=side)


NAMED = (
    _square(64, 32), _square(128, 16), _square(256, 8), _square(512, 4), _square(64, 56),
    _square(256, 28),
)  # fmt: skip
"""The shapes of the default run: the stages of networks for images of 32 x 32, and two larger."""


def network_layers(name: str, side: int) -> list[Layer]:
    """List the different layer shapes of a network, without those of grouped convolutions.

    Args:
        name: Name of a network in `dsx/nets` with a variant for images of 32 x 32.
        side: Height and width of the image in pixels.

    Returns:
        The shapes, in the order in which the convolutions run.
    """
    found: dict[Layer, None] = {}

    def record(conv: nn.Conv2d, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if conv.groups == 1 and conv.in_channels >= LEAST_CHANNELS:
            layer = Layer(
                in_channels=conv.in_channels,
                out_channels=conv.out_channels,
                kernel=conv.kernel_size[0],
                stride=conv.stride[0],
                side=inputs[0].shape[2],
            )
            found[layer] = None

    # On the meta device nothing is allocated or computed.
    with torch.device("meta"), torch.no_grad():
        network = network_builder(name)(small=side == SMALL_SIDE)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(record)
        network.eval()(torch.empty(1, 3, side, side))
    return list(found)


def layers_of(names: Iterable[str], side: int) -> list[Layer]:
    """List the different layer shapes of several networks.

    Args:
        names: Names of the networks, as in `network_layers`.
        side: Height and width of the image in pixels.

    Returns:
        The shapes without duplicates.
    """
    return list(dict.fromkeys(layer for name in names for layer in network_layers(name, side)))
