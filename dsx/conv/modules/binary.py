"""Convolution with filters stacked from a binary basis of shared filters."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from dsx.conv.cost import Cost, spec_cost
from dsx.conv.fit.basis import nearest_basis
from dsx.conv.fit.init import fresh_decision_, kept_decision_, mean_square, output_gain, uniform_
from dsx.conv.modules.basis import basis_count
from dsx.conv.modules.basis_maps import BasisMaps
from dsx.conv.modules.straight_through import one_hot, signs
from dsx.conv.modules.subconvolutions import counting_form
from dsx.conv.modules.windowed import WindowedConv2d, read_window
from dsx.conv.sparsity.geometry import Geometry
from dsx.conv.sparsity.layout import Layout, layout
from dsx.conv.spec.spec import ConvSpec


class BinaryConv2d(WindowedConv2d):
    """A convolution y_o = scale_o * sum over channel splits j of x_j * (B_idx(o, j) . S(o)).

    Args:
        spec: Canonical spec with a binary basis; if its `scale` is None, there is no scale.
        like: Convolution that is replaced; initial scales preserve its output variance.

    Attributes:
        basis_proxy: Proxy parameter of the basis, (k, gw / splits, box height, box width).
        select_proxy: Proxy parameter of the selection, (Cout, splits, k).
        scale: Scale of each output, (Cout,), or None.
        bias: Bias, (Cout,), or None.

    Source:
        Stacked low-dimensional binary filters (SLBF, arXiv 2010.02778); design.md, section 3.
    """

    DECISIONS: ClassVar[Mapping[str, float]] = {"basis_proxy": 1.0, "select_proxy": 1.0}

    positions: Tensor
    scale: nn.Parameter | None

    def __init__(self, spec: ConvSpec, like: nn.Conv2d) -> None:
        frame = layout(spec, Geometry.of(like))
        super().__init__(spec, like, frame)
        k, splits = spec.binary_basis, spec.splits
        width = frame.channels.shape[1] // splits
        positions = frame.positions
        new = like.weight.detach().new_empty
        self.basis_proxy = nn.Parameter(new(k, width, *positions.shape))
        self.select_proxy = nn.Parameter(new(like.out_channels, splits, k))
        self.scale = nn.Parameter(new(like.out_channels)) if spec.scale else None
        self.register_buffer("positions", positions, persistent=False)
        self.to(like.weight.device)
        self._reset(like)

    def _reset(self, like: nn.Conv2d) -> None:
        for proxy in (self.basis_proxy, self.select_proxy):
            fresh_decision_(proxy)
        with torch.no_grad():
            self.basis_proxy.mul_(self.positions)
            if self.scale is not None:
                live = self.frame.live.flatten(1).sum(1).double()
                self.scale.copy_((output_gain(like) / live).sqrt())
        if self.bias is not None and like.bias is not None:
            uniform_(self.bias, mean_square(like.bias))

    @property
    def layout(self) -> Layout:
        """The layout of the live weights, which is constant."""
        return self.frame

    @property
    def basis(self) -> Tensor:
        """The shared filters of +1 and -1, differentiable: (k, gw / splits, height, width)."""
        return signs(self.basis_proxy)

    @property
    def chosen(self) -> Tensor:
        """The index of the basis filter of each output and split, (Cout, splits)."""
        return self.select_proxy.argmax(-1)

    def cost(self, out_hw: tuple[int, int]) -> Cost:
        """Compute the cost in closed form.

        Args:
            out_hw: Height and width of the output.

        Returns:
            The params, flops and bits.
        """
        return spec_cost(self.spec, self.geometry, self.has_bias, out_hw)

    def live_weight(self) -> Tensor:
        """Return the assembled weight with its scale, (Cout, gw, box height, box width)."""
        filters = one_hot(self.select_proxy) @ self.basis.flatten(1)
        weight = filters.to(self.basis_proxy.dtype).reshape(
            self.out_channels, -1, *self.basis_proxy.shape[2:]
        )
        if self.mask is not None:
            weight = weight * self.mask
        return weight if self.scale is None else weight * self.scale[:, None, None, None]

    def finalize(self) -> None:
        """Replace the proxy parameters by the signs and selections that they decide."""
        with torch.no_grad():
            self.basis_proxy.copy_(self.basis * self.positions)
            self.select_proxy.copy_(one_hot(self.select_proxy))

    def counting_form(self) -> nn.Module:
        """Return basis maps or ordinary convolutions, whichever take fewer multiply-adds."""
        if basis_count(self.spec, self.geometry).by_maps:
            return BasisMaps(
                self.geometry, self.frame, self.basis, self.chosen, self.scale, self.bias
            )
        return counting_form(self.geometry, self.layout, self.live_weight(), self.bias)

    def _scale_weight(self, scale: Tensor) -> None:
        total = scale if self.scale is None else self.scale * scale
        self.scale = nn.Parameter(total.to(self.basis_proxy.dtype, copy=True))

    def _project_weight(self, weight: Tensor) -> None:
        """Adopt the binary basis that approximates a dense weight best, up to a local minimum."""
        live = self.frame.live.to(weight.device)
        shape = (self.out_channels, self.spec.splits, -1)
        fit = nearest_basis(
            (read_window(weight, self.frame) * live).reshape(shape).double(),
            live.reshape(shape),
            self.spec.binary_basis,
            scaled=self.scale is not None,
        )
        kept_decision_(self.basis_proxy, fit.centres.reshape(self.basis_proxy.shape))
        kept_decision_(self.select_proxy, fit.similarity)
        if self.scale is not None:
            self.scale.copy_(fit.scale)
