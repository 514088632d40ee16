"""Every convolution module is a drop-in replacement: copies, layouts, dtypes and devices."""

import copy
import io
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dsx.conv import build
from tests.conv.close import assert_equal
from tests.conv.rounding import assert_within
from tests.conv.strategies import KINDS, LEARNED, cases, trained

pytestmark = [
    pytest.mark.parametrize("kind", KINDS),
    # A warning of torch for even kernels, which the original convolution emits, too.
    pytest.mark.filterwarnings("ignore:Using padding='same'"),
]
FEW = settings(max_examples=6)


@given(data=st.data())
@FEW
def test_state_dict_round_trip(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module, other = data.draw(trained(case)), build(case.spec, case.conv)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    with torch.no_grad():
        torch.testing.assert_close(other(case.x), module(case.x), rtol=0, atol=0)
    buffers = {"enabled", "frozen"} if kind in LEARNED else set()
    assert set(module.state_dict()) == {name for name, _ in module.named_parameters()} | buffers
    assert other.cost((3, 3)) == module.cost((3, 3))


@given(data=st.data())
@FEW
def test_copies_are_equal_and_independent(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind, batches=(2,)))
    module = data.draw(trained(case))
    for copied in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        with torch.no_grad():
            before = module(case.x)
            torch.testing.assert_close(copied(case.x), before, rtol=0, atol=0)
            for tensor in copied.state_dict().values():
                tensor.copy_(tensor == 0)  # changes every value
            torch.testing.assert_close(module(case.x), before, rtol=0, atol=0)
        assert copied.spec == module.spec


@given(data=st.data())
@FEW
def test_same_seed_gives_same_weights(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    seed = data.draw(st.integers(0, 2**31))
    states = []
    for _ in range(2):
        torch.manual_seed(seed)
        states.append(build(case.spec, case.conv).state_dict())
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], rtol=0, atol=0)


@given(data=st.data())
@FEW
def test_channels_last_is_the_same_function(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = data.draw(trained(case))
    with torch.no_grad():
        expected = module(case.x)
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        image = case.x.to(memory_format=torch.channels_last)
        assert_equal(module(image), expected)


@given(data=st.data())
@FEW
@pytest.mark.parametrize(("dtype", "unit"), [(torch.float32, 2**-24), (torch.bfloat16, 2**-9)])
def test_lower_precision_only_rounds(
    kind: str, dtype: torch.dtype, unit: float, data: st.DataObject
) -> None:
    case = data.draw(cases(kind))
    case.conv.to(dtype)
    module = data.draw(trained(case))
    with torch.no_grad():
        out = module(case.x.to(dtype))
    assert out.dtype == dtype
    # float32 sums are not accumulated in a wider type: one more rounding for each product.
    terms = case.conv.in_channels * case.conv.kernel_size[0] * case.conv.kernel_size[1]
    assert_within(out, case, module, unit * (terms if dtype == torch.float32 else 1))


@given(data=st.data())
@FEW
def test_autocast_runs_in_bfloat16(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    case.conv.float()
    module = data.draw(trained(case))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = module(case.x.float())
        assert out.dtype == case.conv(case.x.float()).dtype == torch.bfloat16
    assert_within(out, case, module, 2**-9)
    out.float().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in module.parameters())


@given(data=st.data())
@FEW
def test_conversion_to_another_dtype(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = data.draw(trained(case))
    expected = module(case.x)
    torch.testing.assert_close(
        module.float()(case.x.float()).double(), expected, rtol=1e-3, atol=1e-4
    )


@given(data=st.data())
@FEW
def test_all_tensors_move_to_another_device(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    module = data.draw(trained(case))
    shape = module(case.x).shape
    # Every machine has the meta device, but it accepts an index on another device.
    assert module.to("meta")(case.x.to("meta")).shape == shape
    for part in module.modules():
        assert not [name for name, value in vars(part).items() if isinstance(value, Tensor)]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="requires an NVIDIA GPU")
@given(data=st.data())
@FEW
def test_cuda_is_the_same_function(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind, batches=(1, 3)))
    module = data.draw(trained(case))
    with torch.no_grad():
        expected = module(case.x)
        # cuDNN may sum in a different order.
        out = module.cuda()(case.x.cuda())
        assert_equal(out.cpu(), expected)
        on_gpu = build(case.spec, case.conv.cuda())
        assert on_gpu.dense_weight().device.type == "cuda"
        assert on_gpu.counting_form()(case.x.cuda()).device.type == "cuda"
