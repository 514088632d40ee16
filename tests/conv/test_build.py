"""From a spec and a nn.Conv2d to the module that replaces it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dsx.conv import KEEP, ConvSpec, build, dense_weight, from_conv2d, preset, require_built
from dsx.conv.fixed import FixedConv2d
from dsx.conv.separable import SeparableConv2d
from dsx.errors import SpecError
from tests.conv import naive
from tests.conv.close import assert_equal
from tests.conv.strategies import KINDS, SHAPES, cases, reference, slots

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")


@given(data=st.data())
@settings(max_examples=30)
def test_keep_is_the_identity(data: st.DataObject) -> None:
    conv = data.draw(slots())
    assert from_conv2d(conv, KEEP) is conv
    assert from_conv2d(conv, ConvSpec(groups=conv.groups)) is conv


@given(data=st.data())
@settings(max_examples=30)
def test_keep_builds_what_stands_there_afresh(data: st.DataObject) -> None:
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
    for place in naive.live(case.spec, case.conv):
        restricted[place] = dense[place]
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
def test_the_convolution_given_is_only_read(kind: str, data: st.DataObject) -> None:
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
    for spec in (ConvSpec(kernel_shape="cross"), preset("scc")):
        module = make(spec, conv)
        assert {p.dtype for p in module.parameters()} == {dtype}
        assert all(p.requires_grad for p in module.parameters())


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (preset("lhc"), "kernel_shape: learned is not built by this version of dsx"),
        (preset("slbf"), "binary_basis above 0 is not built by this version of dsx"),
        (preset("scc", binary_basis=4), "binary_basis above 0 is not built"),
        (ConvSpec(groups=3), "groups = 3 does not divide"),
    ],
)
def test_what_cannot_be_built_is_refused(spec: ConvSpec, reason: str) -> None:
    conv = nn.Conv2d(8, 8, 3)
    with pytest.raises(SpecError, match=reason):
        build(spec, conv)
    with pytest.raises(SpecError, match=reason):
        from_conv2d(conv, spec)


def test_what_can_be_built_is_not_refused() -> None:
    require_built(KEEP)
    require_built(preset("scc"))
    assert isinstance(build(preset("scc"), nn.Conv2d(8, 8, 3)), SeparableConv2d)
    assert not isinstance(build(preset("scc"), nn.Conv2d(8, 8, 1)), SeparableConv2d)


def test_the_module_shows_its_dials() -> None:
    module = build(ConvSpec(kernel_shape="cross", groups=2), nn.Conv2d(4, 8, 3, padding=1))
    for part in ("4, 8, kernel_size=(3, 3)", "kernel_shape='cross'", "groups=2", "'block'"):
        assert part in repr(module)
