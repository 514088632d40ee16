"""VGG: 3 x 3 convolutions in five stages, each followed by max pooling."""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from dsx.nets._init import init_convolutions, init_linears

CHANNELS = (64, 128, 256, 512, 512)
"""Output channels of each stage."""
HIDDEN = 4096
DROPOUT = 0.5


class Vgg(nn.Module):
    """A VGG network: convolutions with biases, followed by linear layers.

    Args:
        depths: Number of convolutions in each of the five stages.
        classes: Number of classes.
        in_channels: Number of channels of the image.
        small: Whether to use the variant for images of 32 x 32, with one linear layer.
        batch_norm: Whether a BN follows each convolution; None for BNs in the small variant only,
            as published.

    Source:
        K. Simonyan, A. Zisserman (arXiv 1409.1556), table 1, configurations A, B, D, E; the small
        variant as in the code of DSXplore (arXiv 2101.00745).
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
        with_norms = small if batch_norm is None else batch_norm
        self.features = nn.Sequential(*_features(depths, in_channels, with_norms))
        self.avgpool = nn.AdaptiveAvgPool2d(1 if small else (7, 7))
        self.classifier = nn.Linear(CHANNELS[-1], classes) if small else _classifier(classes)
        init_convolutions(self)
        init_linears(self)

    def forward(self, x: Tensor) -> Tensor:
        """Classify images.

        Args:
            x: Batch of images of at least 32 x 32, (B, in_channels, H, W).

        Returns:
            The logits, (B, classes).
        """
        logits: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits


def _features(depths: Sequence[int], in_channels: int, with_norms: bool) -> Iterator[nn.Module]:
    for depth, channels in zip(depths, CHANNELS, strict=True):
        for _ in range(depth):
            yield nn.Conv2d(in_channels, channels, 3, padding=1)
            if with_norms:
                yield nn.BatchNorm2d(channels)
            yield nn.ReLU(inplace=True)
            in_channels = channels
        yield nn.MaxPool2d(2)


def _classifier(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(CHANNELS[-1] * 7 * 7, HIDDEN),
        nn.ReLU(inplace=True),
        nn.Dropout(DROPOUT),
        nn.Linear(HIDDEN, HIDDEN),
        nn.ReLU(inplace=True),
        nn.Dropout(DROPOUT),
        nn.Linear(HIDDEN, classes),
    )
