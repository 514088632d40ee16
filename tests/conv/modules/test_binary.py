"""Binary bases against golden cases, and against loops over the definition."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dsx.conv import ConvSpec, build, from_conv2d, original_spec, preset, spec_cost
from dsx.conv.modules.basis_maps import BasisMaps
from dsx.conv.modules.binary import BinaryConv2d
from dsx.conv.sparsity.geometry import Geometry
from tests.conv import naive
from tests.conv.close import assert_equal
from tests.conv.golden import FOLDER, golden, golden_names
from tests.conv.strategies import Case, cases, dense_gradient, trained

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")
KINDS = ["binary", "binary cyclic"]


@dataclass(frozen=True)
class Golden:
    """A golden case with its convolution, input and output."""

    fields: dict[str, Tensor]
    module: BinaryConv2d
    x: Tensor
    y: Tensor


@pytest.fixture(params=golden_names("slbf_*"))
def case(request: pytest.FixtureRequest) -> Golden:
    fields = golden(request.param)
    cout, cin, kernel, _ = fields["W_rec"].shape
    slot = nn.Conv2d(
        cin, cout, kernel, int(fields["stride"]), int(fields["padding"]), bias=False,
        dtype=torch.float64,
    )  # fmt: skip
    module = build(preset("slbf", k=int(fields["k"]), splits=int(fields["s"])), slot)
    assert isinstance(module, BinaryConv2d)
    module.load_state_dict({"basis_proxy": fields["B_proxy"], "select_proxy": fields["P_proxy"]})
    x = fields["x"].requires_grad_()
    y = module(x)
    y.backward(fields["dy"])
    return Golden(fields, module, x, y)


def test_slbf_basis_and_selection(case: Golden) -> None:
    assert torch.equal(case.module.basis, case.fields["B_bits"])
    assert torch.equal(case.module.chosen, case.fields["idx"])


def test_slbf_w_rec(case: Golden) -> None:
    assert torch.equal(case.module.dense_weight(), case.fields["W_rec"])


def test_slbf_y(case: Golden) -> None:
    assert_equal(case.y, case.fields["y"])


def test_slbf_dx(case: Golden) -> None:
    assert case.x.grad is not None
    assert_equal(case.x.grad, case.fields["dx"])


def test_slbf_db_ste_clip(case: Golden) -> None:
    assert case.module.basis_proxy.grad is not None
    assert_equal(case.module.basis_proxy.grad, case.fields["dB_ste_clip"])


def test_slbf_dp_ste(case: Golden) -> None:
    assert case.module.select_proxy.grad is not None
    assert_equal(case.module.select_proxy.grad, case.fields["dP_ste"])


def test_slbf_z_maps(case: Golden) -> None:
    # The maps, merged by the selection, equal the output.
    merged = sum(
        case.fields["z"][:, split][:, chosen]
        for split, chosen in enumerate(case.module.chosen.unbind(1))
    )
    assert isinstance(merged, Tensor)
    assert_equal(case.module.counting_form()(case.x), merged)


SLBF = json.loads((FOLDER / "slbf_cases.json").read_text())


@pytest.mark.parametrize("name", SLBF["cases"])
def test_slbf_cases(name: str) -> None:
    facts = SLBF["cases"][name]
    slot = nn.Conv2d(
        facts["x"][1], facts["n"], facts["d"], facts["stride"], facts["padding"], bias=False
    )
    module = build(preset("slbf", k=facts["k"], splits=facts["s"]), slot)
    cost = module.cost(tuple(facts["y"][2:]))
    assert cost.bits == facts["bits_ceil"]
    maps = facts["macs_transform"] + facts["adds_merge"]
    assert cost.flops == min(facts["macs_dense"], maps)
    assert module(torch.zeros(facts["x"])).shape == tuple(facts["y"])


VGG16_CONV2_TO_13 = [(64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256),
                     (256, 512), *5 * [(512, 512)]]  # fmt: skip


@pytest.mark.parametrize("facts", SLBF["vgg16_conv2to13_memory"], ids=str)
def test_slbf_vgg16_memory(facts: dict[str, float]) -> None:
    bits = fp32 = 0
    for cin, cout in VGG16_CONV2_TO_13:
        slot = nn.Conv2d(cin, cout, 3, padding=1, bias=False, device="meta")
        spec = preset("slbf", k=int(facts["k_over_n"] * cout), splits=int(facts["s"]))
        bits += spec_cost(spec.at(slot), Geometry.of(slot), False, (1, 1)).bits
        fp32 += spec_cost(original_spec(slot), Geometry.of(slot), False, (1, 1)).bits
    assert (bits, fp32) == (facts["bits"], facts["fp32_bits"])


def filters(case: Case, module: BinaryConv2d) -> np.ndarray:
    """Assemble the kernels by loops over outputs and splits, (Cout, Cin, K, K), without scale."""
    basis, select = module.basis_proxy.detach().numpy(), module.select_proxy.detach().numpy()
    rows, columns = naive.box(module.spec, module.kernel_size)
    weight = np.zeros(module.dense_weight().shape)
    alive = naive.live(case.spec, case.conv)
    for output in range(module.out_channels):
        for j, split in enumerate(naive.channel_splits(case.spec, case.conv, output)):
            chosen = basis[naive.first_largest(select[output, j].tolist())]
            for column, channel in enumerate(split):
                signs = np.where(chosen[column] >= 0, 1.0, -1.0)
                weight[output, channel, rows, columns] = signs
    for triple in np.ndindex(weight.shape):
        if triple not in alive:
            weight[triple] = 0
    return weight


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=25)
def test_the_dense_weight_is_assembled_from_the_basis(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = data.draw(trained(case))
    assert isinstance(module, BinaryConv2d)
    expected = torch.from_numpy(filters(case, module))
    if module.scale is not None:
        expected = expected * module.scale[:, None, None, None]
    assert torch.equal(module.dense_weight(), expected)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=25)
def test_straight_through_gradients_by_loops(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind, batches=(1, 2), channels=(1, 2, 3, 4, 6)))
    module = data.draw(trained(case))
    assert isinstance(module, BinaryConv2d)
    out = module(case.x)
    dy = torch.randn_like(out)
    out.backward(dy)
    scale = np.ones(len(dy[0])) if module.scale is None else module.scale.detach().numpy()
    gradient = dense_gradient(case, module, dy).numpy()
    basis, select = module.basis_proxy.detach().numpy(), module.select_proxy.detach().numpy()
    rows, columns = naive.box(module.spec, module.kernel_size)
    d_basis, d_select, d_scale = np.zeros_like(basis), np.zeros_like(select), 0 * scale
    for output, channel, row, column in naive.live(case.spec, case.conv):
        slope = gradient[output, channel, row, column]
        row, column = row - rows.start, column - columns.start
        for j, split in enumerate(naive.channel_splits(case.spec, case.conv, output)):
            if channel not in split:
                continue
            entry = (split.index(channel), row, column)
            chosen = naive.first_largest(select[output, j].tolist())
            signs = np.where(basis[(slice(None), *entry)] >= 0, 1.0, -1.0)
            d_scale[output] += signs[chosen] * slope
            d_select[output, j] += scale[output] * signs * slope
            if abs(basis[(chosen, *entry)]) <= 1:
                d_basis[(chosen, *entry)] += scale[output] * slope
    for proxy, expected in ((module.basis_proxy, d_basis), (module.select_proxy, d_select)):
        assert proxy.grad is not None
        assert_equal(proxy.grad, torch.from_numpy(expected))
    if module.scale is not None:
        assert module.scale.grad is not None
        assert_equal(module.scale.grad, torch.from_numpy(d_scale))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=10)
def test_shapes_of_the_parameters(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = build(case.spec, case.conv)
    assert isinstance(module, BinaryConv2d)
    rows, columns = naive.box(module.spec, module.kernel_size)
    depth = len(naive.channel_splits(case.spec, case.conv, 0)[0])
    k, cout = case.spec.binary_basis, case.conv.out_channels
    height, width = rows.stop - rows.start, columns.stop - columns.start
    assert module.basis_proxy.shape == (k, depth, height, width)
    assert module.select_proxy.shape == (cout, case.spec.splits, k)
    assert (module.scale is None) == (not case.spec.scale)
    assert module.scale is None or module.scale.shape == (cout,)


def test_the_counting_form_is_the_cheaper_method() -> None:
    slot = nn.Conv2d(8, 12, 3)
    assert isinstance(build(preset("slbf", k=4), slot).counting_form(), BasisMaps)
    assert not isinstance(build(preset("slbf", k=64), slot).counting_form(), BasisMaps)


def error(weight: Tensor, module: nn.Module) -> float:
    """Compute the squared distance of the weight of a module from a trained weight."""
    assert isinstance(module, BinaryConv2d)
    return float((module.dense_weight().detach() - weight).square().sum())


@pytest.mark.parametrize("scale", [True, False])
def test_a_trained_weight_is_approximated_better_with_more_filters(scale: bool) -> None:
    slot = nn.Conv2d(8, 16, 3, bias=False, dtype=torch.float64)
    nn.init.normal_(slot.weight)
    weight = slot.weight.detach()
    errors = [
        error(weight, from_conv2d(slot, preset("slbf", k=k, splits=2, scale=scale)))
        for k in (1, 4, 16, 32)
    ]
    assert errors == sorted(errors, reverse=True)
    # With a filter for each of the 32 splits, all signs are correct.
    best = weight.abs().mean((1, 2, 3), keepdim=True) if scale else torch.tensor(1.0)
    assert errors[-1] == pytest.approx(float((weight.abs() - best).square().sum()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("splits", [1, 2, 8])
def test_an_exact_binary_weight_is_preserved(splits: int, dtype: torch.dtype) -> None:
    slot = nn.Conv2d(8, 16, 3, bias=False).to(dtype)
    spec = preset("slbf", k=5, splits=splits, scale=False)
    slot.weight.data = build(spec, slot).dense_weight().detach()
    assert error(slot.weight.detach(), from_conv2d(slot, spec)) == 0


def test_projection_onto_windows_uses_the_weights_that_they_contain() -> None:
    slot = nn.Conv2d(8, 12, 3, bias=False, dtype=torch.float64)
    spec = ConvSpec(kernel_shape="corners", groups=2, channel_stride=0.5, binary_basis=200)
    module = from_conv2d(slot, spec)
    assert isinstance(module, BinaryConv2d)
    # There are enough filters for each output to have its own, with the signs of its weights.
    weight = slot.weight.detach()
    dense = module.dense_weight().detach()
    live = naive.live(spec, slot)
    for output in range(12):
        triples = [triple for triple in live if triple[0] == output]
        size = sum(abs(float(weight[triple])) for triple in triples) / len(triples)
        for triple in triples:
            assert float(dense[triple]) == pytest.approx(size * np.sign(float(weight[triple])))
    assert int((dense != 0).sum()) == len(live)
