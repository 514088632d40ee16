"""Errors of the compiled kernels for input that they do not support, each in one line."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from dsx.conv.native import kernel
from dsx.conv.native.kernel import MAX_ELEMENTS
from dsx.conv.native.plan import make_plan
from dsx.errors import DsxError, Unsupported
from tests.conv.native.cases import (
    Case,
    corners,
    geometry,
    gradient_of,
    make_case,
    nothing,
    of_weight,
    plain_case,
    run,
)

pytestmark = pytest.mark.usefixtures("compiled")


def huge(*shape: int) -> Tensor:
    """A tensor of many elements in the memory of one."""
    return torch.zeros(1, dtype=torch.float64).expand(shape)


def test_huge_images_are_refused_and_not_copied() -> None:
    case, count = plain_case(corners(1, 6)), 5_000_000
    x = huge(count, 6, 8, 9)
    said = rf"^a tensor of shape \({count}, 6, 8, 9\) has {count * 6 * 72} elements \(the compiled"
    with pytest.raises(DsxError, match=said + r".* fewer than 2147483648\); use a smaller batch$"):
        kernel.conv2d(case.layer(), x, None, case.geometry)
    with pytest.raises(DsxError, match=said):
        of_weight(replace(case, x=x), huge(count, 1, 8, 9))
    with pytest.raises(DsxError, match=said):
        of_weight(case, x)


def test_huge_outputs_are_refused_and_not_allocated() -> None:
    live = np.ones((1024, 1, 1, 1), bool)
    x = torch.zeros(2, 1, 1024, 1024)
    case = Case(live=live, geometry=geometry(live), x=x, weight=torch.ones(live.shape))
    assert len(x) * 1024**3 == MAX_ELEMENTS
    with pytest.raises(DsxError, match=r"^a tensor of shape \(2, 1024, 1024, 1024\) has 21474836"):
        run(case)


def test_plans_of_another_format_are_refused() -> None:
    case = plain_case()
    layer = case.layer()
    layer.plan[0] += 1
    said = r"^a plan was made by another version of dsx \(deploy the network again\)$"
    with pytest.raises(DsxError, match=said):
        kernel.conv2d(layer, case.x, None, case.geometry)
    plan = replace(make_plan(case.live, case.geometry), table=layer.plan)
    with pytest.raises(DsxError, match=said):
        kernel.weight_gradient(plan, case.x, gradient_of(case), case.live.size)


@pytest.mark.parametrize("shape", [(2, 5, 9, 9), (2, 12, 9, 9), (6, 9, 9)])
def test_inputs_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    case = replace(plain_case(), x=torch.zeros(shape, dtype=torch.float64), residual=None)
    given = re.escape(str(shape))
    with pytest.raises(DsxError, match=rf"^input of shape {given} \(allowed: \(B, 6, H, W\)\)$"):
        run(case)


def test_images_smaller_than_the_kernel_are_refused() -> None:
    live = nothing(4, 6)
    case = replace(plain_case(live), geometry=geometry(live))
    case = replace(case, x=torch.zeros(1, 6, 2, 8, dtype=torch.float64), residual=None)
    with pytest.raises(DsxError, match=r"^images of 2 x 8 are smaller than the kernel"):
        run(case)


def test_geometries_that_are_not_supported_are_refused() -> None:
    large = np.ones((4, 2, 12, 12), bool)
    far = np.ones((4, 2, 1, 1), bool)
    for live, stride in ((large, (1, 1)), (far, (9, 9))):
        g = geometry(live, stride)
        case = make_case(live, (3, 20, 30), g, torch.float32)
        said = r"^the compiled kernels do not support this geometry \(input 3 x 2 x 20 x 30\)$"
        with pytest.raises(DsxError, match=said):
            run(case)
    strided = make_case(far, (3, 20, 30), geometry(far, (2, 2)), torch.float32)
    with pytest.raises(DsxError, match=said):
        of_weight(strided, gradient_of(strided))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int64])
def test_other_number_formats_are_refused_with_the_reason(dtype: torch.dtype) -> None:
    name = str(dtype).removeprefix("torch.")
    said = f"the compiled kernels compute in float32 and float64 only, not in {name}"
    assert kernel.missing(dtype, torch.device("cpu")) == Unsupported(said)
    with pytest.raises(DsxError, match=f"^{said}$"):
        kernel.pack(torch.zeros(4, dtype=dtype), torch.zeros(4, dtype=torch.int32))
    case = plain_case()
    with pytest.raises(DsxError, match=rf"^the input is {dtype} on cpu \(allowed: torch.float64"):
        run(replace(case, x=case.x.to(dtype)))


def test_other_devices_are_refused_with_the_reason() -> None:
    said = "the native kernels run on cpu and cuda only, not on meta"
    assert kernel.missing(torch.float32, torch.device("meta")) == Unsupported(said)
    assert kernel.missing(torch.float32, torch.device("cpu")) is None
