"""Agreement with torchvision in names, shapes and outputs, so that its weights can be loaded."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from dsx.lookup import find
from dsx.nets import Net
from tests.golden import fill_rule
from tests.nets.shapes import on_meta


def record(file: str) -> dict[str, Any]:
    """Load the recorded properties of the networks of torchvision, by name."""
    entries: dict[str, Any] = json.loads(Path(__file__).with_name(file).read_text())
    del entries["source"]
    return entries


TENSORS = record("torchvision_names.json")
LOGITS = record("torchvision_logits.json")
TOLERANCE = 1e-10
"""Tolerance in float64 for logits of magnitude 1."""


def expand(modules: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the name and shape of each tensor; an integer is the number of channels of a BN."""
    for module, entry in modules.items():
        if isinstance(entry, int):
            for name in ("weight", "bias", "running_mean", "running_var"):
                yield f"{module}.{name}", (entry,)
            yield f"{module}.num_batches_tracked", ()
        else:
            for name, shape in entry.items():
                yield f"{module}.{name}", tuple(shape)


@pytest.mark.parametrize("name", TENSORS)
def test_a_network_has_the_tensors_of_torchvision_in_the_same_order(name: str) -> None:
    backbone = name.removesuffix("_bn")
    arguments = {"batch_norm": name.endswith("_bn")} if name.startswith("vgg") else {}
    state = on_meta(find(Net, backbone).build, **arguments).state_dict()
    assert [(key, tuple(tensor.shape)) for key, tensor in state.items()] == list(
        expand(TENSORS[name])
    )


def test_every_shared_architecture_is_recorded() -> None:
    plain = [f"vgg{depth}" for depth in (11, 13, 16, 19)]
    assert sorted(TENSORS) == sorted(
        [*plain, *(f"{name}_bn" for name in plain), "resnet18", "resnet34", "resnet50",
         "mobilenet_v2"]
    )  # fmt: skip


@pytest.mark.parametrize("name", LOGITS)
def test_a_network_has_the_outputs_of_torchvision(name: str) -> None:
    network = find(Net, name).build(classes=10).double().eval()
    fill_rule.fill(network)
    images = fill_rule.test_input(8).reshape(2, 3, 64, 64)
    expected = torch.tensor(LOGITS[name], dtype=torch.float64)
    with torch.no_grad():
        assert (network(images) - expected).abs().max() < TOLERANCE
