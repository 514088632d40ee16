"""Construction of the module that replaces a nn.Conv2d."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dsx.conv import KEEP, ConvSpec, DsxConv, build, dense_weight, from_conv2d, preset
from dsx.conv.modules.binary import BinaryConv2d
from dsx.conv.modules.fixed import FixedConv2d
from dsx.conv.modules.learned import LearnedConv2d
from dsx.conv.modules.separable import SeparableConv2d
from dsx.errors import SpecError
from tests.conv import naive
from tests.conv.close import assert_equal
from tests.conv.strategies import KINDS, SHAPES, cases, dial_stage, reference, slots

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")


@given(data=st.data())
@settings(max_examples=30)
def test_keep_is_the_identity(data: st.DataObject) -> None:
    conv = data.draw(slots())
    assert from_conv2d(conv, KEEP) is conv
    assert from_conv2d(conv, ConvSpec(groups=conv.groups)) is conv


@given(data=st.data())
@settings(max_examples=30)
def test_keep_builds_an_equivalent_convolution(data: st.DataObject) -> None:
    case = data.draw(cases("full"))
    module = build(KEEP, case.conv)
    assert module.weight.shape == case.conv.weight.shape
    state = case.conv.state_dict()
    module.load_state_dict(state)
    assert_equal(module(case.x), case.conv(case.x))


@pytest.mark.parametrize("kind", SHAPES)
@given(data=st.data())
@settings(max_examples=10)
def test_a_trained_weight_is_restricted_to_the_live_positions(
    kind: str, data: st.DataObject
) -> None:
    case = data.draw(cases(kind))
    dense = dense_weight(case.conv)
    restricted = torch.zeros_like(dense)
    for triple in naive.live(case.spec, case.conv):
        restricted[triple] = dense[triple]
    module = from_conv2d(case.conv, case.spec)
    if isinstance(module, FixedConv2d):
        assert int((module.weight != 0).sum()) == int((restricted != 0).sum())
    expected = reference(case.conv, restricted, case.conv.bias, case.x)
    with torch.no_grad():
        assert_equal(module(case.x), expected)


@given(data=st.data())
@settings(max_examples=30)
def test_dense_weight_of_any_convolution(data: st.DataObject) -> None:
    case = data.draw(cases("full"))
    expected = reference(case.conv, dense_weight(case.conv), case.conv.bias, case.x)
    with torch.no_grad():
        assert_equal(case.conv(case.x), expected)
    assert not dense_weight(case.conv).requires_grad


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=6)
def test_the_given_convolution_is_not_modified(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    before = {name: value.clone() for name, value in case.conv.state_dict().items()}
    for module in (build(case.spec, case.conv), from_conv2d(case.conv, case.spec)):
        if module is case.conv:
            continue
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(1)
    for name, value in case.conv.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("make", [build, lambda spec, conv: from_conv2d(conv, spec)])
def test_dtype_follows_the_convolution(dtype: torch.dtype, make: type[nn.Module]) -> None:
    conv = nn.Conv2d(4, 4, 3).to(dtype)
    specs = (
        ConvSpec(kernel_shape="cross"), preset("scc"), preset("lhc"), preset("lhc", rigid=True),
        preset("slbf", scale=True), preset("scc", binary_basis=4),
    )  # fmt: skip
    for spec in specs:
        module = make(spec, conv)
        assert {p.dtype for p in module.parameters()} == {dtype}
        assert all(p.requires_grad for p in module.parameters())


@pytest.mark.parametrize(
    ("spec", "kernel", "reason"),
    [
        (ConvSpec(groups=3), 3, "groups = 3 does not divide the 8 input channels"),
        (preset("lhc"), 1, "learned shapes need a kernel larger than 1 x 1"),
        (preset("lhc"), 4, "learned needs an odd square kernel, this one is 4 x 4"),
        (preset("lhc", rigid=True), 5, "rigid learned shapes require a 3 x 3 kernel, not 5 x 5"),
        (preset("slbf", splits=3), 3, "splits = 3 does not divide the window of 8 channels"),
        (preset("slbf", splits=8, groups=2), 3, "splits = 8 does not divide .* of 4 channels"),
    ],
)
def test_unsupported_specs_are_rejected(spec: ConvSpec, kernel: int, reason: str) -> None:
    conv = nn.Conv2d(8, 8, kernel)
    with pytest.raises(SpecError, match=reason):
        build(spec, conv)
    with pytest.raises(SpecError, match=reason):
        from_conv2d(conv, spec)


def test_the_spec_determines_the_type_of_the_module() -> None:
    conv = nn.Conv2d(8, 8, 3)
    assert type(build(preset("lhc"), conv)) is LearnedConv2d
    assert type(build(preset("slbf"), conv)) is BinaryConv2d
    assert type(build(KEEP, conv)) is FixedConv2d
    for basis, stage in ((0, FixedConv2d), (2, BinaryConv2d)):
        separable = build(preset("scc", binary_basis=basis), conv)
        assert isinstance(separable, SeparableConv2d)
        assert type(separable.pointwise) is stage
        # A 1 x 1 kernel is not split into two stages.
        assert type(build(preset("scc", binary_basis=basis), nn.Conv2d(8, 8, 1))) is stage


@pytest.mark.parametrize("spec", [preset("slbf", k=4), preset("scc", binary_basis=4)])
def test_a_trained_weight_gets_a_scale_by_default(spec: ConvSpec) -> None:
    conv = nn.Conv2d(8, 8, 3)
    for scale, initialised, projected in (
        (None, False, True),
        (True, True, True),
        (False, False, False),
    ):
        scaled_spec = dataclasses.replace(spec, scale=scale)
        for module, scaled in (
            (build(scaled_spec, conv), initialised),
            (from_conv2d(conv, scaled_spec), projected),
        ):
            assert isinstance(module, BinaryConv2d | SeparableConv2d)
            part = dial_stage(module)
            assert isinstance(part, BinaryConv2d)
            assert (part.scale is not None) == scaled
            # The spec, which determines the cost, agrees.
            assert module.spec.scale == part.spec.scale == scaled
            assert module.cost((1, 1)).params == sum(
                value.numel() for name, value in module.named_parameters()
                if not name.endswith("select_proxy")
            )  # fmt: skip


def test_the_representation_contains_the_dials() -> None:
    module = build(ConvSpec(kernel_shape="cross", groups=2), nn.Conv2d(4, 8, 3, padding=1))
    for part in ("4, 8, kernel_size=(3, 3)", "kernel_shape='cross'", "groups=2", "'block'"):
        assert part in repr(module)


def seeded(spec: ConvSpec, slot: nn.Conv2d) -> DsxConv:
    torch.manual_seed(0)
    return build(spec, slot)


@pytest.mark.parametrize("dials", [{"groups": 2}, {"separable": True}, {"kernel_shape": "learned"}])
def test_a_convolution_with_numpy_attributes_is_replaced(dials: dict[str, Any]) -> None:
    def slot(number: Callable[[int], Any]) -> nn.Conv2d:
        return nn.Conv2d(number(8), number(4), number(3), padding=number(1), dilation=number(2))

    built, expected = (seeded(ConvSpec(**dials), slot(number)) for number in (np.int64, int))
    assert repr(vars(built)["geometry"]) == repr(expected.geometry)
    assert all(
        repr(getattr(built, name)) == repr(getattr(expected, name))
        for name in ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation")
    )
    sides: Any = (np.int64(5), np.int64(5))
    assert repr(built.cost(sides)) == repr(expected.cost((5, 5)))
