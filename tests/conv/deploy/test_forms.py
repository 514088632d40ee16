"""The contract of every deployed form: if it applies, it is the same function.

A new form in dsx/conv/deploy is included automatically.
"""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import fx, nn

from dsx.conv import ConvSpec, DsxConv, build, preset
from dsx.conv.deploy import _choose
from dsx.conv.deploy._base import Form
from dsx.conv.deploy._choose import candidates
from dsx.conv.modules.learned import LearnedConv2d
from dsx.conv.native import kernels
from dsx.errors import Unsupported
from dsx.lookup import find
from tests.conv.close import assert_equal
from tests.conv.rounding import assert_within
from tests.conv.strategies import KINDS, cases, trained

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=25)
def test_every_form_is_the_same_function(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = data.draw(trained(case))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with torch.no_grad():
        expected = module(case.x)
        forms = candidates(module, native=True)
        assert "dense" in forms
        for name, form in forms.items():
            assert_equal(form.eval()(case.x), expected, f"the output of {name} differs")
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=5)
def test_every_form_consists_of_torch_modules(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind, batches=(2,)))
    module = data.draw(trained(case))
    with torch.no_grad():
        expected = module(case.x)
        for form in candidates(module, native=False).values():
            assert not any(isinstance(part, DsxConv) for part in form.modules())
            graph = fx.GraphModule(form, fx.Tracer().trace(form))
            # The timed form equals the deployed one: tracing precomputes nothing.
            assert not any(name.startswith("_tensor") for name, _ in graph.named_buffers())
            for part in graph.modules():
                assert part is graph or type(part).__module__.startswith("torch.nn")
            assert_equal(graph(case.x), expected)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=5)
def test_forms_support_channels_last_images(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind, batches=(2,)))
    module = data.draw(trained(case))
    image = case.x.to(memory_format=torch.channels_last)
    with torch.no_grad():
        expected = module(case.x)
        for form in candidates(module, native=True).values():
            assert_equal(form(image), expected)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=5)
@pytest.mark.parametrize(("dtype", "unit"), [(torch.float32, 2**-24), (torch.bfloat16, 2**-9)])
def test_forms_differ_only_by_rounding_in_lower_precision(
    kind: str, dtype: torch.dtype, unit: float, data: st.DataObject
) -> None:
    case = data.draw(cases(kind))
    case.conv.to(dtype)
    module = data.draw(trained(case))
    positions = case.conv.kernel_size[0] * case.conv.kernel_size[1]
    # A form may round a partial sum at each position and for each channel split.
    sums = positions + case.spec.splits
    if dtype == torch.float32:
        sums = positions * case.conv.in_channels  # or for each product
    with torch.no_grad():
        for form in candidates(module, native=True).values():
            out = form.eval()(case.x.to(dtype))
            assert out.dtype == dtype
            assert_within(out, case, module, unit * sums)


def skip_without_kernels(form: Form) -> None:
    found = kernels()
    if form.native and isinstance(found, Unsupported):
        pytest.skip(found.reason)


SLIDING = {"groups": 2, "channel_stride": 0.5}
INTERLEAVED = {"groups": 2, "channel_stride": 1.0}
FEW_FILTERS = {"binary_basis": 2, "splits": 2}
MANY_FILTERS = {"binary_basis": 64}
LEARNED = {"kernel_shape": "learned", "block_in": 3, "block_out": 4}

APPLIES: list[tuple[str, list[dict[str, Any]], list[dict[str, Any]]]] = [
    (
        "box",
        [{"kernel_shape": shape} for shape in ("point", "row", "column")],
        [{}, {"kernel_shape": "cross"}, {"separable": True}, LEARNED],
    ),
    (
        "grouped",
        [{"groups": 2}, INTERLEAVED, {**INTERLEAVED, "kernel_shape": "cross"},
         {**INTERLEAVED, **FEW_FILTERS}],
        [{}, SLIDING, LEARNED],
    ),
    (
        "split",
        [{"kernel_shape": shape} for shape in ("lines", "corners", "halves", "checker", "het2")]
        + [{"kernel_shape": "corners", **FEW_FILTERS}, {"kernel_shape": "corners", "groups": 2}],
        [{}, {"kernel_shape": "cross"}, {"kernel_shape": "corners", **SLIDING}],
    ),
    (
        "window_gemm",
        [SLIDING, INTERLEAVED, {**SLIDING, "kernel_shape": "cross"}, {**SLIDING, **FEW_FILTERS}],
        [{}, {"groups": 2}, LEARNED],
    ),
    (
        "maps_merge",
        [FEW_FILTERS, {**FEW_FILTERS, "groups": 2}, {**FEW_FILTERS, "kernel_shape": "corners"}],
        [{}, MANY_FILTERS, {"kernel_shape": "corners"}, LEARNED],
    ),
    (
        "rebuilt",
        [FEW_FILTERS, MANY_FILTERS, {**MANY_FILTERS, **SLIDING}],
        [{}, LEARNED, {**FEW_FILTERS, "separable": True}],
    ),
    (
        "block_sparse",
        [{"kernel_shape": "corners"}, {"groups": 2}, SLIDING, FEW_FILTERS, LEARNED,
         {**SLIDING, "separable": True}],
        # A depthwise convolution shares no channel between outputs.
        [{"groups": "all"}],
    ),
    (
        "block_sparse_maps",
        [{**FEW_FILTERS, "groups": 2}, FEW_FILTERS],
        [{}, MANY_FILTERS, LEARNED, {**FEW_FILTERS, "separable": True}],
    ),
    (
        "shifted",
        [{"kernel_shape": shape} for shape in ("cross", "diagonal", "checker", "lines", "corners")]
        + [{"kernel_shape": "cross", "groups": 4}, {"kernel_shape": "saltire", **FEW_FILTERS}],
        # One rectangle for all filters, several supports in one filter, a sliding window.
        [{}, {"kernel_shape": "row"}, {"kernel_shape": "het2"},
         {"kernel_shape": "cross", **SLIDING}],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "dials", "applies"),
    [
        *((name, dials, True) for name, included, _ in APPLIES for dials in included),
        *((name, dials, False) for name, _, excluded in APPLIES for dials in excluded),
    ],
)
def test_forms_apply_as_documented(name: str, dials: dict[str, Any], applies: bool) -> None:
    outputs = 8 if dials.get("groups") == "all" else 12
    module = build(ConvSpec.from_json(dials), nn.Conv2d(8, outputs, 3, padding=1))
    form = find(Form, name)
    skip_without_kernels(form)
    assert (form.build(module) is not None) == applies


@pytest.mark.parametrize(
    ("name", "dials"), [(name, dials) for name, included, _ in APPLIES for dials in included[-1:]]
)
def test_forms_can_be_exported_for_any_batch_size(name: str, dials: dict[str, Any]) -> None:
    skip_without_kernels(find(Form, name))
    conv = nn.Conv2d(8, 12, 3, 2, padding=1, dtype=torch.float64)
    form = find(Form, name).build(build(ConvSpec.from_json(dials), conv))
    assert form is not None
    x = torch.randn(2, 8, 9, 7, dtype=torch.float64)
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(form.eval(), (x,), dynamic_shapes=({0: batch},))
    for other in (x, torch.randn(5, 8, 9, 7, dtype=torch.float64)):
        assert_equal(program.module()(other), form(other))


@pytest.mark.parametrize("rigid", [False, True])
def test_forms_of_learned_shapes_have_the_current_shapes(rigid: bool) -> None:
    slot = nn.Conv2d(8, 12, 3, padding=1, dtype=torch.float64)
    module = build(preset("lhc", rigid=rigid, block_in=8, block_out=4), slot)
    assert isinstance(module, LearnedConv2d)
    x = torch.randn(2, 8, 5, 6, dtype=torch.float64)
    with torch.no_grad():
        # With one input block each filter has one support: five positions, a square, or none.
        nn.init.constant_(module.shape_scores, -1)
        if rigid:
            for block, number in enumerate((3, 9, 0)):  # here a diagonal
                module.shape_scores[number, 0, block] = 1
        else:
            module.shape_scores[1, :, 0, 0] = module.shape_scores[:, 1, 0, 0] = 1
            module.shape_scores[1:, 1:, 0, 1] = 1
        forms = candidates(module, native=True)
        assert {"dense", "split"} <= set(forms)
        for form in forms.values():
            assert_equal(form(x), module(x))
        # Existing forms are unchanged, and new ones have the new shapes.
        expected = module(x)
        module.enable(torch.arange(12) % 2 == 0)
        for name, form in candidates(module, native=True).items():
            assert_equal(form(x), module(x), name)
        for form in forms.values():
            assert_equal(form(x), expected)


@pytest.mark.parametrize("value", [0.5, -0.5])
def test_forms_with_all_or_no_positions_live(value: float) -> None:
    slot = nn.Conv2d(8, 12, 3, 2, padding=1, dtype=torch.float64)
    module = build(preset("lhc", block_in=3, block_out=4), slot)
    assert isinstance(module, LearnedConv2d)
    nn.init.constant_(module.shape_scores, value)
    x = torch.randn(2, 8, 5, 6, dtype=torch.float64)
    with torch.no_grad():
        assert set(candidates(module, native=False)) == {"dense"}
        for form in (*candidates(module, native=True).values(), module.counting_form()):
            assert_equal(form(x), module(x))


NATIVE = Form(build=find(Form, "dense").build, native=True)


def test_native_forms_are_excluded_unless_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{__name__}:NATIVE"
    monkeypatch.setattr(_choose, "names", lambda kind: ["dense", path])
    module = build(ConvSpec(kernel_shape="corners"), nn.Conv2d(8, 8, 3))
    assert set(candidates(module, native=False)) == {"dense"}
    assert set(candidates(module, native=True)) == {"dense", path}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=4)
def test_forms_run_under_autocast(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind, batches=(1, 2)))
    module = data.draw(trained(case)).float().eval()
    x = case.x.float()
    with torch.no_grad():
        expected = module(x)
        # bfloat16 has 8 significant bits: a few roundings of sums that may cancel.
        bound = 0.1 * float(expected.abs().max()) + 0.1
        forms = {**candidates(module, native=True), "counting": module.counting_form()}
        for name, form in forms.items():
            with torch.autocast("cpu", dtype=torch.bfloat16):
                out = form(x)
            assert float((out.float() - expected).abs().max()) <= bound, name


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=5)
def test_finalized_decisions_survive_a_cast(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind, batches=(1,)))
    module = data.draw(trained(case)).eval()
    weight = module.dense_weight().detach()
    for part in module.modules():
        if isinstance(part, DsxConv):
            part.finalize()
    assert_equal(module.dense_weight().detach(), weight)
    low = module.to(torch.bfloat16).dense_weight().detach().double()
    assert torch.equal(low.sign(), weight.sign())
