"""The bundled spaces of the published sliding-channel networks: counts, layers and outputs."""

import functools
import json
import re

import pytest
import torch
from torch import nn

from docs.dsxplore import SPACES
from dsx.conv import Cost
from dsx.lookup import find
from dsx.nets import Net
from dsx.space import Design, SearchSpace, load_space, redesign
from tests.conv.golden import FOLDER, golden
from tests.golden import fill_rule
from tests.nets.layers import layers
from tests.nets.shapes import counts, on_meta

BACKBONES = json.loads((FOLDER / "dsx_backbones.json").read_text())["models"]
LAYERS = json.loads((FOLDER / "dsx_layers.json").read_text())
LOGITS = golden("dsx_logits")
CASES = [(network, groups) for network in BACKBONES for groups in (1, 2, 4, 8)]
OVERLAPS = (0.25, 0.33, 0.5, 0.75)
ONE_GROUP = "scc(groups=1)"
"""Preset without overlap; on a pointwise slot it is the original convolution."""
RESNET_NAMES = {
    "conv2": "conv2.depthwise", "scc": "conv2.pointwise", "shortcut": "downsample", "linear": "fc"
}  # fmt: skip
NAMES = {"ResNet18": RESNET_NAMES, "ResNet50": RESNET_NAMES, "MobileNet": {"scc": "conv2"}}
"""Components of published layer names and their counterparts; those of VGG differ by numbers."""
TOLERANCE = 1e-10
"""Tolerance of golden cases in float64."""


@functools.cache
def space(network: str) -> SearchSpace:
    """Load the bundled space of a published network."""
    return load_space(SPACES[network])


@functools.cache
def plain(network: str) -> nn.Module:
    """Build the network of a space; a redesign does not modify it."""
    return space(network).network()


def sliding(groups: int, overlap: float) -> str:
    """Return the name of a sliding-channel preset in the space."""
    return ONE_GROUP if groups == 1 else f"scc(groups={groups}, overlap={overlap})"


def grouped(network: str, groups: int) -> str:
    """Return the name of a preset of grouped pointwise convolutions in the space."""
    if groups == 1:
        return ONE_GROUP
    separable = "" if network == "MobileNet" else ", separable=True"
    return f"pointwise(groups={groups}{separable})"


def design(network: str, preset: str) -> Design:
    """Return the design with one preset of the space in all slots of its rule."""
    (choices,) = space(network).slot_options
    if network == "MobileNet" and preset == ONE_GROUP:
        return space(network).baseline
    return space(network).design({slot.name: choices.presets[preset] for slot in choices.slots})


def cost(network: str, preset: str) -> Cost:
    """Compute the cost of a design, and check its params against the built network."""
    chosen = design(network, preset)
    counted = space(network).cost(chosen)
    built = redesign(plain(network), chosen.specs)
    assert sum(parameter.numel() for parameter in built.parameters()) == counted.params
    return counted


@pytest.mark.parametrize("network", BACKBONES)
def test_the_options_of_a_space_are_the_published_ones(network: str) -> None:
    (choices,) = space(network).slot_options
    expected = {sliding(groups, overlap) for groups in (1, 2, 4, 8) for overlap in OVERLAPS}
    expected |= {grouped(network, groups) for groups in (2, 4, 8)}
    if network == "MobileNet":
        expected.remove(ONE_GROUP)
    assert set(choices.presets) == expected
    assert not choices.left_out and choices.dials is None
    assert space(network).size == len(expected) + 1


def test_every_published_network_has_a_space() -> None:
    assert list(SPACES) == list(BACKBONES)
    counted = {
        (network, int(groups[1]), overlap)
        for network, entries in BACKBONES.items()
        for key, entry in entries.items()
        if (groups := re.fullmatch(r"dw_scc_g(\d)", key))
        for overlap in entry["overlaps_checked"]
    }
    assert counted == {(*case, overlap) for case in CASES for overlap in OVERLAPS}


@pytest.mark.parametrize("network", BACKBONES)
def test_plain_networks_count_as_published(network: str) -> None:
    entry = BACKBONES[network]["plain"]
    arguments = dict(space(network).file.model_args)
    # Biases of depthwise convolutions, which those of the published MobileNet lack.
    biases = 4_960 if arguments.pop("depthwise_bias", False) else 0
    unbiased = on_meta(find(Net, space(network).file.model).build, **arguments)
    assert counts(unbiased, 32) == (entry["params"], entry["macs"])
    baseline = space(network).cost(space(network).baseline)
    assert (baseline.params - biases, baseline.flops) == (entry["params"], entry["macs"])
    assert bool(biases) == (network == "MobileNet")


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize(("network", "groups"), CASES)
def test_sliding_channels_count_as_published(network: str, groups: int, overlap: float) -> None:
    entry = BACKBONES[network][f"dw_scc_g{groups}"]
    counted = cost(network, sliding(groups, overlap))
    assert (counted.params, counted.flops) == (entry["params_used"], entry["macs"])


@pytest.mark.parametrize(("network", "groups"), CASES)
def test_grouped_pointwise_convolutions_count_as_published(network: str, groups: int) -> None:
    entries = BACKBONES[network]
    counted = cost(network, grouped(network, groups))
    # Each published convolution has a bias; here only the BN behind it has one.
    biases = sum(slot.out_channels for slot in space(network).slot_options[0].slots)
    entry = entries[f"dw_gpw_g{groups}"]
    assert (counted.params + biases, counted.flops) == (entry["params"], entry["macs"])
    if unbiased := entries.get(f"dw_gpw_nobias_g{groups}"):
        assert (counted.params, counted.flops) == (unbiased["params"], unbiased["macs"])


@pytest.mark.parametrize("network", LAYERS)
def test_layers_are_the_published_ones(network: str) -> None:
    chosen = design(network, sliding(2, 0.5))
    # At 32 x 32 the average pooling of VGG has a single pixel.
    rows = [row for row in LAYERS[network] if row[1] != "AvgPool2d"]
    kinds = {row[1] for row in rows}
    built = redesign(plain(network), chosen.specs)
    found = [row for row in layers(built, (3, 32, 32)) if row[1] in kinds]
    assert [row[1:] for row in found] == [row[1:] for row in rows]
    if network in NAMES:
        names = (row[0].split(".") for row in rows)
        renamed = [".".join(NAMES[network].get(part, part) for part in name) for name in names]
        assert [row[0] for row in found] == renamed


@pytest.mark.parametrize("case", LOGITS)
def test_logits_are_the_published_ones(case: str) -> None:
    network, groups, percent = re.fullmatch(r"(\w+)_g(\d)_o(\d\d)", case).groups()  # type: ignore[union-attr]
    chosen = design(network, sliding(int(groups), int(percent) / 100))
    built = redesign(plain(network), chosen.specs).double().eval()
    fill_rule.fill(built)
    with torch.no_grad():
        error = (built(fill_rule.test_input(2)) - LOGITS[case]).abs().max()
    assert LOGITS[case].shape == (2, 10)
    assert error < TOLERANCE
