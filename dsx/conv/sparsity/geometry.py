"""The geometry of a convolution, which does not depend on the dials."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from dsx.conv.sparsity.attributes import checked_pair, margins, sizes_of
from dsx.plain import plain_fields


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle of kernel positions.

    Args:
        top: Row of the first position.
        left: Column of the first position.
        height: Number of rows.
        width: Number of columns.
    """

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """The channels, kernel size, stride, padding and dilation of a two-dimensional convolution.

    Args:
        in_channels: Number of input channels, Cin.
        out_channels: Number of output channels, Cout.
        kernel_size: Height and width of the kernel.
        stride: Vertical and horizontal stride.
        padding: Padding at the left, right, top and bottom.
        dilation: Vertical and horizontal dilation.
        padding_mode: Padding mode, as in nn.Conv2d.
    """

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    padding_mode: str

    def __post_init__(self) -> None:
        plain_fields(self)

    @classmethod
    def of(cls, conv: nn.Conv2d) -> "Geometry":
        """Return the geometry of a convolution.

        Args:
            conv: Convolution whose attributes may have been changed after its construction.

        Returns:
            The geometry, with `same` and `valid` padding as numbers.

        Raises:
            SpecError: If the attributes of the convolution are inconsistent with its weight.
        """
        sizes = sizes_of(conv)
        return cls(
            in_channels=sizes.in_channels,
            out_channels=sizes.out_channels,
            kernel_size=sizes.kernel_size,
            stride=checked_pair(conv.stride),
            padding=margins(conv),
            dilation=checked_pair(conv.dilation),
            padding_mode=conv.padding_mode,
        )

    @property
    def whole(self) -> Box:
        """The box of all kernel positions."""
        return Box(top=0, left=0, height=self.kernel_size[0], width=self.kernel_size[1])

    def out_hw(self, height: int, width: int) -> tuple[int, int]:
        """Compute the size of the output.

        Args:
            height: Height of the input.
            width: Width of the input.

        Returns:
            Height and width of the output.
        """
        left, right, top, bottom = self.padding
        rows = height + top + bottom - self.dilation[0] * (self.kernel_size[0] - 1) - 1
        columns = width + left + right - self.dilation[1] * (self.kernel_size[1] - 1) - 1
        return rows // self.stride[0] + 1, columns // self.stride[1] + 1

    def transposed(self) -> "Geometry":
        """Return the geometry of the convolution that computes the gradient of the input.

        Returns:
            The geometry, for a convolution of stride 1 with padding by zeros.
        """
        (kh, kw), (dh, dw), (left, right, top, bottom) = (
            self.kernel_size,
            self.dilation,
            self.padding,
        )
        across, down = dw * (kw - 1), dh * (kh - 1)
        return dataclasses.replace(
            self,
            in_channels=self.out_channels,
            out_channels=self.in_channels,
            padding=(across - left, across - right, down - top, down - bottom),
        )

    def box_padding(self, box: Box) -> tuple[int, int, int, int]:
        """Compute the padding for a convolution that covers only a box of the kernel.

        Args:
            box: Box of the kernel.

        Returns:
            The padding at the left, right, top and bottom; negative if the input is cropped.
        """
        left, right, top, bottom = self.padding
        (kh, kw), (dh, dw) = self.kernel_size, self.dilation
        return (
            left - box.left * dw,
            right - (kw - box.left - box.width) * dw,
            top - box.top * dh,
            bottom - (kh - box.top - box.height) * dh,
        )

    def convolve(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, box: Box, groups: int
    ) -> Tensor:
        """Convolve with a weight that covers a box of the kernel.

        Args:
            x: Batch of images, (B, Cin, H, W).
            weight: Weight on the box, (Cout, Cin / groups, box height, box width).
            bias: Bias, (Cout,), or None.
            box: Box of the kernel that the weight covers.
            groups: Number of groups, as in nn.Conv2d.

        Returns:
            The output for a kernel that is zero outside the box, (B, Cout, OH, OW).
        """
        pad = self.box_padding(box)
        if self.padding_mode == "zeros" and is_symmetric(pad):
            padding = (pad[2], pad[0])
        else:
            x, padding = pad_or_crop(x, pad, self.padding_mode), (0, 0)
        return F.conv2d(x, weight, bias, self.stride, padding, self.dilation, groups)

    def conv2d(
        self, weight: Tensor, bias: Tensor | None, box: Box | None = None, groups: int = 1
    ) -> nn.Module:
        """Build a nn.Conv2d with a weight that covers a box of the kernel.

        Args:
            weight: Weight on the box, (outputs, inputs / groups, box height, box width); it is
                copied.
            bias: Bias, (outputs,), or None; it is copied.
            box: Box of the kernel that the weight covers; None for the whole kernel.
            groups: Number of groups, as in nn.Conv2d.

        Returns:
            A nn.Conv2d, preceded by a padding module if nn.Conv2d does not support the padding.
        """
        box = box or self.whole
        pad = self.box_padding(box)
        symmetric = is_symmetric(pad)
        conv = bare_conv2d(
            weight.shape[1] * groups,
            weight.shape[0],
            (box.height, box.width),
            self.stride,
            (pad[2], pad[0]) if symmetric else 0,
            self.dilation,
            groups,
            bias is not None,
            self.padding_mode if symmetric else "zeros",
            device=weight.device,
            dtype=weight.dtype,
        )
        conv.weight.data.copy_(weight.detach())
        if bias is not None and conv.bias is not None:
            conv.bias.data.copy_(bias.detach())
        return conv if symmetric else nn.Sequential(_Pad(pad, self.padding_mode), conv)


def bare_conv2d(*arguments: Any, **options: Any) -> nn.Conv2d:
    """Build a nn.Conv2d with uninitialised weights, which the caller must fill.

    Args:
        *arguments: Positional arguments of nn.Conv2d.
        **options: Keyword arguments of nn.Conv2d.

    Returns:
        The convolution.
    """
    conv: nn.Conv2d = nn.utils.skip_init(nn.Conv2d, *arguments, **options)  # type: ignore[no-untyped-call]
    return conv


def is_symmetric(pad: tuple[int, int, int, int]) -> bool:
    """Check whether nn.Conv2d supports a padding.

    Args:
        pad: Padding at the left, right, top and bottom.

    Returns:
        Whether opposite sides have the same non-negative padding.
    """
    return pad[0] == pad[1] >= 0 and pad[2] == pad[3] >= 0


def pad_or_crop(x: Tensor, pad: tuple[int, int, int, int], mode: str) -> Tensor:
    """Pad images where the padding is positive, and crop them where it is negative.

    Args:
        x: Batch of images, (B, C, H, W).
        pad: Padding at the left, right, top and bottom.
        mode: Padding mode, as in nn.Conv2d.

    Returns:
        The images, (B, C, H + top + bottom, W + left + right).
    """
    # Padding comes first, because a small image may be cropped by more than its size. In every
    # mode the padding of a box is the inner part of the padding of the whole kernel.
    grow = tuple(max(amount, 0) for amount in pad)
    crop = tuple(min(amount, 0) for amount in pad)
    if any(grow):
        x = F.pad(x, grow, "constant" if mode == "zeros" else mode)
    return F.pad(x, crop) if any(crop) else x


class _Pad(nn.Module):
    """Padding and cropping that nn.Conv2d does not support."""

    def __init__(self, pad: tuple[int, int, int, int], mode: str) -> None:
        super().__init__()
        self.pad = pad
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        """Pad and crop images, (B, C, H, W)."""
        return pad_or_crop(x, self.pad, self.mode)

    def extra_repr(self) -> str:
        """Return the padding and the mode for the representation of the module."""
        return f"{self.pad}, mode={self.mode}"
