"""Separable convolution: a depthwise K x K stage, then a 1 x 1 stage with the dials."""

import dataclasses

import torch
from torch import Tensor, nn

from dsx.conv.cost import Cost, spec_cost
from dsx.conv.fit.init import output_gain, uniform_
from dsx.conv.modules.base import DsxConv
from dsx.conv.modules.binary import BinaryConv2d
from dsx.conv.modules.fixed import FixedConv2d
from dsx.conv.modules.windowed import WindowedConv2d
from dsx.conv.sparsity.geometry import bare_conv2d
from dsx.conv.sparsity.layout import spread
from dsx.conv.spec.spec import ConvSpec


class SeparableConv2d(DsxConv):
    """A depthwise stage (stride, padding, dilation, bias) and a pointwise stage (the dials).

    Args:
        spec: Canonical spec with `separable`.
        like: Convolution that is replaced; initial weights preserve its output variance.

    Attributes:
        depthwise: Depthwise stage, a nn.Conv2d that always has a bias.
        pointwise: Pointwise stage, a 1 x 1 convolution without a bias.

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
        # The depthwise stage preserves the variance; the pointwise stage has the gain of `like`.
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
        """Compute the convolution.

        Args:
            input: Batch of images, (B, Cin, H, W).

        Returns:
            The output, (B, Cout, OH, OW).
        """
        out: Tensor = self.pointwise(self.depthwise(input))
        return out

    def cost(self, out_hw: tuple[int, int]) -> Cost:
        """Compute the cost in closed form.

        Args:
            out_hw: Height and width of the output.

        Returns:
            The params, flops and bits.
        """
        return spec_cost(self.spec, self.geometry, self.has_bias, out_hw)

    def dense_weight(self) -> Tensor:
        """Return the weight of the equivalent nn.Conv2d, (Cout, Cin, K, K), differentiable."""
        weight: Tensor = self.pointwise.dense_weight() * self.depthwise.weight[:, 0]
        return weight

    def dense_bias(self) -> Tensor:
        """Return the bias of the equivalent nn.Conv2d, (Cout,), differentiable."""
        bias = self.pointwise.dense_weight()[:, :, 0, 0] @ self._depthwise_bias
        pointwise_bias = self.pointwise.dense_bias()
        total: Tensor = bias if pointwise_bias is None else bias + pointwise_bias
        return total

    def counting_form(self) -> nn.Module:
        """Return ordinary convolutions for both stages."""
        # With numeric padding, because counters ignore a convolution with padding "same".
        depthwise = self.geometry.conv2d(
            self.depthwise.weight, self.depthwise.bias, groups=self.in_channels
        )
        return nn.Sequential(depthwise, self.pointwise.counting_form())

    def scale_outputs(self, scale: Tensor, shift: Tensor) -> None:
        """Fold a factor and a shift of the outputs into the pointwise stage, as for a BN.

        Args:
            scale: Factor of each output channel, (Cout,).
            shift: Shift of each output channel, applied after the factor, (Cout,).
        """
        with torch.no_grad():
            self.pointwise.scale_outputs(scale, shift)

    def project(self, weight: Tensor, bias: Tensor | None) -> None:
        """Adopt the nearest product of a depthwise and a pointwise kernel (least squares).

        Args:
            weight: Dense weight, (Cout, Cin, K, K).
            bias: Bias, (Cout,), or None.
        """
        read = self.pointwise.frame.channels.to(weight.device)
        ones = weight.new_ones((*read.shape, 1, 1))
        window = spread(ones, read, self.in_channels)[:, :, 0, 0].double()
        # The nearest rank-1 matrix, (outputs that read the channel) x (positions), per channel.
        per_channel = (weight.double().flatten(2) * window[:, :, None]).transpose(0, 1)
        left, size, right = torch.linalg.svd(per_channel, full_matrices=False)
        with torch.no_grad():
            self.depthwise.weight.copy_(right[:, 0].reshape(self.depthwise.weight.shape))
            product = (left[:, :, 0] * size[:, :1]).T[:, :, None, None]
            self.pointwise.project(product.to(weight.dtype), None)
            if bias is not None:
                dense = self.pointwise.dense_weight()[:, :, 0, 0].double()
                self._depthwise_bias.copy_(torch.linalg.pinv(dense) @ bias.double())
