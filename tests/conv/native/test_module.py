"""Deployed modules call the kernel with their own tensors, wherever these are."""

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsx.conv import ConvSpec, DsxConv, build
from dsx.conv.deploy.block_sparse import build as deployed
from dsx.conv.native.module import BlockSparseConv2d
from dsx.errors import DsxError
from dsx.process import torch_threads

pytestmark = pytest.mark.usefixtures("compiled")

IMAGE = torch.randn(2, 16, 9, 7)


def designed(scale: float = 1.0) -> DsxConv:
    torch.manual_seed(0)
    conv = build(ConvSpec(kernel_shape="corners"), nn.Conv2d(16, 24, 3, padding=1))
    assert isinstance(conv, DsxConv)
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.mul_(scale)
    return conv


def module(scale: float = 1.0) -> BlockSparseConv2d:
    form = deployed(designed(scale))
    assert isinstance(form, BlockSparseConv2d)
    return form


def occupied() -> list[Tensor]:
    """Overwrite the memory that a tensor has just released, if any."""
    return [torch.full((size,), float("nan")) for size in (24, 200, 500, 1000, 2000, 4000, 8000)]


def replace_data(form: BlockSparseConv2d) -> None:
    for buffer in form.buffers():
        buffer.data = buffer.data.clone()


@pytest.mark.parametrize(
    "change",
    [
        lambda form: form.share_memory(),
        replace_data,
        lambda form: form.to(torch.float64).to(torch.float32),
        lambda form: form.load_state_dict(module().state_dict(), assign=True),
    ],
)
def test_tensors_may_move(change: Callable[[BlockSparseConv2d], object]) -> None:
    form = module()
    expected = form(IMAGE)
    change(form)
    kept = occupied()
    torch.testing.assert_close(form(IMAGE), expected, rtol=0, atol=0)
    assert kept


def test_values_that_are_loaded_are_used() -> None:
    form, other = module(), module(2.0)
    form(IMAGE)
    form.load_state_dict(other.state_dict())
    torch.testing.assert_close(form(IMAGE), other(IMAGE), rtol=0, atol=0)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda form: pickle.loads(pickle.dumps(form))])
def test_copies_are_independent(
    copied: Callable[[BlockSparseConv2d], BlockSparseConv2d],
) -> None:
    form = module()
    expected = form(IMAGE)
    other = copied(form)
    torch.testing.assert_close(other(IMAGE), expected, rtol=0, atol=0)
    with torch.no_grad():
        form.weights.zero_()
    torch.testing.assert_close(other(IMAGE), expected, rtol=0, atol=0)


def test_activations_may_be_set_later() -> None:
    form = module()
    expected = form(IMAGE).relu()
    form.activation = "relu"
    torch.testing.assert_close(form(IMAGE), expected, rtol=0, atol=0)


def test_threads_give_the_same_output_each_time() -> None:
    """The last vector of an image overlaps the one before it, which another thread may store."""
    conv = build(ConvSpec(kernel_shape="het3"), nn.Conv2d(21, 18, 3, padding=1))
    form, image = deployed(conv), torch.randn(5, 21, 5, 6)
    assert form is not None
    with torch.inference_mode(), torch_threads(2):
        outputs = {form(image).numpy().tobytes() for _ in range(500)}
    assert len(outputs) == 1


def test_a_residual_that_requires_a_gradient_is_not_ignored() -> None:
    form, residual = module(), torch.randn(2, 24, 9, 7, requires_grad=True)
    with pytest.warns(UserWarning, match="autograd"):
        form(IMAGE, residual).sum().backward()


@pytest.mark.parametrize("traced", [False, True])
def test_residuals_are_added_as_torch_adds_them(traced: bool) -> None:
    form, conv = module(), designed()
    weight, bias = conv.dense_weight().detach(), conv.dense_bias()
    form.activation = "relu"
    run = torch.compile(form, backend="aot_eager", fullgraph=True, dynamic=False)
    run = run if traced else form
    for shape in ((2, 24, 9, 7), (1, 24, 1, 1), (24, 1, 1), (7,)):
        for x in (IMAGE, IMAGE[:1]):
            residual = torch.randn(shape)
            expected = torch.relu(F.conv2d(x, weight, bias, padding=1).detach() + residual)
            torch.testing.assert_close(run(x, residual), expected)
    with pytest.raises(DsxError, match=r"^the residual is torch.float64 \(allowed: torch.fl"):
        form(IMAGE, torch.randn(24, 1, 1).double())
