"""The geometry of a convolution: what stays the same whatever the dials say."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from dsx.conv.sparsity.attributes import margins, numbers, sizes_of
from dsx.plain import plain_fields


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle of kernel positions.

    Args:
        top: Row of its first position.
        left: Column of its first position.
        height: Rows.
        width: Columns.
    """

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Channels, kernel, stride, padding and dilation of a 2-d convolution.

    Args:
        in_channels: Cin.
        out_channels: Cout.
        kernel_size: Rows and columns of the kernel.
        stride: Rows and columns from one output to the next.
        padding: Rows and columns added on each side: left, right, top, bottom.
        dilation: Rows and columns from one kernel position to the next.
        padding_mode: As in nn.Conv2d.
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
        """Read the geometry off a convolution; `same` and `valid` padding become numbers.

        Args:
            conv: The convolution, whose attributes may be what surgery has left there.

        Raises:
            SpecError: If its attributes disagree with its weight.
        """
        sizes = sizes_of(conv)
        return cls(
            in_channels=sizes.in_channels,
            out_channels=sizes.out_channels,
            kernel_size=sizes.kernel_size,
            stride=numbers(conv.stride),
            padding=margins(conv),
            dilation=numbers(conv.dilation),
            padding_mode=conv.padding_mode,
        )

    @property
    def whole(self) -> Box:
        """The box of all kernel positions."""
        return Box(top=0, left=0, height=self.kernel_size[0], width=self.kernel_size[1])

    def out_hw(self, height: int, width: int) -> tuple[int, int]:
        """Give the size of the output.

        Args:
            height: Rows of the input.
            width: Columns of the input.

        Returns:
            Rows and columns of the output.
        """
        left, right, top, bottom = self.padding
        rows = height + top + bottom - self.dilation[0] * (self.kernel_size[0] - 1) - 1
        columns = width + left + right - self.dilation[1] * (self.kernel_size[1] - 1) - 1
        return rows // self.stride[0] + 1, columns // self.stride[1] + 1

    def box_padding(self, box: Box) -> tuple[int, int, int, int]:
        """Give the padding with which a convolution over a part of the kernel lines up.

        Args:
            box: The part of the kernel.

        Returns:
            Left, right, top, bottom; negative where the input has to be cropped.
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
        """Convolve with a weight that covers a part of the kernel.

        Args:
            x: (B, Cin, H, W).
            weight: (Cout, Cin / groups, box height, box width).
            bias: (Cout,) or None.
            box: The part of the kernel that the weight covers.
            groups: As in nn.Conv2d.

        Returns:
            (B, Cout, OH, OW), as the whole kernel would give with zeros elsewhere.
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
        """Write a convolution over a part of the kernel with torch's own modules.

        Args:
            weight: (outputs, inputs / groups, box height, box width); copied.
            bias: (outputs,) or None; copied.
            box: The part of the kernel that the weight covers; None for all of it.
            groups: As in nn.Conv2d.

        Returns:
            A nn.Conv2d, after a padding module where its own padding cannot say it.
        """
        box = box or self.whole
        pad = self.box_padding(box)
        own = is_symmetric(pad)
        conv = bare_conv2d(
            weight.shape[1] * groups,
            weight.shape[0],
            (box.height, box.width),
            self.stride,
            (pad[2], pad[0]) if own else 0,
            self.dilation,
            groups,
            bias is not None,
            self.padding_mode if own else "zeros",
            device=weight.device,
            dtype=weight.dtype,
        )
        conv.weight.data.copy_(weight.detach())
        if bias is not None and conv.bias is not None:
            conv.bias.data.copy_(bias.detach())
        return conv if own else nn.Sequential(_Pad(pad, self.padding_mode), conv)


def bare_conv2d(*arguments: Any, **options: Any) -> nn.Conv2d:
    """Make a nn.Conv2d without filling its weights: the caller does, or they stay undefined."""
    conv: nn.Conv2d = nn.utils.skip_init(nn.Conv2d, *arguments, **options)  # type: ignore[no-untyped-call]
    return conv


def is_symmetric(pad: tuple[int, int, int, int]) -> bool:
    """Say whether nn.Conv2d's own padding can express left, right, top, bottom."""
    return pad[0] == pad[1] >= 0 and pad[2] == pad[3] >= 0


def pad_or_crop(x: Tensor, pad: tuple[int, int, int, int], mode: str) -> Tensor:
    """Pad an image where the amount is positive and crop it where it is negative.

    Args:
        x: (B, C, H, W).
        pad: Left, right, top, bottom.
        mode: As in nn.Conv2d.

    Returns:
        (B, C, H + top + bottom, W + left + right).
    """
    # In the other modes a smaller padding is the inner part of a larger one, so that both add up.
    # Grown first: an image of one pixel may lose more on one side than it has to begin with.
    grow = tuple(max(amount, 0) for amount in pad)
    crop = tuple(min(amount, 0) for amount in pad)
    if any(grow):
        x = F.pad(x, grow, "constant" if mode == "zeros" else mode)
    return F.pad(x, crop) if any(crop) else x


class _Pad(nn.Module):
    """Padding and cropping that nn.Conv2d's own padding cannot say."""

    def __init__(self, pad: tuple[int, int, int, int], mode: str) -> None:
        super().__init__()
        self.pad = pad
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        return pad_or_crop(x, self.pad, self.mode)

    def extra_repr(self) -> str:
        return f"{self.pad}, mode={self.mode}"
