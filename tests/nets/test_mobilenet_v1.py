"""The architecture of MobileNetV1."""

from dsx.nets.mobilenet_v1 import MobileNetV1
from tests.nets.shapes import counts, on_meta, slots_at


def test_params_and_multiply_adds_at_224() -> None:
    assert counts(on_meta(MobileNetV1), 224) == (4_231_976, 568_740_352)


def test_the_small_variant_keeps_the_resolution_in_its_stem() -> None:
    network = on_meta(MobileNetV1, classes=10, small=True)
    assert counts(network, 32) == (3_217_226, 46_354_432)
    found = slots_at(network, 32)
    assert [key for key, slot in found.items() if slot.stride == (2, 2)] == [
        f"layers.{pair}.conv1" for pair in (1, 3, 5, 11)
    ]


def test_each_pair_is_a_depthwise_and_a_pointwise_convolution() -> None:
    found = slots_at(on_meta(MobileNetV1), 224)
    assert list(found) == [
        "conv1", *(f"layers.{pair}.conv{number}" for pair in range(13) for number in (1, 2))
    ]  # fmt: skip
    assert found.pop("conv1").stride == (2, 2)
    for key, slot in found.items():
        groups, side = (slot.in_channels, 3) if key.endswith(".conv1") else (1, 1)
        assert (slot.groups, slot.kernel_size) == (groups, (side, side))
    widths = [slot.out_channels for key, slot in found.items() if key.endswith(".conv2")]
    assert widths == [64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]


def test_only_depthwise_convolutions_can_have_a_bias() -> None:
    plain, biased = (on_meta(MobileNetV1, depthwise_bias=flag) for flag in (False, True))
    assert counts(biased, 224)[0] - counts(plain, 224)[0] == 4_960
    with_bias = {key for key, slot in slots_at(biased, 224).items() if slot.bias}
    assert with_bias == {f"layers.{pair}.conv1" for pair in range(13)}
