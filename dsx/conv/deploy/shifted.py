"""Shifted: one matrix product per live kernel position on the shifted image, accumulated."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsx.conv.deploy._base import Form
from dsx.conv.modules.base import DsxConv
from dsx.conv.modules.windowed import WindowedConv2d
from dsx.conv.sparsity.geometry import pad_or_crop
from dsx.conv.sparsity.layout import Layout


class Shifted(nn.Module):
    """A sum of matrix products on shifted views of the padded image, which copy no data.

    The rows of the padded image are long enough for all shifts, and the surplus columns of the
    result are cropped. With a stride, each phase of the image is treated as a separate image.

    Args:
        conv: Convolution without a sliding window.
        members: Pairs of a support and its outputs, (groups, outputs), which cover all outputs.
    """

    order: Tensor | None
    bias: Tensor | None

    def __init__(self, conv: WindowedConv2d, members: list[tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.geometry = conv.geometry
        self.groups, self.width = conv.frame.groups, conv.frame.channels.shape[1]
        weight = conv.dense_weight().detach()
        columns = conv.frame.channels.to(weight.device)
        self.shifts: list[list[tuple[int, int, int, int]]] = []
        for number, (support, outputs) in enumerate(members):
            shifts: list[tuple[int, int, int, int]] = []
            for row, column in support.nonzero().tolist():
                rows = outputs.flatten().to(weight.device)
                part = weight[rows[:, None], columns[rows], row, column]
                self.register_buffer(
                    f"weight_{number}_{len(shifts)}", part.reshape(*outputs.shape, self.width)
                )
                shifts.append(self._shift(row, column))
            self.shifts.append(shifts)
        all_shifts = [shift for shifts in self.shifts for shift in shifts]
        self.most = max(shift[2] for shift in all_shifts), max(shift[3] for shift in all_shifts)
        order = torch.cat([outputs for _, outputs in members], 1).flatten()
        in_order = torch.equal(order, torch.arange(len(order)))
        self.register_buffer("order", None if in_order else order.argsort().to(weight.device))
        bias = None if conv.bias is None else conv.bias.detach()[:, None, None].clone()
        self.register_buffer("bias", bias)

    def _shift(self, row: int, column: int) -> tuple[int, int, int, int]:
        """Return the phase (row, column) of a kernel position, and its offset within the phase."""
        down, right = row * self.geometry.dilation[0], column * self.geometry.dilation[1]
        sh, sw = self.geometry.stride
        return down % sh, right % sw, down // sh, right // sw

    def forward(self, input: Tensor) -> Tensor:
        """Compute the convolution.

        Args:
            input: Batch of images, (B, Cin, H, W).

        Returns:
            The output, (B, Cout, OH, OW).
        """
        batch = input.shape[0]
        rows, columns = self.geometry.out_hw(input.shape[2], input.shape[3])
        long = columns + self.most[1]
        phases = self._phases(input, rows, long)
        sums = []
        for number, shifts in enumerate(self.shifts):
            total = None
            outputs = getattr(self, f"weight_{number}_0").shape[1]
            # torch.fx cannot expand a buffer to a traced batch size, but `expand_as` works.
            shape = (batch, self.groups, outputs, self.width)
            expanded = input.new_empty((1,)).expand(shape)
            for index, (top, left, down, right) in enumerate(shifts):
                weight = getattr(self, f"weight_{number}_{index}")
                weights = weight.expand_as(expanded).flatten(0, 1)
                start = down * long + right
                view = phases[top][left].narrow(2, start, rows * long)
                if total is None:
                    total = torch.bmm(weights, view)
                else:
                    # Autocast lowers the first product, but not the in-place additions.
                    total = total.baddbmm_(weights.type_as(total), view.type_as(total))
            assert total is not None
            sums.append(total.reshape(batch, self.groups, outputs, rows * long))
        out = sums[0] if len(sums) == 1 else torch.cat(sums, 2)
        out = out.reshape(batch, self.geometry.out_channels, rows, long)
        out = out.narrow(3, 0, columns)
        out = out if self.order is None else out.index_select(1, self.order)
        return out.contiguous() if self.bias is None else out + self.bias

    def _phases(self, x: Tensor, rows: int, long: int) -> list[list[Tensor]]:
        """Pad and split into phases, (B * groups, channels, pixels) each, by row and column."""
        (sh, sw), (left, right, top, bottom) = self.geometry.stride, self.geometry.padding
        batch, height, width = x.shape[0], x.shape[2], x.shape[3]
        if self.geometry.padding_mode != "zeros":
            x = pad_or_crop(x, self.geometry.padding, self.geometry.padding_mode)
            height, width, left, top = height + top + bottom, width + left + right, 0, 0
        # One extra row, into which the last columns of a shifted image extend.
        tall = rows + self.most[0] + 1
        bottom, right = tall * sh - height - top, long * sw - width - left
        x = F.pad(x, (left, right, top, bottom))
        x = x.reshape(batch * self.groups, self.width, tall, sh, long, sw)
        x = x.permute(3, 5, 0, 1, 2, 4)
        # For a stride of 1 this does not copy.
        return [[x[a][b].reshape(batch * self.groups, self.width, tall * long) for b in range(sw)]
                for a in range(sh)]  # fmt: skip


def _members(layout: Layout) -> list[tuple[Tensor, Tensor]] | None:
    """Return the outputs of each support; None if an output has several or group sizes differ."""
    if not bool((layout.which == layout.which[:, :1]).all()):
        return None
    which = layout.which[:, 0].reshape(layout.groups, -1)
    found = []
    for number, support in enumerate(layout.supports):
        each = (which == number).sum(1)
        if not bool((each == each[0]).all()):
            return None
        if each[0] and support.any():
            found.append(
                (support, (which == number).flatten().nonzero().reshape(layout.groups, -1))
            )
    return found


def _is_rectangle(support: Tensor) -> bool:
    return bool(torch.equal(support, support.any(1)[:, None] & support.any(0)))


def build(conv: DsxConv) -> nn.Module | None:
    """Build the form; it applies if each filter has one support and not all are one rectangle.

    Args:
        conv: Convolution to deploy.

    Returns:
        The module, or None if the form does not apply.
    """
    if not isinstance(conv, WindowedConv2d) or conv.frame.step is not None:
        return None
    members = _members(conv.layout)
    if not members or (len(members) == 1 and _is_rectangle(members[0][0])):
        return None
    if sum(outputs.numel() for _, outputs in members) < conv.out_channels:
        return None
    return Shifted(conv, members)


FORM = Form(build=build)
