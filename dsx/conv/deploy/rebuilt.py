"""Rebuilt: a stored binary basis, from which the kernel is assembled in each forward pass."""

import torch
from torch import Tensor, nn

from dsx.conv.deploy._base import Form
from dsx.conv.modules.base import DsxConv
from dsx.conv.modules.binary import BinaryConv2d
from dsx.conv.sparsity.layout import spread_by


class Rebuilt(nn.Module):
    """A dense convolution whose weight is looked up in the basis, with one byte per basis entry.

    Args:
        conv: Convolution with a binary basis.
    """

    chosen: Tensor
    columns: Tensor | None
    factor: Tensor | None
    bias: Tensor | None

    def __init__(self, conv: BinaryConv2d) -> None:
        super().__init__()
        self.geometry, self.box = conv.geometry, conv.frame.box
        self.groups = 1 if conv.frame.step is not None else conv.frame.groups
        scale, mask, bias, columns = conv.scale, conv.mask, conv.bias, conv.columns
        factor = None if mask is None else mask.to(conv.basis_proxy.dtype)
        if scale is not None:
            broadcast = scale.detach()[:, None, None, None]
            factor = broadcast if factor is None else broadcast * factor
        # A parameter, because torch.fx evaluates operations on buffers alone while it traces, and
        # would store the assembled kernel instead of the basis.
        basis = conv.basis.detach().to(torch.int8)
        self.basis = nn.Parameter(basis, requires_grad=False)
        for name, value in (
            ("chosen", conv.chosen.flatten()),
            ("columns", None if columns is None else columns[:, :, None, None]), ("factor", factor),
            ("bias", None if bias is None else bias.detach().clone()),
        ):  # fmt: skip
            self.register_buffer(name, value)

    def forward(self, input: Tensor) -> Tensor:
        """Compute the convolution.

        Args:
            input: Batch of images, (B, Cin, H, W).

        Returns:
            The output, (B, Cout, OH, OW).
        """
        outputs, inputs = self.geometry.out_channels, self.geometry.in_channels
        filters = self.basis.index_select(0, self.chosen)
        weight = filters.reshape(outputs, -1, self.box.height, self.box.width).type_as(input)
        weight = weight if self.factor is None else weight * self.factor
        if self.columns is not None:
            weight = spread_by(weight, self.columns, inputs)
        return self.geometry.convolve(input, weight, self.bias, self.box, self.groups)


def build(conv: DsxConv) -> nn.Module | None:
    """Build the form; it applies to every convolution with a binary basis.

    Args:
        conv: Convolution to deploy.

    Returns:
        The module, or None if the form does not apply.
    """
    return Rebuilt(conv) if isinstance(conv, BinaryConv2d) else None


FORM = Form(build=build)
