"""Decoding of encoded images into the pixels that a network takes."""

import io
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pytest
from PIL import Image, ImageOps

from dsx.data.images.decode import UNSAFE, Decoder, formats
from dsx.data.images.deep import parse_range
from dsx.errors import DsxError

ROWS, COLUMNS = np.mgrid[:40, :40] * 6
PICTURE = np.stack([ROWS, COLUMNS, 255 - ROWS], axis=2).astype(np.uint8)


@dataclass(frozen=True)
class Bytes:
    """Encoded image in memory with the interface of a place."""

    data: bytes
    identity: str = ""

    def open(self) -> BinaryIO:
        """Open the bytes."""
        return io.BytesIO(self.data)

    def __str__(self) -> str:
        return "cat/1.jpg"


def encoded(image: Image.Image, kind: str = "png", **options: Any) -> Bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return Bytes(stream.getvalue())


def decode(place: Bytes, size: int = 40, channels: int = 3) -> Any:
    found = Decoder(size=size, channels=channels).decode(place)
    assert found.shape == (channels, size, size)
    assert found.dtype == np.uint8
    return found


def test_an_image_of_the_required_size_is_unchanged() -> None:
    found = decode(encoded(Image.fromarray(PICTURE)))
    assert (found == PICTURE.transpose(2, 0, 1)).all()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("png", {}), ("bmp", {}), ("tiff", {}), ("webp", {"lossless": True}), ("ppm", {}),
        ("tga", {}), ("gif", {}), ("jpeg", {"quality": 95}), ("jpeg2000", {}), ("avif", {}),
    ],
)  # fmt: skip
def test_any_format_is_read(kind: str, options: dict[str, Any]) -> None:
    if kind == "avif" and "AVIF" not in formats():
        kind = "png"  # older releases of Pillow have no AVIF
    image = Image.fromarray(PICTURE)
    if kind == "gif":
        image = image.quantize(256)
    found = decode(encoded(image, kind, **options)).astype(int)
    assert abs(found - PICTURE.transpose(2, 0, 1)).mean() < 8


# The cropped square: rows and columns of the image, first row and column, side.
@pytest.mark.parametrize(
    ("rows", "columns", "top", "left", "side"),
    [
        (40, 40, 2.5, 2.5, 35),  # 7/8 of the shorter side
        (40, 60, 2.5, 12.5, 35),
        (64, 40, 14.5, 2.5, 35),
        (39, 50, 0, 5.5, 39),  # 7/8 would be fewer than 35 pixels
        (35, 35, 0, 0, 35),
        (35, 47, 0, 6, 35),
        (20, 30, 0, 5, 20),
    ],
)
def test_a_square_from_the_centre_is_taken(
    rows: int, columns: int, top: float, left: float, side: float
) -> None:
    pixels = np.random.RandomState(0).randint(0, 256, (rows, columns, 3)).astype(np.uint8)
    box = (left, top, left + side, top + side)
    expected = Image.fromarray(pixels).resize((35, 35), Image.Resampling.BILINEAR, box)
    found = decode(encoded(Image.fromarray(pixels)), 35)
    assert (found == np.asarray(expected).transpose(2, 0, 1)).all()


def test_256_pixels_are_cropped_to_224_without_resampling() -> None:
    pixels = np.random.RandomState(0).randint(0, 256, (256, 300)).astype(np.uint8)
    found = decode(encoded(Image.fromarray(pixels)), 224, 1)
    assert (found[0] == pixels[16:240, 38:262]).all()


def test_shrinking_averages() -> None:
    stripes = np.zeros((400, 400), dtype=np.uint8)
    stripes[:, ::2] = 255
    found = decode(encoded(Image.fromarray(stripes)), 20, 1)
    assert (abs(found.astype(int) - 127) < 8).all()


def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size() -> None:
    large = Image.fromarray(PICTURE).resize((1600, 1200), Image.Resampling.BICUBIC)
    small = decode(encoded(large, "jpeg", quality=95), 48).astype(int)
    exact = decode(encoded(large), 48).astype(int)
    assert abs(small - exact).max() <= 4


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_and_grey_are_converted(channels: int) -> None:
    mode = "RGB" if channels == 3 else "L"
    source = Image.fromarray(PICTURE)
    for image in (source, source.convert("L"), source.convert("1"), source.quantize(16)):
        expected = np.asarray(image.convert(mode)).reshape(40, 40, channels)
        found = decode(encoded(image), 40, channels)
        assert (found == expected.transpose(2, 0, 1)).all()


def test_cmyk_becomes_rgb() -> None:
    found = decode(encoded(Image.fromarray(PICTURE).convert("CMYK"), "tiff"))
    assert abs(found.astype(int) - PICTURE.transpose(2, 0, 1)).max() <= 1


def test_16_bit_pixels_are_converted_by_the_range() -> None:
    deep = np.arange(1600, dtype=np.uint16).reshape(40, 40) * 40
    for channels in (1, 3):
        for kind in ("png", "tiff", "ppm"):
            pixels = deep.astype(np.int32) if kind == "ppm" else deep
            place = encoded(Image.fromarray(pixels), kind)
            decoder = Decoder(size=40, channels=channels, pixel_range=parse_range([0, 65535]))
            assert (abs(decoder.decode(place).astype(int) - (deep >> 8)) <= 1).all()


@pytest.mark.parametrize("kind", ["png", "webp", "tiff"])
def test_transparent_images_are_blended_with_white(kind: str) -> None:
    image = Image.new("RGBA", (40, 40), (200, 0, 0, 255))
    image.paste((0, 0, 200, 0), (0, 0, 20, 40))
    image.paste((0, 0, 200, 51), (20, 0, 40, 20))
    options = {"lossless": True, "exact": True} if kind == "webp" else {}
    found = decode(encoded(image, kind, **options)).transpose(1, 2, 0)
    assert (found[:, :20] == 255).all()
    assert (found[20:, 20:] == (200, 0, 0)).all()
    assert (abs(found[:20, 20:].astype(int) - (204, 204, 244)) <= 1).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_a_transparent_colour_is_blended_with_white(mode: str) -> None:
    colour = 7 if mode != "RGB" else (7, 7, 7)
    image = Image.new(mode, (40, 40), colour)
    if mode == "P":
        image.putpalette([shade for shade in range(256) for _ in range(3)])
    place = encoded(image, transparency=colour)
    for channels in (1, 3):
        assert (decode(place, 40, channels) == 255).all()


def test_the_first_frame_of_an_animation_is_used() -> None:
    frames = [Image.new("L", (40, 40), shade) for shade in (10, 200)]
    for kind in ("gif", "tiff", "webp"):
        place = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert (abs(decode(place, 40, 1).astype(int) - 10) <= 2).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_images_are_rotated_by_exif_data(orientation: int, kind: str) -> None:
    image = Image.fromarray(PICTURE[:, :32])
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "webp" else {}
    place = encoded(image, kind, exif=exif, **options)
    expected = ImageOps.exif_transpose(Image.open(place.open()))
    cut = ImageOps.fit(expected, (32, 32), Image.Resampling.BILINEAR)
    assert (decode(place, 32) == np.asarray(cut).transpose(2, 0, 1)).all()
    turned = (decode(place, 32) != decode(encoded(image), 32)).any()
    assert turned == (orientation != 1) or kind == "jpeg"


@pytest.mark.parametrize("damage", [b"Exif\0\0MM\0*\0\0\0\x08\0\x05", b"Exif\0\0??", b"Exif\0\0"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_data_are_ignored(damage: bytes) -> None:
    image = Image.fromarray(PICTURE)
    assert (decode(encoded(image, "jpeg", exif=damage)) == decode(encoded(image, "jpeg"))).all()


def jpeg() -> bytes:
    noise = np.random.RandomState(0).randint(0, 256, (40, 40, 3)).astype(np.uint8)
    return encoded(Image.fromarray(noise), "jpeg").data


def floats(value: float, kind: type) -> bytes:
    return encoded(Image.fromarray(np.full((40, 40), value, dtype=kind)), "tiff").data


WRONG = [
    (b"", r"is empty \(0 bytes\)"),
    (b"<html>not found</html>", "cannot be decoded: a format that Pillow does not support"),
    (jpeg()[:-300], "cannot be decoded: image file is truncated"),
    (jpeg()[:30], "cannot be decoded: "),
    (encoded(Image.fromarray(PICTURE)).data[:-60], "cannot be decoded: "),
    (floats(0.5, np.float32), "cannot be decoded: floating-point pixels, whose range is not"),
    (floats(70000, np.int32), "cannot be decoded: 32-bit pixels, whose range is not known"),
    (floats(-1, np.int32), "cannot be decoded: 32-bit pixels, whose range is not known"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot be decoded: a format that"),
]


@pytest.mark.parametrize(("data", "message"), WRONG)
def test_invalid_images_are_named(data: bytes, message: str) -> None:
    with pytest.raises(DsxError, match=f"^cat/1.jpg: {message}") as caught:
        decode(Bytes(data))
    assert "\n" not in str(caught.value)


def test_a_decompression_bomb_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 700)
    with pytest.raises(DsxError, match=r"^cat/1.jpg: cannot be decoded: .* decompression bomb"):
        decode(Bytes(jpeg()))


def test_messages_of_pillow_are_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: Decoder, image: Image.Image) -> None:
        raise SyntaxError("in two\nlines")

    monkeypatch.setattr(Decoder, "_pixels", failing)
    with pytest.raises(DsxError, match=r"^cat/1.jpg: cannot be decoded: in two lines$"):
        decode(Bytes(jpeg()))


def test_a_check_reads_only_the_header() -> None:
    decoder = Decoder(size=40, channels=3)
    decoder.check(Bytes(jpeg()[:-300]))
    for data, message in WRONG[:2]:
        with pytest.raises(DsxError, match=f"^cat/1.jpg: {message}"):
            decoder.check(Bytes(data))


def test_a_place_that_cannot_be_opened_is_named() -> None:
    class Gone(Bytes):
        def open(self) -> BinaryIO:
            raise FileNotFoundError(2, "No such file or directory")

    for work in (Decoder(size=40, channels=3).decode, Decoder(size=40, channels=3).check):
        with pytest.raises(DsxError, match=r"^cat/1.jpg: cannot be read: No such file or dir"):
            work(Gone(b""))


def test_formats_that_run_programs_are_not_read() -> None:
    Image.init()
    assert Image.OPEN.keys() >= UNSAFE
    assert not UNSAFE & formats().keys()
    assert {".jpg", ".jpeg"} <= set(formats()["JPEG"])
    assert not any(".eps" in suffixes or ".txt" in suffixes for suffixes in formats().values())
