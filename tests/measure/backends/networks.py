"""Networks for the tests of backends, and backends outside of dsx."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dsx.conv import Deployed, deploy
from dsx.conv.timing import Run
from dsx.errors import TrialFailed, Unsupported
from dsx.measure.backends import Backend
from tests.conv.deploy.networks import SLIDING, redesigned


class Small(nn.Module):
    """A stem, a sliding-channel convolution with a residual connection, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.conv = redesigned(SLIDING, 8, 8, 3, padding=1)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        out: Tensor = self.head(torch.relu(self.conv(x) + x))
        return out


class Doubtful(nn.Module):
    """A network whose control flow depends on the values of the image, so that it has no graph."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if x.sum() > 0 else x - 1


class LastWins:
    """A timer for which the last form in alphabetical order is the fastest."""

    def __init__(self) -> None:
        self.finals = False

    def __call__(self, runs: Sequence[Run], seconds: float) -> list[float]:
        # In the final timing it comes first, as the fastest of the first timing.
        seconds_each = [1.0 + number for number in range(len(runs))]
        self.finals = not self.finals
        return seconds_each[::-1] if self.finals else seconds_each


def small(sample: Tensor) -> Deployed:
    """Deploy the small network with its sliding-channel convolution as matrix products."""
    network = Small().to(sample.dtype)
    found = deploy(network, sample, timer=LastWins())
    assert found.choices["conv"].form == "window_gemm"
    return found


def _plain_only(networks: Sequence[nn.Module], sample: Tensor, threads: int) -> list[Run]:
    """Support single convolutions only."""
    for network in networks:
        if not isinstance(network, nn.Conv2d):
            raise TrialFailed(f"cannot take {type(network).__name__}")
    return [lambda network=network: network(sample) for network in networks]  # type: ignore[misc]


PLAIN = Backend(prepare=_plain_only)
NEEDY = Backend(prepare=_plain_only, needs={"no_such_one": "onnxruntime"})
NEEDIER = Backend(
    prepare=_plain_only, needs={"no_such_one": "onnxruntime", "torch": "x", "nor_this": "openvino"}
)
LACKING = Backend(
    prepare=_plain_only, unsupported=lambda: Unsupported("needs a wheel, which is missing")
)
HERE = "tests.measure.backends.networks"
