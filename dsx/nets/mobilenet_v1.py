"""MobileNetV1: thirteen pairs of a depthwise and a pointwise convolution.

Source: A. G. Howard et al. (arXiv 1704.04861), table 1; the names of the layers, the small variant
and the biases of depthwise convolutions as in the code of DSXplore (arXiv 2101.00745).
"""

from torch import Tensor, nn

from dsx.nets._base import Net
from dsx.nets._init import init_convolutions, init_linears

STEM = 32
PAIRS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
"""Output channels and stride of each pair."""


class Pair(nn.Module):
    """A depthwise 3 x 3 convolution followed by a pointwise convolution.

    Args:
        in_channels: Number of input channels.
        channels: Number of output channels.
        stride: Stride of the depthwise convolution.
        depthwise_bias: Whether the depthwise convolution has a bias.
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
        """Compute the pair.

        Args:
            x: Input, (B, in_channels, H, W).

        Returns:
            The output, (B, channels, H / stride, W / stride).
        """
        x = self.relu(self.bn1(self.conv1(x)))
        out: Tensor = self.relu(self.bn2(self.conv2(x)))
        return out


class MobileNetV1(nn.Module):
    """MobileNetV1: a stem, thirteen pairs, global average pooling and a linear layer.

    Args:
        classes: Number of classes.
        in_channels: Number of channels of the image.
        small: Whether to use the variant for images of 32 x 32, whose stem keeps the resolution.
        depthwise_bias: Whether depthwise convolutions have a bias, as in the published
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
        """Classify images.

        Args:
            x: Batch of images, (B, in_channels, H, W).

        Returns:
            The logits, (B, classes).
        """
        x = self.layers(self.relu(self.bn1(self.conv1(x))))
        logits: Tensor = self.linear(self.avgpool(x).flatten(1))
        return logits


NET = Net(build=MobileNetV1, image_shape=(3, 224, 224))
