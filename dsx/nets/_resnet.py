"""ResNet: residual networks with four stages of blocks."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from dsx.nets._init import init_convolutions

CHANNELS = (64, 128, 256, 512)
"""Output channels of the 3 x 3 convolutions in each stage."""


class BasicBlock(nn.Module):
    """A residual block of two 3 x 3 convolutions.

    Args:
        in_channels: Number of input channels.
        channels: Number of output channels.
        stride: Stride of the first convolution.
    """

    expansion: ClassVar[int] = 1

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block.

        Args:
            x: Input, (B, in_channels, H, W).

        Returns:
            The output, (B, channels, H / stride, W / stride).
        """
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        joined: Tensor = self.relu(out + self.downsample(x))
        return joined


class Bottleneck(nn.Module):
    """A residual block of a 3 x 3 convolution between two 1 x 1 convolutions.

    Args:
        in_channels: Number of input channels.
        channels: Number of channels of the 3 x 3 convolution, a quarter of the output channels.
        stride: Stride of the 3 x 3 convolution.
    """

    expansion: ClassVar[int] = 4

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block.

        Args:
            x: Input, (B, in_channels, H, W).

        Returns:
            The output, (B, 4 * channels, H / stride, W / stride).
        """
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        joined: Tensor = self.relu(out + self.downsample(x))
        return joined


class ResNet(nn.Module):
    """A residual network: a stem, four stages of blocks, global average pooling, a linear layer.

    Args:
        block: Type of the blocks.
        depths: Number of blocks in each of the four stages.
        classes: Number of classes.
        in_channels: Number of channels of the image.
        small: Whether to use the variant for images of 32 x 32, whose stem keeps the resolution.

    Source:
        K. He et al. (arXiv 1512.03385), table 1, except that the 3 x 3 convolution of a bottleneck
        has the stride, as in torchvision; the small variant as in the code of DSXplore
        (arXiv 2101.00745).
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: Sequence[int],
        classes: int = 1000,
        in_channels: int = 3,
        small: bool = False,
    ) -> None:
        super().__init__()
        kernel, stride = (3, 1) if small else (7, 2)
        stem, widths = CHANNELS[0], [channels * block.expansion for channels in CHANNELS]
        self.conv1 = nn.Conv2d(in_channels, stem, kernel, stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, padding=1)
        self.layer1 = _stage(block, depths[0], stem, CHANNELS[0], 1)
        self.layer2 = _stage(block, depths[1], widths[0], CHANNELS[1], 2)
        self.layer3 = _stage(block, depths[2], widths[1], CHANNELS[2], 2)
        self.layer4 = _stage(block, depths[3], widths[2], CHANNELS[3], 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[3], classes)
        init_convolutions(self)

    def forward(self, x: Tensor) -> Tensor:
        """Classify images.

        Args:
            x: Batch of images, (B, in_channels, H, W).

        Returns:
            The logits, (B, classes).
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def _stage(
    block: type[BasicBlock] | type[Bottleneck],
    depth: int,
    in_channels: int,
    channels: int,
    stride: int,
) -> nn.Module:
    """Build a stage of blocks, of which the first one changes the resolution and the channels."""
    first = block(in_channels, channels, stride)
    others = [block(channels * block.expansion, channels, 1) for _ in range(depth - 1)]
    return nn.Sequential(first, *others)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Build the shortcut of a block, which adapts the input to the shape of the output."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
    )
