"""The contract of every convolution module, over all kinds of convolutions.

A new file in dsx/conv/sparsity/shapes is included automatically.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from dsx.conv import Cost, DsxConv, build
from dsx.conv.modules.binary import BinaryConv2d
from dsx.conv.modules.fixed import FixedConv2d
from dsx.conv.modules.learned import LearnedConv2d
from tests.conv import naive
from tests.conv.close import assert_equal
from tests.conv.counting import counted
from tests.conv.strategies import KINDS, Case, cases, dial_stage, live, reference, trained

pytestmark = [
    pytest.mark.parametrize("kind", KINDS),
    # A warning of torch for even kernels, which the original convolution emits, too.
    pytest.mark.filterwarnings("ignore:Using padding='same'"),
]
SMALL = (1, 2, 3, 4)


def decisions(module: nn.Module) -> set[nn.Parameter]:
    """Return the parameters of which only the sign or the order matters."""
    convs = [part for part in module.modules() if isinstance(part, DsxConv)]
    return {parameter for conv in convs for parameter in conv.decisions()}


@given(data=st.data())
@settings(max_examples=25)
def test_forward_is_the_convolution_with_the_dense_weight(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = data.draw(trained(case))
    expected = reference(case.conv, module.dense_weight(), module.dense_bias(), case.x)
    assert_equal(module(case.x), expected)
    separable = naive.is_separable(case.spec, case.conv)
    assert (module.dense_bias() is None) == (case.conv.bias is None and not separable)


@given(data=st.data())
@settings(max_examples=20)
def test_live_set_and_cost_are_those_of_the_definition(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = data.draw(trained(case))
    triples = live(case, module)
    dense = dial_stage(module).dense_weight()
    assert {tuple(triple) for triple in dense.nonzero().tolist()} == triples
    learned = triples if case.spec.learned else None
    # The canonical spec, because the only support that one output uses may have another name.
    params, flops, bits = naive.cost(module.spec, case.conv, (7, 5), learned)
    assert module.cost(out_hw=(7, 5)) == Cost(params=params, flops=flops, bits=bits)


@given(data=st.data())
@settings(max_examples=20)
def test_counting_form_is_the_same_function(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = data.draw(trained(case))
    with torch.no_grad():
        assert_equal(module.counting_form()(case.x), module(case.x))


@given(data=st.data())
@settings(max_examples=12)
def test_the_counter_agrees_with_the_closed_form(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind, batches=(1,), channels=(2, 3, 4)))
    module = data.draw(trained(case))
    rows, columns = module(case.x).shape[2:]
    merged = naive.merges(module.spec, case.conv) * rows * columns
    assert counted(module.counting_form(), case.x) + merged == module.cost((rows, columns)).flops


@given(data=st.data())
@settings(max_examples=4)
def test_gradients_are_exact(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind, batches=(1, 2), channels=SMALL))
    module = data.draw(trained(case))
    decided = decisions(module)
    named = {name: value for name, value in module.named_parameters() if value not in decided}

    def run(x: Tensor, *values: Tensor) -> Tensor:
        out: Tensor = functional_call(module, dict(zip(named, values, strict=True)), x)
        return out

    values = [value.detach().clone().requires_grad_() for value in named.values()]
    assert torch.autograd.gradcheck(run, (case.x.requires_grad_(), *values), fast_mode=True)


def with_dead_positions(case: Case, module: DsxConv) -> tuple[nn.Parameter, int]:
    """Return the parameter with dead positions, and its number of live entries."""
    part = dial_stage(module)
    if isinstance(part, BinaryConv2d):
        positions = len(naive.positions(part.spec, part.kernel_size))
        return part.basis_proxy, part.basis_proxy.shape[:2].numel() * positions
    if isinstance(part, LearnedConv2d):
        part.freeze()
    assert isinstance(part, FixedConv2d | LearnedConv2d)
    return part.weight, len(live(case, module))


@given(data=st.data())
@settings(max_examples=6)
def test_dead_positions_stay_zero_in_training(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind, batches=(2,)))
    module = build(case.spec, case.conv)
    weight, alive = with_dead_positions(case, module)
    dead = weight == 0
    assert int(dead.sum()) == weight.numel() - alive
    triples = live(case, module)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        module(case.x).square().mean().backward()
        assert weight.grad is not None
        assert not weight.grad[dead].any()
        optimizer.step()
    assert not weight[dead].any()
    assert live(case, module) == triples


@given(data=st.data())
@settings(max_examples=10)
def test_scale_outputs_scales_the_outputs(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = data.draw(trained(case))
    scale, shift = torch.randn(2, case.conv.out_channels, dtype=torch.float64)
    with torch.no_grad():
        expected = module(case.x) * scale[:, None, None] + shift[:, None, None]
        module.scale_outputs(scale, shift)
        assert_equal(module(case.x), expected)
        dense = reference(case.conv, module.dense_weight(), module.dense_bias(), case.x)
        assert_equal(dense, expected)


@given(data=st.data())
@settings(max_examples=6)
def test_attributes_are_those_of_the_original_convolution(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = build(case.spec, case.conv)
    for name in (
        "in_channels", "out_channels", "kernel_size", "stride", "padding", "padding_mode",
        "dilation", "transposed", "output_padding",
    ):  # fmt: skip
        assert getattr(module, name) == getattr(case.conv, name), name
    # A network may read `groups` to shuffle channels.
    spec = case.spec.at(case.conv)
    assert module.groups == (case.conv.groups if spec.keeps else spec.groups)
    assert module.dense_weight().shape == (
        case.conv.out_channels, case.conv.in_channels, *case.conv.kernel_size
    )  # fmt: skip


@given(data=st.data())
@settings(max_examples=4)
def test_decisions_become_final_within_the_training(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = build(case.spec, case.conv)
    decided = decisions(module)
    names = {name.split(".")[-1] for name, p in module.named_parameters() if p in decided}
    ends = {end for part in module.modules() if isinstance(part, DsxConv)
            for end in part.decisions().values()}  # fmt: skip
    if case.spec.learned:
        assert (names, ends) == ({"shape_scores"}, {0.5})
    elif case.spec.binary_basis:
        assert (names, ends) == ({"basis_proxy", "select_proxy"}, {1.0})
    else:
        assert not names
