"""Traces of networks as graphs that can be written as Python."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn.utils.parametrizations import weight_norm

from dsx.conv.graph.tracing import follow, trace, writable
from dsx.errors import Unsupported


class Named(nn.Module):
    """A network with a convolution under a given name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.parts = nn.ModuleDict({name: nn.Conv2d(4, 4, 3)})

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts.values():
            x = part(x)
        return x


@pytest.mark.parametrize(
    "name", ['a"), open("/dev/null"), ("', "a\\", "a\nb", "\x1b", "class", "\ufb01"]
)
def test_a_name_that_cannot_be_written_as_python_is_unsupported(name: str) -> None:
    problem = writable(trace(Named(name).eval()))
    assert isinstance(problem, Unsupported)
    assert problem.reason.endswith("cannot be written as Python")
    assert problem.reason.isprintable()
    assert isinstance(writable(trace(Named("a b").eval())), fx.Graph)


def test_numpy_numbers_are_traced() -> None:
    class Sliced(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            sides: Any = (np.int64(2), np.int64(2))
            half: Any = np.float32(0.5)
            out: Tensor = nn.functional.max_pool2d(x, sides)[:, : np.int64(3)] * half
            return out

    graph = trace(Sliced())
    assert isinstance(graph, fx.Graph)
    assert "np." not in graph.python_code("self").src


class StoresInput(nn.Module):
    """A network that stores its first input, and reads a property of the images.

    Args:
        reads: Property of the images that the network reads.
    """

    def __init__(self, reads: str) -> None:
        super().__init__()
        self.reads = reads
        self.norm = nn.BatchNorm2d(4)
        self.stored: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.stored is None:
            self.stored = x
        readers: dict[str, Callable[[], Any]] = {
            "nothing": lambda: True,
            "rank": lambda: x.dim() == 4 and x.ndim == 4 and x.dtype.is_floating_point,
            "size": lambda: x.shape[2] > 3,
            "method": lambda: x.size(2) > 3,
            "values": lambda: x.sum() > 0,
        }
        read = readers[self.reads]()
        return self.norm(self.stored if read else -x) if read else x


@pytest.mark.parametrize(
    ("reads", "traceable", "sized"),
    [
        ("nothing", True, False),
        ("rank", True, False),
        ("size", True, True),
        ("method", True, True),
        ("values", False, False),
    ],
)
def test_a_network_that_reads_the_image_size_is_traced_for_that_size(
    reads: str, traceable: bool, sized: bool
) -> None:
    network = StoresInput(reads).train()
    traced = follow(network, torch.randn(1, 4, 6, 5))
    assert (isinstance(traced.graph, fx.Graph), traced.sized) == (traceable, sized)
    assert isinstance(follow(network).graph, fx.Graph) == (reads == "nothing")
    assert network.stored is None and network.training
    copied = traced.holder[0]
    assert isinstance(copied, StoresInput)
    # Without a trace the copy itself is run, and must not store a proxy.
    assert not copied.training and (traceable or copied.stored is None)


def test_parametrized_weights_are_evaluated_in_the_copy_only() -> None:
    network = nn.Sequential(
        weight_norm(nn.Conv2d(4, 4, 3)), weight_norm(nn.LSTM(4, 4), "bias_hh_l0")
    )
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    traced = follow(network[:1])
    conv = traced.holder[0].get_submodule("0")
    assert type(conv) is nn.Conv2d and set(dict(conv.named_parameters())) == {"weight", "bias"}
    weight = network[0].weight
    assert isinstance(weight, Tensor)
    assert torch.equal(conv.weight, weight)
    lstm = follow(network[1]).holder[0]
    assert type(lstm) is nn.LSTM
    x = torch.randn(2, 3, 4)
    assert torch.equal(lstm(x)[0], network[1](x)[0])
    after = network.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
