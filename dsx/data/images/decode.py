"""Decode images: from a file's bytes to the square of pixels that a network takes."""

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
    depth,
    eight_bits,
    values_of,
)
from dsx.errors import DsxError, raise_out_of_memory

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = npt.NDArray[np.uint8]

UNSAFE = frozenset({"EPS"})
"""Formats that are programs, which Pillow has another program run."""


class Place(Protocol):
    """Where the bytes of one image lie; as text, what a message calls it."""

    @property
    def identity(self) -> str:
        """What changes when another image lies there: its name in the data set, a size."""

    def open(self) -> BinaryIO:
        """Open the bytes of the image's file."""


@functools.cache
def formats() -> dict[str, tuple[str, ...]]:
    """Give the formats that Pillow can read, each with the suffixes of its files."""
    from PIL import Image

    # All at once and beforehand: threads that do so while they decode get into each other's way.
    # The common formats first, in which order they are then tried.
    Image.preinit()
    suffixes = Image.registered_extensions()
    return {
        name: tuple(suffix for suffix, of in suffixes.items() if of == name)
        for name in Image.OPEN
        if name not in UNSAFE
    }


def suffixes() -> set[str]:
    """Return the suffixes of files that Pillow can read, in lower case."""
    return {suffix for of_format in formats().values() for suffix in of_format}


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """What becomes of an image.

    It is turned upright as its EXIF data say; of an animation the first frame is taken.
    Transparent images are laid on white, pixels of more than 8 bits are brought to 8 by one range
    for all images, and every kind of colours becomes RGB or grey. Then a square from its centre is
    resampled (bilinear, with antialiasing) to the size wanted: 7/8 of the shorter side, or all of
    it where 7/8 would be fewer pixels than wanted. An image of the size wanted is unchanged.

    Args:
        size: Rows and columns of the result.
        channels: 3 for RGB, 1 for grey.
        pixel_range: Range of pixels of more than 8 bits; None if it is not known.
    """

    size: int
    channels: int
    # Not in the text, which fingerprints of images of 8 bits contain.
    pixel_range: PixelRange | None = field(default=None, repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows, columns."""
        return self.channels, self.size, self.size

    def decode(self, place: Place) -> Pixels:
        """Decode an image.

        Args:
            place: Location of the image.

        Returns:
            (channels, size, size).

        Raises:
            UnknownRange: If its pixels have more than 8 bits, and the range is not known.
            DsxError: If it cannot be read; names it.
        """
        data, image = _read(place)
        found = depth(image)
        if found and self.pixel_range is None:
            raise UnknownRange(
                f"{place}: cannot be decoded: {found}, whose range is not known (state the values "
                "of black and white, such as pixel_range: [0, 4095])"
            )
        with _decoding(place):
            if found and self.pixel_range is not None:
                image = eight_bits(*values_of(image, data), self.pixel_range)
            return self._pixels(image)

    def extent(self, place: Place) -> Extent | None:
        """Find the extent of the pixels of an image.

        Args:
            place: Location of the image.

        Returns:
            The extent; None if the pixels have 8 bits at most, so that their range is known.

        Raises:
            DsxError: If it cannot be read; names it.
        """
        data, image = _read(place)
        if not depth(image):
            return None
        with _decoding(place):
            return Extent.of(colours(*values_of(image, data)))

    def is_deep(self, place: Place) -> bool:
        """Check whether the pixels of an image have more than 8 bits; arguments as `check`."""
        with _opened(place) as file:
            return bool(depth(_identified(place, file)))

    def check(self, place: Place) -> None:
        """Look at the head of an image's file only.

        Args:
            place: Location of the image.

        Raises:
            DsxError: If it is no image; names it.
        """
        with _opened(place) as file:
            _identified(place, file)

    def _pixels(self, image: "Image") -> Pixels:
        from PIL import Image, ImageOps

        # JPEG can be decoded at a half, a quarter, an eighth of its size: done while three times
        # the rows and columns wanted are left.
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
        # At once: a file on a slow disk, or far away, is then asked for once.
        data = file.read()
    return data, _identified(place, io.BytesIO(data))


@contextmanager
def _decoding(place: Place) -> Iterator[None]:
    try:
        yield
    # Damaged bytes make Pillow raise nearly anything.
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
        raise _unreadable(place, "no format that Pillow knows") from error
    except Exception as error:
        raise_out_of_memory(error)
        raise _unreadable(place, error) from error


def _unreadable(place: Place, reason: object) -> DsxError:
    return DsxError(f"{place}: cannot be decoded: {' '.join(str(reason).split())}")


def _opaque(image: "Image") -> "Image":
    """Lay a transparent image on white."""
    from PIL import Image

    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        paper.alpha_composite(image.convert("RGBA"))
        return paper
    return image
