"""Every kind of picture that Pillow opens is shown rightly in 8 bits, or refused with the file and the remedy."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import miniatures as mini
import numpy as np
import pytest
from PIL import Image, ImageOps

from lib.data import DataError
from lib.data.pictures import DAMAGED_EXIF, IMAGE_SUFFIXES, TRANSPARENT, read_picture, to_rgb

FILE = Path("folder/picture")


def saved(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def read(picture: Image.Image, kind: str = "PNG", **options) -> tuple[np.ndarray, list[str]]:
    return read_picture(saved(picture, kind, **options), FILE)


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=2)


RAMP = np.linspace(0, 65535, 64 * 3).round().astype(np.uint16).reshape(64, 3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled(kind):
    pixels, remarks = read(Image.fromarray(RAMP), kind)
    expected = np.array([[int(value) / 65535 * 255 for value in row] for row in RAMP])
    assert np.abs(pixels[..., 0] - expected).max() <= 0.5 and remarks == []
    assert np.array_equal(pixels, grey(pixels[..., 0])) and pixels.dtype == np.uint8
    assert pixels.min() == 0 and pixels.max() == 255


def test_sixteen_bits_from_big_machines():
    picture = Image.frombytes("I;16B", (3, 64), RAMP.astype(">u2").tobytes())
    assert np.array_equal(read(picture, "TIFF")[0], read(Image.fromarray(RAMP))[0])


def test_sixteen_bits_upside_down_are_turned():
    exif = Image.Exif()
    exif[0x0112] = 3
    turned = read(Image.fromarray(RAMP), exif=exif)[0]
    assert np.array_equal(turned, read(Image.fromarray(RAMP))[0][::-1, ::-1])


@pytest.mark.parametrize("most", [1, 255, 4095])
def test_sixteen_bits_that_use_only_the_lowest(most):
    values = (RAMP.astype(np.int64) * most // 65535).astype(np.uint16)
    with pytest.raises(DataError, match=rf"folder/picture is grey in 16 bits, but no brighter than {most}.*8 bits"):
        read(Image.fromarray(values))
    assert read(Image.fromarray(np.zeros((4, 3), np.uint16)))[0].max() == 0  # black is black


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "PPM", "GIF"])
def test_one_bit_and_eight(kind):
    bits = mini.picture(3)[..., 0] > 128
    assert np.array_equal(read(Image.fromarray(bits), kind)[0], grey(255 * bits.astype(np.uint8)))
    assert np.array_equal(read(Image.fromarray(mini.picture(3)[..., 0]), kind)[0], grey(mini.picture(3)[..., 0]))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "PPM", "TGA", "SGI", "PCX"])
def test_colour_is_as_it_is(kind):
    assert np.array_equal(read(Image.fromarray(mini.picture(1)), kind)[0], mini.picture(1))


def on_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return colours * share + 255 * (1 - share)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "TGA"])
def test_transparent_parts_are_white_and_said(kind):
    colours, alpha = mini.picture(1), mini.picture(2)[..., 0]
    alpha[0, :3] = 0, 128, 255
    pixels, remarks = read(Image.fromarray(np.dstack([colours, alpha])), kind)
    assert np.abs(pixels - on_white(colours, alpha)).max() <= 0.5 and remarks == [TRANSPARENT]
    assert pixels[0, 0].tolist() == [255] * 3 and np.array_equal(pixels[0, 2], colours[0, 2])
    pixels, remarks = read(Image.fromarray(np.dstack([colours[..., 0], alpha])), kind)
    assert np.abs(pixels - on_white(grey(colours[..., 0]), alpha)).max() <= 0.5 and remarks == [TRANSPARENT]


def test_an_alpha_channel_that_hides_nothing():
    colours = mini.picture(1)
    pixels, remarks = read(Image.fromarray(np.dstack([colours, np.full(colours.shape[:2], 255, np.uint8)])))
    assert np.array_equal(pixels, colours) and remarks == []


@pytest.mark.parametrize("transparency", [1, b"\xff\x00\x80"])
def test_a_palette_with_transparency(transparency):
    numbers = np.arange(12, dtype=np.uint8).reshape(4, 3) % 3
    picture = Image.fromarray(numbers, "L")
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    assert np.array_equal(read(picture)[0][0], [[10, 20, 30], [40, 50, 60], [70, 80, 90]])
    pixels, remarks = read(picture, transparency=transparency)
    third = [70, 80, 90] if transparency == 1 else [162, 167, 172]  # 128 of 255
    assert pixels[0].tolist() == [[10, 20, 30], [255, 255, 255], third] and remarks == [TRANSPARENT]


@pytest.mark.parametrize(("mode", "key"), [("L", 7), ("RGB", (7, 7, 7)), ("1", 0)])
def test_one_colour_that_is_transparent(mode, key):
    picture = Image.new("RGB", (2, 1), (200, 200, 200))
    picture.putpixel((0, 0), (7, 7, 7))
    pixels, remarks = read(picture.convert(mode), transparency=key)
    assert pixels[0, 0].tolist() == [255] * 3 and remarks == [TRANSPARENT]


@pytest.mark.parametrize("mode", ["PA", "La", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"])
def test_other_modes_show_the_same_colours(mode):
    picture = Image.new("RGB", (3, 2), (204, 204, 204) if mode in ("PA", "La") else (200, 100, 50))
    steps = {"PA": ("P", "PA"), "La": ("LA", "La"), "RGBa": ("RGBA", "RGBa")}.get(mode, (mode,))
    shown = picture
    for step in steps:
        shown = shown.convert(step)
    assert shown.mode == mode
    pixels, transparent = to_rgb(shown, None)
    assert np.abs(pixels.astype(int) - np.asarray(picture)).max() <= 3 and not transparent


@pytest.mark.parametrize(
    ("picture", "kind", "message"),
    [
        (Image.new("F", (3, 2), 0.5), "TIFF", "floating-point numbers.*Save it in 8 bits"),
        (Image.new("I", (3, 2), 70000), "TIFF", "whole numbers.*Save it in 8 bits"),
        (Image.new("LAB", (3, 2)), "TIFF", "kind 'LAB'.*Save it as RGB in 8 bits"),
    ],
)
def test_pixels_without_a_known_white(picture, kind, message):
    with pytest.raises(DataError, match="folder/picture .*" + message):
        read(picture, kind)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP"])
def test_films_and_pages(kind):
    frames = [Image.fromarray(mini.picture(i)) for i in range(3)]
    with pytest.raises(DataError, match=rf"folder/picture holds 3 pictures \({kind}\)"):
        read(frames[0], kind, save_all=True, append_images=frames[1:])
    assert read(frames[0], kind)[0].shape == (24, 10, 3)


def test_a_phone_s_jpeg_with_a_second_view():
    frames = [Image.fromarray(mini.picture(i)) for i in range(2)]
    content = saved(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert np.array_equal(read_picture(content, FILE)[0], read_picture(saved(frames[0], "JPEG"), FILE)[0])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_upright_as_pillow_turns_it(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = saved(Image.fromarray(mini.picture(4)), kind, exif=exif)
    with Image.open(io.BytesIO(content)) as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    assert np.array_equal(read_picture(content, FILE)[0], expected)


def jpeg_with_exif(body: bytes) -> bytes:
    content = saved(Image.fromarray(mini.picture(5)), "JPEG")
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + content[2:]


def entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
    return struct.pack("<HHI", tag, kind, count) + value


def test_a_damaged_resolution_does_not_keep_it_from_being_turned():
    entries = entry(0x0112, 3, 1, struct.pack("<HH", 6, 0)) + entry(0x011A, 10, 1, struct.pack("<I", 38))
    body = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + struct.pack("<I", 0) + struct.pack("<ii", -1, 0)
    pixels, remarks = read_picture(jpeg_with_exif(body), FILE)
    upright = read_picture(saved(Image.fromarray(mini.picture(5)), "JPEG"), FILE)[0]
    assert np.array_equal(pixels, np.rot90(upright, -1)) and remarks == []


def test_any_exif_gives_the_picture():
    """Bytes by chance behind the mark of EXIF: the pixels are whole, so the picture is read, whatever the notes say."""
    upright = read_picture(saved(Image.fromarray(mini.picture(5)), "JPEG"), FILE)[0]
    turns = [np.rot90(view, k) for view in (upright, upright[:, ::-1]) for k in range(4)]
    rng = np.random.default_rng(0)
    said = 0
    for case in range(300):
        noise = rng.integers(0, 256, 60, dtype=np.uint8).tobytes()
        start = (b"Exif\0\0", b"Exif\0\0II*\0\x08\0\0\0\x02\0", b"Exif\0\0MM\0*\0\0\0\x08\0\x03")[case % 3]
        pixels, remarks = read_picture(jpeg_with_exif(start + noise), FILE)
        assert any(np.array_equal(pixels, turned) for turned in turns)
        said += remarks == [DAMAGED_EXIF]
    assert said > 0


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM" + b"\0" * 60, b"II*\0" * 9])
def test_what_is_no_picture(content):
    with pytest.raises(DataError, match=rf"folder/picture \({len(content)} bytes\) is truncated, damaged or no pict"):
        read_picture(content, FILE)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
def test_pictures_cut_short_are_named(kind):
    content = saved(Image.fromarray(mini.picture(6, height=60, width=40)), kind)
    for length in range(0, len(content) - 200, max(1, len(content) // 50)):
        try:
            read_picture(content[:length], FILE)
        except DataError as error:
            assert "folder/picture" in str(error)


def test_a_picture_that_would_fill_the_memory(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(DataError, match=r"folder/picture.*exceeds limit"):
        read(Image.fromarray(mini.picture(1)))


def test_a_large_picture_is_said_with_its_file(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)  # 240 is not yet twice as much
    pixels, remarks = read(Image.fromarray(mini.picture(1)))
    assert np.array_equal(pixels, mini.picture(1)) and "exceeds limit of 200 pixels" in remarks[0]


def test_the_endings_are_pillow_s():
    for ending in (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".tga"):
        assert ending in IMAGE_SUFFIXES
    assert not {".pdf", ".eps", ".h5", ".txt", ".mpg", ".wmf"} & IMAGE_SUFFIXES
