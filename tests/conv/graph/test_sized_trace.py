"""Traces of networks whose code reads the size of the images."""

import copy
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from dsx.conv.graph.shape_reads import drop_shape_checks
from dsx.conv.graph.tracing import trace
from dsx.errors import Unsupported

IMAGE = (4, 6, 8)
Compute = Callable[[Tensor], Tensor]


def branches(x: Tensor) -> Tensor:
    """Branch on the size, the dtype and the layout of the image."""
    if x.shape[-1] > x.size(2) and x.dim() == 4 and x.ndim == len(x.shape):
        x = x + 1
    if x.dtype == torch.float32 and x.is_floating_point() and x.is_contiguous():
        x = x * 2
    return x.relu() if x.stride(1) == 48 and x.device.type == "cpu" else x


def loops(x: Tensor) -> Tensor:
    """Loop over the columns of the image, and over parts of it."""
    out = x[..., 0]
    for column in range(1, x.shape[3]):
        out = out + column * x[..., column]
    for part in x.chunk(2, dim=1):
        out = out + sum(half.mean() for half in torch.split(part, [1, 3, 2], 2))
    return out + sum(row.amax() for row in x.unbind(2)) + len(x[0])


def pads(x: Tensor) -> Tensor:
    """Pad as TensorFlow does, with Python numbers."""
    height, width = x.shape[-2:]
    ends = [max((side + 4) // 5 * 5 - int(side), 0) for side in (width, height)]
    return F.pad(x, [ends[0] // 2, ends[0] - ends[0] // 2, ends[1] // 2, ends[1] - ends[1] // 2])


def windows(x: Tensor) -> Tensor:
    """Compute attention in windows that are folded into the batch."""
    b, c, h, w = x.shape
    if h % 2 or w % 2:
        raise ValueError("odd sides")
    parts = x.view(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 3, 5, 1).reshape(-1, 4, c)
    number = parts.shape[0]
    parts = (parts @ parts.transpose(1, 2) / float(c)).softmax(-1) @ parts
    parts = parts.reshape(number, 2, 2, c).view(b, h // 2, w // 2, 2, 2, c)
    return parts.permute(0, 5, 1, 3, 2, 4).reshape(x.size())


def counts(x: Tensor) -> Tensor:
    """Compute with the number of images and of elements, without branching on them."""
    out = x.reshape(x.size(0) * x.size(1), -1).view(x.shape[0], x.shape[1], *x.shape[2:])
    return out / x.numel() * x.shape[0] + x.mT.shape[-1] + x.data.mean((1, 2, 3), keepdim=True)


def in_place(x: Tensor) -> Tensor:
    """Modify a part of the image in place."""
    x = x.clone()
    for row in range(x.shape[2] // 2):
        x[:, :, row].add_(row)
    return x


def scales(x: Tensor) -> Tensor:
    """Compute with numpy scalars on either side."""
    two, one, half = (cast(Any, number) for number in (np.float64(2), np.int64(1), np.float32(0.5)))
    return cast(Tensor, two * x + one - half * (two - x))


class Computing(nn.Module):
    """A network that calls a function, which torch.fx traces.

    Args:
        compute: Function to call.
    """

    def __init__(self, compute: Compute) -> None:
        super().__init__()
        self.compute = compute

    def forward(self, x: Tensor) -> Tensor:
        return self.compute(x)


class Attending(nn.Module):
    """A network with a module of torch that has children, a weight and a cached table."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        self.places = nn.Parameter(torch.randn(1, 60, 4))
        self.tables: dict[int, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        number = tokens.shape[1]
        if number not in self.tables:
            self.tables[number] = self.places[:, :number]
        out: Tensor = self.layer(tokens + self.tables[number]).mean(1)
        return out


TRACED = {
    compute.__name__: compute
    for compute in (branches, loops, pads, windows, counts, in_place, scales)
}


@pytest.mark.parametrize("name", [*TRACED, "attending"])
def test_the_trace_computes_the_same_for_batches_of_any_length(name: str) -> None:
    network = Attending() if name == "attending" else Computing(TRACED[name])
    network.eval()
    # A network may store proxies.
    copied = copy.deepcopy(network)
    graph = trace(copied, torch.randn(1, *IMAGE))
    assert isinstance(graph, fx.Graph), graph
    traced = fx.GraphModule(copied, graph)
    for number in (1, 2, 3, 5, 8):
        images = torch.randn(number, *IMAGE)
        torch.testing.assert_close(traced(images), network(images))


@pytest.mark.parametrize("name", [*TRACED])
def test_these_networks_cannot_be_traced_without_images(name: str) -> None:
    assert isinstance(trace(Computing(TRACED[name])), Unsupported)


UNTRACEABLE: dict[str, tuple[Compute, str]] = {
    "values": (lambda x: x if x.sum() > 0 else -x, "control flow"),
    "number of images": (lambda x: x if x.shape[0] > 1 else -x, "control flow"),
    "number of elements": (lambda x: x if x.numel() > 1 else -x, "control flow"),
    "images one by one": (lambda x: torch.stack([image * 2 for image in x]), "number of images"),
    "length": (lambda x: x * len(x), "number of images"),
    "item": (lambda x: x * float(x.max().item()), "float"),
}


@pytest.mark.parametrize("name", UNTRACEABLE)
def test_branches_on_values_or_on_the_batch_cannot_be_traced(name: str) -> None:
    compute, reason = UNTRACEABLE[name]
    found = trace(Computing(compute), torch.randn(2, *IMAGE))
    assert isinstance(found, Unsupported) and reason in found.reason


def test_an_attribute_that_a_tensor_lacks_is_missing() -> None:
    def guarded(x: Tensor) -> Tensor:
        return x if hasattr(x, "logits") else x * 3

    graph = trace(Computing(guarded), torch.randn(1, *IMAGE))
    assert isinstance(graph, fx.Graph)
    assert [node.op for node in graph.nodes] == ["placeholder", "call_function", "output"]


def test_reads_of_sizes_are_not_recorded() -> None:
    graph = trace(Computing(branches), torch.randn(1, *IMAGE))
    assert isinstance(graph, fx.Graph)
    drop_shape_checks(graph)
    targets = [getattr(node.target, "__name__", node.target) for node in graph.nodes]
    assert targets == ["x", "add", "mul", "relu", "output"]


def test_weights_and_statistics_are_unchanged() -> None:
    network = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert isinstance(trace(network, torch.randn(1, *IMAGE)), fx.Graph)
    after = network.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert all(parameter.grad is None for parameter in network.parameters())
