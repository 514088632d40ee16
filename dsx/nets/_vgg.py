"""VGG: 3 x 3 convolutions in five stages, each of which ends in max pooling."""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from dsx.nets._init import init_convolutions, init_linears

CHANNELS = (64, 128, 256, 512, 512)
"""Of each stage."""
HIDDEN = 4096
DROPPED = 0.5


class Vgg(nn.Module):
    """Convolutions with biases, then linear layers.

    Args:
        depths: Convolutions in each of the five stages.
        classes: Numbers in the output.
        in_channels: Channels of the image.
        small: The form for images of 32 x 32, with one linear layer.
        batch_norm: Whether a BN follows each convolution; None: where small, as published.

    Source:
        K. Simonyan, A. Zisserman (arXiv 1409.1556), table 1, configurations A, B, D, E; small as
        the code of DSXplore (arXiv 2101.00745) has it.
    """

    def __init__(
        self,
        depths: Sequence[int],
        classes: int = 1000,
        in_channels: int = 3,
        small: bool = False,
        batch_norm: bool | None = None,
    ) -> None:
        super().__init__()
        normed = small if batch_norm is None else batch_norm
        self.features = nn.Sequential(*_features(depths, in_channels, normed))
        self.avgpool = nn.AdaptiveAvgPool2d(1 if small else (7, 7))
        self.classifier = nn.Linear(CHANNELS[-1], classes) if small else _classifier(classes)
        init_convolutions(self)
        init_linears(self)

    def forward(self, x: Tensor) -> Tensor:
        """Classify images (B, in_channels, H, W) of 32 x 32 and more as logits (B, classes)."""
        logits: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits


def _features(depths: Sequence[int], in_channels: int, normed: bool) -> Iterator[nn.Module]:
    for depth, channels in zip(depths, CHANNELS, strict=True):
        for _ in range(depth):
            yield nn.Conv2d(in_channels, channels, 3, padding=1)
            if normed:
                yield nn.BatchNorm2d(channels)
            yield nn.ReLU(inplace=True)
            in_channels = channels
        yield nn.MaxPool2d(2)


def _classifier(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(CHANNELS[-1] * 7 * 7, HIDDEN),
        nn.ReLU(inplace=True),
        nn.Dropout(DROPPED),
        nn.Linear(HIDDEN, HIDDEN),
        nn.ReLU(inplace=True),
        nn.Dropout(DROPPED),
        nn.Linear(HIDDEN, classes),
    )
