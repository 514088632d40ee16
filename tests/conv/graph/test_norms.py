"""Which convolutions a BN follows, and nothing else."""

import copy

import pytest
import torch
from torch import Tensor, fx, nn

from dsx.conv import ConvSpec, build
from dsx.conv.graph.norms import normed, pairs
from dsx.conv.graph.tracing import follow, trace


def conv() -> nn.Conv2d:
    """Give a convolution of 4 channels."""
    return nn.Conv2d(4, 4, 3, padding=1)


class Wired(nn.Module):
    """Convolutions before a BN, each wired in a way of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.plain, self.added, self.twice, self.before_relu = conv(), conv(), conv(), conv()
        self.shared_norm, self.again, self.last = conv(), conv(), conv()
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(5))
        self.common = nn.BatchNorm2d(4)
        self.binary = build(ConvSpec(binary_basis=2), conv())
        self.separable = build(ConvSpec(separable=True), conv())

    def forward(self, x: Tensor) -> Tensor:
        x = self.norms[0](self.plain(x))
        y = self.added(x)
        x = self.norms[1](y) + y
        x = self.norms[2](self.twice(torch.relu(self.twice(x))))
        x = self.norms[3](torch.relu(self.before_relu(x)))
        x = self.common(self.again(self.common(self.shared_norm(x))))
        x = self.norms[4](self.binary(x))
        out: Tensor = self.last(self.separable(x))
        return out


def names(network: nn.Module) -> list[str]:
    """Name the convolutions that are normed."""
    found = normed(network)
    return [name for name, module in network.named_modules() if module in found]


def test_only_what_a_batch_norm_directly_and_only_follows_is_normed() -> None:
    assert names(Wired()) == ["plain", "binary"]


@pytest.mark.parametrize(
    "norm",
    [
        nn.BatchNorm2d(4),
        nn.BatchNorm2d(4, affine=False),
        nn.BatchNorm2d(4, track_running_stats=False),
    ],
)
@pytest.mark.parametrize("training", [False, True])
def test_every_batch_norm_will_do(norm: nn.BatchNorm2d, training: bool) -> None:
    assert names(nn.Sequential(conv(), norm).train(training)) == ["0"]


@pytest.mark.parametrize("norm", [nn.GroupNorm(2, 4), nn.InstanceNorm2d(4), nn.Identity()])
def test_no_other_norm_will(norm: nn.Module) -> None:
    assert names(nn.Sequential(conv(), norm)) == []


def test_a_pair_in_a_module_called_twice_is_not_normed() -> None:
    block = nn.Sequential(conv(), nn.BatchNorm2d(4))
    assert names(nn.Sequential(block, nn.ReLU(), block)) == []


def test_a_convolution_under_two_names_is_found() -> None:
    network = nn.Sequential(conv(), nn.BatchNorm2d(4))
    network[1].alias = network[0]
    assert normed(network) == {network[0]}


def test_a_convolution_alone_is_not_normed() -> None:
    assert normed(conv()) == set()


class Stubborn(nn.Sequential):
    """Does what depends on the numbers, or on whether it trains; keeps what it was given."""

    def __init__(self, by: str) -> None:
        super().__init__(conv(), nn.BatchNorm2d(4))
        self.by = by
        self.seen: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x
        if self.by == "numbers" and x.sum() > 0:
            return x
        y = self[0](x)
        out: Tensor = self[1](y)
        return out + y if self.by == "training" and self.training else out


class Optional(nn.Module):
    """Has an optional argument that changes the result."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = conv(), nn.BatchNorm2d(4)

    def forward(self, x: Tensor, halved: bool = False) -> Tensor:
        out: Tensor = self.norm(self.conv(x))
        return out / 2 if halved else out


def test_optional_arguments_have_their_defaults() -> None:
    assert names(Optional()) == ["conv"]
    assert follow(Optional(), torch.zeros(1, 4, 5, 5)).unsupported is None


def test_of_a_network_that_cannot_be_followed_nothing_is_normed() -> None:
    assert isinstance(trace(Stubborn("numbers")), str)
    assert names(Stubborn("numbers")) == []


@pytest.mark.parametrize("training", [False, True])
def test_the_network_in_eval_mode_counts(training: bool) -> None:
    assert names(Stubborn("training").train(training)) == ["0"]


def test_the_network_is_left_as_it_is() -> None:
    network = Stubborn("training").train()
    network[1].eval()
    state = copy.deepcopy(network.state_dict())
    normed(network)
    assert (network.seen, network.training, network[1].training) == (None, True, False)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_pairs_come_in_the_order_of_the_network() -> None:
    network = Wired().eval()
    graph = trace(network)
    assert isinstance(graph, fx.Graph)
    expected = [(network.plain, network.norms[0]), (network.binary, network.norms[4])]
    assert pairs(network, graph) == expected
