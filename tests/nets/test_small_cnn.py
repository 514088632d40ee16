"""The architecture of the small CNN."""

import itertools

import torch
from torch import nn

from dsx.nets.small_cnn import SmallCnn, Stage
from dsx.space import slots


def test_three_stages_at_three_resolutions() -> None:
    found = slots(SmallCnn(width=6), torch.zeros(2, 1, 8, 8))
    assert [(s.name, s.in_channels, s.out_channels, s.out_hw) for s in found] == [
        ("stem.0", 1, 6, ((8, 8),)),
        ("stages.0.conv1", 6, 6, ((8, 8),)),
        ("stages.0.conv2", 6, 6, ((8, 8),)),
        ("stages.1.conv1", 6, 12, ((4, 4),)),
        ("stages.1.conv2", 12, 12, ((4, 4),)),
        ("stages.2.conv1", 12, 24, ((2, 2),)),
        ("stages.2.conv2", 24, 24, ((2, 2),)),
    ]


def test_the_number_of_weights_follows_from_the_width() -> None:
    for width in (4, 32):
        channels = [1, width, width, width, 2 * width, 2 * width, 4 * width, 4 * width]
        weights = sum(9 * cin * cout for cin, cout in itertools.pairwise(channels))
        norms = sum(2 * cout for cout in channels[1:])
        head = 4 * width * 10 + 10
        assert sum(p.numel() for p in SmallCnn(width).parameters()) == weights + norms + head


def test_the_shortcut_bypasses_the_second_convolution() -> None:
    stage = Stage(4, 4, 1).eval()
    x = torch.randn(2, 4, 8, 8)
    nn.init.zeros_(stage.conv2.weight)
    expected = torch.relu(stage.bn1(stage.conv1(x)))
    assert torch.equal(stage(x), expected)


def test_images_of_other_sizes_and_channels() -> None:
    assert SmallCnn(8, in_channels=3, classes=7)(torch.randn(2, 3, 11, 9)).shape == (2, 7)


def test_a_strided_stem_halves_all_resolutions() -> None:
    found = slots(SmallCnn(width=6, stem_stride=2), torch.zeros(2, 1, 28, 28))
    assert [slot.out_hw for slot in found] == [
        ((side, side),) for side in (14, 14, 14, 7, 7, 4, 4)
    ]  # fmt: skip
