"""Calls of the Triton kernels for block-sparse convolutions."""

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from dsx.conv.native.gpu.lists import GpuLists
from dsx.conv.sparsity.geometry import Geometry
from dsx.errors import DsxError

MAX_ELEMENTS = 2**30
"""Largest number of elements of an image, and of pixels of a batch."""

_PIXELS = {torch.float32: (128, 64), torch.float64: (32, 32)}
"""Number of pixels of a tile by number format, for large and for small batches."""

_PROGRAMS = 1024
"""Number of programs that occupy all processors of a large GPU; an estimate."""


def convolve(
    x: Tensor,
    weights: Tensor,
    bias: Tensor | None,
    lists: GpuLists,
    geometry: Geometry,
    residual: Tensor | None = None,
    activation: str = "none",
) -> Tensor:
    """Compute a block-sparse convolution by the kernel.

    Args:
        x: Batch of images, (B, Cin, H, W).
        weights: Weights, to which the lists refer.
        bias: Bias, (Cout,), or None.
        lists: Lists of the kernel.
        geometry: Geometry of the convolution.
        residual: Tensor that is added before the activation, (B, Cout, OH, OW) or of a shape that
            can be expanded to it, or None.
        activation: Activation of the output.

    Returns:
        The output, (B, Cout, OH, OW).

    Raises:
        DsxError: If an image or the batch is too large.
    """
    shape = (x.shape[0], lists.outputs, *geometry.out_hw(x.shape[2], x.shape[3]))
    _check_sizes(x.shape, shape)
    y = x.new_empty(shape)
    if y.numel() == 0:
        return y
    x, weights = x.contiguous(), weights.contiguous()
    bias = None if bias is None else bias.contiguous()
    residual = None if residual is None else residual.expand(shape).contiguous()
    pixels, blocks = y.numel() // y.shape[1], len(lists.first) - 1
    large, small = _PIXELS[x.dtype]
    tile = large if pixels // large * blocks >= _PROGRAMS else small
    with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
        _kernels().convolve[(blocks * -(-pixels // tile),)](
            x, weights, bias, residual, y, lists.rows, lists.first, lists.shifts, lists.channels,
            lists.index, blocks, *_sizes(x, y), *geometry.stride, activation, _precision(),
            lists.block, lists.chunk, tile,
        )  # fmt: skip
    return y


def differentiate(x: Tensor, gradient: Tensor, lists: GpuLists, geometry: Geometry) -> Tensor:
    """Compute the gradient of the live weights by the kernel.

    Args:
        x: Input of the convolution, (B, Cin, H, W).
        gradient: Gradient of its output, (B, Cout, OH, OW).
        lists: Lists of the kernel.
        geometry: Geometry of the convolution.

    Returns:
        The gradient of each live weight, in the order of the lists.

    Raises:
        DsxError: If an image or the batch is too large.
    """
    _check_sizes(x.shape, gradient.shape)
    chunks, tile = len(lists.block_of), _PIXELS[x.dtype][1]
    if chunks == 0 or gradient.numel() == 0:
        return x.new_zeros(len(lists.live))
    x, gradient = x.contiguous(), gradient.contiguous()
    # Each part of the pixels is summed by one program; the sum of parts has a fixed order.
    tiles = -(-gradient.numel() // gradient.shape[1] // tile)
    of_part = -(-tiles // max(1, _PROGRAMS // chunks))
    partial = x.new_empty((-(-tiles // of_part), len(lists.index)))
    with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
        _kernels().differentiate[(chunks, len(partial))](
            x, gradient, partial, lists.rows, lists.block_of, lists.shifts, lists.channels, chunks,
            of_part, *_sizes(x, gradient), *geometry.stride, _precision(), lists.block,
            lists.chunk, tile,
        )  # fmt: skip
    return partial.sum(0)[lists.live]


def _sizes(x: Tensor, y: Tensor) -> tuple[int, ...]:
    """Return the sizes that both kernels take, in their order."""
    images, outputs, out_height, out_width = y.shape
    out_pixels = out_height * out_width
    return images * out_pixels, out_pixels, out_width, x.shape[2], x.shape[3], x.shape[1], outputs


def _check_sizes(*shapes: Sequence[int]) -> None:
    for shape in shapes:
        images, channels, height, width = shape
        if max(images, channels) * height * width > MAX_ELEMENTS:
            raise DsxError(
                f"a tensor of shape {tuple(shape)} is too large for the kernels for GPUs (allowed: "
                f"at most {MAX_ELEMENTS} elements of an image, and as many pixels of a batch)"
            )


def _precision() -> str:
    """Return the precision of products in float32, which torch has one setting for."""
    return "tf32" if torch.backends.cuda.matmul.fp32_precision == "tf32" else "ieee"


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions on which the speed of the kernels depends.

    Returns:
        Hash of the Python files of this folder, and the version of Triton, which compiles them.
    """
    files = sorted(Path(__file__).parent.glob("*.py"))
    content = hashlib.sha256(b"".join(file.read_bytes() for file in files))
    return {"kernels of dsx": content.hexdigest()[:8], "triton": _kernels().triton.__version__}


@functools.cache
def _kernels() -> ModuleType:
    # Not at the top, because triton need not be installed.
    from dsx.conv.native.gpu import kernels

    return kernels
