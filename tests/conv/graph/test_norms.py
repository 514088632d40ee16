"""Convolutions whose only consumer is a BN."""

import copy

import pytest
import torch
from torch import Tensor, fx, nn

from dsx.conv import ConvSpec, build
from dsx.conv.graph.norms import convs_before_norms, pairs
from dsx.conv.graph.tracing import follow, trace
from dsx.errors import Unsupported


def conv() -> nn.Conv2d:
    """Build a convolution with 4 channels."""
    return nn.Conv2d(4, 4, 3, padding=1)


class Wired(nn.Module):
    """A network with convolutions that are connected to BNs in different ways."""

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
    """Return the names of the convolutions whose only consumer is a BN."""
    found = convs_before_norms(network)
    return [name for name, module in network.named_modules() if module in found]


def test_the_batch_norm_must_be_the_only_and_direct_consumer() -> None:
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
def test_every_kind_of_batch_norm_counts(norm: nn.BatchNorm2d, training: bool) -> None:
    assert names(nn.Sequential(conv(), norm).train(training)) == ["0"]


@pytest.mark.parametrize("norm", [nn.GroupNorm(2, 4), nn.InstanceNorm2d(4), nn.Identity()])
def test_other_norms_do_not_count(norm: nn.Module) -> None:
    assert names(nn.Sequential(conv(), norm)) == []


def test_a_pair_in_a_module_called_twice_does_not_count() -> None:
    block = nn.Sequential(conv(), nn.BatchNorm2d(4))
    assert names(nn.Sequential(block, nn.ReLU(), block)) == []


def test_a_convolution_under_two_names_is_found() -> None:
    network = nn.Sequential(conv(), nn.BatchNorm2d(4))
    network[1].alias = network[0]
    assert convs_before_norms(network) == {network[0]}


def test_a_single_convolution_is_not_found() -> None:
    assert convs_before_norms(conv()) == set()


class Conditional(nn.Sequential):
    """A network that stores its input, and depends on its values or on the mode."""

    def __init__(self, condition: str) -> None:
        super().__init__(conv(), nn.BatchNorm2d(4))
        self.condition = condition
        self.stored: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.stored = x
        if self.condition == "values" and x.sum() > 0:
            return x
        y = self[0](x)
        out: Tensor = self[1](y)
        return out + y if self.condition == "training" and self.training else out


class Optional(nn.Module):
    """A network with an optional argument that changes the result."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = conv(), nn.BatchNorm2d(4)

    def forward(self, x: Tensor, halved: bool = False) -> Tensor:
        out: Tensor = self.norm(self.conv(x))
        return out / 2 if halved else out


def test_optional_arguments_have_their_defaults() -> None:
    assert names(Optional()) == ["conv"]
    assert follow(Optional(), torch.zeros(1, 4, 5, 5)).unsupported is None


def test_nothing_is_found_in_a_network_that_cannot_be_traced() -> None:
    assert isinstance(trace(Conditional("values")), Unsupported)
    assert names(Conditional("values")) == []


@pytest.mark.parametrize("training", [False, True])
def test_the_network_is_traced_in_eval_mode(training: bool) -> None:
    assert names(Conditional("training").train(training)) == ["0"]


def test_the_network_is_unchanged() -> None:
    network = Conditional("training").train()
    network[1].eval()
    state = copy.deepcopy(network.state_dict())
    convs_before_norms(network)
    assert (network.stored, network.training, network[1].training) == (None, True, False)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_pairs_are_in_the_order_of_execution() -> None:
    network = Wired().eval()
    graph = trace(network)
    assert isinstance(graph, fx.Graph)
    expected = [(network.plain, network.norms[0]), (network.binary, network.norms[4])]
    assert pairs(network, graph) == expected
