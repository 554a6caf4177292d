"""What all readers of image files share: finding the folder, listing, naming, decoding."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError

from lib.data.errors import DataError, few
from lib.data.store import Item, Source, as_read

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".tif", ".tiff", ".webp")


def find_folder(
    root: Path, name: str, candidates: tuple[str, ...], must_hold: tuple[str, ...], itself: bool = True
) -> Path:
    """The first of ``candidates`` below ``root`` (or ``root`` itself) that holds the entries ``must_hold`` (names or
    patterns).

    Raises
    ------
    DataError : none does; says where it looked and what was missing there.
    """
    places = [root / candidate for candidate in candidates] + ([root] if itself else [])
    for place in places:
        if place.is_dir() and all(any(place.glob(entry)) for entry in must_hold):
            return place
    present = [root / candidate for candidate in candidates if (root / candidate).is_dir()]
    if present:
        missing = [entry for entry in must_hold if not any(present[0].glob(entry))]
        raise DataError(
            f"{name}: {present[0]} lacks {', '.join(missing)}. Unpack the distributed archive there as it is."
        )
    raise DataError(
        f"{name} was not found below {root}: expected {root / candidates[0]}. Put it there, or name the "
        "folder that holds it with "
        "root=… or the environment variable REID_DATA; data/README.md says where to get it."
    )


def list_images(folder: Path, deep: bool = False) -> list[Path]:
    """Image files in ``folder`` in the order of their names, without hidden files, Thumbs.db and other strangers."""
    if not folder.is_dir():
        raise DataError(f"The folder {folder} is missing. Unpack the distributed archive again, or correct the path.")
    found = folder.rglob("*") if deep else folder.iterdir()
    files = [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")]
    return sorted(files, key=lambda path: path.as_posix())


def list_folders(folder: Path) -> list[Path]:
    """Sub-folders in the order of their names, without hidden ones."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))


def parse(path: Path, pattern: str, name: str, example: str) -> re.Match[str]:
    """What ``pattern`` finds in a file's name, or a DataError that names the file."""
    match = re.match(pattern, path.name)
    if match is None:
        raise DataError(
            f"{name}: cannot read the name of {path}; expected one like {example}. Rename the file or move it "
            "elsewhere."
        )
    return match


def file_source(
    name: str,
    folder: Path,
    records: list[dict[str, Any]],
    version: int,
    options: dict[str, Any] | None = None,
    finish: Callable[[pd.DataFrame], tuple[pd.DataFrame, list[str]]] | None = None,
    notes: list[str] | None = None,
) -> Source:
    """A source of image files: each record has pid, cam and ``file``, the path relative to ``folder``."""
    if not records:
        raise DataError(f"{name}: there are no images in {folder}. Unpack the distributed archive there.")

    def items() -> Iterator[Item]:
        for record in records:
            yield decode(folder / record["file"], record)

    def finished(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
        table, more = (finish or as_read)(table)
        return table, [*more, *one_camera_only(table)]

    key = {"version": version, "options": options or {}, "files": listing_digest(folder, records)}
    # A set that explains its own one-camera people in `finish` says so by passing a function.
    return Source(name, key, items, len(records), finish or finished, list(notes or []))


def decode(path: Path, record: dict[str, Any]) -> Item:
    """Read an image file as RGB, upright.

    Raises
    ------
    DataError : the file is missing, truncated or no image.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"The image {path} does not exist. Copy it again, or take its row out of the list.") from error
    try:
        with Image.open(path) as picture:
            image = np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        message = (
            f"The image {path} ({len(content)} bytes) is truncated or damaged: {error}. Copy it again "
            "from the archive, or delete it."
        )
        raise DataError(message) from error
    return Item(record, image, None, hashlib.blake2b(content, digest_size=16).digest())


def listing_digest(folder: Path, records: list[dict[str, Any]]) -> str:
    """SHA-256 over the names, labels, sizes and times of files: changes when one is replaced, without reading any."""
    hasher = hashlib.sha256(str(folder.resolve()).encode())
    for record in records:
        try:
            stat = (folder / record["file"]).stat()
            stamp = f"{stat.st_size} {stat.st_mtime_ns}"
        except FileNotFoundError:
            stamp = "missing"
        hasher.update(f"{json.dumps(record, sort_keys=True)} {stamp}\n".encode())
    return hasher.hexdigest()


def one_camera_only(table: pd.DataFrame) -> list[str]:
    """A warning about people whom only one camera saw: nobody can be searched for across cameras with them."""
    seen = table.groupby("pid")["cam"].nunique()
    alone = list(seen.index[seen < 2])
    if not alone or len(seen) == 1:
        return []
    return [
        f"{len(alone)} of {len(seen)} people were seen by one camera only: {few(alone)}. They can be trained "
        "on, but not be searched for."
    ]
