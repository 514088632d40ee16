"""Convolution with a fixed kernel shape, a channel window and real weights."""

import torch
from torch import Tensor, nn

from dsx.conv.cost import Cost, spec_cost
from dsx.conv.fit.init import fill_like
from dsx.conv.modules.subconvolutions import counting_form
from dsx.conv.modules.windowed import WindowedConv2d, read_window
from dsx.conv.sparsity.geometry import Geometry
from dsx.conv.sparsity.layout import Layout, layout
from dsx.conv.spec.spec import ConvSpec


class FixedConv2d(WindowedConv2d):
    """A convolution with a fixed kernel shape over a channel window, with real weights.

    The weight covers the bounding box of the kernel shape; dead positions are zero.

    Args:
        spec: Canonical spec with a fixed kernel shape and no binary basis.
        like: Convolution that is replaced; initial weights preserve its output variance.

    Attributes:
        weight: Weight on the bounding box, (Cout, gw, box height, box width).
        bias: Bias, (Cout,), or None.

    Source:
        design.md, section 3; DSXplore (arXiv 2101.00745) for sliding windows, HetConv
        (arXiv 1903.04120) for het<P>, SSC (arXiv 2210.12818) for sparse shapes.
    """

    def __init__(self, spec: ConvSpec, like: nn.Conv2d) -> None:
        super().__init__(spec, like, layout(spec, Geometry.of(like)))
        live = self.frame.live
        self.weight = nn.Parameter(like.weight.detach().new_empty(live.shape))
        self.to(like.weight.device)
        fill_like(self.weight, self.bias, like, live.flatten(1).sum(1))
        if self.mask is not None:
            with torch.no_grad():
                self.weight.mul_(self.mask)

    @property
    def layout(self) -> Layout:
        """The layout of the live weights, which is constant."""
        return self.frame

    def cost(self, out_hw: tuple[int, int]) -> Cost:
        """Compute the cost in closed form.

        Args:
            out_hw: Height and width of the output.

        Returns:
            The params, flops and bits.
        """
        return spec_cost(self.spec, self.geometry, self.has_bias, out_hw)

    def live_weight(self) -> Tensor:
        """Return the masked weight, (Cout, gw, box height, box width)."""
        return self.weight if self.mask is None else self.weight * self.mask

    def counting_form(self) -> nn.Module:
        """Return ordinary convolutions over live positions only."""
        return counting_form(self.geometry, self.layout, self.live_weight(), self.bias)

    def _scale_weight(self, scale: Tensor) -> None:
        self.weight = nn.Parameter(self.weight * scale.to(self.weight)[:, None, None, None])

    def _project_weight(self, weight: Tensor) -> None:
        self.weight.copy_(read_window(weight, self.frame))
        self.weight.copy_(self.live_weight())
