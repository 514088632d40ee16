"""MobileNetV2: seventeen inverted residual blocks.

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
"""Expansion, output channels, number of blocks, and stride of the first block of each stage."""
DROPOUT = 0.2


class InvertedResidual(nn.Module):
    """An inverted residual block: expansion, depthwise convolution and linear projection.

    It has a shortcut if the input and the output have the same shape.

    Args:
        in_channels: Number of input channels.
        channels: Number of output channels.
        stride: Stride of the depthwise convolution.
        expansion: Factor by which the depthwise convolution has more channels than the input.
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
        """Compute the block.

        Args:
            x: Input, (B, in_channels, H, W).

        Returns:
            The output, (B, channels, H / stride, W / stride).
        """
        out: Tensor = self.conv(x)
        return x + out if self.shortcut else out


class MobileNetV2(nn.Module):
    """MobileNetV2: a stem, seventeen blocks, a 1 x 1 convolution, pooling and a linear layer.

    Args:
        classes: Number of classes.
        in_channels: Number of channels of the image.
    """

    def __init__(self, classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(*_features(in_channels))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(LAST, classes))
        init_convolutions(self)
        init_linears(self)

    def forward(self, x: Tensor) -> Tensor:
        """Classify images.

        Args:
            x: Batch of images, (B, in_channels, H, W).

        Returns:
            The logits, (B, classes).
        """
        logits: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits


def _features(in_channels: int) -> Iterator[nn.Module]:
    yield _unit(in_channels, STEM, 3, 2)
    width = STEM
    for expansion, channels, depth, stride in STAGES:
        for index in range(depth):
            yield InvertedResidual(width, channels, stride if index == 0 else 1, expansion)
            width = channels
    yield _unit(width, LAST, 1)


def _unit(
    in_channels: int, channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Module:
    """Build a convolution with a BN and an activation."""
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
