"""Small networks and images to train on."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from dsx.conv import ConvSpec
from dsx.data import Split, TensorSplit
from dsx.data.digits import load
from dsx.nets.small_cnn import SmallCnn
from dsx.space import redesign
from dsx.space.yaml.schema import Train

SHORT = Train(epochs=2, batch_size=64, learning_rate=0.1, seed=3)
LEARNED = ConvSpec(kernel_shape="learned", density=0.25, block_in=4, block_out=2)
BINARY = ConvSpec(binary_basis=4, splits=2)


def digits(images: int) -> TensorSplit:
    """Return the first training images of the digits, normalised."""
    pixels, labels = next(load().train.batches(torch.arange(images), images))
    return TensorSplit(images=pixels, labels=labels)


class Double(Split):
    """A split with images as float64.

    Args:
        split: Split to convert.
    """

    def __init__(self, split: TensorSplit) -> None:
        self.split, self.labels = split, split.labels

    def batches(
        self, order: Tensor, size: int, device: torch.device | str = "cpu"
    ) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in self.split.batches(order, size, device):
            yield images.double(), labels

    @property
    def fingerprint(self) -> str:
        return self.split.fingerprint


def fresh(width: int = 4) -> nn.Module:
    """Build the same small network each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SmallCnn(width)


def with_decisions(spec: ConvSpec) -> nn.Module:
    """Build a small network whose stages have decision parameters."""
    names = [f"stages.{stage}.{conv}" for stage in range(3) for conv in ("conv1", "conv2")]
    torch.manual_seed(1)
    return redesign(fresh(8), dict.fromkeys(names, spec))


class Plain(nn.Module):
    """Convolutions without batch norm, so that the images of a batch are independent."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 8, 3, stride=2), nn.ReLU()
        )
        self.head = nn.Linear(8 * 3 * 3, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Classify images, (B, 1, 8, 8)."""
        logits: Tensor = self.head(self.body(x).flatten(1))
        return logits


def with_dropout() -> nn.Module:
    """Build a network with dropout."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3),
            nn.Linear(6 * 36, 10),
        )  # fmt: skip


def equal_states(one: nn.Module, other: nn.Module) -> bool:
    """Check whether the states of two networks are bitwise equal."""
    first, second = one.state_dict(), other.state_dict()
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)
