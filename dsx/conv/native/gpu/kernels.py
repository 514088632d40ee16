"""Kernels of block-sparse convolutions in Triton, over the lists of `lists.py`.

This module is the only one that imports triton; `launch.py` starts the kernels. A tile
is a block of outputs by PIXELS pixels of the batch; each chunk of a list adds one product of two
small matrices to it: the weights of the chunk, and the input channels that it reads, shifted by
its kernel position.
"""

import triton
import triton.language as tl


@triton.jit
def convolve(
    x,
    weights,
    bias,
    residual,
    y,
    rows,
    first,
    shifts,
    channels,
    index,
    blocks,
    pixels,
    out_pixels,
    out_width,
    height,
    width,
    inputs,
    outputs,
    STRIDE_H: tl.constexpr,
    STRIDE_W: tl.constexpr,
    ACTIVATION: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    CHUNK: tl.constexpr,
    PIXELS: tl.constexpr,
):
    """Compute a tile of the output.

    Args:
        x: Images, (B, inputs, height, width).
        weights: Weights, of any order.
        bias: Bias, (outputs,), or None.
        residual: Tensor that is added before the activation, like y, or None.
        y: Output, (B, outputs, out_pixels).
        rows: Output of each row of each block; -1: none.
        first: First chunk of each block, and the number of chunks.
        shifts: Rows and columns by which each chunk is shifted.
        channels: Input channels of each chunk; -1: none.
        index: Index of each weight of each chunk, (chunks, CHUNK, ROWS); -1: none.
        blocks: Number of blocks.
        pixels: Number of output pixels of all images.
        out_pixels: Number of output pixels of one image.
        out_width: Width of the output.
        height: Height of an image.
        width: Width of an image.
        inputs: Number of input channels.
        outputs: Number of outputs.
        STRIDE_H: Vertical stride.
        STRIDE_W: Horizontal stride.
        ACTIVATION: Activation of the output.
        PRECISION: Precision of products in float32, "ieee" or "tf32".
        ROWS: Number of outputs of a block.
        CHUNK: Number of channels of a chunk.
        PIXELS: Number of pixels of a tile.
    """
    # Programs that read the same pixels follow each other.
    block = tl.program_id(0) % blocks
    pixel = (tl.program_id(0) // blocks) * PIXELS + tl.arange(0, PIXELS)
    image = (pixel // out_pixels).to(tl.int64)
    place = pixel % out_pixels
    top = place // out_width * STRIDE_H
    left = place % out_width * STRIDE_W
    images = x + image * inputs * height * width
    row = tl.load(rows + block * ROWS + tl.arange(0, ROWS))
    total = tl.zeros((ROWS, PIXELS), x.dtype.element_ty)
    for chunk in range(tl.load(first + block), tl.load(first + block + 1)):
        values = shifted(
            images, channels, shifts, chunk, top, left, pixel < pixels, height, width, CHUNK
        )
        at = chunk * CHUNK * ROWS + tl.arange(0, CHUNK)[None, :] * ROWS
        which = tl.load(index + at + tl.arange(0, ROWS)[:, None])
        weight = tl.load(weights + which, mask=which >= 0, other=0.0)
        total = tl.dot(weight, values, total, input_precision=PRECISION, out_dtype=total.dtype)
    mask = (row >= 0)[:, None] & (pixel < pixels)[None, :]
    at = (image * outputs * out_pixels + place)[None, :] + (row * out_pixels)[:, None]
    if bias is not None:
        total += tl.load(bias + row, mask=row >= 0, other=0.0)[:, None]
    if residual is not None:
        total += tl.load(residual + at, mask=mask, other=0.0)
    tl.store(y + at, activate(total, ACTIVATION), mask=mask)


@triton.jit
def differentiate(
    x,
    gradient,
    partial,
    rows,
    block_of,
    shifts,
    channels,
    chunks,
    tiles,
    pixels,
    out_pixels,
    out_width,
    height,
    width,
    inputs,
    outputs,
    STRIDE_H: tl.constexpr,
    STRIDE_W: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    CHUNK: tl.constexpr,
    PIXELS: tl.constexpr,
):
    """Compute the gradient of the weights of one chunk, summed over a part of the pixels.

    Args:
        x: Images, (B, inputs, height, width).
        gradient: Gradient of the output, (B, outputs, out_pixels).
        partial: Sums of each part, (parts, chunks, CHUNK, ROWS).
        rows: Output of each row of each block; -1: none.
        block_of: Block of each chunk.
        shifts: Rows and columns by which each chunk is shifted.
        channels: Input channels of each chunk; -1: none.
        chunks: Number of chunks.
        tiles: Number of tiles of pixels in a part.
        pixels: Number of output pixels of all images.
        out_pixels: Number of output pixels of one image.
        out_width: Width of the output.
        height: Height of an image.
        width: Width of an image.
        inputs: Number of input channels.
        outputs: Number of outputs.
        STRIDE_H: Vertical stride.
        STRIDE_W: Horizontal stride.
        PRECISION: Precision of products in float32, "ieee" or "tf32".
        ROWS: Number of outputs of a block.
        CHUNK: Number of channels of a chunk.
        PIXELS: Number of pixels of a tile.
    """
    chunk = tl.program_id(0)
    part = tl.program_id(1)
    row = tl.load(rows + tl.load(block_of + chunk) * ROWS + tl.arange(0, ROWS))
    total = tl.zeros((CHUNK, ROWS), x.dtype.element_ty)
    for tile in range(part * tiles, (part + 1) * tiles):
        pixel = tile * PIXELS + tl.arange(0, PIXELS)
        image = (pixel // out_pixels).to(tl.int64)
        place = pixel % out_pixels
        top = place // out_width * STRIDE_H
        left = place % out_width * STRIDE_W
        images = x + image * inputs * height * width
        values = shifted(
            images, channels, shifts, chunk, top, left, pixel < pixels, height, width, CHUNK
        )
        at = (image * outputs * out_pixels + place)[:, None] + (row * out_pixels)[None, :]
        mask = (row >= 0)[None, :] & (pixel < pixels)[:, None]
        given = tl.load(gradient + at, mask=mask, other=0.0)
        total = tl.dot(values, given, total, input_precision=PRECISION, out_dtype=total.dtype)
    at = (part * chunks + chunk).to(tl.int64) * CHUNK * ROWS + tl.arange(0, CHUNK)[:, None] * ROWS
    tl.store(partial + at + tl.arange(0, ROWS)[None, :], total)


@triton.jit
def shifted(images, channels, shifts, chunk, top, left, valid, height, width, CHUNK: tl.constexpr):
    """Load what a chunk reads, (CHUNK, PIXELS); zero outside the images.

    Args:
        images: Pointer to the image of each pixel.
        channels: Input channels of each chunk; -1: none.
        shifts: Rows and columns by which each chunk is shifted.
        chunk: Number of the chunk.
        top: Row of each pixel before the shift.
        left: Column of each pixel before the shift.
        valid: Whether each pixel exists.
        height: Height of an image.
        width: Width of an image.
        CHUNK: Number of channels of a chunk.

    Returns:
        The values.
    """
    top += tl.load(shifts + 2 * chunk)
    left += tl.load(shifts + 2 * chunk + 1)
    inside = valid & (top >= 0) & (top < height) & (left >= 0) & (left < width)
    channel = tl.load(channels + chunk * CHUNK + tl.arange(0, CHUNK))
    at = (top * width + left)[None, :] + (channel * height * width)[:, None]
    mask = inside[None, :] & (channel >= 0)[:, None]
    return tl.load(images[None, :] + at, mask=mask, other=0.0)


@triton.jit
def activate(y, ACTIVATION: tl.constexpr):
    """Apply an activation; comparisons are written so that NaN is kept, as torch does.

    Args:
        y: Values.
        ACTIVATION: Name of the activation.

    Returns:
        The values after the activation.
    """
    if ACTIVATION == "hardswish":
        gate = y + 3.0
        gate = tl.where(gate < 0.0, 0.0, gate)
        gate = tl.where(gate > 6.0, 6.0, gate)
        y = y * gate / 6.0
    elif ACTIVATION != "none":
        y = tl.where(y < 0.0, 0.0, y)
        if ACTIVATION == "relu6":
            y = tl.where(y > 6.0, 6.0, y)
    return y
