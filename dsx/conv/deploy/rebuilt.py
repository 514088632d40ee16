"""Rebuilt: a binary basis kept as it is stored, its kernel stacked anew in every forward pass."""

import torch
from torch import Tensor, nn

from dsx.conv.deploy._base import Form
from dsx.conv.modules.base import DsxConv
from dsx.conv.modules.binary import BinaryConv2d
from dsx.conv.modules.windowed import spread_by


class Rebuilt(nn.Module):
    """Look the filters up and convolve densely: a byte for each +1 and -1, not four for a weight.

    Args:
        conv: A convolution with a binary basis.
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
            own = scale.detach()[:, None, None, None]
            factor = own if factor is None else own * factor
        # A parameter: torch.fx computes with buffers alone when it traces, and the stacked kernel
        # would be stored in place of the basis.
        basis = conv.basis.detach().to(torch.int8)
        self.basis = nn.Parameter(basis, requires_grad=False)
        for name, value in (
            ("chosen", conv.chosen.flatten()),
            ("columns", None if columns is None else columns[:, :, None, None]), ("factor", factor),
            ("bias", None if bias is None else bias.detach().clone()),
        ):  # fmt: skip
            self.register_buffer(name, value)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (B, Cin, H, W) to (B, Cout, OH, OW)."""
        outputs, inputs = self.geometry.out_channels, self.geometry.in_channels
        filters = self.basis.index_select(0, self.chosen)
        weight = filters.reshape(outputs, -1, self.box.height, self.box.width).type_as(input)
        weight = weight if self.factor is None else weight * self.factor
        if self.columns is not None:
            weight = spread_by(weight, self.columns, inputs)
        return self.geometry.convolve(input, weight, self.bias, self.box, self.groups)


def build(conv: DsxConv) -> nn.Module | None:
    """Keep the basis; applies to every convolution that has one."""
    return Rebuilt(conv) if isinstance(conv, BinaryConv2d) else None


FORM = Form(build=build)
