"""Pixels of more than 8 bits: their values, and the range that becomes 0 to 255.

Such a file does not state which value is white: a camera of 12 bits writes up to 4,095 into 16
bits, and a program that means 8 bits writes up to 255. So one range is taken for a whole data set.
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
"""(rows, columns, channels) of any number type."""

_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
"""The order of the two bytes of a value in which Pillow, which keeps the upper byte, keeps the
lower one."""

_BITS_PER_SAMPLE = 258
"""The tag of TIFF."""

_JPEG2000_HEAD, _JPEG2000_BITS = 4096, 42
"""Bytes in which the main header begins, and where the first component follows its marker."""


class UnknownRange(DsxError):
    """An image whose pixels have more than 8 bits, while the range of the data set is not known."""


@dataclass(frozen=True, kw_only=True)
class PixelRange:
    """The values that become 0 and 255.

    Args:
        black: Value that becomes 0.
        white: Value that becomes 255.
        stated: Whether the user states the range, so that values outside are meant to be cut off.
    """

    black: float
    white: float
    stated: bool

    @property
    def identity(self) -> tuple[float, float]:
        """Numbers on which the pixels depend."""
        return self.black, self.white

    def __str__(self) -> str:
        return f"[{self.black:.15g}, {self.white:.15g}]"

    def to_bytes(self, values: Values) -> npt.NDArray[np.uint8]:
        """Convert values to 8 bits.

        Args:
            values: The values, of any shape.

        Returns:
            The values from 0 to 255, rounded.

        Raises:
            ValueError: If a value is not a number, or outside of a range that is not stated.
        """
        extent = Extent.of(values)
        if not self.stated and not (self.black <= extent.low and extent.high <= self.white):
            raise ValueError(
                f"pixels from {extent.low:.6g} to {extent.high:.6g}, those of the training images "
                f"are in {self} (state pixel_range)"
            )
        scaled = (values.astype(np.float64) - self.black) * (255 / (self.white - self.black))
        return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def given_range(value: object) -> PixelRange | None:
    """Check the argument that states the range.

    Args:
        value: As given; None if the range is that of the training images.

    Returns:
        The range, if one is given.

    Raises:
        DsxError: If it is something else than two finite numbers in rising order.
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
    """The smallest and the largest of some values.

    Args:
        low: The smallest.
        high: The largest.
        integers: Whether all of them are integers.
    """

    low: float
    high: float
    integers: bool

    @classmethod
    def of(cls, values: Values) -> "Extent":
        """Find the extent of some values.

        Raises:
            ValueError: If one is not a finite number.
        """
        low, high = float(values.min()), float(values.max())
        if not math.isfinite(low) or not math.isfinite(high):
            raise ValueError("pixels that are not finite numbers")
        integers = bool(values.dtype.kind != "f" or (values == np.rint(values)).all())
        return cls(low=low, high=high, integers=integers)

    def __or__(self, other: "Extent") -> "Extent":
        return Extent(
            low=min(self.low, other.low),
            high=max(self.high, other.high),
            integers=self.integers and other.integers,
        )

    def range(self) -> PixelRange:
        """Return the range of as many bits as the values need.

        Returns:
            From 0, or minus a power of two where values are negative, to the smallest power of two
            that none exceeds; of integers one less, such as 255 or 4,095.
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
    """Return the smallest power of two that is not below a value; 0 if that is not above 0."""
    if value <= 0:
        return 0.0
    fraction, exponent = math.frexp(value)
    return math.ldexp(1.0, exponent - (fraction == 0.5))


def depth(image: "Image") -> str:
    """Describe pixels of more than 8 bits.

    Args:
        image: An image as it is opened, of which only the head is read.

    Returns:
        Such as "16-bit pixels"; empty if the pixels have 8 bits at most.
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
    # A pixel of "BGR;16" has 16 bits, its colours have five or six.
    return any(";16" in (mode := _raw_mode(tile)) and mode != "BGR;16" for tile in tiles)


def _bits_of_jpeg2000(image: Any) -> int:
    """Read the bits of the first component, which Pillow does not report."""
    image.fp.seek(0)
    head: bytes = image.fp.read(_JPEG2000_HEAD)
    marker = head.find(b"\xff\x4f\xff\x51")
    at = marker + _JPEG2000_BITS
    return (head[at] & 0x7F) + 1 if marker >= 0 and at < len(head) else 8


def _raw_mode(tile: Any) -> str:
    args = tile.args
    return str(args[0] if isinstance(args, tuple | list) and args else args)


def values_of(image: "Image", data: bytes) -> tuple[Values, str]:
    """Read pixels of more than 8 bits.

    Args:
        image: The image as it is opened.
        data: The bytes of its file.

    Returns:
        The values, turned upright, and the mode of an image of 8 bits that takes their place; the
        last channel of "LA" and "RGBA" is the opacity.

    Raises:
        ValueError: If Pillow gives only 8 bits of them.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        return _upright(image)[..., None], "L"
    tiles: Any = getattr(image, "tile", [])
    raw = {_raw_mode(tile) for tile in tiles}
    if image.format == "PPM" and raw == {"RGB"} and tiles[0].codec_name == "ppm":
        values = np.frombuffer(data, ">u2", 3 * image.width * image.height, tiles[0].offset)
        # As Pillow scales grey pixels of this format.
        return np.rint(
            values.reshape(image.height, image.width, 3) * (65535 / tiles[0].args[-1])
        ).astype(np.uint16), "RGB"
    if raw == {"LA;16B"}:
        # All four bytes of a pixel, as if they were four channels.
        four = _upright(_reopened(data, lambda raw_mode: "RGBA")).astype(np.uint16)
        return four[..., ::2] << 8 | four[..., 1::2], "LA"
    if not all(mode.partition(";16")[2] in _OTHER_ORDER and "a" not in mode for mode in raw):
        raise ValueError("16 bits in each colour in a form that is not read (allowed: PNG, TIFF)")
    mode = image.mode
    low = _upright(_reopened(data, lambda raw_mode: raw_mode[:-1] + _OTHER_ORDER[raw_mode[-1]]))
    return _upright(image).astype(np.uint16) << 8 | low, mode


def _upright(image: "Image") -> Values:
    from PIL import ImageOps

    ImageOps.exif_transpose(image, in_place=True)
    return np.asarray(image)


def _reopened(data: bytes, change: Any) -> "Image":
    """Open an image so that its bytes are unpacked in another way."""
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
    """Return the channels that are not the opacity."""
    return values[..., :-1] if mode in ("LA", "RGBA") else values


def _opacity(values: Values, pixel_range: PixelRange) -> Values:
    """Convert the opacity to 8 bits: programs that mean 8 or 12 bits write it in as many, too."""
    if values.min() == values.max() > 0:
        return np.full_like(values, 255)
    white = pixel_range.white if values.max() <= pixel_range.white else 65535
    return np.rint(values * (255 / white))


def eight_bits(values: Values, mode: str, pixel_range: PixelRange) -> "Image":
    """Make an image of 8 bits.

    Args:
        values: The values.
        mode: Mode of the image.
        pixel_range: The values that become 0 and 255.

    Returns:
        The image.

    Raises:
        ValueError: If values do not fit the range.
    """
    from PIL import Image

    channels: list[Values] = [pixel_range.to_bytes(colours(values, mode))]
    if mode in ("LA", "RGBA"):
        channels.append(_opacity(values[..., -1:], pixel_range))
    pixels = np.concatenate(channels, axis=2).astype(np.uint8)
    return Image.frombytes(mode, (pixels.shape[1], pixels.shape[0]), pixels.tobytes())
