"""One picture file as pixels: upright, in RGB, 8 bits a channel, whatever Pillow finds in it.

Letters: h x w one picture in pixels.

Pillow's own ``convert("RGB")`` cuts 16 bits off at 255, shows what lies hidden under transparent pixels, and its
``exif_transpose`` fails on a damaged note about the resolution. So each kind of picture is converted here, or refused
with what to do about it.
"""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from lib.data.errors import DataError
from lib.data.labels import readable

# Formats that Pillow names but does not decode by itself, or only by starting another program.
NOT_DECODED = {"BUFR", "EMF", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"}
ONE_PICTURE = {"MPO", "PSD"}  # whose further "frames" are another view of the same picture, or its layers
WHITE_IS = 262  # the TIFF tag PhotometricInterpretation
DARK = 4096  # a picture of 12 bits stored in 16, which shows 16 levels of grey at most
DEEP = {"PNG", "PPM"}  # in which Pillow's mode "I" means 16 bits
TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow raises on damaged EXIF notes.
UNREADABLE = (
    ArithmeticError, AttributeError, EOFError, LookupError, OSError, SyntaxError, TypeError, ValueError, struct.error
)  # fmt: skip
PLAIN = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV")
WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
TRANSPARENT = "have transparent parts, which are shown on white"
DAMAGED_EXIF = "have damaged EXIF notes, so that they may lie on their side: look at them"


def suffixes() -> frozenset[str]:
    """The endings of all picture files that Pillow decodes here, in small letters with the dot."""
    Image.init()
    readable_formats = set(Image.OPEN) - NOT_DECODED
    return frozenset(end.lower() for end, name in Image.registered_extensions().items() if name in readable_formats)


IMAGE_SUFFIXES = suffixes()


def is_picture(path: Path) -> bool:
    """Whether a file's name says that it is a picture."""
    return path.suffix.lower() in IMAGE_SUFFIXES


class Refused(Exception):
    """A sound file whose pixels are not one picture in 8 bits; the text goes on from "The image … "."""


def read_picture(content: bytes, path: Path) -> tuple[np.ndarray, list[str]]:
    """(h, w, 3) uint8 RGB of a file's bytes, and what was done to get there ("have …"), to be said once for all files.

    Sixteen bits of grey are scaled to eight (65535 is 255). Transparent parts are shown on white. ``path`` is named in
    errors.

    Raises
    ------
    DataError : the file is damaged or no picture, holds several pictures, or pixels that have no one meaning in 8 bits.
    """
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with Image.open(io.BytesIO(content)) as picture:
                check_one(picture)
                picture.load()
                turned, known = upright(picture)
                pixels, transparent = to_rgb(turned, picture.format)
    except Refused as refused:
        raise DataError(f"The image {readable(path)} {refused}") from refused
    except Exception as error:  # Pillow's decoders raise whatever a damaged file leads them to
        raise DataError(
            f"The image {readable(path)} ({len(content)} bytes) is truncated, damaged or no picture: "
            f"{error or type(error).__name__}. Copy it again from the archive, or delete it."
        ) from error
    remarks = [] if known else [DAMAGED_EXIF]
    for warning in caught:  # Pillow's name no file; the set's do
        remarks.append(DAMAGED_EXIF if "EXIF" in str(warning.message) else f'made Pillow say "{warning.message}"')
    if transparent:
        remarks.append(TRANSPARENT)
    return pixels, list(dict.fromkeys(remarks))


def check_one(picture: Image.Image) -> None:
    """Raises Refused for a film, a file of several pages, and sixteen bits of grey in which 0 is white."""
    count = getattr(picture, "n_frames", 1)
    if count != 1 and picture.format not in ONE_PICTURE:
        raise Refused(
            f"holds {count} pictures ({picture.format}). Save the one that is meant, or each in its own file."
        )
    if picture.mode.startswith("I") and getattr(picture, "tag_v2", {}).get(WHITE_IS) == 0:
        raise Refused("is a TIFF in which 0 is white. Save it with 0 as black, or in 8 bits.")


def upright(picture: Image.Image) -> tuple[Image.Image, bool]:
    """The picture turned as its EXIF orientation says, and whether the EXIF notes could be read."""
    try:
        if picture.info.get("exif"):  # Pillow's JPEG reader swallows an error here, and has no notes ever after
            Image.Exif().load(picture.info["exif"])
        orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except UNREADABLE:
        return picture, False
    method = TURNED.get(orientation) if isinstance(orientation, int) else None
    return (picture if method is None else picture.transpose(method)), True


def to_rgb(picture: Image.Image, kind: str | None) -> tuple[np.ndarray, bool]:
    """(h, w, 3) uint8, and whether parts were transparent. ``kind``: the file's format as Pillow names it.

    Raises
    ------
    Refused : the pixels are of a kind that has no one meaning in 8 bits.
    """
    mode = picture.mode
    if mode in WITH_ALPHA or (mode in PLAIN and "transparency" in picture.info):
        return on_white(picture)
    if mode in PLAIN:
        return np.array(picture.convert("RGB")), False
    if mode.startswith("I;16") or (mode == "I" and kind in DEEP):
        values = np.asarray(picture).astype(np.int64)
        if 0 < values.max() < DARK:
            raise Refused(
                f"is grey in 16 bits, but no brighter than {values.max()} of 65535: of its levels hardly any would be "
                "left. Save it in 8 bits, or stretched over all 16."
            )
        grey = ((values * 255 + 32767) // 65535).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2), False
    if mode.startswith(("I", "F")):
        numbers = "whole" if mode.startswith("I") else "floating-point"
        raise Refused(f"holds {numbers} numbers of which nobody says what is white. Save it in 8 bits, or grey in 16.")
    raise Refused(f"has pixels of kind {mode!r}. Save it as RGB in 8 bits.")


def on_white(picture: Image.Image) -> tuple[np.ndarray, bool]:
    """(h, w, 3) uint8 as it looks on white paper, and whether anything shines through."""
    if picture.mode == "La":  # Pillow knows no direct way
        picture = picture.convert("LA")
    colours = np.asarray(picture.convert("RGBA")).astype(np.int64)
    share = colours[..., 3:]
    seen = (colours[..., :3] * share + 255 * (255 - share) + 127) // 255
    return seen.astype(np.uint8), bool((share < 255).any())
