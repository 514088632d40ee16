"""Specs in words."""

import pytest
from torch import nn

from dsx.conv import KEEP, ConvSpec, preset, words
from tests.conv.strategies import SHAPES

PHRASES = [
    (ConvSpec(), None, "full kernel"),
    (KEEP, None, "as it is"),
    (
        preset("scc", groups=2, overlap=0.5),
        None,
        "depthwise, then pointwise, sliding window, 2 groups, half overlap",
    ),
    (ConvSpec(kernel_shape="het4"), None, "full in 1 of 4 channels"),
    (ConvSpec(groups="all"), None, "full kernel, one channel each"),
    (ConvSpec(groups=16), 16, "full kernel, one channel each"),
    (ConvSpec(groups=16), 32, "full kernel, 16 groups"),
    (ConvSpec(groups=4, channel_stride=1.0), None, "full kernel, 4 groups, taken in turn"),
    (
        ConvSpec(kernel_shape="cross", groups=4, channel_stride="2/3"),
        None,
        "crosses, sliding window, 4 groups, third overlap",
    ),
    (
        ConvSpec(groups=4, channel_stride=0.4),
        None,
        "full kernel, sliding window, 4 groups, 60% overlap",
    ),
    (preset("lhc", density=0.25), None, "learned free shapes, 25% alive"),
    (ConvSpec(kernel_shape="learned", rigid=True), None, "learned rigid shapes"),
    (preset("slbf", k=16, splits=2), None, "full kernel, 16 binary filters, 2 splits"),
    (
        ConvSpec(kernel_shape="tests.conv.shapes.test_shapes:OUTSIDE"),
        None,
        "tests.conv.shapes.test_shapes:OUTSIDE",
    ),
]


@pytest.mark.parametrize(("spec", "in_channels", "phrase"), PHRASES)
def test_phrases(spec: ConvSpec, in_channels: int | None, phrase: str) -> None:
    assert words(spec, in_channels) == phrase


def test_each_shape_has_words_of_its_own() -> None:
    assert len({words(ConvSpec(kernel_shape=shape)) for shape in SHAPES}) == len(SHAPES)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_canonical_form_reads_the_same(shape: str) -> None:
    spec = ConvSpec(kernel_shape=shape, groups=4, channel_stride=0.5)
    assert words(spec.at(nn.Conv2d(16, 40, 3))) == words(spec)
