"""Layer shapes of networks."""

import pytest

from dsx.bench.convolutions.layers import NAMED, Layer, network_layers


def test_the_default_run_has_six_different_shapes() -> None:
    assert len(set(NAMED)) == 6
    assert [layer.name for layer in NAMED[:4]] == ["64@32", "128@16", "256@8", "512@4"]


def test_the_layers_of_resnet_are_those_of_its_stages() -> None:
    assert [layer.name for layer in network_layers("resnet18", 32)] == [
        "64@32", "64-128@32 /2", "128@16", "64-128@32 1x1 /2", "128-256@16 /2", "256@8",
        "128-256@16 1x1 /2", "256-512@8 /2", "512@4", "256-512@8 1x1 /2",
    ]  # fmt: skip


def test_the_large_variant_of_a_network_has_larger_layers() -> None:
    assert network_layers("resnet18", 224)[0].name == "64@56"


@pytest.mark.parametrize(("side", "stride", "out_side"), [(8, 1, 8), (8, 2, 4), (7, 2, 4)])
def test_a_convolution_has_the_stated_output_size(side: int, stride: int, out_side: int) -> None:
    layer = Layer(in_channels=8, out_channels=16, stride=stride, side=side)
    images = layer.conv().weight.new_zeros(1, 8, side, side)
    assert layer.conv()(images).shape == (1, 16, out_side, out_side)
    assert layer.out_side == layer.pointwise.out_side == out_side


def test_a_reduced_layer_is_small_and_of_the_same_kind() -> None:
    reduced = Layer(in_channels=512, out_channels=1024, stride=2, side=56).reduced
    assert reduced == Layer(in_channels=64, out_channels=128, stride=2, side=8)
    assert Layer(in_channels=16, out_channels=32, side=4).reduced.name == "16-32@4"
