"""The architecture of ResNet."""

import pytest
import torch
from torch import nn

from dsx.lookup import find
from dsx.nets import Net
from dsx.nets._resnet import BasicBlock, Bottleneck
from tests.nets.shapes import counts, on_meta, slots_at

NAMES = ("resnet18", "resnet34", "resnet50")


@pytest.mark.parametrize(
    ("name", "params", "flops"),
    [
        ("resnet18", 11_689_512, 1_814_073_344),
        ("resnet34", 21_797_672, 3_663_761_408),
        ("resnet50", 25_557_032, 4_089_184_256),
    ],
)
def test_params_and_multiply_adds_at_224(name: str, params: int, flops: int) -> None:
    assert counts(on_meta(find(Net, name).build), 224) == (params, flops)


@pytest.mark.parametrize("name", NAMES)
def test_the_small_variant_differs_in_the_kernel_of_its_stem(name: str) -> None:
    build = find(Net, name).build
    small, large = (on_meta(build, small=flag).state_dict() for flag in (True, False))
    differing = {key for key in large if small[key].shape != large[key].shape}
    assert differing == {"conv1.weight"} and small.keys() == large.keys()
    assert small["conv1.weight"].shape == (64, 3, 3, 3)


@pytest.mark.parametrize(("small", "side"), [(False, 224), (True, 32)])
@pytest.mark.parametrize("name", NAMES)
def test_stages_halve_the_resolution(name: str, small: bool, side: int) -> None:
    found = slots_at(on_meta(find(Net, name).build, small=small), side)
    first = side if small else side // 4
    for stage in range(4):
        ends = {
            slot.out_hw for key, slot in found.items() if key.startswith(f"layer{stage + 1}.1.")
        }
        assert ends == {((first >> stage, first >> stage),)}


@pytest.mark.parametrize(("name", "strided"), [("resnet18", "conv1"), ("resnet50", "conv2")])
def test_a_3x3_convolution_of_the_first_block_has_the_stride(name: str, strided: str) -> None:
    found = slots_at(on_meta(find(Net, name).build), 64)
    strided_slots = {key for key, slot in found.items() if slot.stride == (2, 2)}
    blocks = [f"layer{stage}.0" for stage in (2, 3, 4)]
    expected = {f"{block}.{conv}" for block in blocks for conv in (strided, "downsample.0")}
    assert strided_slots == {"conv1"} | expected
    assert all(found[f"{block}.{strided}"].kernel_size == (3, 3) for block in blocks)


@pytest.mark.parametrize(
    ("block", "last"), [(BasicBlock(8, 8, 1), "bn2"), (Bottleneck(32, 8, 1), "bn3")]
)
def test_a_block_has_a_shortcut(block: nn.Module, last: str) -> None:
    x = torch.randn(2, 8 if last == "bn2" else 32, 5, 5)
    block.eval()
    assert not torch.equal(block(x), torch.relu(x))
    nn.init.zeros_(block.get_submodule(last).get_parameter("weight"))
    assert torch.equal(block(x), torch.relu(x))


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
@pytest.mark.parametrize(("channels", "stride"), [(8, 2), (12, 1)])
def test_a_shortcut_has_a_convolution_if_the_shape_changes(
    block: type[BasicBlock] | type[Bottleneck], channels: int, stride: int
) -> None:
    inputs = 8 * block.expansion
    built = block(inputs, channels, stride).eval()
    out_side = 6 // stride
    assert built(torch.randn(2, inputs, 6, 6)).shape == (
        2, channels * block.expansion, out_side, out_side
    )  # fmt: skip
    assert [type(module) for module in built.downsample.children()] == [nn.Conv2d, nn.BatchNorm2d]
