"""Fixed kernel shapes against golden cases of sliding windows and masks, and against loops."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dsx.conv import ConvSpec, build, from_conv2d, preset
from dsx.conv.modules.fixed import FixedConv2d
from tests.conv import naive
from tests.conv.close import assert_equal
from tests.conv.golden import golden, golden_names
from tests.conv.strategies import SHAPES, cases

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")
SCC = [name for name in golden_names("scc_*") if not name.startswith("scc_f")]


def sliding(case: dict[str, Tensor]) -> FixedConv2d:
    """Build the sliding-channel convolution of a golden case, with its weight."""
    overlap = float(case["overlap"])
    spec = preset("scc", groups=int(case["groups"]), overlap=overlap, separable=False)
    cout, width = case["weight"].shape
    slot = nn.Conv2d(case["x"].shape[1], cout, 1, bias=False, dtype=torch.float64)
    module = build(spec, slot)
    module.load_state_dict({"weight": case["weight"].reshape(cout, width, 1, 1)})
    assert isinstance(module, FixedConv2d)
    return module


@pytest.fixture(params=SCC)
def case(request: pytest.FixtureRequest) -> dict[str, Tensor]:
    return golden(request.param)


def test_scc_starts_rpw(case: dict[str, Tensor]) -> None:
    assert torch.equal(sliding(case).layout.channels[:, 0], case["starts_rpw"])


def test_scc_y_rpw(case: dict[str, Tensor]) -> None:
    assert_equal(sliding(case)(case["x"]), case["y_rpw"])


def test_scc_dx_rpw(case: dict[str, Tensor]) -> None:
    x = case["x"].requires_grad_()
    sliding(case)(x).backward(case["dy"])
    assert x.grad is not None
    assert_equal(x.grad, case["dx_rpw"])


def test_scc_dw_rpw(case: dict[str, Tensor]) -> None:
    module = sliding(case)
    module(case["x"]).backward(case["dy"])
    assert module.weight.grad is not None
    assert_equal(module.weight.grad[:, :, 0, 0], case["dw_rpw"])


def test_scc_without_overlap_is_a_grouped_convolution_shuffled() -> None:
    case = golden("scc_g_c8g4o0_grouped")
    channels = sliding(case).layout.channels
    assert torch.equal(channels[:, 0] // channels.shape[1], case["group_of_row"])
    grouped = nn.Conv2d(8, 16, 1, groups=4, bias=False, dtype=torch.float64)
    grouped.weight.data = case["weight"][case["gpw_perm"]][:, :, None, None]
    out = grouped(case["x"])
    assert_equal(out, case["y_rpw"][:, case["gpw_perm"]])


def test_scc_f_with_one_group_is_a_pointwise_convolution() -> None:
    case = golden("scc_f_c12g1o50")
    cout, cin = case["weight"].shape
    slot = nn.Conv2d(cin, cout, 1, bias=False, dtype=torch.float64)
    spec = preset("scc", groups=1, overlap=0.5, separable=False)
    assert spec.at(slot).keeps
    # Weight column j of row o belongs to channel (start[o] + j) mod Cin.
    channels = (case["starts_rpw"][:, None] + torch.arange(cin)) % cin
    rotated = torch.zeros(cout, cin, dtype=torch.float64).scatter(1, channels, case["weight"])
    module = build(spec, slot)
    module.load_state_dict({"weight": rotated[:, :, None, None]})
    assert_equal(module(case["x"]), case["y_rpw"])


MASKS = {
    "dw": ConvSpec(groups="all"),
    "gw4": ConvSpec(groups=4),
    "pw": ConvSpec(kernel_shape="point"),
    "gpw2": ConvSpec(kernel_shape="point", groups=2),
    "scc_g2_o50": ConvSpec(kernel_shape="point", groups=2, channel_stride=0.5),
    "scc_g4_o0": ConvSpec(kernel_shape="point", groups=4, channel_stride=1.0),
    "hetconv_p4": ConvSpec(kernel_shape="het4"),
}


@pytest.mark.parametrize("name", MASKS)
def test_mask_equiv(name: str) -> None:
    case = golden("mask_equiv")
    mask = case[f"mask_{name}"]
    slot = nn.Conv2d(8, 8, 3, padding=1, bias=False, dtype=torch.float64)
    slot.weight.data = case["weight"]
    module = from_conv2d(slot, MASKS[name])
    assert isinstance(module, FixedConv2d)
    assert_equal(module.dense_weight(), case["weight"] * mask)
    assert_equal(module(case["x"]), case[f"y_{name}"])
    assert module.cost((1, 1)).params == int(mask.sum())


def test_mask_equiv_names_every_case() -> None:
    assert {f"mask_{name}" for name in MASKS} == {n for n in golden("mask_equiv") if "mask" in n}


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        (ConvSpec(kernel_shape="row"), (12, 8, 1, 5)),
        (ConvSpec(kernel_shape="column", groups=4), (12, 2, 5, 1)),
        (ConvSpec(kernel_shape="point", groups=2, channel_stride=0.5), (12, 4, 1, 1)),
        (ConvSpec(kernel_shape="corners", groups="all", channel_stride=1.0), (12, 1, 5, 5)),
        (ConvSpec(kernel_shape="het3"), (12, 8, 5, 5)),
    ],
)
def test_weight_shape(spec: ConvSpec, shape: tuple[int, ...]) -> None:
    module = build(spec, nn.Conv2d(8, 12, 5))
    assert isinstance(module, FixedConv2d)
    assert module.weight.shape == shape


def test_dead_weights_of_a_loaded_state_have_no_effect() -> None:
    module = build(ConvSpec(kernel_shape="cross"), nn.Conv2d(4, 4, 3, bias=False))
    x = torch.randn(1, 4, 5, 5)
    expected = module(x)
    state = module.state_dict()
    state["weight"] = state["weight"] + 7.0 * (state["weight"] == 0)
    module.load_state_dict(state)
    torch.testing.assert_close(module(x), expected)


@pytest.mark.parametrize("kind", SHAPES)
@given(data=st.data())
@settings(max_examples=10)
def test_the_weight_covers_the_box_in_the_order_of_the_window(
    kind: str, data: st.DataObject
) -> None:
    case = data.draw(cases(kind))
    module = build(case.spec, case.conv)
    assert isinstance(module, FixedConv2d)
    rows, columns = naive.box(module.spec, module.kernel_size)
    dense = module.dense_weight()
    for output in range(case.conv.out_channels):
        window = naive.window(case.spec, case.conv.in_channels, case.conv.out_channels, output)
        box = dense[output, window][:, rows, columns]
        torch.testing.assert_close(module.weight[output], box, rtol=0, atol=0)


@pytest.mark.parametrize("kind", SHAPES)
@given(data=st.data())
@settings(max_examples=6)
def test_gradients_reach_the_live_weights(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind, channels=(1, 2, 3, 4)))
    module = build(case.spec, case.conv)
    assert isinstance(module, FixedConv2d)
    module.dense_weight().sum().backward()  # type: ignore[no-untyped-call]
    assert module.weight.grad is not None
    assert torch.equal(module.weight.grad != 0, module.weight != 0)


# The published gradients are float32: sums of up to a few hundred products of size 1 to 10.
CUDA_ROUNDING, CUDA_WRONG = 1e-4, 1.0
CUDA_RIGHT = ["scc_a_c8g2o50_wrap", "scc_b_c16g4o25_cout24", "scc_g_c8g4o0_grouped"]
CUDA_33, CUDA_75 = "scc_c_c12g2o33_nondiv", ["scc_e_c48g8o75", "scc_i_c16g2o75"]


def gradients(case: dict[str, Tensor]) -> dict[str, Tensor]:
    """Compute the gradients of dsx."""
    module, x = sliding(case), case["x"].requires_grad_()
    module(x).backward(case["dy"])
    assert x.grad is not None and module.weight.grad is not None
    return {"dx": x.grad, "dw": module.weight.grad[:, :, 0, 0]}


def by_starts(x: Tensor, weight: Tensor, starts: Tensor) -> Tensor:
    """Compute a sliding window by loops over outputs and channels."""
    out = torch.zeros(len(x), len(weight), *x.shape[2:], dtype=x.dtype)
    for output, start in enumerate(starts.tolist()):
        for column in range(weight.shape[1]):
            out[:, output] += weight[output, column] * x[:, (start + column) % x.shape[1]]
    return out


@pytest.mark.parametrize("name", [CUDA_33, *CUDA_75])
def test_scc_cuda_backward_is_wrong_for_overlaps_33_and_75_but_that_of_dsx_is_correct(
    name: str,
) -> None:
    case = golden(name)
    computed, starts = gradients(case), case["starts_rpw"]
    for gradient in ("dx", "dw"):
        off = (case[f"cuda_{gradient}"].double() - computed[gradient]).abs().max()
        assert float(off) > CUDA_WRONG
    # The operator is linear in each argument, so its derivative in a direction is its value there.
    for _ in range(5):
        along_x, along_w = torch.randn_like(case["x"]), torch.randn_like(case["weight"])
        slope = (case["dy"] * by_starts(along_x, case["weight"], starts)).sum()
        torch.testing.assert_close((computed["dx"] * along_x).sum(), slope, rtol=0, atol=1e-9)
        slope = (case["dy"] * by_starts(case["x"].detach(), along_w, starts)).sum()
        torch.testing.assert_close((computed["dw"] * along_w).sum(), slope, rtol=0, atol=1e-9)


@pytest.mark.parametrize("gradient", ["dx", "dw"])
@pytest.mark.parametrize("name", [*CUDA_RIGHT, CUDA_33, *CUDA_75])
def test_scc_cuda_backward_against_the_published_forward(name: str, gradient: str) -> None:
    case = golden(name)
    off = float((case[f"cuda_{gradient}"].double() - case[f"{gradient}_kernel"]).abs().max())
    # At 0.33 it matches the published forward pass, whose windows differ from those of the paper.
    assert off > CUDA_WRONG if name in CUDA_75 else off < CUDA_ROUNDING
