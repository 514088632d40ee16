"""Reads of tensor metadata in a trace."""

import torch
from torch import Tensor, fx, nn

from dsx.conv.graph.shape_reads import data_users, drop_shape_checks, fix_own_reads, reads_shape


class Checking(nn.Module):
    """A network with assertions about the shape and the values of a tensor."""

    def forward(self, x: Tensor) -> Tensor:
        y = x + 1
        torch._assert(y.ndim == 4, "four dimensions")  # type: ignore[no-untyped-call]
        torch._assert(y.size(1) * 2 > y.shape[0], "channels")  # type: ignore[no-untyped-call]
        torch._assert(y.max() < 9, "small")  # type: ignore[no-untyped-call]
        return y.reshape(y.shape[0], -1)


def test_assertions_about_shapes_are_removed() -> None:
    graph = fx.symbolic_trace(Checking()).graph
    drop_shape_checks(graph)
    graph.lint()
    kept = [str(getattr(node.target, "__name__", node.target)) for node in graph.nodes]
    assert kept == ["x", "add", "max", "lt", "_assert", "getattr", "getitem", "reshape", "output"]


def test_users_of_values_are_found() -> None:
    graph = fx.symbolic_trace(Checking()).graph
    (added,) = [node for node in graph.nodes if node.name == "add"]
    assert [user.target for user in data_users(added)] == ["max", "reshape"]
    assert sum(map(reads_shape, graph.nodes)) == 4


class ReadsOwnTensors(nn.Module):
    """A network that reads metadata of its tensors, and the values of one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.scale = nn.Parameter(torch.ones(3, 5)), nn.Parameter(torch.ones(1))
        self.register_buffer("table", torch.zeros(7, 2))

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.weight.size(0), self.weight.shape[1]
        x = x.to(device=self.weight.device, dtype=self.weight.dtype)
        return x.reshape(-1, rows * columns) * self.scale + self.get_buffer("table").dim()


def test_reads_of_own_tensors_become_constants() -> None:
    network = ReadsOwnTensors()
    graph = fx.Tracer().trace(network)
    fix_own_reads(network, graph)
    graph.lint()
    assert [node.target for node in graph.nodes if node.op == "get_attr"] == ["scale"]
    assert not any(map(reads_shape, graph.nodes))
    x = torch.randn(2, 3, 5)
    assert torch.equal(fx.GraphModule(network, graph)(x), network(x))
