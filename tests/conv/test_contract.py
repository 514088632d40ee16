"""The contract of every convolution module, over all kernel shapes and whatever else there is.

A new file in dsx/conv/shapes is tested here because it exists.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from dsx.conv import Cost, DsxConv, build
from dsx.conv.fixed import FixedConv2d
from dsx.conv.separable import SeparableConv2d
from tests.conv import naive
from tests.conv.close import assert_equal
from tests.conv.counting import counted
from tests.conv.strategies import KINDS, cases, reference

pytestmark = [
    pytest.mark.parametrize("kind", KINDS),
    # Of torch, for an even kernel; the convolution replaced says so too.
    pytest.mark.filterwarnings("ignore:Using padding='same'"),
]
SMALL = (1, 2, 3, 4)


def fixed_part(module: DsxConv) -> FixedConv2d:
    """Give the part that has the dials."""
    part = module.pointwise if isinstance(module, SeparableConv2d) else module
    assert isinstance(part, FixedConv2d)
    return part


@given(data=st.data())
@settings(max_examples=15)
def test_forward_is_the_convolution_with_the_dense_weight(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = build(case.spec, case.conv)
    expected = reference(case.conv, module.dense_weight(), module.dense_bias(), case.x)
    assert_equal(module(case.x), expected)
    assert (module.dense_bias() is None) == (case.conv.bias is None and not _separable(module))


def _separable(module: nn.Module) -> bool:
    return isinstance(module, SeparableConv2d)


@given(data=st.data())
@settings(max_examples=10)
def test_live_set_and_cost_are_those_of_the_definition(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = build(case.spec, case.conv)
    alive = {tuple(place) for place in fixed_part(module).dense_weight().nonzero().tolist()}
    assert alive == naive.live(case.spec, case.conv)
    params, flops, bits = naive.cost(case.spec, case.conv, (7, 5))
    assert module.cost(out_hw=(7, 5)) == Cost(params=params, flops=flops, bits=bits)


@given(data=st.data())
@settings(max_examples=10)
def test_weight_lies_on_the_box_in_the_order_of_the_window(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    part = fixed_part(build(case.spec, case.conv))
    rows, columns = naive.box(part.spec, part.kernel_size)
    dense = part.dense_weight()
    for output in range(case.conv.out_channels):
        window = naive.window(case.spec, case.conv.in_channels, case.conv.out_channels, output)
        box = dense[output, window][:, rows, columns]
        torch.testing.assert_close(part.weight[output], box, rtol=0, atol=0)


@given(data=st.data())
@settings(max_examples=10)
def test_counting_form_is_the_same_function(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = build(case.spec, case.conv)
    with torch.no_grad():
        assert_equal(module.counting_form()(case.x), module(case.x))


@given(data=st.data())
@settings(max_examples=8)
def test_a_counter_counts_the_closed_form(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind, batches=(1,), channels=(2, 3, 4)))
    module = build(case.spec, case.conv)
    out = module(case.x)
    flops = module.cost((out.shape[2], out.shape[3])).flops
    assert counted(module.counting_form(), case.x) == flops


@given(data=st.data())
@settings(max_examples=4)
def test_gradients_are_exact(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind, batches=(1, 2), channels=SMALL))
    module = build(case.spec, case.conv)
    named = dict(module.named_parameters())

    def run(x: Tensor, *values: Tensor) -> Tensor:
        out: Tensor = functional_call(module, dict(zip(named, values, strict=True)), x)
        return out

    values = [value.detach().clone().requires_grad_() for value in named.values()]
    assert torch.autograd.gradcheck(run, (case.x.requires_grad_(), *values), fast_mode=True)


@given(data=st.data())
@settings(max_examples=6)
def test_dead_positions_stay_zero_in_training(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind, batches=(2,)))
    module = build(case.spec, case.conv)
    part = fixed_part(module)
    dead = part.weight == 0
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        module(case.x).square().mean().backward()
        assert part.weight.grad is not None
        assert not part.weight.grad[dead].any()
        optimizer.step()
    assert not part.weight[dead].any()
    triples = len(naive.live(case.spec, case.conv))
    assert int(dead.sum()) == part.weight.numel() - triples


@given(data=st.data())
@settings(max_examples=6)
def test_gradients_reach_the_dense_weight(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind, channels=SMALL))
    module = build(case.spec, case.conv)
    module.dense_weight().sum().backward()  # type: ignore[no-untyped-call]
    part = fixed_part(module)
    assert part.weight.grad is not None
    assert bool((part.weight.grad != 0).eq(part.weight != 0).all())


@given(data=st.data())
@settings(max_examples=10)
def test_scaled_outputs_are_outputs_scaled(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = build(case.spec, case.conv)
    scale, shift = torch.randn(2, case.conv.out_channels, dtype=torch.float64)
    with torch.no_grad():
        expected = module(case.x) * scale[:, None, None] + shift[:, None, None]
        module.scale_outputs(scale, shift)
        assert_equal(module(case.x), expected)
        dense = reference(case.conv, module.dense_weight(), module.dense_bias(), case.x)
        assert_equal(dense, expected)


@given(data=st.data())
@settings(max_examples=6)
def test_attributes_are_those_of_the_convolution_replaced(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = build(case.spec, case.conv)
    for name in (
        "in_channels", "out_channels", "kernel_size", "stride", "padding", "padding_mode",
        "dilation",
    ):  # fmt: skip
        assert getattr(module, name) == getattr(case.conv, name), name
    assert module.dense_weight().shape == (
        case.conv.out_channels, case.conv.in_channels, *case.conv.kernel_size
    )  # fmt: skip
