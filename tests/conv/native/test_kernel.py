"""Outputs and gradients of the compiled kernels, without the dispatcher of torch."""

import functools
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle, product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from dsx.conv.native import Kernels, kernel, kernels, use
from dsx.conv.native.compiling import INSTRUCTION_SETS
from dsx.conv.native.kernel import PRODUCERS, Layer
from dsx.conv.native.plan import make_plan
from tests.conv.native.cases import (
    ACTIVATIONS,
    MASKS,
    Case,
    assert_same,
    dense_gradient,
    framed,
    geometry,
    gradient_of,
    integers,
    irregular,
    make_case,
    nothing,
    of_weight,
    plain_case,
    run,
    sliding,
)

pytestmark = pytest.mark.usefixtures("compiled")

DTYPES = [torch.float32, torch.float64]
NAMES = st.sampled_from([*INSTRUCTION_SETS, "baseline"])
IMAGES = [
    (1, 32, 32), (3, 16, 16), (30, 8, 8), (3, 4, 4), (1, 7, 7), (3, 14, 9), (2, 3, 48), (5, 2, 2),
    (3, 1, 1), (3, 5, 17), (1, 28, 28), (2, 23, 32),
]  # fmt: skip
"""Numbers, heights and widths of images, with every remainder of rows and pixels by a vector."""

REACHES = [
    ((1, 1), (1, 1, 1, 1), (1, 1)),
    ((1, 1), (0, 0, 0, 0), (1, 1)),
    ((2, 2), (1, 1, 1, 1), (1, 1)),
    ((1, 2), (4, 4, 4, 4), (2, 1)),
    ((3, 2), (3, 1, 5, 2), (1, 2)),
    ((1, 1), (2, 0, 0, 3), (1, 2)),
    ((1, 1), (3, 3, 4, 4), (1, 1)),
]
"""Strides, paddings (left, right, top, bottom) and dilations."""


@pytest.fixture
def any_threads() -> Iterator[None]:
    """Restores the number of threads."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@functools.cache
def cases(dtype: torch.dtype) -> list[tuple[Case, Tensor]]:
    """Every image with every geometry that fits, and in turn the masks, activations and so on."""
    torch.manual_seed(0)
    masks, activations, residuals = cycle(MASKS.values()), cycle(ACTIVATIONS), cycle([False, True])
    terms = cycle((0, 0, 1, 0, 2, 3, 0))
    depthwise: Iterator[str | None] = cycle([None, None, None, "relu", "none", None, "relu6"])
    found: list[tuple[Case, Tensor]] = []
    for (count, height, width), (stride, padding, dilation) in product(IMAGES, REACHES):
        live, first = next(masks)(19, 9), next(depthwise)
        size = (3, 3) if first and live.shape[2:] == (1, 1) else None
        g = geometry(live, stride, padding, dilation, size)
        if min(g.out_hw(height, width)) < 1:
            continue
        case = make_case(
            live,
            (count, height, width),
            g,
            dtype,
            bias=len(found) % 3 > 0,
            residual=next(residuals),
            activation=next(activations),
            depthwise_activation=first if size else None,
            terms=next(terms),
        )
        found.append((case, case.expected()))
    return found


def use_if_supported(name: str) -> None:
    """Use an instruction set, or the baseline if this processor does not support it."""
    found = kernels()
    assert isinstance(found, Kernels)
    use(name if name in found.instruction_sets else "baseline")


def poison(dtype: torch.dtype) -> None:
    """Leave NaN in the buffers that the next call uses again."""
    live = np.ones((8, 16, 2, 2), bool)
    g = geometry(live, padding=(1, 1, 1, 1))
    plan = make_plan(live, g)
    x = torch.full((4, 16, 15, 16), torch.nan, dtype=dtype)
    layer = Layer(plan=plan.table, weights=torch.ones(len(plan.source), dtype=dtype))
    for producer in PRODUCERS:
        kernel.conv2d(replace(layer, producer=producer), x, None, g)


def in_frames(case: Case, producer: str, super_tile: int, shift: int) -> Tensor:
    """Run the kernel on tensors that are surrounded by NaN, and check that nothing else changes."""
    x = framed(case.x, shift)
    residual = None if case.residual is None else framed(case.residual, shift)
    output = framed(x.new_full(kernel.output_shape(x, case.geometry), torch.nan), shift)
    layer = case.layer(producer, super_tile)  # its tensors must exist during the call
    kernel.run("conv", layer.structure(), x, residual, output)
    got = output.clone()
    output.zero_()
    buffer = output.as_strided((output.untyped_storage().nbytes() // x.itemsize,), (1,), 0)
    assert int(buffer.isnan().sum()) == len(buffer) - output.numel(), "written beyond the output"
    return got


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("producer", PRODUCERS)
def test_outputs(instruction_set: str, producer: str, dtype: torch.dtype) -> None:
    poison(dtype)
    for number, (case, expected) in enumerate(cases(dtype)):
        layer = case.layer(producer, super_tile=(0, 1, 3, 8)[number % 4])
        got = kernel.conv2d(layer, case.x, case.residual, case.geometry)
        assert_same(got, expected, f"case {number}: {case.geometry}, {tuple(case.x.shape)}")


def least(extent: int, before: int, after: int) -> int:
    """Side of the smallest images for a kernel and a padding, which may be negative."""
    return max(1 - min(before, 0) - min(after, 0), extent - before - after)


@st.composite
def drawn_cases(draw: st.DrawFn) -> Case:
    kernel_size = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    stride = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    dilation = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    left, right, top, bottom = (draw(st.integers(-2, 5)) for _ in range(4))
    outputs, inputs = draw(st.integers(1, 20)), draw(st.integers(1, 12))
    depthwise = draw(st.sampled_from([None, None, "none", "relu", "relu6"]))
    size = (1, 1) if depthwise else kernel_size
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    live = rng.random((outputs, inputs, *size)) < draw(st.sampled_from([0, 0.1, 0.5, 0.9, 1]))
    # Whole rows and columns of the kernel are dead in some learned shapes.
    live &= rng.random((1, 1, *size)) < draw(st.sampled_from([0.2, 0.5, 1]))
    g = geometry(live, stride, (left, right, top, bottom), dilation, kernel_size)
    least_height = least(dilation[0] * (kernel_size[0] - 1) + 1, top, bottom)
    least_width = least(dilation[1] * (kernel_size[1] - 1) + 1, left, right)
    return make_case(
        live,
        (
            draw(st.sampled_from([0, 1, 2, 3, 30])),
            draw(st.integers(least_height, least_height + 17)),
            draw(st.integers(least_width, least_width + 35)),
        ),
        g,
        draw(st.sampled_from(DTYPES)),
        bias=draw(st.booleans()),
        residual=draw(st.booleans()),
        activation=draw(st.sampled_from(list(ACTIVATIONS))),
        depthwise_activation=depthwise,
        terms=draw(st.sampled_from([0, 0, 1, 3])),
    )


@given(
    case=drawn_cases(),
    name=NAMES,
    producer=st.sampled_from(PRODUCERS),
    super_tile=st.integers(0, 8),
    shift=st.integers(-3, 3),
)
@settings(max_examples=100)
def test_drawn_cases_in_frames(
    case: Case, name: str, producer: str, super_tile: int, shift: int
) -> None:
    use_if_supported(name)
    poison(case.x.dtype)
    if not len(case.x):
        expected = case.expected()
        assert_same(kernel.conv2d(case.layer(), case.x, case.residual, case.geometry), expected)
        return
    assert_same(in_frames(case, producer, super_tile, shift), case.expected())


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_of_weights(instruction_set: str, dtype: torch.dtype) -> None:
    poison_signals(dtype)
    for number, (case, _) in enumerate(cases(dtype)):
        if not case.has_gradient:
            continue
        gradient = gradient_of(case)
        message = f"case {number}: {case.geometry}, {tuple(case.x.shape)}"
        assert_same(of_weight(case, gradient), dense_gradient(case, gradient), message)


def poison_signals(dtype: torch.dtype) -> None:
    """Leave NaN in the buffers that the next gradient uses again."""
    live = np.ones((8, 16, 2, 2), bool)
    plan = make_plan(live, geometry(live, padding=(1, 1, 1, 1)))
    x = torch.full((4, 16, 15, 16), torch.nan, dtype=dtype)
    gradient = torch.full((4, 8, 16, 17), torch.nan, dtype=dtype)
    kernel.weight_gradient(plan, x, gradient, live.size)


@given(
    case=drawn_cases(),
    name=NAMES,
    shift=st.integers(-3, 3),
)
@settings(max_examples=100)
def test_gradients_of_drawn_cases_in_frames(case: Case, name: str, shift: int) -> None:
    use_if_supported(name)
    g = case.geometry
    g = replace(g, out_channels=len(case.live), stride=(1, 1), kernel_size=case.live.shape[2:])
    case = replace(case, geometry=g)
    poison_signals(case.x.dtype)
    gradient = gradient_of(case)
    got = of_weight(replace(case, x=framed(case.x, shift)), framed(gradient, shift))
    assert_same(got, dense_gradient(case, gradient))


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": lambda x: x.mT.contiguous().mT,
    "every other image": lambda x: x.repeat_interleave(2, 0)[::2],
    "expanded": lambda x: x[:1].expand_as(x),
    "part of a channel": lambda x: F.pad(x, (1, 2, 3, 4))[:, :, 3:-4, 1:-2],
    "misaligned": lambda x: framed(x, 1),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_images(layout: str) -> None:
    of = LAYOUTS[layout]
    case = plain_case()
    assert case.residual is not None
    other = replace(case, x=of(case.x), residual=of(case.residual))
    assert_same(run(other), other.expected())
    gradient = gradient_of(case)
    assert_same(of_weight(other, of(gradient)), dense_gradient(other, of(gradient)))


def test_a_residual_is_expanded() -> None:
    case = plain_case()
    case = replace(case, residual=integers(12, 1, 1, dtype=torch.float64))
    assert_same(run(case), case.expected())


def test_no_images() -> None:
    case = plain_case(images=(0, 9, 11))
    assert run(case).shape == (0, 12, 9, 11)
    assert not of_weight(case, gradient_of(case)).any()


def test_no_live_weights() -> None:
    case = plain_case(nothing(12, 6))
    assert_same(run(case), case.expected())
    assert not of_weight(case, gradient_of(case)).any()


SPECIAL = [-torch.inf, -4.0, -3.0, -1e-300, -0.0, 0.0, 1e-300, 2.5, 3.0, 6.0, 7.0, torch.inf]


@pytest.mark.parametrize("width", [2, 35], ids=["small", "vectors"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_activations_of_special_numbers(
    instruction_set: str, dtype: torch.dtype, activation: str, width: int
) -> None:
    live = np.ones((9, 1, 1, 1), bool)
    values = torch.tensor([torch.nan, *SPECIAL], dtype=dtype)
    for value in values:
        x = value.expand(1, 1, 1, width)
        layer = Case(
            live=live, geometry=geometry(live), x=x, weight=x.new_ones(live.shape),
            activation=activation,
        ).layer()  # fmt: skip
        got = kernel.conv2d(layer, x, None, geometry(live))
        expected = ACTIVATIONS[activation](x).expand(1, 9, 1, width)
        torch.testing.assert_close(got, expected, rtol=0, atol=0, equal_nan=True)


def test_hardswish_between_the_convolutions(instruction_set: str) -> None:
    live = sliding(20, 12)
    g = geometry(live, padding=(1, 1, 1, 1), kernel_size=(3, 3))
    for images in ((2, 9, 11), (2, 2, 3)):
        case = make_case(live, images, g, torch.float64, depthwise_activation="hardswish")
        # The numbers are no integers any more: rounding.
        torch.testing.assert_close(run(case), case.expected(), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("producer", PRODUCERS)
@pytest.mark.usefixtures("any_threads")
def test_threads_do_not_change_the_output(producer: str) -> None:
    for live, images in product((sliding(40, 24), irregular(21, 18)), ((1, 16, 16), (9, 5, 6))):
        case = plain_case(live, images)
        case = replace(case, x=torch.randn_like(case.x))  # rounding depends on the order of sums
        gradient = torch.randn_like(gradient_of(case))
        outputs, gradients = [], []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            layer = case.layer(producer)
            outputs.append(kernel.conv2d(layer, case.x, case.residual, case.geometry))
            gradients.append(of_weight(case, gradient))
        for other in (1, 2):
            assert_same(outputs[other], outputs[0])
            assert_same(gradients[other], gradients[0])


COUNT_THREADS = """
from pathlib import Path
import numpy as np, torch
from dsx.conv.native import kernel
from dsx.conv.native.plan import Mask, make_plan
from dsx.conv.sparsity.geometry import Geometry

live = np.ones((8, 4, 1, 1), bool)
g = Geometry(in_channels=4, out_channels=8, kernel_size=(1, 1), stride=(1, 1),
             padding=(0, 0, 0, 0), dilation=(1, 1), padding_mode="zeros")
plan = make_plan(live, g)
layer = kernel.Layer(plan=plan.table, weights=torch.ones(len(plan.source)))
before = len(list(Path("/proc/self/task").iterdir()))
for threads in (1, 2, 3):
    torch.set_num_threads(threads)
    kernel.conv2d(layer, torch.ones(8, 4, 16, 16), None, g)
    print(len(list(Path("/proc/self/task").iterdir())) - before)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc/self/task")
def test_the_number_of_threads_of_torch_is_used(compiled: Kernels) -> None:
    if not compiled.has_threads:
        pytest.skip("the kernels were compiled without threads")
    command = [sys.executable, "-c", COUNT_THREADS]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.split() == ["0", "1", "2"]


def test_packed_weights_have_zeros_as_padding() -> None:
    case = plain_case(irregular(13, 6))
    plan = make_plan(case.live, case.geometry)
    packed = kernel.pack(case.weight, plan.source)
    live = plan.source >= 0
    assert not packed[~live].any()
    assert_same(packed[live], case.weight.flatten()[plan.source[live].long()])
