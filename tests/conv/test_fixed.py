"""Fixed shapes against golden cases: the published sliding window, masks, and loops."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dsx.conv import ConvSpec, build, from_conv2d, preset
from dsx.conv.fixed import FixedConv2d, spread
from tests.conv.close import assert_equal
from tests.conv.golden import golden, golden_names

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
    turned = torch.zeros(cout, cin, dtype=torch.float64).scatter(1, channels, case["weight"])
    module = build(spec, slot)
    module.load_state_dict({"weight": turned[:, :, None, None]})
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


def test_dead_weights_of_a_loaded_state_have_no_say() -> None:
    module = build(ConvSpec(kernel_shape="cross"), nn.Conv2d(4, 4, 3, bias=False))
    x = torch.randn(1, 4, 5, 5)
    expected = module(x)
    state = module.state_dict()
    state["weight"] = state["weight"] + 7.0 * (state["weight"] == 0)
    module.load_state_dict(state)
    torch.testing.assert_close(module(x), expected)


def test_weights_shared_by_two_convolutions_are_scaled_in_one() -> None:
    slot = nn.Conv2d(4, 4, 3, padding=1, dtype=torch.float64)
    one, other = (build(ConvSpec(kernel_shape="cross"), slot) for _ in range(2))
    other.weight = one.weight
    x = torch.randn(1, 4, 5, 5, dtype=torch.float64)
    expected = one(x)
    other.scale_outputs(torch.full((4,), 2.0).double(), torch.zeros(4).double())
    assert_equal(one(x), expected)


def test_scaling_keeps_the_dtype() -> None:
    module = build(ConvSpec(kernel_shape="cross"), nn.Conv2d(4, 4, 3).bfloat16())
    module.scale_outputs(torch.ones(4), torch.ones(4))
    assert {p.dtype for p in module.parameters()} == {torch.bfloat16}
    assert all(p.requires_grad for p in module.parameters())


def test_spread_puts_each_column_in_its_channel() -> None:
    weight = torch.arange(1.0, 5).reshape(2, 2, 1, 1)
    dense = spread(weight, torch.tensor([[2, 0], [1, 2]]), 3)
    assert np.array_equal(dense[:, :, 0, 0], [[2, 0, 1], [0, 3, 4]])
