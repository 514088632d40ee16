"""The contract of every network in dsx/nets: a new file is tested here because it exists."""

import copy
import re
from pathlib import Path

import pytest
import torch
from torch import nn

import dsx.nets
from dsx.data import Dataset
from dsx.errors import DsxError
from dsx.lookup import find, names
from dsx.nets import Net, network_builder
from dsx.space import slots

NETS = names(Net)
DATASETS = [find(Dataset, name) for name in names(Dataset)]


def built(name: str, dataset: Dataset) -> nn.Module:
    """Build a network for the images and classes of a dataset."""
    return find(Net, name).build(in_channels=dataset.image_shape[0], classes=dataset.classes)


@pytest.mark.parametrize("name", NETS)
def test_a_network_maps_images_to_classes(name: str) -> None:
    for dataset in DATASETS:
        network = built(name, dataset).eval()
        for batch in (1, 3):
            assert network(torch.randn(batch, *dataset.image_shape)).shape == (
                batch, dataset.classes
            )  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_a_network_is_a_plain_torch_module_with_slots(name: str) -> None:
    network = built(name, DATASETS[0])
    for module in network.modules():
        own = type(module).__module__
        assert own.startswith(("torch.nn.", "dsx.nets.")), own
    found = slots(network, torch.zeros(2, *DATASETS[0].image_shape))
    assert len(found) == sum(type(module) is nn.Conv2d for module in network.modules()) > 1


@pytest.mark.parametrize("name", NETS)
def test_the_same_seed_gives_the_same_weights(name: str) -> None:
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(built(name, DATASETS[0]).state_dict())
    same, again, other = states
    assert all(torch.equal(same[key], again[key]) for key in same)
    assert any(not torch.equal(same[key], other[key]) for key in same)


@pytest.mark.parametrize("name", NETS)
def test_every_parameter_is_trained(name: str) -> None:
    dataset = DATASETS[0]
    network = built(name, dataset).train()
    labels = torch.arange(4) % dataset.classes
    out = network(torch.randn(4, *dataset.image_shape))
    nn.functional.cross_entropy(out, labels).backward()  # type: ignore[no-untyped-call]
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", NETS)
def test_a_state_dict_brings_the_outputs_back(name: str) -> None:
    dataset = DATASETS[0]
    network = built(name, dataset)
    network(torch.randn(8, *dataset.image_shape))  # gives BNs a history
    other = built(name, dataset)
    other.load_state_dict(copy.deepcopy(network.state_dict()))
    x = torch.randn(2, *dataset.image_shape)
    assert torch.equal(network.eval()(x), other.eval()(x))


@pytest.mark.parametrize("name", NETS)
def test_a_network_knows_nothing_of_dials(name: str) -> None:
    text = (Path(dsx.nets.__path__[0]) / f"{name}.py").read_text()
    assert not re.search(r"dsx\.(conv|space)", text)


def test_a_builder_is_found_by_name_or_by_path() -> None:
    assert network_builder("small_cnn") is find(Net, "small_cnn").build
    assert network_builder("dsx.nets.small_cnn:NET") is find(Net, "small_cnn").build
    assert network_builder("torch.nn:Conv2d") is nn.Conv2d


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("smal_cnn", r"no net called 'smal_cnn' \(allowed: .*\)\. Did you mean 'small_cnn'\?$"),
        ("torch.nn", r"'torch\.nn' is not an import path \(write package\.module:attribute\)"),
        ("torch.nn:Conv9d", r"no attribute of torch\.nn called 'Conv9d' .* Did you mean 'Conv"),
        ("math:pi", r"'math:pi' is a float, not something that can be called"),
    ],
)
def test_a_network_that_does_not_exist_is_refused(name: str, problem: str) -> None:
    with pytest.raises(DsxError, match=problem):
        network_builder(name)
