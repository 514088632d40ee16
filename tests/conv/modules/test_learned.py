"""Learned shapes against golden cases of the published layers, and against loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from dsx.conv import build, dense_weight, from_conv2d, preset, regulariser
from dsx.conv.modules.learned import LearnedConv2d
from tests.conv import naive
from tests.conv.close import assert_equal
from tests.conv.golden import golden_names
from tests.conv.learned_cases import LearnedCase, learned_case, nchw, oihw
from tests.conv.strategies import LEARNED, cases, dense_gradient, live, trained

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")
KINDS = pytest.mark.parametrize("kind", LEARNED)


@pytest.fixture(params=golden_names("lhc_[fr]_*"))
def case(request: pytest.FixtureRequest) -> LearnedCase:
    return learned_case(request.param)


def gradient(parameter: Tensor | None) -> Tensor:
    assert parameter is not None and parameter.grad is not None
    return parameter.grad


def test_lhc_y(case: LearnedCase) -> None:
    assert_equal(case.y, nchw(case.fields["y"]))


def test_lhc_dx(case: LearnedCase) -> None:
    assert_equal(gradient(case.x), nchw(case.fields["dx"]))


def test_lhc_dkernel(case: LearnedCase) -> None:
    assert_equal(gradient(case.module.weight), oihw(case.fields["dkernel"]))


def test_lhc_dbias(case: LearnedCase) -> None:
    assert_equal(gradient(case.module.bias), case.fields["dbias"])


def test_lhc_deffects(case: LearnedCase) -> None:
    assert_equal(gradient(case.module.shape_scores), case.fields["deffects"])


def mask(module: LearnedConv2d) -> Tensor:
    return module.layout.live.double()


def test_lhc_mask_used(case: LearnedCase) -> None:
    assert torch.equal(mask(case.module), oihw(case.fields["mask_used"]))


def test_lhc_mask_effects(case: LearnedCase) -> None:
    case.module.enable(torch.ones(case.module.out_channels).bool())
    assert torch.equal(mask(case.module), oihw(case.fields["mask_effects"]))


def test_lhc_nw_and_nc(case: LearnedCase) -> None:
    case.module.enable(torch.ones(case.module.out_channels).bool())
    fields, pixels = case.fields, case.y.shape[2] * case.y.shape[3]
    assert case.module.total == int(fields["nw_ttl"])
    assert_equal(case.module.live(), fields["nw_vld"])
    assert case.module.cost((case.y.shape[2], case.y.shape[3])).flops == int(fields["nc_vld"])
    assert case.module.total * pixels == int(fields["nc_ttl"])


@KINDS
@given(data=st.data())
@settings(max_examples=15)
def test_the_shapes_determine_the_live_weights(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = data.draw(trained(case))
    assert isinstance(module, LearnedConv2d)
    expected, alive = torch.zeros_like(module.weight), live(case, module)
    for place in alive:
        expected[place] = module.weight.detach()[place]
    assert torch.equal(module.dense_weight(), expected)
    assert module.live().item() == len(alive)
    assert module.total == module.weight.numel()
    # Each support is in use.
    layout = module.layout
    assert set(layout.which.flatten().tolist()) == set(range(len(layout.supports)))


@KINDS
@given(data=st.data())
@settings(max_examples=25)
def test_surrogate_gradients_by_loops(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind, batches=(1, 2), channels=(1, 2, 3, 4, 6)))
    module = data.draw(trained(case))
    assert isinstance(module, LearnedConv2d)
    out = module(case.x)
    dy = torch.randn_like(out)
    out.backward(dy)
    slopes, alive = dense_gradient(case, module, dy).numpy(), live(case, module)
    weight, scores = module.weight.detach().numpy(), module.shape_scores.detach().numpy()
    d_weight, d_scores = np.zeros_like(weight), np.zeros_like(scores)
    for place in np.ndindex(weight.shape):
        output, channel, row, column = place
        if place in alive:
            d_weight[place] = slopes[place]
        if not module.enabled[output] or module.frozen:
            continue
        block = (channel // case.spec.block_in, output // case.spec.block_out)
        slope = weight[place] * slopes[place]
        if not case.spec.rigid:
            near = abs(scores[row, column, *block]) < 1
            d_scores[row, column, *block] += slope * (1 if near else 0.1)
            continue
        block_scores = scores[:, *block]
        for number, shape in enumerate(naive.RIGID):
            near = abs(block_scores[number] - block_scores.mean()) < 1
            d_scores[number, *block] += shape[row, column] * slope * (1 if near else 0.1)
    assert_equal(gradient(module.weight), torch.from_numpy(d_weight))
    assert_equal(gradient(module.shape_scores), torch.from_numpy(d_scores))


@KINDS
def test_the_shapes_of_a_new_module_are_enabled(kind: str) -> None:
    module = build(preset("lhc", rigid=kind == "rigid"), nn.Conv2d(40, 20, 3))
    assert isinstance(module, LearnedConv2d)
    assert bool(module.enabled.all()) and not bool(module.frozen)
    assert 0 < module.layout.live_count < module.total
    # 32 input and 16 output channels share a shape; the last block of each is smaller.
    assert module.shape_scores.shape == ((15,) if kind == "rigid" else (3, 3)) + (2, 2)
    assert [sizes.tolist() for sizes in module.block_sizes] == [[32, 8], [16, 4]]


@KINDS
@given(data=st.data())
@settings(max_examples=10)
def test_freezing_ends_learning_and_zeroes_dead_positions(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind, batches=(2,)))
    module = data.draw(trained(case))
    assert isinstance(module, LearnedConv2d)
    out, alive = module(case.x), live(case, module)
    module.freeze()
    assert bool(module.frozen)
    assert_equal(module(case.x), out)
    assert live(case, module) == alive
    dead = torch.ones_like(module.weight).bool()
    for place in alive:
        dead[place] = False
    assert not module.weight[dead].any()
    module(case.x).sum().backward()
    regulariser({module: 1}).backward()  # type: ignore[no-untyped-call]
    assert not gradient(module.shape_scores).any()
    assert not gradient(module.weight)[dead].any()


def test_outputs_that_are_not_enabled_run_dense() -> None:
    slot = nn.Conv2d(4, 6, 3, dtype=torch.float64)
    module = build(preset("lhc", density=0.1), slot)
    assert isinstance(module, LearnedConv2d)
    nn.init.constant_(module.shape_scores, -1)
    module.enable(torch.tensor([True, False, True, True, False, True]))
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64)
    dense = F.conv2d(x, module.weight, module.bias)
    out = module(x)
    assert_equal(out[:, [1, 4]], dense[:, [1, 4]])
    assert module.bias is not None
    for output in (0, 2, 3, 5):
        assert bool((out[:, output] == module.bias[output]).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@KINDS
def test_live_weights_are_counted_exactly_in_any_precision(kind: str, dtype: torch.dtype) -> None:
    spec = preset("lhc", rigid=kind == "rigid", block_in=3, block_out=3)
    module = build(spec, nn.Conv2d(100, 101, 3).to(dtype))
    assert isinstance(module, LearnedConv2d)
    module.enable(torch.arange(101) % 5 != 0)
    # bfloat16 cannot distinguish 30,001 from 30,002.
    assert module.live().item() == module.layout.live_count
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert module.live().item() == module.layout.live_count


@KINDS
@given(data=st.data())
@settings(max_examples=20)
def test_projection_selects_the_shapes_with_the_most_energy(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = from_conv2d(case.conv, case.spec)
    assert isinstance(module, LearnedConv2d)
    weight = dense_weight(case.conv)
    assert torch.equal(module.weight, weight)
    assert bool(module.enabled.all()) and not bool(module.frozen)
    density = case.spec.density or 0.25
    inputs, outputs = module.block_sizes
    block = int(inputs.max() * outputs.max())
    off = abs(module.layout.live_count - density * module.total)
    if kind == "rigid":
        # The weight of a grouped convolution has many blocks of zeros.
        assert case.conv.groups > 1 or off <= 9 * block
        return
    assert off <= block
    # The mean energy of a dead position never exceeds that of a live one.
    alive, energies = mask(module), torch.zeros_like(module.shape_scores.detach())
    counts, living = torch.zeros_like(energies), torch.zeros_like(energies)
    for output, channel, row, column in np.ndindex(weight.shape):
        place = (row, column, channel // module.spec.block_in, output // module.spec.block_out)
        energies[place] += weight[output, channel, row, column].square()
        living[place] += alive[output, channel, row, column]
        counts[place] += 1
    means = energies / counts
    assert torch.equal(living > 0, living == counts)
    if bool((living == 0).any()):
        assert float(means[living > 0].min()) >= float(means[living == 0].max()) - 1e-12


@KINDS
def test_a_layer_with_one_block_has_live_weights(kind: str) -> None:
    for _ in range(20):
        slot = nn.Conv2d(3, 16, 3)
        for density in (0.05, 0.25):
            module = from_conv2d(slot, preset("lhc", density=density, rigid=kind == "rigid"))
            assert isinstance(module, LearnedConv2d)
            assert module.layout.live_count > 0
