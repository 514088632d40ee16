"""Recognition of constants in a trace."""

import pytest
import torch
from torch import Tensor, fx, nn

from dsx.conv.graph.constants import Constants, NotConstant
from dsx.conv.graph.tracing import trace


class Computing(nn.Module):
    """A network that adds a value to its input, computed in one of several ways."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.weight = nn.Parameter(torch.arange(4.0))

    def forward(self, x: Tensor) -> Tensor:
        if self.way == "computed":
            return x + (self.weight.reshape(2, 2) * 2)[0]
        if self.way == "random":
            return x + torch.rand_like(self.weight)
        if self.way == "from the input":
            return x + self.weight * x.mean()
        if self.way == "modified in place":
            self.weight.add_(1)
        if self.way == "modified through a view":
            torch.relu_(self.weight[:2])
        return x + self.weight


def value(way: str) -> object:
    """Evaluate the value that the network adds."""
    network = Computing(way)
    graph = trace(network)
    assert isinstance(graph, fx.Graph)
    (output,) = (node for node in graph.nodes if node.op == "output")
    (added,) = output.all_input_nodes
    return Constants(network, graph).value(added.args[1])


def test_values_of_parameters_only_are_constants() -> None:
    found = value("computed")
    assert isinstance(found, Tensor)
    assert found.tolist() == [0, 2]
    assert isinstance(value("itself"), nn.Parameter)


@pytest.mark.parametrize(
    "way", ["random", "from the input", "modified in place", "modified through a view"]
)
def test_other_values_are_not_constants(way: str) -> None:
    with pytest.raises(NotConstant):
        value(way)


def test_the_owner_is_the_module_of_the_first_tensor() -> None:
    network = nn.Sequential(nn.Sequential(Computing("computed")))
    graph = trace(network)
    assert isinstance(graph, fx.Graph)
    constants = Constants(network, graph)
    (added,) = [node for node in graph.nodes if node.name == "add"]
    assert constants.owner((None, added.args[1])) == "0.0"
