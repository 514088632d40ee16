"""MobileNetV1: thirteen pairs of a depthwise and a pointwise convolution.

Source: A. G. Howard et al. (arXiv 1704.04861), table 1; small, and with biases in the depthwise
convolutions, as the code of DSXplore (arXiv 2101.00745) has it, whose names the layers bear.
"""

from torch import Tensor, nn

from dsx.nets._base import Net
from dsx.nets._init import init_convolutions, init_linears

STEM = 32
PAIRS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
"""Channels that go out of a pair, and its stride."""


class Pair(nn.Module):
    """A depthwise 3 x 3 convolution, then a pointwise one.

    Args:
        in_channels: Channels that come in.
        channels: Channels that go out.
        stride: Of the depthwise convolution.
        depthwise_bias: Whether that has a bias.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, depthwise_bias: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(
            in_channels,
            in_channels,
            3,
            stride,
            padding=1,
            groups=in_channels,
            bias=depthwise_bias,
        )
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv2 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, channels, H / stride, W / stride)."""
        x = self.relu(self.bn1(self.conv1(x)))
        out: Tensor = self.relu(self.bn2(self.conv2(x)))
        return out


class MobileNetV1(nn.Module):
    """A stem, thirteen pairs, the mean over all pixels and a linear layer.

    Args:
        classes: Numbers in the output.
        in_channels: Channels of the image.
        small: The form for images of 32 x 32, whose stem keeps the resolution.
        depthwise_bias: Whether depthwise convolutions have a bias, as those of the published
            sliding-channel networks.
    """

    def __init__(
        self,
        classes: int = 1000,
        in_channels: int = 3,
        small: bool = False,
        depthwise_bias: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, STEM, 3, 1 if small else 2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.relu = nn.ReLU(inplace=True)
        width, pairs = STEM, []
        for channels, stride in PAIRS:
            pairs.append(Pair(width, channels, stride, depthwise_bias))
            width = channels
        self.layers = nn.Sequential(*pairs)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(width, classes)
        init_convolutions(self)
        init_linears(self)

    def forward(self, x: Tensor) -> Tensor:
        """Classify images (B, in_channels, H, W) as logits (B, classes)."""
        x = self.layers(self.relu(self.bn1(self.conv1(x))))
        logits: Tensor = self.linear(self.avgpool(x).flatten(1))
        return logits


NET = Net(build=MobileNetV1, image_shape=(3, 224, 224))
