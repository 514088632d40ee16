"""The channel window against loops over its definition."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dsx.conv import ConvSpec, unread_channels, window_channels
from dsx.conv.sparsity.window import integer_step, ratio
from tests.conv import naive
from tests.conv.strategies import STRIDES

R = st.one_of(
    st.sampled_from([r for r in STRIDES if r not in (None, "block")]),
    st.integers(1, 100).map(lambda hundredths: hundredths / 100),
    st.fractions(min_value="1/64", max_value=1, max_denominator=64).map(str),
)


@given(groups=st.integers(1, 8), width=st.integers(1, 12), cout=st.integers(1, 40), r=R)
def test_windows_slide_and_wrap(groups: int, width: int, cout: int, r: float | str) -> None:
    channels = window_channels(groups * width, cout, groups, r)
    spec = ConvSpec(groups=groups, channel_stride=r)
    for output in range(cout):
        expected = naive.window(spec, groups * width, cout, output)
        # One group has all channels: the window rotates, but contains the same channels.
        got = channels[output].tolist()
        assert (sorted(got) if groups == 1 else got) == expected


@given(groups=st.integers(1, 8), width=st.integers(1, 6), each=st.integers(1, 5))
def test_blocks_are_those_of_a_grouped_convolution(groups: int, width: int, each: int) -> None:
    conv = torch.nn.Conv2d(groups * width, groups * each, 1, groups=groups, bias=False)
    torch.nn.init.ones_(conv.weight)
    channels = window_channels(groups * width, groups * each, groups, "block")
    reads = torch.zeros(groups * each, groups * width).scatter(1, channels, 1.0)
    # For the image that is 1 only at channel c, output o is 1 if o reads c.
    one_hot = torch.eye(groups * width)[:, :, None, None]
    assert torch.equal(conv(one_hot)[:, :, 0, 0].T, reads)


@given(width=st.integers(1, 500), r=R)
def test_step_is_between_one_and_the_window(width: int, r: float | str) -> None:
    step = integer_step(r, width)
    assert step == naive.step(r, width)
    assert 1 <= step <= width


@pytest.mark.parametrize(
    ("r", "width", "step"),
    [
        (0.9, 10, 9),  # with floats, 10 - floor((1 - .9) * 10) is 10
        (0.5, 5, 3),
        (0.67, 6, 5),  # overlap .33
        ("1/3", 6, 2),
        ("2/3", 6, 4),
        (1.0, 7, 7),
        (1, 7, 7),
        (1e-9, 7, 1),
        ("0.25", 8, 2),
    ],
)
def test_steps_calculated_by_hand(r: float | str, width: int, step: int) -> None:
    assert integer_step(r, width) == step


def test_a_ratio_is_the_exact_decimal() -> None:
    assert ratio(0.1) == ratio("0.1") == ratio("1/10")
    assert ratio(0.1) * 10 == 1


@given(
    groups=st.integers(1, 8),
    width=st.integers(1, 12),
    each=st.integers(1, 10),
    r=st.one_of(st.just("block"), R),
)
def test_channels_that_no_window_contains_are_unread(
    groups: int, width: int, each: int, r: float | str
) -> None:
    channels, outputs = groups * width, groups * each
    read = set(window_channels(channels, outputs, groups, r).flatten().tolist())
    assert unread_channels(channels, outputs, groups, r) == channels - len(read)
