"""The geometry against nn.Conv2d, for boxes of a kernel."""

import warnings

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dsx.conv.sparsity.geometry import Box, Geometry, is_symmetric, pad_or_crop
from tests.conv.close import assert_equal
from tests.conv.strategies import ODD_SQUARES, OTHER_KERNELS, images, reference, slots


@st.composite
def boxes(draw: st.DrawFn, kernel: tuple[int, ...]) -> Box:
    """Draw a box of a kernel."""
    top, left = draw(st.integers(0, kernel[0] - 1)), draw(st.integers(0, kernel[1] - 1))
    height = draw(st.integers(1, kernel[0] - top))
    return Box(top=top, left=left, height=height, width=draw(st.integers(1, kernel[1] - left)))


@given(data=st.data())
@settings(max_examples=150)
def test_a_box_is_equivalent_to_the_kernel_with_zeros(data: st.DataObject) -> None:
    conv = data.draw(slots(ODD_SQUARES + OTHER_KERNELS, channels=(1, 2, 4)))
    x = data.draw(images(conv))
    geometry = Geometry.of(conv)
    box = data.draw(boxes(geometry.kernel_size))
    part = torch.randn(
        conv.out_channels, conv.in_channels, box.height, box.width, dtype=torch.float64
    )
    whole = torch.zeros(
        conv.out_channels, conv.in_channels, *geometry.kernel_size, dtype=torch.float64
    )
    whole[:, :, box.top : box.top + box.height, box.left : box.left + box.width] = part
    bias = None if conv.bias is None else conv.bias.detach()
    expected = reference(conv, whole, bias, x)
    by_call = geometry.convolve(x, part, bias, box, 1)
    assert_equal(by_call, expected)
    with torch.no_grad():
        by_module = geometry.conv2d(part, bias, box)(x)
    assert_equal(by_module, expected)


@given(data=st.data())
def test_grouped_convolutions(data: st.DataObject) -> None:
    conv = data.draw(slots(ODD_SQUARES + OTHER_KERNELS))
    x = data.draw(images(conv))
    geometry = Geometry.of(conv)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using padding='same'")
        expected = conv(x)
        by_module = geometry.conv2d(conv.weight, conv.bias, None, conv.groups)(x)
    assert_equal(by_module, expected)

    by_call = geometry.convolve(x, conv.weight, conv.bias, geometry.whole, conv.groups)
    assert_equal(by_call, expected)


def test_symmetric_padding_needs_no_padding_module() -> None:
    geometry = Geometry.of(nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"))
    middle = Box(top=1, left=0, height=1, width=3)
    assert isinstance(geometry.conv2d(torch.zeros(4, 4, 1, 3), None, middle), nn.Conv2d)
    corner = Box(top=0, left=0, height=2, width=2)
    assert isinstance(geometry.conv2d(torch.zeros(4, 4, 2, 2), None, corner), nn.Sequential)


PAD = st.integers(-2, 2)


@given(pad=st.tuples(PAD, PAD, PAD, PAD), h=st.integers(1, 5), w=st.integers(1, 5))
@settings(max_examples=200)
def test_zero_padding_and_cropping_by_loops(pad: tuple[int, int, int, int], h: int, w: int) -> None:
    left, right, top, bottom = pad
    assume(h + top + bottom >= 1 and w + left + right >= 1)
    x = torch.arange(1.0, h * w + 1).reshape(1, 1, h, w)
    out = pad_or_crop(x, pad, "zeros")
    expected = torch.zeros(1, 1, h + top + bottom, w + left + right)
    for row in range(h):
        for column in range(w):
            r, c = row + top, column + left
            if 0 <= r < expected.shape[2] and 0 <= c < expected.shape[3]:
                expected[0, 0, r, c] = x[0, 0, row, column]
    assert torch.equal(out, expected)


def test_zero_padding_returns_the_input() -> None:
    x = torch.zeros(1, 1, 2, 2)
    assert pad_or_crop(x, (0, 0, 0, 0), "reflect") is x
    assert pad_or_crop(x, (0, 0, 0, 0), "zeros") is x


@pytest.mark.parametrize(
    ("pad", "symmetric"),
    [((1, 1, 2, 2), True), ((0, 1, 0, 0), False), ((-1, -1, 0, 0), False), ((0,) * 4, True)],
)
def test_paddings_that_nn_conv2d_supports(pad: tuple[int, int, int, int], symmetric: bool) -> None:
    assert is_symmetric(pad) == symmetric


@pytest.mark.parametrize(("kernel", "pad"), [(3, (1, 1)), (2, (0, 1)), (4, (1, 2)), (1, (0, 0))])
def test_same_padding_puts_the_odd_line_last(kernel: int, pad: tuple[int, int]) -> None:
    geometry = Geometry.of(nn.Conv2d(1, 1, kernel, padding="same"))
    assert geometry.padding == (*pad, *pad)
    assert Geometry.of(nn.Conv2d(1, 1, kernel, padding="valid")).padding == (0, 0, 0, 0)


def test_weights_are_copied() -> None:
    geometry = Geometry.of(nn.Conv2d(2, 2, 1))
    weight: Tensor = torch.ones(2, 2, 1, 1)
    conv = geometry.conv2d(weight, weight[:, 0, 0, 0])
    weight.zero_()
    assert isinstance(conv, nn.Conv2d) and conv.bias is not None
    assert bool(conv.weight.all()) and bool(conv.bias.all())
