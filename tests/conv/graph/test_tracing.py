"""The trace of a network is a graph that can be written as Python, or the reason for none."""

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
    """Holds a convolution under any name."""

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
def test_a_name_that_torch_would_write_into_code_is_not_followed(name: str) -> None:
    problem = writable(trace(Named(name).eval()))
    assert isinstance(problem, Unsupported)
    assert problem.reason.endswith("cannot be written as Python")
    assert problem.reason.isprintable()
    assert isinstance(writable(trace(Named("a b").eval())), fx.Graph)


def test_numbers_of_numpy_are_followed() -> None:
    class Sliced(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            sides: Any = (np.int64(2), np.int64(2))
            half: Any = np.float32(0.5)
            out: Tensor = nn.functional.max_pool2d(x, sides)[:, : np.int64(3)] * half
            return out

    graph = trace(Sliced())
    assert isinstance(graph, fx.Graph)
    assert "np." not in graph.python_code("self").src


class Keeping(nn.Module):
    """Keeps what it is given, and reads the size of its images or something else of them.

    Args:
        by: Property of the images that its code reads.
    """

    def __init__(self, by: str) -> None:
        super().__init__()
        self.by = by
        self.norm = nn.BatchNorm2d(4)
        self.seen: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.seen is None:
            self.seen = x
        reads: dict[str, Callable[[], Any]] = {
            "nothing": lambda: True,
            "rank": lambda: x.dim() == 4 and x.ndim == 4 and x.dtype.is_floating_point,
            "size": lambda: x.shape[2] > 3,
            "method": lambda: x.size(2) > 3,
            "numbers": lambda: x.sum() > 0,
        }
        read = reads[self.by]()
        return self.norm(self.seen if read else -x) if read else x


@pytest.mark.parametrize(
    ("by", "followed", "sized"),
    [
        ("nothing", True, False),
        ("rank", True, False),
        ("size", True, True),
        ("method", True, True),
        ("numbers", False, False),
    ],
)
def test_a_network_that_reads_the_size_of_its_images_is_followed_for_that_size(
    by: str, followed: bool, sized: bool
) -> None:
    network = Keeping(by).train()
    traced = follow(network, torch.randn(1, 4, 6, 5))
    assert (isinstance(traced.graph, fx.Graph), traced.sized) == (followed, sized)
    assert isinstance(follow(network).graph, fx.Graph) == (by == "nothing")
    assert network.seen is None and network.training
    copied = traced.holder[0]
    assert isinstance(copied, Keeping)
    # Without a trace the copy runs by itself, and must hold no stand-in.
    assert not copied.training and (followed or copied.seen is None)


def test_a_weight_that_is_computed_from_others_is_computed_in_the_copy_only() -> None:
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
