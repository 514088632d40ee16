"""Functions that all convolutions over a channel window share."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dsx.conv import ConvSpec, build
from dsx.conv.modules.windowed import WindowedConv2d, read_window
from dsx.conv.sparsity.layout import spread
from tests.conv import naive
from tests.conv.close import assert_equal
from tests.conv.strategies import BINARY, LEARNED, SHAPES, cases, trained

WINDOWED = [*SHAPES, *(kind for kind in BINARY if kind != "binary separable"), *LEARNED]
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")


def test_spread_writes_each_column_to_its_channel() -> None:
    weight = torch.arange(1.0, 5).reshape(2, 2, 1, 1)
    dense = spread(weight, torch.tensor([[2, 0], [1, 2]]), 3)
    assert dense[:, :, 0, 0].tolist() == [[2, 0, 1], [0, 3, 4]]


@pytest.mark.parametrize("kind", WINDOWED)
@given(data=st.data())
@settings(max_examples=6)
def test_reading_a_window_by_loops(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = build(case.spec, case.conv)
    assert isinstance(module, WindowedConv2d)
    cout, cin, *kernel = module.dense_weight().shape
    weight = torch.randn(cout, cin, *kernel, dtype=torch.float64)
    found = read_window(weight, module.frame)
    rows, columns = naive.box(module.spec, tuple(kernel)) if not case.spec.learned else (
        slice(0, kernel[0]), slice(0, kernel[1])
    )  # fmt: skip
    for output in range(cout):
        window = naive.window(case.spec, cin, cout, output)
        assert torch.equal(found[output], weight[output, window][:, rows, columns])


@pytest.mark.parametrize("kind", WINDOWED)
@given(data=st.data())
@settings(max_examples=6)
def test_dense_and_live_weight_agree(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = data.draw(trained(case))
    assert isinstance(module, WindowedConv2d)
    live, dense = module.live_weight(), module.dense_weight()
    assert torch.equal(read_window(dense, module.frame), live)
    assert int((dense != 0).sum()) == int((live != 0).sum()) == module.layout.live_count
    assert torch.equal(live != 0, module.layout.live)


@pytest.mark.parametrize("kind", WINDOWED)
@given(data=st.data())
@settings(max_examples=6)
def test_a_bias_is_projected_if_both_have_one(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = build(case.spec, case.conv)
    assert isinstance(module, WindowedConv2d)
    weight = torch.randn_like(module.dense_weight())
    bias = torch.randn(len(weight), dtype=torch.float64)
    if module.bias is None:
        module.project(weight, bias)
        assert module.bias is None
    else:
        before = module.bias.detach().clone()
        module.project(weight, None)
        assert torch.equal(module.bias, before)
        module.project(weight, bias)
        assert torch.equal(module.bias, bias)


SHARING = [
    ConvSpec(kernel_shape="cross"),
    ConvSpec(binary_basis=3, scale=True),
    ConvSpec(binary_basis=3),
    ConvSpec(kernel_shape="learned"),
]


@pytest.mark.parametrize("spec", SHARING)
def test_scaling_does_not_change_shared_parameters_of_another_convolution(spec: ConvSpec) -> None:
    slot = nn.Conv2d(4, 4, 3, padding=1, dtype=torch.float64)
    one, other = (build(spec, slot) for _ in range(2))
    for name, value in one.named_parameters():
        setattr(other, name, value)
    x = torch.randn(1, 4, 5, 5, dtype=torch.float64)
    expected = one(x)
    assert_equal(other(x), expected)
    scale, shift = torch.full((4,), 2.0).double(), torch.full((4,), 0.5).double()
    other.scale_outputs(scale, shift)
    assert_equal(one(x), expected)
    assert_equal(other(x), 2 * expected + 0.5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("spec", SHARING)
def test_scaling_keeps_the_dtype(spec: ConvSpec, bias: bool) -> None:
    module = build(spec, nn.Conv2d(4, 4, 3, bias=bias).bfloat16())
    module.scale_outputs(torch.ones(4), torch.ones(4))
    assert {p.dtype for p in module.parameters()} == {torch.bfloat16}
    assert all(p.requires_grad for p in module.parameters())
    assert module.dense_bias() is not None
