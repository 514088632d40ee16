"""Split: one sub-convolution per support, each on its own bounding box."""

import torch
from torch import Tensor, nn

from dsx.conv.deploy._base import Form
from dsx.conv.modules.base import DsxConv
from dsx.conv.modules.subconvolutions import SubConv2d, SumOfSubConvolutions, by_support
from dsx.conv.modules.windowed import WindowedConv2d


class Split(nn.Module):
    """Sub-convolutions whose concatenated outputs are restored to the original order.

    Args:
        pieces: Sub-convolutions that together compute each output exactly once.
        bias: Bias, (Cout,), or None.
    """

    order: Tensor
    bias: Tensor | None

    def __init__(self, pieces: list[SubConv2d], bias: Tensor | None) -> None:
        super().__init__()
        self.pieces = nn.ModuleList(pieces)
        self.register_buffer("order", torch.cat([piece.order for piece in pieces]).argsort())
        self.register_buffer("bias", None if bias is None else bias.detach()[:, None, None].clone())

    def forward(self, input: Tensor) -> Tensor:
        """Compute the convolution.

        Args:
            input: Batch of images, (B, Cin, H, W).

        Returns:
            The output, (B, Cout, OH, OW).
        """
        out = torch.cat([piece(input) for piece in self.pieces], 1).index_select(1, self.order)
        return out if self.bias is None else out + self.bias


def build(conv: DsxConv) -> nn.Module | None:
    """Build the form; it applies if there are several supports and no sliding window.

    Args:
        conv: Convolution to deploy.

    Returns:
        The module, or None if the form does not apply.
    """
    if not isinstance(conv, WindowedConv2d) or conv.frame.step is not None:
        return None
    layout, weight = conv.layout, conv.live_weight()
    if len(layout.supports) == 1:
        return None
    parts = [part for _, part in by_support(layout, weight)]
    # One sub-convolution per output is always slower than the other forms.
    if len(parts) >= conv.out_channels:
        return None
    modules = [SubConv2d(conv.geometry, part) for part in parts]
    outputs = torch.cat([part.outputs for part in parts]) if parts else torch.empty(0)
    disjoint = torch.equal(outputs.sort().values, torch.arange(conv.out_channels))
    module = (
        Split(modules, conv.bias)
        if disjoint
        else SumOfSubConvolutions(modules, conv.bias, conv.geometry)
    )
    return module.to(weight.device)


FORM = Form(build=build)
