"""The architecture of MobileNetV2."""

import pytest
import torch
from torch import nn

from dsx.nets.mobilenet_v2 import InvertedResidual, MobileNetV2
from tests.nets.shapes import counts, on_meta, slots_at


def test_params_and_multiply_adds_at_224() -> None:
    assert counts(on_meta(MobileNetV2), 224) == (3_504_872, 300_774_272)


def test_only_depthwise_convolutions_are_grouped_and_strided() -> None:
    found = slots_at(on_meta(MobileNetV2), 224)
    depthwise = {key for key, slot in found.items() if slot.groups == slot.in_channels}
    assert len(depthwise) == 17
    strided = {key for key, slot in found.items() if slot.stride == (2, 2)}
    assert strided <= depthwise | {"features.0.0"} and len(strided) == 5
    assert not any(slot.bias for slot in found.values())


@pytest.mark.parametrize(
    ("channels", "stride", "shortcut"), [(8, 1, True), (8, 2, False), (12, 1, False)]
)
def test_a_block_with_equal_shapes_has_a_shortcut(
    channels: int, stride: int, shortcut: bool
) -> None:
    block = InvertedResidual(8, channels, stride, 6).eval()
    last = block.conv[-1]
    assert isinstance(last, nn.BatchNorm2d)
    nn.init.zeros_(last.weight)
    x = torch.randn(2, 8, 6, 6)
    out = block(x)
    expected = x if shortcut else torch.zeros(2, channels, 6 // stride, 6 // stride)
    assert torch.equal(out, expected)


def test_activations_are_clipped_at_six() -> None:
    network = MobileNetV2(classes=3).eval()
    stem = network.features[0]
    assert isinstance(stem, nn.Sequential)
    assert stem(1e3 * torch.randn(1, 3, 32, 32)).max() == 6
    clipped = sum(isinstance(module, nn.ReLU6) for module in network.modules())
    assert clipped == 1 + 16 * 2 + 1 + 1
    assert not any(type(module) is nn.ReLU for module in network.modules())


def test_the_dropout_rate_is_one_fifth() -> None:
    dropout = on_meta(MobileNetV2).get_submodule("classifier.0")
    assert isinstance(dropout, nn.Dropout) and dropout.p == 0.2
