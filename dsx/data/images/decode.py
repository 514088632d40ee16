"""Decoding of images into the square of pixels that a network takes."""

import functools
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from dsx.data.images.deep import (
    Extent,
    PixelRange,
    UnknownRange,
    colours,
    describe_depth,
    read_values,
    to_eight_bits,
)
from dsx.errors import DsxError, raise_out_of_memory

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = npt.NDArray[np.uint8]

UNSAFE = frozenset({"EPS"})
"""Formats that contain programs, which Pillow runs with an external interpreter."""


class Place(Protocol):
    """Location of the bytes of one image; its text is used in messages."""

    @property
    def identity(self) -> str:
        """Text that changes if the image is replaced: its name in the dataset and a size."""

    def open(self) -> BinaryIO:
        """Open the bytes of the encoded image."""


@functools.cache
def formats() -> dict[str, tuple[str, ...]]:
    """Return the formats that Pillow can read.

    Returns:
        File suffixes by format.
    """
    from PIL import Image

    # Formats are registered in advance, since registration is not thread-safe. The common formats
    # are registered, and therefore tried, first.
    Image.preinit()
    suffixes = Image.registered_extensions()
    return {
        name: tuple(suffix for suffix, of in suffixes.items() if of == name)
        for name in Image.OPEN
        if name not in UNSAFE
    }


def suffixes() -> set[str]:
    """Return the suffixes of files that Pillow can read, in lower case."""
    return {suffix for format_suffixes in formats().values() for suffix in format_suffixes}


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """Conversion of an encoded image into pixels.

    The image is rotated as specified by its EXIF data; of an animation, the first frame is used.
    Transparent images are blended with white, pixels with more than 8 bits are converted to 8 bits
    by one range for all images, and all colour modes are converted to RGB or grey. The central
    square with 7/8 of the shorter side (or the whole shorter side, if 7/8 of it are fewer pixels
    than `size`) is then resized with bilinear, antialiased interpolation. An image of the required
    size is unchanged.

    Args:
        size: Height and width of the result.
        channels: 3 for RGB, 1 for grey.
        pixel_range: Range of pixels with more than 8 bits; None if it is not known.
    """

    size: int
    channels: int
    # Not in the representation, which is part of the fingerprints of images of 8 bits.
    pixel_range: PixelRange | None = field(default=None, repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the result."""
        return self.channels, self.size, self.size

    def decode(self, place: Place) -> Pixels:
        """Decode an image.

        Args:
            place: Location of the image.

        Returns:
            Pixels, (channels, size, size).

        Raises:
            UnknownRange: If the pixels have more than 8 bits, and the range is not known.
            DsxError: If the image cannot be read; names it.
        """
        data, image = _read(place)
        found = describe_depth(image)
        if found and self.pixel_range is None:
            raise UnknownRange(
                f"{place}: cannot be decoded: {found}, whose range is not known (specify the "
                "values of black and white, such as pixel_range: [0, 4095])"
            )
        with _decoding(place):
            if found and self.pixel_range is not None:
                image = to_eight_bits(*read_values(image, data), self.pixel_range)
            return self._pixels(image)

    def find_extent(self, place: Place) -> Extent | None:
        """Compute the extent of the pixels of an image.

        Args:
            place: Location of the image.

        Returns:
            The extent; None if the pixels have at most 8 bits, whose range is fixed.

        Raises:
            DsxError: If the image cannot be read; names it.
        """
        data, image = _read(place)
        if not describe_depth(image):
            return None
        with _decoding(place):
            return Extent.of(colours(*read_values(image, data)))

    def is_deep(self, place: Place) -> bool:
        """Check whether the pixels of an image have more than 8 bits.

        Args:
            place: Location of the image.
        """
        with _opened(place) as file:
            return bool(describe_depth(_identified(place, file)))

    def check(self, place: Place) -> None:
        """Check that a file is an image by reading its header only.

        Args:
            place: Location of the image.

        Raises:
            DsxError: If the file is not an image; names it.
        """
        with _opened(place) as file:
            _identified(place, file)

    def _pixels(self, image: "Image") -> Pixels:
        from PIL import Image, ImageOps

        # JPEG can be decoded at 1/2, 1/4 or 1/8 of its size, which is used if the result has at
        # least three times the required height and width.
        image.draft(None, (3 * self.size, 3 * self.size))
        ImageOps.exif_transpose(image, in_place=True)
        image = _opaque(image)
        mode = "RGB" if self.channels == 3 else "L"
        if image.mode != mode:
            image = image.convert(mode)
        side: float = min(image.size)
        if side * 7 >= self.size * 8:
            side *= 7 / 8
        left, top = (image.width - side) / 2, (image.height - side) / 2
        box = (left, top, left + side, top + side)
        image = image.resize((self.size, self.size), Image.Resampling.BILINEAR, box=box)
        return np.asarray(image).reshape(self.size, self.size, self.channels).transpose(2, 0, 1)


def _read(place: Place) -> "tuple[bytes, Image]":
    with _opened(place) as file:
        # Read at once, since each access to a slow disk or a network file system takes time.
        data = file.read()
    return data, _identified(place, io.BytesIO(data))


@contextmanager
def _decoding(place: Place) -> Iterator[None]:
    try:
        yield
    # Pillow raises many kinds of exceptions for damaged files.
    except Exception as error:
        raise_out_of_memory(error)
        raise _unreadable(place, error) from error


@contextmanager
def _opened(place: Place) -> Iterator[BinaryIO]:
    try:
        with place.open() as file:
            yield file
    except OSError as error:
        raise DsxError(f"{place}: cannot be read: {error.strerror or error}") from error


def _identified(place: Place, file: BinaryIO) -> "Image":
    from PIL import Image, UnidentifiedImageError

    if not file.read(1):
        raise DsxError(f"{place}: is empty (0 bytes)")
    try:
        return Image.open(file, formats=list(formats()))
    except UnidentifiedImageError as error:
        raise _unreadable(place, "a format that Pillow does not support") from error
    except Exception as error:
        raise_out_of_memory(error)
        raise _unreadable(place, error) from error


def _unreadable(place: Place, reason: object) -> DsxError:
    return DsxError(f"{place}: cannot be decoded: {' '.join(str(reason).split())}")


def _opaque(image: "Image") -> "Image":
    """Blend a transparent image with white."""
    from PIL import Image

    if image.has_transparency_data:
        background = Image.new("RGBA", image.size, "white")
        background.alpha_composite(image.convert("RGBA"))
        return background
    return image
