"""Folding of BNs, and the traces of networks."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx, nn

from dsx.conv import deploy
from dsx.conv.deploy._fold import flatten, fold_batch_norms
from dsx.conv.graph.norms import find_protected
from dsx.conv.graph.tracing import trace
from dsx.errors import Unsupported
from tests.conv.close import assert_equal
from tests.conv.deploy.networks import CORNERS, SEPARABLE, SLIDING, ready, redesigned

CONVS: dict[str, Callable[[], nn.Module]] = {
    "nn.Conv2d": lambda: nn.Conv2d(4, 4, 3, padding=1),
    "nn.Conv2d without bias": lambda: nn.Conv2d(4, 4, 3, bias=False),
    "corners": lambda: redesigned(CORNERS, 4, 4, 3),
    "sliding": lambda: redesigned(SLIDING, 4, 4, 3, bias=False),
    "separable": lambda: redesigned(SEPARABLE, 4, 4, 3, padding=1),
}


def folded(network: nn.Module) -> int:
    """Fold BNs in place, and return their number."""
    graph = trace(network)
    assert isinstance(graph, fx.Graph)
    fold_batch_norms(network, graph, find_protected(network, graph))
    return sum(isinstance(module, nn.Identity) for module in network.modules())


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("name", CONVS)
def test_a_folded_pair_is_the_same_function(name: str, affine: bool) -> None:
    network = ready(nn.Sequential(CONVS[name](), nn.BatchNorm2d(4, affine=affine))).eval()
    x = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    with torch.no_grad():
        expected = network(x)
        assert folded(network) == 1
        assert isinstance(network, nn.Sequential) and isinstance(network[1], nn.Identity)
        assert_equal(network(x), expected)


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)),
        nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)),
        nn.Sequential(nn.Conv2d(4, 4, 1), nn.InstanceNorm2d(4)),
    ],
)
def test_bns_without_a_matching_convolution_are_not_folded(network: nn.Module) -> None:
    assert folded(ready(network).eval()) == 0


def test_a_batch_norm_in_train_mode_is_not_folded() -> None:
    network = ready(nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))).eval()
    network[1].train()  # type: ignore[index]
    assert folded(network) == 0


def test_a_pair_in_a_module_called_twice_is_not_folded() -> None:
    pair = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
    assert folded(ready(nn.Sequential(pair, nn.ReLU(), pair)).eval()) == 0


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Silent(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise ValueError


def test_the_trace_is_a_graph_or_a_reason_in_one_line() -> None:
    assert isinstance(trace(nn.ReLU()), fx.Graph)
    problem = trace(Branching())
    assert isinstance(problem, Unsupported)
    assert problem.reason.startswith("TraceError: symbolically traced variables")
    assert "\n" not in problem.reason
    assert trace(Silent()) == Unsupported("ValueError")


def test_modules_without_effect_are_removed_from_the_flat_graph() -> None:
    network = nn.Sequential(nn.Identity(), nn.Dropout(), nn.ReLU(), nn.Dropout2d())
    holder = nn.Sequential(network).eval()
    graph = trace(holder)
    assert isinstance(graph, fx.Graph)
    flat = flatten(holder, graph)
    assert [name for name, _ in flat.named_children()] == ["2"]
    assert [type(module) for module in flat.children()] == [nn.ReLU]
    x = torch.randn(1, 2, 3, 3)
    assert torch.equal(flat(x), x.relu())


class Casting(nn.Module):
    """A network that reads the dtype of a weight, as in transformers, or also its values."""

    def __init__(self, values: bool) -> None:
        super().__init__()
        self.conv, self.norm, self.values = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), values

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.conv(x.to(self.conv.weight.dtype)))
        return out + self.conv.weight.mean() if self.values else out


@pytest.mark.parametrize("values", [False, True])
def test_a_convolution_is_protected_if_the_values_of_its_weight_are_read(values: bool) -> None:
    network = Casting(values).eval()
    graph = trace(network)
    assert find_protected(network, graph) == ({network.conv} if values else set())
    assert deploy(network, torch.randn(1, 4, 5, 5)).folded == (not values)


def test_modules_with_hooks_are_protected() -> None:
    network = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU())
    network[1].register_forward_pre_hook(lambda module, inputs: None)
    assert find_protected(network, Unsupported("no trace")) == {network[1]}
