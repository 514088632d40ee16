"""Constructor calls, which rebuild an equal module."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dsx.errors import WorkFailed
from dsx.export.packing.constructor import constructor_call

SIDES = st.integers(1, 4) | st.tuples(st.integers(1, 4), st.integers(1, 4))
CHANNELS = st.sampled_from([4, 8, 12])
YES_OR_NO = st.booleans()
SHARE = st.floats(0, 1)


def call(kind: type[nn.Module], *given: Any, **named: Any) -> st.SearchStrategy[nn.Module]:
    return st.builds(kind, *given, **named)


MODULES = st.one_of(
    call(
        nn.Conv2d, CHANNELS, CHANNELS, SIDES, stride=SIDES,
        padding=st.integers(0, 2) | st.tuples(st.integers(0, 2), st.integers(0, 2)),
        dilation=SIDES, groups=st.sampled_from([1, 2, 4]), bias=YES_OR_NO,
        padding_mode=st.sampled_from(["zeros", "circular", "reflect", "replicate"]),
    ),
    call(nn.Conv2d, CHANNELS, CHANNELS, SIDES, padding=st.sampled_from(["same", "valid"])),
    call(nn.Conv1d, CHANNELS, CHANNELS, st.integers(1, 4), bias=YES_OR_NO),
    call(
        nn.ConvTranspose2d, CHANNELS, CHANNELS, SIDES, stride=st.just(2), bias=YES_OR_NO,
        output_padding=st.integers(0, 1),
    ),
    call(nn.Linear, CHANNELS, CHANNELS, bias=YES_OR_NO),
    call(
        nn.BatchNorm2d, CHANNELS, eps=st.floats(1e-6, 1), momentum=st.none() | SHARE,
        affine=YES_OR_NO, track_running_stats=YES_OR_NO,
    ),
    call(nn.GroupNorm, st.sampled_from([1, 2, 4]), CHANNELS, affine=YES_OR_NO),
    call(
        nn.LayerNorm, CHANNELS | st.tuples(CHANNELS, CHANNELS), elementwise_affine=YES_OR_NO,
        bias=YES_OR_NO,
    ),
    call(nn.InstanceNorm2d, CHANNELS, affine=YES_OR_NO),
    call(nn.MaxPool2d, SIDES, stride=st.none() | SIDES, ceil_mode=YES_OR_NO),
    call(
        nn.AvgPool2d, SIDES, stride=st.none() | SIDES, count_include_pad=YES_OR_NO,
        divisor_override=st.none() | st.integers(1, 9),
    ),
    call(nn.AdaptiveAvgPool2d, SIDES | st.sampled_from([(None, 3), (None, None)])),
    call(nn.ZeroPad2d, st.integers(0, 3) | st.tuples(*[st.integers(0, 3)] * 4)),
    call(nn.Upsample, scale_factor=st.integers(1, 3), mode=st.sampled_from(["nearest", "bicubic"])),
    call(nn.Upsample, size=SIDES),
    call(nn.Dropout, SHARE, inplace=YES_OR_NO),
    call(nn.Dropout2d, SHARE),
    call(nn.ReLU, inplace=YES_OR_NO),
    call(nn.LeakyReLU, SHARE, inplace=YES_OR_NO),
    call(nn.PReLU, st.sampled_from([1, 4]), init=SHARE),
    call(nn.GELU, approximate=st.sampled_from(["none", "tanh"])),
    call(nn.Hardtanh, st.floats(-3, 0), st.floats(1, 3) | st.just(float("inf"))),
    call(nn.Softmax, dim=st.none() | st.integers(0, 3)),
    call(nn.Flatten, st.integers(0, 1), st.integers(-1, 3)),
    call(nn.PixelShuffle, st.integers(1, 4)),
    call(nn.MultiheadAttention, CHANNELS, st.sampled_from([1, 2, 4]), batch_first=YES_OR_NO),
    *(call(kind) for kind in (nn.Identity, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.ReLU6, nn.Hardswish)),
)  # fmt: skip


@given(MODULES)
def test_a_rebuilt_module_equals_the_original(module: nn.Module) -> None:
    rebuilt = eval(constructor_call(module), {"nn": nn})
    assert type(rebuilt) is type(module)
    assert repr(rebuilt) == repr(module)
    rebuilt.load_state_dict(module.state_dict())


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (nn.Conv2d(8, 16, 3, padding=1, bias=False), "nn.Conv2d(8, 16, 3, padding=1, bias=False)"),
        (nn.Conv2d(8, 16, (3, 1), groups=2), "nn.Conv2d(8, 16, (3, 1), groups=2)"),
        (nn.BatchNorm2d(8), "nn.BatchNorm2d(8)"),
        (nn.ReLU(inplace=True), "nn.ReLU(inplace=True)"),
        (nn.Identity(3, unused=True), "nn.Identity()"),
        (nn.AdaptiveAvgPool2d((1, 1)), "nn.AdaptiveAvgPool2d((1, 1))"),
        (nn.Hardtanh(0.0, float("inf")), 'nn.Hardtanh(min_val=0.0, max_val=float("inf"))'),
    ],
)
def test_default_arguments_are_omitted(module: nn.Module, text: str) -> None:
    assert constructor_call(module) == text


class Conv2d(nn.Conv2d):
    """A class that has the name of a class of torch."""


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        (Conv2d(1, 1, 1), r"^model\.py cannot contain a tests\.export\.packing\.\w+\.Conv2d$"),
        (nn.LSTM(3, 4), r"^model\.py cannot determine the arguments of a nn\.LSTM$"),
        (nn.MultiheadAttention(4, 2, bias=False), "arguments of a nn.MultiheadAttention"),
    ],
)
def test_a_module_that_cannot_be_rebuilt_is_refused(module: nn.Module, problem: str) -> None:
    with pytest.raises(WorkFailed, match=problem):
        constructor_call(module)
