"""Reads of shapes are no uses of the numbers."""

import torch
from torch import Tensor, fx, nn

from dsx.conv.shape_reads import data_users, drop_shape_checks, reads_shape


class Checking(nn.Module):
    """Asserts something about the shape, and something about the numbers."""

    def forward(self, x: Tensor) -> Tensor:
        y = x + 1
        torch._assert(y.ndim == 4, "four dimensions")  # type: ignore[no-untyped-call]
        torch._assert(y.size(1) * 2 > y.shape[0], "channels")  # type: ignore[no-untyped-call]
        torch._assert(y.max() < 9, "small")  # type: ignore[no-untyped-call]
        return y.reshape(y.shape[0], -1)


def test_checks_of_shapes_are_dropped() -> None:
    graph = fx.symbolic_trace(Checking()).graph
    drop_shape_checks(graph)
    graph.lint()
    kept = [str(getattr(node.target, "__name__", node.target)) for node in graph.nodes]
    assert kept == ["x", "add", "max", "lt", "_assert", "getattr", "getitem", "reshape", "output"]


def test_uses_of_numbers_are_listed() -> None:
    graph = fx.symbolic_trace(Checking()).graph
    (added,) = [node for node in graph.nodes if node.name == "add"]
    assert [user.target for user in data_users(added)] == ["max", "reshape"]
    assert sum(map(reads_shape, graph.nodes)) == 4
