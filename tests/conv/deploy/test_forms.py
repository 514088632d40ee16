"""The contract of every deployed form: where it applies, it is the same function.

A new file in dsx/conv/deploy is tested here because it exists.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import fx, nn

from dsx.conv import ConvSpec, DsxConv, build
from dsx.conv.deploy import _choose
from dsx.conv.deploy._base import Form
from dsx.conv.deploy._choose import candidates
from dsx.lookup import find
from tests.conv.close import assert_equal
from tests.conv.strategies import KINDS, cases

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=15)
def test_every_form_is_the_same_function(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = build(case.spec, case.conv)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with torch.no_grad():
        expected = module(case.x)
        forms = candidates(module, native=False)
        assert "dense" in forms
        for name, form in forms.items():
            assert_equal(form.eval()(case.x), expected, f"{name} is another function")
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=5)
def test_every_form_is_made_of_torch_parts(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind, batches=(2,)))
    module = build(case.spec, case.conv)
    with torch.no_grad():
        expected = module(case.x)
        for form in candidates(module, native=False).values():
            assert not any(isinstance(part, DsxConv) for part in form.modules())
            graph = fx.GraphModule(form, fx.Tracer().trace(form))
            for part in graph.modules():
                assert part is graph or type(part).__module__.startswith("torch.nn")
            assert_equal(graph(case.x), expected)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=5)
def test_forms_keep_channels_last_images(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind, batches=(2,)))
    module = build(case.spec, case.conv)
    image = case.x.to(memory_format=torch.channels_last)
    with torch.no_grad():
        expected = module(case.x)
        for form in candidates(module, native=False).values():
            assert_equal(form(image), expected)


APPLIES = {
    "box": ("point", "row", "column"),
    "grouped": ("full",),
    "split": ("lines", "corners", "halves", "checker", "het2"),
    "window_gemm": ("full", "cross"),
}


@pytest.mark.parametrize(
    ("name", "shape"), [(name, shape) for name, shapes in APPLIES.items() for shape in shapes]
)
def test_forms_apply_where_they_promise_to(name: str, shape: str) -> None:
    dials = {
        "box": {},
        "grouped": {"groups": 2, "channel_stride": 1.0},
        "split": {},
        "window_gemm": {"groups": 2, "channel_stride": 0.5},
    }[name]
    conv = nn.Conv2d(8, 12, 3, padding=1)
    module = build(ConvSpec.from_json({"kernel_shape": shape, **dials}), conv)
    assert find(Form, name).build(module) is not None
    assert find(Form, name).build(build(ConvSpec(), conv)) is None


NATIVE = Form(build=find(Form, "dense").build, native=True)


def test_native_forms_are_left_out_of_a_portable_file(monkeypatch: pytest.MonkeyPatch) -> None:
    here = f"{__name__}:NATIVE"
    monkeypatch.setattr(_choose, "names", lambda kind: ["dense", here])
    module = build(ConvSpec(kernel_shape="corners"), nn.Conv2d(8, 8, 3))
    assert set(candidates(module, native=False)) == {"dense"}
    assert set(candidates(module, native=True)) == {"dense", here}
