"""Small CNN: three residual stages for small greyscale images, such as the 8 x 8 digits."""

from torch import Tensor, nn

from dsx.nets._base import Net


class Stage(nn.Module):
    """Two 3 x 3 convolutions with a shortcut around the second one.

    Args:
        in_channels: Number of input channels.
        channels: Number of output channels.
        stride: Stride of the first convolution.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the stage.

        Args:
            x: Input, (B, in_channels, H, W).

        Returns:
            The output, (B, channels, H / stride, W / stride).
        """
        x = self.relu(self.bn1(self.conv1(x)))
        out: Tensor = self.relu(x + self.bn2(self.conv2(x)))
        return out


class SmallCnn(nn.Module):
    """A stem and three stages of width w, 2w, 4w at full, half, quarter resolution of the stem.

    Args:
        width: Number of channels of the stem and the first stage, w.
        in_channels: Number of channels of the image.
        classes: Number of classes.
        stem_stride: Stride of the stem, such as 2 for images of 28 x 28.
    """

    def __init__(
        self, width: int = 32, in_channels: int = 1, classes: int = 10, stem_stride: int = 1
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, stem_stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        self.stages = nn.Sequential(
            Stage(width, width, 1), Stage(width, 2 * width, 2), Stage(2 * width, 4 * width, 2)
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Classify images.

        Args:
            x: Batch of images, (B, in_channels, H, W).

        Returns:
            The logits, (B, classes).
        """
        logits: Tensor = self.head(self.pool(self.stages(self.stem(x))).flatten(1))
        return logits


NET = Net(build=SmallCnn, image_shape=(1, 8, 8))
