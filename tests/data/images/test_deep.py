"""Pixels with more than 8 bits: values, ranges, and unsupported formats."""

import io
import math
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dsx.data.images.decode import Decoder
from dsx.data.images.deep import (
    Extent,
    PixelRange,
    UnknownRange,
    describe_depth,
    parse_range,
    read_values,
)
from dsx.errors import DsxError
from tests.data.images.test_decode import PICTURE, Bytes, encoded

COLOURS = Image.fromarray(PICTURE)
NOISE = np.random.RandomState(0).randint(0, 65536, (5, 7, 4))


def png16(values: Any, exif: bytes = b"") -> bytes:
    """Encode (rows, columns, channels) with 16 bits per channel, which Pillow does not support."""
    rows, columns, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 16, kind, 0, 0, 0))]
    chunks += [(b"eXIf", exif)] if exif else []
    chunks += [(b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def tiff16(values: Any, order: str, packed: bool, photometric: int, extra: int = 0) -> bytes:
    """Encode (rows, columns, channels) with 16 bits per channel, in "<" or ">" byte order."""
    rows, columns, channels = values.shape
    data = values.astype(f"{order}u2").tobytes()
    data = zlib.compress(data) if packed else data
    bits = struct.pack(f"{order}{channels}H", *[16] * channels)
    tags = [
        (256, 3, 1, columns), (257, 3, 1, rows), (258, 3, channels, -1),
        (259, 3, 1, 8 if packed else 1), (262, 3, 1, photometric), (273, 4, 1, -2),
        (277, 3, 1, channels), (278, 3, 1, rows), (279, 4, 1, len(data)),
    ]  # fmt: skip
    tags += [(338, 3, 1, extra)] if extra else []
    end = 8 + 2 + 12 * len(tags) + 4
    places = {-1: end, -2: end + len(bits)}
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    for tag, kind, count, value in tags:
        short = kind == 3 and count == 1
        form = f"{order}HHIHH" if short else f"{order}HHII"
        head += struct.pack(form, tag, kind, count, places.get(value, value), *[0] * short)
    return head + struct.pack(f"{order}I", 0) + bits + data


def read(data: bytes) -> tuple[Any, str]:
    image = Image.open(io.BytesIO(data))
    assert describe_depth(image)
    return read_values(image, data)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_all_16_bits_of_a_png_are_read(channels: int, mode: str) -> None:
    values, found = read(png16(NOISE[..., :channels]))
    assert found == mode
    assert (values == NOISE[..., :channels]).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("channels", "photometric", "extra", "mode"),
    [(3, 2, 0, "RGB"), (4, 2, 2, "RGBA"), (4, 5, 0, "CMYK")],
)
def test_all_16_bits_of_a_tiff_are_read(
    order: str, packed: bool, channels: int, photometric: int, extra: int, mode: str
) -> None:
    given = NOISE[..., :channels]
    values, found = read(tiff16(given, order, packed, photometric, extra))
    assert found == mode
    assert (values == given).all()


def test_all_16_bits_of_a_ppm_are_read() -> None:
    data = b"P6 7 5 65535\n" + NOISE[..., :3].astype(">u2").tobytes()
    values, mode = read(data)
    assert mode == "RGB"
    assert (values == NOISE[..., :3]).all()


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_grey_tiffs_are_read(kind: type) -> None:
    given: Any = (NOISE[..., 0] / (65536 if kind is np.float32 else 1)).astype(kind)
    values, mode = read(encoded(Image.fromarray(given), "tiff").data)
    assert mode == "L"
    assert (values[..., 0] == given).all()


def test_deep_pixels_are_rotated() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = np.rot90(NOISE[..., :3], -1)
    values, _ = read(png16(NOISE[..., :3], exif.tobytes().removeprefix(b"Exif\0\0")))
    assert (values == upright).all()


@pytest.mark.parametrize(
    "place",
    [
        *(encoded(COLOURS, kind) for kind in ("png", "tiff", "ppm", "jpeg", "sgi")),
        *(encoded(COLOURS, kind) for kind in ("webp", "jpeg2000", "bmp", "tga")),
        *(encoded(COLOURS.convert(mode)) for mode in ("1", "L", "P", "LA", "RGBA")),
        encoded(COLOURS.convert("CMYK"), "tiff"),
    ],
)  # fmt: skip
def test_images_of_8_bits_need_no_range(place: Bytes) -> None:
    decoder = Decoder(size=40, channels=3)
    assert not decoder.is_deep(place)
    assert decoder.find_extent(place) is None
    decoder.decode(place)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 213], (0, 255)), ([5, 255], (0, 255)), ([0, 256], (0, 511)), ([0, 3900], (0, 4095)),
        ([0, 65535], (0, 65535)), ([0, 1], (0, 1)), ([0, 0], (0, 1)), ([0, 70000], (0, 131071)),
        ([-1000, 3000], (-1024, 4095)), ([-3, -1], (-4, 0)), ([0.0, 1.0], (0, 1)),
        ([0.0, 0.99], (0, 1)), ([0.1, 0.2], (0, 0.25)), ([0.0, 200.5], (0, 256)),
        ([0.0, 255.0], (0, 255)), ([-0.9, 0.7], (-1, 1)), ([1e-9, 3e-9], (0, 2.0**-28)),
    ],
)  # fmt: skip
def test_the_range_has_the_bits_that_the_values_require(
    values: list[float], expected: tuple[float, float]
) -> None:
    assert Extent.of(np.array(values)).range().identity == expected


def test_extents_are_joined_in_any_order() -> None:
    parts = [Extent.of(np.array(values)) for values in ([3, 9], [-1.5, 2.0], [4, 5])]
    joined = parts[0] | parts[1] | parts[2]
    assert joined == parts[2] | parts[1] | parts[0] == Extent(low=-1.5, high=9, integers=False)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_rejected(bad: float) -> None:
    place = encoded(Image.fromarray(np.full((4, 4), bad, dtype=np.float32)), "tiff")
    with pytest.raises(DsxError, match=r"cat/1.jpg: cannot be decoded: pixels are NaN or infinite"):
        Decoder(size=4, channels=1).find_extent(place)


@pytest.mark.parametrize(
    ("channels", "high", "white"), [(1, 256, 255), (3, 256, 255), (1, 4096, 4095), (3, 4096, 4095)]
)
def test_low_values_keep_their_8_bits(channels: int, high: int, white: int) -> None:
    values = np.random.RandomState(0).randint(0, high, (8, 8, channels))
    decoder = Decoder(size=8, channels=channels, pixel_range=parse_range([0, white]))
    found = decoder.decode(Bytes(png16(values))).transpose(1, 2, 0)
    assert (found == np.rint(values * 255 / white)).all()


@pytest.mark.parametrize("opacity", [255, 4095, 65535])
def test_constant_opacity_is_opaque(opacity: int) -> None:
    values = np.random.RandomState(0).randint(0, 256, (8, 8, 4))
    values[..., 3] = opacity
    decoder = Decoder(size=8, channels=3, pixel_range=parse_range([0, 255]))
    found = decoder.decode(Bytes(png16(values))).transpose(1, 2, 0)
    assert (found == values[..., :3]).all()


@pytest.mark.parametrize("white", [255, 4095, 65535])
def test_opacity_has_the_range_of_the_colours(white: int) -> None:
    values = np.full((8, 8, 2), white)
    values[:4, :, 0] = 0
    values[0, 0, 1] = 0
    decoder = Decoder(size=8, channels=1, pixel_range=parse_range([0, white]))
    (found,) = decoder.decode(Bytes(png16(values)))
    assert found[0, 0] == 255 and (found[1:4] == 0).all() and (found[4:] == 255).all()


def test_transparent_deep_pixels_are_blended_with_white() -> None:
    values = np.full((8, 8, 2), 255)
    values[:, :4, 0] = 7
    values[..., 1] = 65535
    values[:, 4:, 1] = 0
    decoder = Decoder(size=8, channels=1, pixel_range=parse_range([0, 255]))
    (found,) = decoder.decode(Bytes(png16(values)))
    assert (found[:, :4] == 7).all()
    assert (found[:, 4:] == 255).all()


def test_values_are_clipped_only_to_a_specified_range() -> None:
    place = Bytes(png16(np.array([[[100], [300]]] * 2)))
    stated = PixelRange(black=150, white=250, stated=True)
    found = Decoder(size=2, channels=1, pixel_range=stated).decode(place)
    assert found.tolist() == [[[0, 255]] * 2]
    taken = PixelRange(black=0, white=255, stated=False)
    with pytest.raises(DsxError, match=r"pixels from 100 to 300 are outside of \[0, 255\], the "
                       r"range of the training images \(specify pixel_range\)$"):  # fmt: skip
        Decoder(size=2, channels=1, pixel_range=taken).decode(place)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (png16(NOISE[..., :3]), "16-bit pixels"),
        (encoded(Image.fromarray(NOISE[..., 0].astype(np.uint16)), "png").data, "16-bit pixels"),
        (encoded(Image.fromarray(NOISE[..., 0].astype(np.int32)), "tiff").data, "32-bit pixels"),
        (encoded(Image.fromarray(NOISE[..., 0] / np.float32(9)), "tiff").data, "floating-point"),
    ],
)
def test_deep_pixels_without_a_range_are_rejected(data: bytes, words: str) -> None:
    with pytest.raises(UnknownRange, match=rf"^cat/1.jpg: cannot be decoded: {words}.*, whose range"
                       r" is not known \(specify .*pixel_range: \[0, 4095\]\)$"):  # fmt: skip
        Decoder(size=4, channels=1).decode(Bytes(data))


@pytest.mark.parametrize("kind", ["sgi", "jpeg2000"])
def test_formats_of_which_pillow_reads_only_8_bits_are_rejected(kind: str) -> None:
    if kind == "sgi":
        image = Image.fromarray(NOISE[..., 0].astype(np.uint8))
        data = encoded(image, kind, bpc=2).data
    else:
        found = bytearray(encoded(Image.fromarray(PICTURE), kind).data)
        # The precision of the first component, as in a file of 12 bits.
        found[found.index(b"\xff\x4f\xff\x51") + 42] = 11
        data = bytes(found)
    decoder = Decoder(size=4, channels=1, pixel_range=parse_range([0, 4095]))
    with pytest.raises(DsxError, match=r"16 bits per colour in an unsupported format"):
        decoder.decode(Bytes(data))


@pytest.mark.parametrize(
    "value", [4095, [0], [0, 0], [3, 1], ["a", 2], [0, math.inf], [0, True], "ab"]
)
def test_a_range_is_two_numbers(value: Any) -> None:
    with pytest.raises(
        DsxError, match=r"^pixel_range: .* \(allowed: the values of black and white"
    ):
        parse_range(value)
    assert parse_range(None) is None
    assert parse_range((0, 4095)) == PixelRange(black=0, white=4095, stated=True)
