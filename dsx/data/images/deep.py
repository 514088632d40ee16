"""Pixels with more than 8 bits: their values, and the range that is mapped to 0 to 255.

Such a file does not specify which value is white: a 12-bit camera writes values up to 4,095 into 16
bits, and a program for 8-bit images writes values up to 255. One range is therefore used for the
whole dataset.
"""

import io
import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dsx.errors import DsxError, short

if TYPE_CHECKING:
    from PIL.Image import Image

Values = npt.NDArray[Any]
"""Values of pixels, (rows, columns, channels), of any dtype."""

_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
"""Opposite byte order by byte order: Pillow keeps the upper byte of a value, so that reading it in
the opposite byte order returns the lower byte."""

_BITS_PER_SAMPLE = 258
"""TIFF tag `BitsPerSample`."""

_JPEG2000_HEAD, _JPEG2000_BITS = 4096, 42
"""Number of bytes in which the main header starts, and offset of the depth of the first component
from the marker."""


class UnknownRange(DsxError):
    """Pixels with more than 8 bits in a dataset whose pixel range is not known."""


@dataclass(frozen=True, kw_only=True)
class PixelRange:
    """Values that are mapped to 0 and 255.

    Args:
        black: Value that is mapped to 0.
        white: Value that is mapped to 255.
        stated: Whether the range is specified by the user, so that values outside of it are
            clipped.
    """

    black: float
    white: float
    stated: bool

    @property
    def identity(self) -> tuple[float, float]:
        """Numbers on which the converted pixels depend."""
        return self.black, self.white

    def __str__(self) -> str:
        return f"[{self.black:.15g}, {self.white:.15g}]"

    def to_bytes(self, values: Values) -> npt.NDArray[np.uint8]:
        """Convert values to 8 bits.

        Args:
            values: Values of any shape.

        Returns:
            Rounded values from 0 to 255.

        Raises:
            ValueError: If a value is not finite, or outside of a range that is not specified by the
                user.
        """
        extent = Extent.of(values)
        if not self.stated and not (self.black <= extent.low and extent.high <= self.white):
            raise ValueError(
                f"pixels from {extent.low:.6g} to {extent.high:.6g} are outside of {self}, the "
                "range of the training images (specify pixel_range)"
            )
        scaled = (values.astype(np.float64) - self.black) * (255 / (self.white - self.black))
        return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def parse_range(value: object) -> PixelRange | None:
    """Parse the argument that specifies the pixel range.

    Args:
        value: Value as given; None if the range is that of the training images.

    Returns:
        The range, if one is given.

    Raises:
        DsxError: If the value is not two finite numbers in ascending order.
    """
    if value is None:
        return None
    if isinstance(value, list | tuple) and len(value) == 2:
        numbers = [float(x) for x in value if type(x) in (int, float) and math.isfinite(x)]
        if len(numbers) == 2 and numbers[0] < numbers[1]:
            return PixelRange(black=numbers[0], white=numbers[1], stated=True)
    raise DsxError(
        f"pixel_range: {short(value)} (allowed: the values of black and white, such as [0, 4095])"
    )


@dataclass(frozen=True, kw_only=True)
class Extent:
    """Smallest and largest of some values.

    Args:
        low: Smallest value.
        high: Largest value.
        integers: Whether all values are integers.
    """

    low: float
    high: float
    integers: bool

    @classmethod
    def of(cls, values: Values) -> "Extent":
        """Compute the extent of values.

        Args:
            values: Values of any shape.

        Returns:
            The extent.

        Raises:
            ValueError: If a value is not finite.
        """
        low, high = float(values.min()), float(values.max())
        if not math.isfinite(low) or not math.isfinite(high):
            raise ValueError("pixels are NaN or infinite")
        integers = bool(values.dtype.kind != "f" or (values == np.rint(values)).all())
        return cls(low=low, high=high, integers=integers)

    def __or__(self, other: "Extent") -> "Extent":
        return Extent(
            low=min(self.low, other.low),
            high=max(self.high, other.high),
            integers=self.integers and other.integers,
        )

    def range(self) -> PixelRange:
        """Return the range of the number of bits that the values require.

        Returns:
            A range from 0, or from a negative power of two for negative values, to the smallest
            power of two that no value exceeds; for integers one less, such as 255 or 4,095.
        """
        white = _power_of_two(self.high)
        if self.integers:
            white = max(1.0, 2.0 ** int(max(0.0, self.high)).bit_length() - 1)
        return PixelRange(
            black=0.0 - _power_of_two(-self.low),
            white=white if self.high > 0 or self.low == 0 else 0.0,
            stated=False,
        )


def _power_of_two(value: float) -> float:
    """Return the smallest power of two that is at least a value; 0 for values up to 0."""
    if value <= 0:
        return 0.0
    fraction, exponent = math.frexp(value)
    return math.ldexp(1.0, exponent - (fraction == 0.5))


def describe_depth(image: "Image") -> str:
    """Describe pixels with more than 8 bits.

    Args:
        image: Opened image, of which only the header is read.

    Returns:
        A phrase such as "16-bit pixels"; empty if the pixels have at most 8 bits.
    """
    if image.mode == "F":
        return "floating-point pixels"
    if image.mode.startswith("I"):
        return "16-bit pixels" if ";16" in image.mode else "32-bit pixels"
    return "16-bit pixels" if _has_16_bit_colours(image) else ""


def _has_16_bit_colours(image: "Image") -> bool:
    tiles: Any = getattr(image, "tile", [])
    if image.format == "PPM":
        return any(isinstance(tile.args, tuple) and tile.args[-1] > 255 for tile in tiles)
    if image.format == "SGI":
        return any(tile.codec_name == "SGI16" or 2 in tile.args[1:] for tile in tiles)
    if image.format == "TIFF":
        return bool(max(getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (8,))) > 8)
    if image.format == "JPEG2000":
        return _bits_of_jpeg2000(image) > 8
    # A pixel of mode "BGR;16" has 16 bits, of which each colour has five or six.
    return any(";16" in (mode := _raw_mode(tile)) and mode != "BGR;16" for tile in tiles)


def _bits_of_jpeg2000(image: Any) -> int:
    """Read the number of bits of the first component, which Pillow does not report."""
    image.fp.seek(0)
    head: bytes = image.fp.read(_JPEG2000_HEAD)
    marker = head.find(b"\xff\x4f\xff\x51")
    at = marker + _JPEG2000_BITS
    return (head[at] & 0x7F) + 1 if marker >= 0 and at < len(head) else 8


def _raw_mode(tile: Any) -> str:
    args = tile.args
    return str(args[0] if isinstance(args, tuple | list) and args else args)


def read_values(image: "Image", data: bytes) -> tuple[Values, str]:
    """Read pixels with more than 8 bits.

    Args:
        image: Opened image.
        data: Bytes of the file.

    Returns:
        The values, rotated as specified by EXIF data, and the mode of the corresponding 8-bit
        image; the last channel of "LA" and "RGBA" is the opacity.

    Raises:
        ValueError: If Pillow provides only 8 bits of the values.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        return _upright(image)[..., None], "L"
    tiles: Any = getattr(image, "tile", [])
    raw = {_raw_mode(tile) for tile in tiles}
    if image.format == "PPM" and raw == {"RGB"} and tiles[0].codec_name == "ppm":
        values = np.frombuffer(data, ">u2", 3 * image.width * image.height, tiles[0].offset)
        # The same scaling as that of Pillow for grey pixels of this format.
        return np.rint(
            values.reshape(image.height, image.width, 3) * (65535 / tiles[0].args[-1])
        ).astype(np.uint16), "RGB"
    if raw == {"LA;16B"}:
        # The four bytes of a pixel are read as four channels.
        four = _upright(_reopened(data, lambda raw_mode: "RGBA")).astype(np.uint16)
        return four[..., ::2] << 8 | four[..., 1::2], "LA"
    if not all(mode.partition(";16")[2] in _OTHER_ORDER and "a" not in mode for mode in raw):
        raise ValueError("16 bits per colour in an unsupported format (allowed: PNG, TIFF)")
    mode = image.mode
    low = _upright(_reopened(data, lambda raw_mode: raw_mode[:-1] + _OTHER_ORDER[raw_mode[-1]]))
    return _upright(image).astype(np.uint16) << 8 | low, mode


def _upright(image: "Image") -> Values:
    from PIL import ImageOps

    ImageOps.exif_transpose(image, in_place=True)
    return np.asarray(image)


def _reopened(data: bytes, change: Any) -> "Image":
    """Open an image with a modified raw mode, so that its bytes are unpacked differently."""
    from PIL import Image

    image: Any = Image.open(io.BytesIO(data))
    image.tile = [
        tile._replace(
            args=(change(tile.args[0]), *tile.args[1:])
            if isinstance(tile.args, tuple)
            else change(tile.args)
        )
        for tile in image.tile
    ]
    opened: Image.Image = image
    return opened


def colours(values: Values, mode: str) -> Values:
    """Return the channels except the opacity.

    Args:
        values: Values of pixels.
        mode: Mode of the image.
    """
    return values[..., :-1] if mode in ("LA", "RGBA") else values


def _opacity(values: Values, pixel_range: PixelRange) -> Values:
    """Convert the opacity to 8 bits; it has the same range as the colours or the full 16 bits."""
    if values.min() == values.max() > 0:
        return np.full_like(values, 255)
    white = pixel_range.white if values.max() <= pixel_range.white else 65535
    return np.rint(values * (255 / white))


def to_eight_bits(values: Values, mode: str, pixel_range: PixelRange) -> "Image":
    """Convert pixels into an 8-bit image.

    Args:
        values: Values of the pixels.
        mode: Mode of the image.
        pixel_range: Values that are mapped to 0 and 255.

    Returns:
        The image.

    Raises:
        ValueError: If values are outside of the range.
    """
    from PIL import Image

    channels: list[Values] = [pixel_range.to_bytes(colours(values, mode))]
    if mode in ("LA", "RGBA"):
        channels.append(_opacity(values[..., -1:], pixel_range))
    pixels = np.concatenate(channels, axis=2).astype(np.uint8)
    return Image.frombytes(mode, (pixels.shape[1], pixels.shape[0]), pixels.tobytes())
