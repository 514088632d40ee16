"""Block-sparse convolutions of small integers, and their outputs by F.conv2d.

With integers every sum is exact in every order, so outputs are compared without a tolerance.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dsx.conv.native import kernel
from dsx.conv.native.kernel import Layer
from dsx.conv.native.plan import Mask, make_plan
from dsx.conv.sparsity.geometry import Geometry

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": F.relu,
    "relu6": F.relu6,
    "hardswish": F.hardswish,
}
FRAME = 256
"""Number of elements around a tensor that must be neither used nor written."""


def sliding(outputs: int, inputs: int, groups: int = 2, overlap: float = 0.33) -> Mask:
    """Windows of 1/groups of the channels that overlap and wrap around, (outputs, inputs, 1, 1)."""
    width = max(1, inputs // groups)
    step = width - int(overlap * width)
    live = np.zeros((outputs, inputs, 1, 1), bool)
    for output in range(outputs):
        live[output, (output * step + np.arange(width)) % inputs] = True
    return live


def corners(outputs: int, inputs: int) -> Mask:
    live = np.zeros((outputs, inputs, 3, 3), bool)
    for output in range(outputs):
        top, left = ((0, 0), (0, 1), (1, 1), (1, 0))[output % 4]
        live[output, :, top : top + 2, left : left + 2] = True
    return live


def cross(outputs: int, inputs: int) -> Mask:
    live = np.zeros((outputs, inputs, 3, 3), bool)
    live[:, :, 1] = live[:, :, :, 1] = True
    return live


def sliding_cross(outputs: int, inputs: int) -> Mask:
    return cross(outputs, inputs) & sliding(outputs, inputs)


def heterogeneous(outputs: int, inputs: int) -> Mask:
    live = np.zeros((outputs, inputs, 3, 3), bool)
    live[:, :, 1, 1] = True
    for output in range(outputs):
        live[output, output % 4 :: 4] = True
    return live


def learned(outputs: int, inputs: int) -> Mask:
    """A quarter of the positions of random blocks of 16 outputs and 32 channels."""
    scores = np.random.default_rng(0).random((-(-outputs // 16), -(-inputs // 32), 3, 3))
    live = scores <= np.sort(scores.ravel())[scores.size // 4]
    blocks: Mask = live.repeat(16, 0).repeat(32, 1)
    return blocks[:outputs, :inputs]


def irregular(outputs: int, inputs: int) -> Mask:
    return np.random.default_rng(0).random((outputs, inputs, 3, 3)) < 0.3


def last_row(outputs: int, inputs: int) -> Mask:
    """The last row of a kernel of height 4 and width 2."""
    live = np.zeros((outputs, inputs, 4, 2), bool)
    live[:, :, 3] = True
    return live


def first_position(outputs: int, inputs: int) -> Mask:
    live = np.zeros((outputs, inputs, 5, 3), bool)
    live[:, ::2, 0, 0] = True
    return live


def nothing(outputs: int, inputs: int) -> Mask:
    return np.zeros((outputs, inputs, 3, 3), bool)


MASKS: dict[str, Callable[[int, int], Mask]] = {
    each.__name__: each
    for each in (
        *(sliding, corners, cross, sliding_cross, heterogeneous),
        *(learned, irregular, last_row, first_position, nothing),
    )
}


def geometry(
    live: Mask,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: tuple[int, int] = (1, 1),
    kernel_size: tuple[int, int] | None = None,
) -> Geometry:
    """Geometry of a convolution with a mask; with another kernel size, of a depthwise one first."""
    height, width = live.shape[2:]
    return Geometry(
        in_channels=live.shape[1],
        out_channels=live.shape[0],
        kernel_size=kernel_size or (height, width),
        stride=stride,
        padding=padding,
        dilation=dilation,
        padding_mode="zeros",
    )


def integers(*shape: int, dtype: torch.dtype) -> Tensor:
    return torch.randint(-3, 4, shape).to(dtype)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A convolution and a batch of images; dead weights are NaN."""

    live: Mask
    geometry: Geometry
    x: Tensor
    weight: Tensor
    bias: Tensor | None = None
    residual: Tensor | None = None
    depthwise: Tensor | None = None
    depthwise_bias: Tensor | None = None
    merge: Tensor | None = None
    scale: Tensor | None = None
    activation: str = "none"
    depthwise_activation: str = "none"

    @property
    def has_gradient(self) -> bool:
        """Whether the kernels compute the gradient of the weights."""
        return self.geometry.stride == (1, 1) and self.depthwise is None and self.merge is None

    def layer(self, producer: str = "auto", super_tile: int = 0) -> Layer:
        plan = make_plan(self.live, self.geometry)
        return Layer(
            plan=plan.table,
            weights=kernel.pack(self.weight, plan.source),
            bias=self.bias,
            depthwise=self.depthwise,
            depthwise_bias=self.depthwise_bias,
            merge=self.merge,
            scale=self.scale,
            activation=self.activation,
            depthwise_activation=self.depthwise_activation,
            producer=producer,
            super_tile=super_tile,
        )

    def expected(self) -> Tensor:
        """The output by dense convolutions in float64."""
        g = self.geometry
        x = F.pad(self.x.double(), g.padding)
        weight = torch.where(torch.from_numpy(self.live), self.weight, 0).double()
        if self.depthwise is None:
            y = F.conv2d(x, weight, stride=g.stride, dilation=g.dilation)
        else:
            between = F.conv2d(
                x, self.depthwise.double(), None, g.stride, 0, g.dilation, g.in_channels
            )
            if self.depthwise_bias is not None:
                between = between + self.depthwise_bias.double()[:, None, None]
            y = F.conv2d(ACTIVATIONS[self.depthwise_activation](between), weight)
        if self.merge is not None:
            y = y[:, self.merge.long()].sum(2)
        if self.scale is not None:
            y = y * self.scale.double()[:, None, None]
        if self.bias is not None:
            y = y + self.bias.double()[:, None, None]
        if self.residual is not None:
            y = y + self.residual.double()
        return ACTIVATIONS[self.activation](y).to(self.x.dtype)


def make_case(
    live: Mask,
    images: tuple[int, int, int],
    g: Geometry,
    dtype: torch.dtype,
    *,
    bias: bool = True,
    residual: bool = False,
    activation: str = "none",
    depthwise_activation: str | None = None,
    terms: int = 0,
) -> Case:
    """Draw a case.

    Args:
        live: Mask of the live weights.
        images: Number, height and width of the images.
        g: Geometry.
        dtype: Number format.
        bias: Whether the convolutions have a bias.
        residual: Whether a residual is added.
        activation: Activation of the output.
        depthwise_activation: Activation after a depthwise convolution; None if there is none.
        terms: Number of outputs of the plan that each output adds up; 0 if there is no merge.
    """
    count, height, width = images
    drawn = torch.where(torch.from_numpy(live), integers(*live.shape, dtype=dtype), torch.nan)
    depthwise = depthwise_activation is not None
    if terms:
        g = replace(g, out_channels=g.out_channels + 3)
    sums = (g.out_channels, terms)
    return Case(
        live=live,
        geometry=g,
        x=integers(count, g.in_channels, height, width, dtype=dtype),
        weight=drawn,
        bias=integers(g.out_channels, dtype=dtype) if bias else None,
        residual=integers(count, g.out_channels, *g.out_hw(height, width), dtype=dtype)
        if residual
        else None,
        depthwise=integers(g.in_channels, 1, *g.kernel_size, dtype=dtype) if depthwise else None,
        depthwise_bias=integers(g.in_channels, dtype=dtype) if depthwise and bias else None,
        merge=torch.randint(len(live), sums, dtype=torch.int32) if terms else None,
        scale=integers(g.out_channels, dtype=dtype) if terms > 1 else None,
        activation=activation,
        depthwise_activation=depthwise_activation or "none",
    )


def framed(tensor: Tensor, shift: int = 0) -> Tensor:
    """Copy of a tensor that is surrounded by NaN, at any alignment."""
    buffer = torch.full((tensor.numel() + 2 * FRAME,), torch.nan, dtype=tensor.dtype)
    inner = buffer[FRAME + shift :][: tensor.numel()].view(tensor.shape)
    return inner.copy_(tensor)


def assert_same(got: Tensor, expected: Tensor, message: str = "") -> None:
    torch.testing.assert_close(
        got, expected, rtol=0, atol=0, msg=lambda found: f"{message}\n{found}"
    )


def plain_case(live: Mask | None = None, images: tuple[int, int, int] = (3, 9, 11)) -> Case:
    live = corners(12, 6) if live is None else live
    side = live.shape[2] // 2
    g = geometry(live, padding=(side, side, side, side))
    return make_case(live, images, g, torch.float64, residual=True)


def run(case: Case) -> Tensor:
    return kernel.conv2d(case.layer(), case.x, case.residual, case.geometry)


def dense_gradient(case: Case, gradient: Tensor) -> Tensor:
    """Gradient of the flattened weight by F.conv2d in float64, zero at dead weights."""
    weight = torch.zeros(case.live.shape, dtype=torch.float64, requires_grad=True)
    x = F.pad(case.x.double(), case.geometry.padding)
    y = F.conv2d(x, weight, dilation=case.geometry.dilation)
    (found,) = torch.autograd.grad(y, weight, gradient.double())
    return (found * torch.from_numpy(case.live)).to(case.x.dtype).flatten()


def of_weight(case: Case, gradient: Tensor) -> Tensor:
    plan = make_plan(case.live, case.geometry)
    return kernel.weight_gradient(plan, case.x, gradient, case.live.size)


def gradient_of(case: Case) -> Tensor:
    return integers(*kernel.output_shape(case.x, case.geometry), dtype=case.x.dtype)
