"""A depthwise K x K convolution, then a 1 x 1 convolution that has the dials."""

import dataclasses

import torch
from torch import Tensor, nn

from dsx.conv.cost import Cost, spec_cost
from dsx.conv.fit.init import output_gain, uniform_
from dsx.conv.modules.base import DsxConv
from dsx.conv.modules.binary import BinaryConv2d
from dsx.conv.modules.fixed import FixedConv2d
from dsx.conv.modules.windowed import WindowedConv2d, spread
from dsx.conv.sparsity.geometry import bare_conv2d
from dsx.conv.spec.spec import ConvSpec


class SeparableConv2d(DsxConv):
    """Depthwise stage (stride, padding, dilation, always a bias), pointwise stage (the dials).

    Args:
        spec: A canonical spec with `separable`.
        like: The convolution replaced; fresh weights give the output variance that its have.

    Attributes:
        depthwise: nn.Conv2d with as many groups as channels.
        pointwise: The 1 x 1 stage, without a bias of its own.

    Source:
        DSXplore (arXiv 2101.00745), the DW + SCC block.
    """

    def __init__(self, spec: ConvSpec, like: nn.Conv2d) -> None:
        super().__init__(spec, like)
        on_device = {"device": like.weight.device, "dtype": like.weight.dtype}
        self.depthwise = bare_conv2d(
            self.in_channels,
            self.in_channels,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            groups=self.in_channels,
            padding_mode=self.padding_mode,
            **on_device,
        )
        stage = bare_conv2d(self.in_channels, self.out_channels, 1, bias=False, **on_device)
        # The depthwise stage keeps the variance of its input, the pointwise stage does the rest.
        positions = self.depthwise.weight[0].numel()
        uniform_(self.depthwise.weight, 1 / positions)
        nn.init.zeros_(self._depthwise_bias)
        nn.init.constant_(stage.weight, (output_gain(like) / self.in_channels) ** 0.5)
        kind = BinaryConv2d if spec.binary_basis else FixedConv2d
        self.pointwise: WindowedConv2d = kind(dataclasses.replace(spec, separable=False), stage)

    @property
    def _depthwise_bias(self) -> Tensor:
        assert self.depthwise.bias is not None
        return self.depthwise.bias

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (B, Cin, H, W) to (B, Cout, OH, OW)."""
        out: Tensor = self.pointwise(self.depthwise(input))
        return out

    def cost(self, out_hw: tuple[int, int]) -> Cost:
        return spec_cost(self.spec, self.geometry, self.has_bias, out_hw)

    def dense_weight(self) -> Tensor:
        weight: Tensor = self.pointwise.dense_weight() * self.depthwise.weight[:, 0]
        return weight

    def dense_bias(self) -> Tensor:
        bias = self.pointwise.dense_weight()[:, :, 0, 0] @ self._depthwise_bias
        own = self.pointwise.dense_bias()
        total: Tensor = bias if own is None else bias + own
        return total

    def counting_form(self) -> nn.Module:
        # With the padding in numbers: counters pass over a convolution with padding "same".
        depthwise = self.geometry.conv2d(
            self.depthwise.weight, self.depthwise.bias, groups=self.in_channels
        )
        return nn.Sequential(depthwise, self.pointwise.counting_form())

    def scale_outputs(self, scale: Tensor, shift: Tensor) -> None:
        with torch.no_grad():
            self.pointwise.scale_outputs(scale, shift)

    def project(self, weight: Tensor, bias: Tensor | None) -> None:
        """Take over the nearest product of a depthwise and a pointwise kernel (least squares)."""
        read = self.pointwise.frame.channels.to(weight.device)
        ones = weight.new_ones((*read.shape, 1, 1))
        window = spread(ones, read, self.in_channels)[:, :, 0, 0].double()
        # Each input channel by itself: (outputs that read it) x (positions), nearest rank 1.
        per_channel = (weight.double().flatten(2) * window[:, :, None]).transpose(0, 1)
        left, size, right = torch.linalg.svd(per_channel, full_matrices=False)
        with torch.no_grad():
            self.depthwise.weight.copy_(right[:, 0].reshape(self.depthwise.weight.shape))
            product = (left[:, :, 0] * size[:, :1]).T[:, :, None, None]
            self.pointwise.project(product.to(weight.dtype), None)
            if bias is not None:
                dense = self.pointwise.dense_weight()[:, :, 0, 0].double()
                self._depthwise_bias.copy_(torch.linalg.pinv(dense) @ bias.double())
