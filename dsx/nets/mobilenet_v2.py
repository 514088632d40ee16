"""MobileNetV2: seventeen inverted residuals, thin between blocks and wide within.

Source: M. Sandler et al. (arXiv 1801.04381), table 2.
"""

from collections.abc import Iterator

from torch import Tensor, nn

from dsx.nets._base import Net
from dsx.nets._init import init_convolutions, init_linears

STEM, LAST = 32, 1280
STAGES = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
    (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip
"""Expansion of a block, channels that go out, number of blocks, stride of the first one."""
DROPPED = 0.2


class InvertedResidual(nn.Module):
    """Widen, filter each channel by itself, narrow; with a shortcut where shapes are equal.

    Args:
        in_channels: Channels that come in.
        channels: Channels that go out.
        stride: Of the depthwise convolution.
        expansion: How many times wider the block is within.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = in_channels * expansion
        self.conv = nn.Sequential(
            *([] if expansion == 1 else [_unit(in_channels, width, 1)]),
            _unit(width, width, 3, stride, groups=width),
            nn.Conv2d(width, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, channels, H / stride, W / stride)."""
        out: Tensor = self.conv(x)
        return x + out if self.shortcut else out


class MobileNetV2(nn.Module):
    """A stem, seventeen blocks, a wide 1 x 1 convolution, the mean of all pixels, a linear layer.

    Args:
        classes: Numbers in the output.
        in_channels: Channels of the image.
    """

    def __init__(self, classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(*_features(in_channels))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(DROPPED), nn.Linear(LAST, classes))
        init_convolutions(self)
        init_linears(self)

    def forward(self, x: Tensor) -> Tensor:
        """Classify images (B, in_channels, H, W) as logits (B, classes)."""
        logits: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits


def _features(in_channels: int) -> Iterator[nn.Module]:
    yield _unit(in_channels, STEM, 3, 2)
    width = STEM
    for expansion, channels, depth, stride in STAGES:
        for place in range(depth):
            yield InvertedResidual(width, channels, stride if place == 0 else 1, expansion)
            width = channels
    yield _unit(width, LAST, 1)


def _unit(
    in_channels: int, channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Module:
    """Build a convolution with its BN and its activation."""
    return nn.Sequential(
        nn.Conv2d(
            in_channels,
            channels,
            kernel,
            stride,
            padding=kernel // 2,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(channels),
        nn.ReLU6(inplace=True),
    )


NET = Net(build=MobileNetV2, image_shape=(3, 224, 224))
