"""The contract of every network in dsx/nets; a new file is included automatically."""

import inspect
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

import dsx.nets
from dsx.errors import DsxError
from dsx.lookup import find, names
from dsx.nets import Net, network_builder
from dsx.space import slots
from tests.nets.shapes import on_meta

NETS = names(Net)
SIDE = 64
"""Largest height and width of images on which outputs are computed."""


def images(net: Net, batch: int) -> Tensor:
    """Draw images of the shape of a network, reduced to at most `SIDE`."""
    channels, rows, columns = net.image_shape
    return torch.randn(batch, channels, min(rows, SIDE), min(columns, SIDE))


@pytest.fixture(scope="module", params=NETS)
def built(request: pytest.FixtureRequest) -> tuple[Net, nn.Module]:
    """A newly initialised network; the tests that share it do not modify its parameters."""
    net = find(Net, request.param)
    return net, net.build()


@pytest.mark.parametrize("name", NETS)
def test_a_network_maps_images_of_its_shape_to_classes(name: str) -> None:
    net = find(Net, name)
    channels, rows, columns = net.image_shape
    network = on_meta(net.build)
    default = inspect.signature(net.build).parameters["classes"].default
    for batch in (1, 3):
        image = torch.empty(batch, channels, rows, columns, device="meta")
        assert network(image).shape == (batch, default)
    other = on_meta(net.build, classes=7, in_channels=channels + 1)
    assert other(torch.empty(2, channels + 1, rows, columns, device="meta")).shape == (2, 7)


@pytest.mark.parametrize("name", NETS)
def test_a_network_is_a_plain_torch_module_with_slots(name: str) -> None:
    net = find(Net, name)
    network = on_meta(net.build)
    for module in network.modules():
        package = type(module).__module__
        assert package.startswith(("torch.nn.", "dsx.nets.")), package
    found = slots(network, torch.empty(2, *net.image_shape, device="meta"))
    assert len(found) == sum(type(module) is nn.Conv2d for module in network.modules()) > 1


@pytest.mark.parametrize("name", NETS)
def test_the_same_seed_gives_the_same_weights(name: str) -> None:
    build = find(Net, name).build
    # The small variant if available, because the large networks take a second each.
    arguments = {"small": True} if "small" in inspect.signature(build).parameters else {}
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(build(**arguments).state_dict())
    same, again, other = states
    assert all(torch.equal(same[key], again[key]) for key in same)
    assert any(not torch.equal(same[key], other[key]) for key in same)


def test_every_parameter_is_trained(built: tuple[Net, nn.Module]) -> None:
    net, network = built
    out = network.train()(images(net, 2))
    nn.functional.cross_entropy(out, torch.arange(2)).backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    network.zero_grad()


def test_a_state_dict_restores_the_outputs(built: tuple[Net, nn.Module]) -> None:
    net, network = built
    update_bn([images(net, 2)], network)  # sets the statistics of the BNs
    other = on_meta(net.build)
    other.load_state_dict(network.state_dict(), assign=True)
    x = images(net, 2)
    with torch.no_grad():
        expected = network.eval()(x)
        assert torch.equal(other.eval()(x), expected)
    assert not torch.equal(*expected)


def test_networks_do_not_import_the_dials() -> None:
    files = list(Path(dsx.nets.__path__[0]).glob("*.py"))
    assert len(files) > len(NETS)
    for file in files:
        assert not re.search(r"dsx\.(conv|space)", file.read_text()), file.name


def test_a_builder_is_found_by_name_or_by_import_path() -> None:
    network = network_builder("small_cnn")(width=4)
    assert type(network) is type(find(Net, "small_cnn").build(width=4))
    assert network_builder("dsx.nets.small_cnn:NET") is find(Net, "small_cnn").build
    assert network_builder("torch.nn:Conv2d") is nn.Conv2d


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("smal_cnn", r"no net called 'smal_cnn' \(allowed: .*\)\. Did you mean 'small_cnn'\?$"),
        ("torch.nn", r"'torch\.nn' is not an import path \(write package\.module:attribute\)"),
        ("torch.nn:Conv9d", r"no attribute of torch\.nn called 'Conv9d' .* Did you mean 'Conv"),
        ("math:pi", r"'math:pi' is a float, which is not callable"),
    ],
)
def test_a_network_that_does_not_exist_is_an_error(name: str, problem: str) -> None:
    with pytest.raises(DsxError, match=problem):
        network_builder(name)
