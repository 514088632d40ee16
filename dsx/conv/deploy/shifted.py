"""Shifted: one matrix product per live kernel position, on the shifted image, added up in place."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsx.conv.deploy._base import Form
from dsx.conv.modules.base import DsxConv
from dsx.conv.modules.layout import Layout
from dsx.conv.modules.windowed import WindowedConv2d
from dsx.conv.sparsity.geometry import pad_or_crop


class Shifted(nn.Module):
    """Shift the image by views of its padded rows, so that nothing is copied but the padding.

    A row of the padded image is as long as the products need it, and the columns that a shift
    leaves over at its end are cut off afterwards. With a stride, every phase of the image is an
    image of its own.

    Args:
        conv: The convolution, without a sliding window.
        members: Outputs by support, (groups, outputs) each; together they are all outputs.
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
            own: list[tuple[int, int, int, int]] = []
            for row, column in support.nonzero().tolist():
                rows = outputs.flatten().to(weight.device)
                part = weight[rows[:, None], columns[rows], row, column]
                self.register_buffer(
                    f"weight_{number}_{len(own)}", part.reshape(*outputs.shape, self.width)
                )
                own.append(self._shift(row, column))
            self.shifts.append(own)
        every = [shift for own in self.shifts for shift in own]
        self.most = max(shift[2] for shift in every), max(shift[3] for shift in every)
        order = torch.cat([outputs for _, outputs in members], 1).flatten()
        in_order = torch.equal(order, torch.arange(len(order)))
        self.register_buffer("order", None if in_order else order.argsort().to(weight.device))
        bias = None if conv.bias is None else conv.bias.detach()[:, None, None].clone()
        self.register_buffer("bias", bias)

    def _shift(self, row: int, column: int) -> tuple[int, int, int, int]:
        """Give the phase of a kernel position, and its rows and columns from there."""
        down, right = row * self.geometry.dilation[0], column * self.geometry.dilation[1]
        sh, sw = self.geometry.stride
        return down % sh, right % sw, down // sh, right // sw

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (B, Cin, H, W) to (B, Cout, OH, OW)."""
        batch = input.shape[0]
        rows, columns = self.geometry.out_hw(input.shape[2], input.shape[3])
        long = columns + self.most[1]
        phases = self._phases(input, rows, long)
        sums = []
        for number, own in enumerate(self.shifts):
            total = None
            outputs = getattr(self, f"weight_{number}_0").shape[1]
            # torch.fx cannot expand a buffer to a batch size that it only follows.
            shape = (batch, self.groups, outputs, self.width)
            every = input.new_empty((1,)).expand(shape)
            for place, (top, left, down, right) in enumerate(own):
                weight = getattr(self, f"weight_{number}_{place}")
                weights = weight.expand_as(every).flatten(0, 1)
                start = down * long + right
                view = phases[top][left].narrow(2, start, rows * long)
                if total is None:
                    total = torch.bmm(weights, view)
                else:
                    # Autocast lowers the first product, but none that is added in place.
                    total = total.baddbmm_(weights.type_as(total), view.type_as(total))
            assert total is not None
            sums.append(total.reshape(batch, self.groups, outputs, rows * long))
        out = sums[0] if len(sums) == 1 else torch.cat(sums, 2)
        out = out.reshape(batch, self.geometry.out_channels, rows, long)
        out = out.narrow(3, 0, columns)
        out = out if self.order is None else out.index_select(1, self.order)
        return out.contiguous() if self.bias is None else out + self.bias

    def _phases(self, x: Tensor, rows: int, long: int) -> list[list[Tensor]]:
        """Pad, and cut into phases: (B * groups, channels, pixels) by row and column."""
        (sh, sw), (left, right, top, bottom) = self.geometry.stride, self.geometry.padding
        batch, height, width = x.shape[0], x.shape[2], x.shape[3]
        if self.geometry.padding_mode != "zeros":
            x = pad_or_crop(x, self.geometry.padding, self.geometry.padding_mode)
            height, width, left, top = height + top + bottom, width + left + right, 0, 0
        # One row more: the last columns of a shifted image reach into it.
        tall = rows + self.most[0] + 1
        below, behind = tall * sh - height - top, long * sw - width - left
        x = F.pad(x, (left, behind, top, below))
        x = x.reshape(batch * self.groups, self.width, tall, sh, long, sw)
        x = x.permute(3, 5, 0, 1, 2, 4)
        # For a stride of one this is no copy.
        return [[x[a][b].reshape(batch * self.groups, self.width, tall * long) for b in range(sw)]
                for a in range(sh)]  # fmt: skip


def _members(layout: Layout) -> list[tuple[Tensor, Tensor]] | None:
    """Sort outputs by support; None where one has several, or groups have not equally many."""
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
    """Shift and multiply; applies where each filter has one support, but not all one rectangle."""
    if not isinstance(conv, WindowedConv2d) or conv.frame.step is not None:
        return None
    members = _members(conv.layout)
    if not members or (len(members) == 1 and _is_rectangle(members[0][0])):
        return None
    if sum(outputs.numel() for _, outputs in members) < conv.out_channels:
        return None
    return Shifted(conv, members)


FORM = Form(build=build)
