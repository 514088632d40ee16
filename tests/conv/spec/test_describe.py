"""Specs in words."""

import pytest
from torch import nn

from dsx.conv import KEEP, ConvSpec, preset, words
from dsx.conv.spec.describe import option_words
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
    (preset("lhc", density=0.25), None, "learned shapes, free, 25% alive"),
    (preset("lhc", density=0.125), None, "learned shapes, free, 12.5% alive"),
    (ConvSpec(kernel_shape="learned", rigid=True), None, "learned shapes, rigid, 25% alive"),
    (
        preset("lhc", block_in=8, rigid=True),
        64,
        "learned shapes, rigid, 25% alive, one per 8 inputs x 16 outputs",
    ),
    (
        preset("lhc", block_out=32),
        64,
        "learned shapes, free, 25% alive, one per 32 inputs x 32 outputs",
    ),
    (preset("lhc", block_in=64), 32, "learned shapes, free, 25% alive"),
    (preset("lhc", block_in=64), 16, "learned shapes, free, 25% alive"),
    (
        preset("slbf", k=16, splits=2),
        None,
        "full kernel, stacked from 16 binary filters, 2 pieces",
    ),
    (
        preset("slbf", k=16, splits=2, scale=True),
        None,
        "full kernel, stacked from 16 binary filters, 2 pieces, scaled",
    ),
    (
        ConvSpec(kernel_shape="cross", binary_basis=1, scale=True),
        None,
        "crosses, stacked from 1 binary filter, scaled",
    ),
    (
        preset("scc", binary_basis=8, scale=False),
        None,
        "depthwise, then pointwise, sliding window, 2 groups, half overlap, "
        "stacked from 8 binary filters",
    ),
    (
        ConvSpec(kernel_shape="tests.conv.sparsity.shapes.test_shapes:OUTSIDE"),
        None,
        "tests.conv.sparsity.shapes.test_shapes:OUTSIDE",
    ),
]


@pytest.mark.parametrize(("spec", "in_channels", "phrase"), PHRASES)
def test_phrases(spec: ConvSpec, in_channels: int | None, phrase: str) -> None:
    assert words(spec, in_channels) == phrase


def test_each_shape_has_words_of_its_own() -> None:
    assert len({words(ConvSpec(kernel_shape=shape)) for shape in SHAPES}) == len(SHAPES)


@pytest.mark.parametrize(
    "spec",
    [
        *(ConvSpec(kernel_shape=shape, groups=4, channel_stride=0.5) for shape in SHAPES),
        preset("slbf", k=8, splits=2, scale=True),
        preset("scc", binary_basis=4),
        preset("lhc", density=0.5),
        ConvSpec(kernel_shape="learned", rigid=True, block_in=100),
        ConvSpec(kernel_shape="learned", block_in=4, block_out=8),
    ],
)
@pytest.mark.parametrize("cout", [40, 12])
def test_the_canonical_form_reads_the_same(spec: ConvSpec, cout: int) -> None:
    assert words(spec.at(nn.Conv2d(16, cout, 3)), 16, cout) == words(spec, 16, cout)


def test_blocks_of_the_usual_size_are_not_worth_a_word() -> None:
    slot = nn.Conv2d(16, 12, 3)
    canonical = preset("lhc").at(slot)
    assert (canonical.block_in, canonical.block_out) == (16, 12)
    assert words(canonical, 16, 12) == "learned shapes, free, 25% alive"
    assert words(canonical, 64, 64).endswith("one per 16 inputs x 12 outputs")


@pytest.mark.parametrize(
    ("dial", "options", "phrases"),
    [
        ("separable", (False, True), "no, yes"),
        ("kernel_shape", ("full", "corners", "het4", "learned"),
         "full kernel, corners in turn, full in 1 of 4 channels, learned shapes"),
        ("groups", (1, 4, "all"), "1, 4, one channel each"),
        ("channel_stride", ("block", 0.25, 0.5, "2/3", 0.4, 1),
         "block, three-quarter overlap, half overlap, third overlap, 60% overlap, taken in turn"),
        ("binary_basis", (0, 1, 16), "none, 1 filter, 16 filters"),
        ("splits", (1, 2), "1, 2"),
        ("scale", (True, False), "yes, no"),
        ("density", (0.25, 0.125, 1), "25%, 12.5%, 100%"),
        ("rigid", (False, True), "no, yes"),
        ("block_in", (32,), "32"),
        ("block_out", (16,), "16"),
    ],
)  # fmt: skip
def test_options(dial: str, options: tuple[object, ...], phrases: str) -> None:
    assert ", ".join(option_words(dial, option) for option in options) == phrases
