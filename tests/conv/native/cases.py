"""Convolutions for tests of the kernels, with what they must compute."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dsx.conv.native import kernel
from dsx.conv.native.plan import make_plan
from dsx.conv.sparsity.geometry import Geometry

TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-10}
"""Sums of up to 300 products of normally distributed numbers, in another order."""

ACTIVATIONS = {"none": lambda x: x, "relu": F.relu, "relu6": F.relu6, "hardswish": F.hardswish}


@dataclass(frozen=True)
class Case:
    """A convolution with a random mask, in which pairs of outputs share their live weights."""

    inputs: int = 9
    outputs: int = 21
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: int = 1
    size: tuple[int, int, int] = (2, 7, 10)
    density: float = 0.4
    depthwise: bool = False
    activation: str = "none"
    producer: str = "auto"
    threads: int = 1

    @property
    def geometry(self) -> Geometry:
        """Geometry of the convolution, or of the depthwise one."""
        return Geometry(
            in_channels=self.inputs,
            out_channels=self.outputs,
            kernel_size=self.kernel,
            stride=self.stride,
            padding=(self.padding,) * 4,
            dilation=self.dilation,
            padding_mode="zeros",
        )

    def mask(self) -> Tensor:
        """Return the live weights."""
        kernel = (1, 1) if self.depthwise else self.kernel
        pairs = torch.rand(self.outputs // 2 + 1, self.inputs, *kernel) < self.density
        return pairs.repeat_interleave(2, 0)[: self.outputs]


POINTWISE = Case(inputs=40, kernel=(1, 1), padding=0, size=(3, 8, 8))
CASES = [
    POINTWISE,
    Case(inputs=40, kernel=(1, 1), padding=0, size=(1, 3, 5), threads=2),
    Case(activation="relu", threads=3),
    Case(density=0.0),
    Case(stride=(2, 1), dilation=(1, 2), activation="hardswish"),
    Case(size=(2, 4, 16), producer="padded"),
    Case(producer="flat"),
    Case(producer="gathered", kernel=(5, 2)),
    Case(depthwise=True, activation="relu6", size=(1, 9, 9)),
]


GRADIENTS = [POINTWISE, Case(threads=2)]
"""Cases of stride 1 without a depthwise convolution and an activation."""


@dataclass(frozen=True)
class Problem:
    """Arguments of `kernel.run`, and the output to expect.

    `output` holds the output from before the call; only its elements `checked` are compared.
    """

    function: str
    layer: kernel.Layer
    x: Tensor
    other: Tensor
    output: Tensor
    threads: int
    expected: Tensor
    checked: Tensor

    def check(self, found: Tensor) -> None:
        """Compare an output with the expected one."""
        tolerance = TOLERANCE[found.dtype]
        expected = self.expected[self.checked]
        torch.testing.assert_close(found[self.checked], expected, rtol=0, atol=tolerance)


def forward(case: Case, dtype: torch.dtype) -> Problem:
    """Return a convolution with a residual."""
    mask = case.mask()
    plan = make_plan(mask.numpy(), case.geometry)
    weight = torch.randn(mask.shape, dtype=dtype) * mask
    bias = torch.randn(case.outputs, dtype=dtype)
    x = torch.randn(case.size[0], case.inputs, *case.size[1:], dtype=dtype)
    first = torch.randn(case.inputs, 1, *case.kernel, dtype=dtype) if case.depthwise else None
    settings = (case.stride, case.padding, case.dilation)
    if first is None:
        expected = F.conv2d(x, weight, bias, *settings)
    else:
        between = F.relu(F.conv2d(x, first, None, *settings, groups=case.inputs))
        expected = F.conv2d(between, weight, bias)
    residual = torch.randn(expected.shape, dtype=dtype)
    layer = kernel.Layer(
        plan=plan.table,
        weights=kernel.pack(weight, plan.source),
        bias=bias,
        depthwise=first,
        activation=case.activation,
        depthwise_activation="none" if first is None else "relu",
        producer=case.producer,
    )
    return Problem(
        function="conv",
        layer=layer,
        x=x,
        other=residual,
        output=torch.full_like(expected, torch.nan),
        threads=case.threads,
        expected=ACTIVATIONS[case.activation](expected + residual),
        checked=torch.ones(expected.shape, dtype=torch.bool),
    )


def gradient(case: Case, dtype: torch.dtype) -> Problem:
    """Return the gradient of the packed weights of a convolution."""
    mask = case.mask()
    plan = make_plan(mask.numpy(), case.geometry)
    weight = torch.zeros(mask.shape, dtype=dtype, requires_grad=True)
    x = torch.randn(case.size[0], case.inputs, *case.size[1:], dtype=dtype)
    output = F.conv2d(x, weight, None, case.stride, case.padding, case.dilation)
    of_output = torch.randn(output.shape, dtype=dtype)
    (of_weight,) = torch.autograd.grad(output, weight, of_output)
    packed = torch.zeros(len(plan.source), dtype=dtype)
    return Problem(
        function="gradient",
        layer=kernel.Layer(plan=plan.table, weights=packed),
        x=x,
        other=of_output,
        output=packed.clone(),
        threads=case.threads,
        expected=of_weight.flatten()[plan.source.clamp(min=0).long()],
        checked=plan.source >= 0,
    )


PROBLEMS = [(forward, case) for case in CASES] + [(gradient, case) for case in GRADIENTS]
