"""The architecture of VGG."""

import itertools

import pytest
import torch
from torch import nn

from dsx.lookup import find
from dsx.nets import Net
from dsx.nets._vgg import Vgg
from tests.nets.shapes import counts, on_meta, slots_at

CHANNELS = {
    "vgg11": [64, 128, 256, 256, 512, 512, 512, 512],
    "vgg13": [64, 64, 128, 128, 256, 256, 512, 512, 512, 512],
    "vgg16": [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512],
    "vgg19": [64, 64, 128, 128, *[256] * 4, *[512] * 8],
}


@pytest.mark.parametrize(
    ("name", "params", "bn_params", "flops"),
    [
        ("vgg11", 132_863_336, 5_504, 7_609_090_048),
        ("vgg13", 133_047_848, 5_888, 11_308_466_176),
        ("vgg16", 138_357_544, 8_448, 15_470_264_320),
        ("vgg19", 143_667_240, 11_008, 19_632_062_464),
    ],
)
def test_params_and_multiply_adds_at_224(
    name: str, params: int, bn_params: int, flops: int
) -> None:
    build = find(Net, name).build
    assert counts(on_meta(build), 224) == (params, flops)
    assert counts(on_meta(build, batch_norm=True), 224) == (params + bn_params, flops)


@pytest.mark.parametrize("name", CHANNELS)
def test_the_small_variant_has_biases_bns_and_one_linear_layer(name: str) -> None:
    network = on_meta(find(Net, name).build, small=True, classes=10)
    found = slots_at(network, 32)
    assert [slot.out_channels for slot in found.values()] == CHANNELS[name]
    assert all(slot.bias and slot.kernel_size == (3, 3) for slot in found.values())
    params = sum(9 * a * b + 3 * b for a, b in itertools.pairwise([3, *CHANNELS[name]]))
    assert counts(network, 32)[0] == params + 512 * 10 + 10
    assert sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) == len(found)


@pytest.mark.parametrize("small", [False, True])
def test_each_stage_ends_at_half_the_resolution(small: bool) -> None:
    side = 32 if small else 224
    found = slots_at(on_meta(find(Net, "vgg13").build, small=small), side)
    sides = [side >> stage for stage in range(5) for _ in range(2)]
    assert [slot.out_hw for slot in found.values()] == [((s, s),) for s in sides]


@pytest.mark.parametrize(
    ("small", "batch_norm", "with_norms"),
    [(False, None, False), (True, None, True), (False, True, True), (True, False, False)],
)
def test_bns_follow_convolutions_if_requested(
    small: bool, batch_norm: bool | None, with_norms: bool
) -> None:
    network = on_meta(Vgg, depths=(1, 1, 1, 1, 1), small=small, batch_norm=batch_norm)
    features = network.get_submodule("features")
    assert isinstance(features, nn.Sequential)
    stage = [nn.Conv2d, *([nn.BatchNorm2d] if with_norms else []), nn.ReLU, nn.MaxPool2d]
    assert [type(module) for module in features] == stage * 5


def test_the_large_variant_has_dropout_between_its_linear_layers() -> None:
    classifier = on_meta(find(Net, "vgg11").build).get_submodule("classifier")
    assert isinstance(classifier, nn.Sequential)
    hidden = [nn.Linear, nn.ReLU, nn.Dropout]
    assert [type(module) for module in classifier] == [*hidden, *hidden, nn.Linear]
    dropouts = (module for module in classifier if isinstance(module, nn.Dropout))
    assert [dropout.p for dropout in dropouts] == [0.5, 0.5]


@pytest.mark.parametrize("side", [32, 47, 96])
def test_images_of_other_sizes(side: int) -> None:
    images = torch.empty(2, 3, side, side, device="meta")
    for small in (False, True):
        assert on_meta(find(Net, "vgg11").build, small=small)(images).shape == (2, 1000)
