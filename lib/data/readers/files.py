"""What all readers of image files share: finding the folder, listing, naming, decoding."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lib.data.errors import DataError, NotHere, few
from lib.data.labels import clean_labels, readable, spelling_warnings
from lib.data.pictures import is_picture, read_picture
from lib.data.readers.counts import counted, incomplete
from lib.data.store import Item, Source

DECODER = 2  # raised when a file gives other pixels than before, so that the cache is made anew
JUNK_FOLDERS = {
    "__macosx",
    "__pycache__",
    "@eadir",
    "#recycle",
    "$recycle.bin",
    "system volume information",
    "lost+found",
}
JUNK_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
DEEPEST = 6  # folders below each other: farther down there is only a link that leads back up
PAPERS = {"readme", "license", "licence", "copying", "authors", "changelog"}
NOTES = {
    ".csv", ".doc", ".docx", ".htm", ".html", ".json", ".log", ".m", ".mat", ".md", ".npy", ".npz", ".odt", ".pdf",
    ".pkl", ".py", ".rst", ".sh", ".tsv", ".txt", ".xls", ".xlsx", ".xml", ".yaml", ".yml",
}  # fmt: skip


def find_folder(
    root: Path, name: str, candidates: tuple[str, ...], must_hold: tuple[str, ...], itself: bool = True
) -> Path:
    """The first of ``candidates`` below ``root``, one in another included (or ``root`` itself), that holds the entries
    ``must_hold`` (names or patterns).

    Raises
    ------
    NotHere : none of them is there; says where it looked.
    DataError : one is there and lacks an entry, or ``root`` itself has another name.
    """
    for place in [root / candidate for candidate in nested(candidates)] + ([root] if itself else []):
        if place.is_dir() and all(any(place.glob(entry)) for entry in must_hold):
            if place == root and not is_called(root, name):
                raise DataError(
                    f"{name}: {readable(root)} holds {', '.join(must_hold)}, but is not called like {name}. If it is "
                    f"this set, rename the folder to {candidates[0]}. Another public set is loaded under its own name, "
                    "your own from a CSV with the columns file, pid, cam."
                )
            return place
    present = [root / candidate for candidate in candidates if (root / candidate).is_dir()]
    if present:
        missing = [entry for entry in must_hold if not any(present[0].glob(entry))]
        raise DataError(
            f"{name}: {readable(present[0])} lacks {', '.join(missing)}. Unpack the distributed archive there as it is."
        )
    raise NotHere(
        f"{name} was not found below {readable(root)}: expected {readable(root / candidates[0])}. Put it there, or "
        "name the folder that holds it with root=… or the environment variable REID_DATA; data/README.md says where "
        "to get it."
    )


def nested(candidates: Sequence[str]) -> list[str]:
    """Each of the folders behind those that it holds by one of their names: unpackers like to add a folder of their
    own."""
    return [place for outer in candidates for place in (*(f"{outer}/{inner}" for inner in candidates), outer)]


def is_called(folder: Path, name: str) -> bool:
    """Whether a folder is called like a set, as far as letters and digits go: Market-1501-v15.09.15, Market for
    market1501."""
    wanted = name.replace("-", "")
    called = {re.sub(r"[^a-z0-9]", "", path.name.lower()) for path in (folder, folder.resolve())}
    return any(wanted in text or (len(text) >= 4 and wanted.startswith(text)) for text in called)


def is_hidden(name: str) -> bool:
    """Files and folders that programs leave behind, at any level: .DS_Store, ._a.jpg, .ipynb_checkpoints, __MACOSX."""
    return name.startswith(".") or name.lower() in JUNK_FOLDERS | JUNK_FILES


def entries(folder: Path) -> list[Path]:
    """What lies in a folder, in the order of the names, without what programs leave behind.

    Raises
    ------
    DataError : the folder is missing or closed, or a name in it is not in UTF-8.
    """
    try:
        found = sorted(path for path in folder.iterdir() if not is_hidden(path.name))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(
            f"The folder {readable(folder)} is missing. Unpack the distributed archive again, or correct the path."
        ) from error
    except OSError as error:
        raise DataError(f"The folder {readable(folder)} cannot be read: {error.strerror}.") from error
    for path in found:
        if any("\ud800" <= letter <= "\udfff" for letter in path.name):
            raise DataError(
                f"{readable(path)}: the name is not in UTF-8 (its bytes are {os.fsencode(path.name)!r}). Rename it, "
                "for example with: convmv -f latin1 -t utf8 --notest."
            )
    return found


def list_images(folder: Path) -> list[Path]:
    """Image files in ``folder`` in the order of their names: all endings that Pillow reads.

    Raises
    ------
    DataError : the folder cannot be read, or a picture is a link to nowhere.
    """
    pictures = [path for path in entries(folder) if is_picture(path)]
    check_links(pictures)
    return [path for path in pictures if path.is_file()]


def check_links(pictures: Iterable[Path]) -> None:
    """Raises DataError where a picture is a link to nowhere."""
    lost = [readable(path) for path in pictures if path.is_symlink() and not path.exists()]
    if lost:
        raise DataError(f"{few(lost, 3)}: a link to a missing file. Mend the link or delete it.")


def list_folders(folder: Path) -> list[Path]:
    """Sub-folders in the order of their names, without hidden ones."""
    return [path for path in entries(folder) if path.is_dir()]


def walk(folder: Path, depth: int = 1) -> Iterator[Path]:
    """All files below ``folder``, and folders that are called like pictures, without what programs leave behind."""
    for path in entries(folder):
        if not path.is_dir() or is_picture(path):
            yield path
        if path.is_dir() and depth < DEEPEST:
            yield from walk(path, depth + 1)


def unread(base: Path, parts: Sequence[Path], above: Sequence[Path] = ()) -> list[str]:
    """What to say about what lies in the folder ``base`` of a set and is not read.

    parts : the folders that are read, directly: files in them that are no pictures are named, and pictures deeper down.
    above : the folders in which these lie: pictures directly in them are named.
    """
    inside = [path for part in parts for path in entries(part)]
    around = [path for folder in above for path in entries(folder)]
    around += [path for folder in inside if folder.is_dir() for path in walk(folder)]
    stray = [readable(path.relative_to(base).as_posix()) for path in around if is_picture(path) and path.is_file()]
    said = f"left out, because the pictures of this set lie elsewhere in it: {few(stray)}. Move them there, or away."
    return [*left_out(inside, base), *([said] if stray else [])]


def left_out(paths: Iterable[Path], base: Path) -> list[str]:
    """What to say about files among pictures that are no pictures and no notes about them, named from ``base``."""
    strangers = [
        readable(path.relative_to(base).as_posix()) + ("/" if path.is_dir() else "")
        for path in paths
        if is_stranger(path)
    ]
    if not strangers:
        return []
    return [
        f"left out, because Pillow reads no pictures from them: {few(strangers)}. Convert them to PNG or JPEG if they "
        "are pictures."
    ]


def is_stranger(path: Path) -> bool:
    """Whether something that lies among pictures is neither a picture nor a folder nor a note about them."""
    if path.is_dir():
        return is_picture(path)  # a folder called b.jpg
    note = path.suffix.lower() in NOTES or path.stem.lower() in PAPERS
    return not note and not (is_picture(path) and path.is_file())


def parse(path: Path, pattern: str, name: str, example: str) -> re.Match[str]:
    """What ``pattern`` finds in a file's name, or a DataError that names the file."""
    match = re.match(pattern, path.name)
    if match is None:
        raise DataError(
            f"{name}: cannot read the name of {readable(path)}; expected one like {example}. Rename the file or move "
            "it elsewhere."
        )
    return match


def file_source(
    name: str,
    folder: Path,
    records: Sequence[dict[str, Any]],
    version: int,
    finish: Callable[[pd.DataFrame], tuple[pd.DataFrame, list[str]]] | None = None,
    notes: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> Source:
    """A source of image files: each record has pid, cam and ``file``, the path relative to ``folder``.

    Without ``finish``, people whom one camera saw are warned about; a set that explains them itself gives a function.
    """
    if not records:
        raise DataError(f"{name}: there are no images in {readable(folder)}. Unpack the distributed archive there.")
    spelling: list[str] = []
    for column in ("pid", "cam"):
        given = [record[column] for record in records]
        names = clean_labels(given, column, name)
        spelling += spelling_warnings(given, names, column)
        records = [record | {column: text} for record, text in zip(records, names, strict=True)]

    def items() -> Iterator[Item]:
        for record in records:
            yield decode(folder / record["file"], record)

    def finished(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
        return table, one_camera_only(table)

    said = [*warnings, *spelling, *same_but_ending(record["file"] for record in records)]
    said += incomplete(name, counted(records))
    key = {"version": version, "decoder": DECODER, "files": listing_digest(folder, records)}
    key |= {"said": said} if said else {}  # it is kept with the pixels, and may change where they do not
    return Source(name, key, items, len(records), finish or finished, list(notes), said)


def same_but_ending(files: Iterable[str]) -> list[str]:
    """A warning about files such as a.jpg and a.png in one folder: likely one picture, converted and left there."""
    endings: dict[str, list[str]] = {}
    for file in dict.fromkeys(files):
        endings.setdefault(os.path.splitext(file)[0], []).append(file)
    twins = [" and ".join(some) for some in endings.values() if len(some) > 1]
    if not twins:
        return []
    return [
        f"files that differ in their ending only: {few(twins)}. Both count; remove one if it was made of the other."
    ]


def decode(path: Path, record: dict[str, Any]) -> Item:
    """Read an image file as RGB, upright.

    Raises
    ------
    DataError : the file is missing or closed, truncated, no image, or of a kind that cannot be shown in 8 bits.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(
            f"The image {readable(path)} does not exist. Copy it again, or take its row out of the list."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise DataError(
            f"The image {readable(path)} cannot be read: {getattr(error, 'strerror', None) or error}. Correct the "
            "path, or take its row out of the list."
        ) from error
    image, remarks = read_picture(content, path)
    return Item(record, image, None, hashlib.blake2b(content, digest_size=16).digest(), remarks)


def listing_digest(folder: Path, records: list[dict[str, Any]]) -> str:
    """SHA-256 over the names, labels, sizes and times of files: changes when one is replaced, without reading any."""
    hasher = hashlib.sha256(os.fsencode(folder.resolve()))
    for record in records:
        try:
            stat = (folder / record["file"]).stat()
            stamp = f"{stat.st_size} {stat.st_mtime_ns}"
        except (OSError, ValueError):  # `decode` says what is wrong with it
            stamp = "missing"
        hasher.update(f"{json.dumps(record, sort_keys=True)} {stamp}\n".encode())
    return hasher.hexdigest()


def one_camera_only(table: pd.DataFrame) -> list[str]:
    """A warning about people whom only one camera saw: nobody can be searched for across cameras with them."""
    seen = table.groupby("pid")["cam"].nunique()
    alone = list(seen.index[seen < 2])
    if not alone or len(seen) == 1:
        return []
    several = int((table["pid"].value_counts()[alone] > 1).sum())
    half = (
        'make_protocol(people, "mlr-half") searches among the images of one person, whichever camera took them '
        f"({several} of these people have two or more); "
    )
    return [
        f"{len(alone)} of {len(seen)} people were seen by one camera only: {few(alone)}. They can be trained "
        f"on, but not be searched for in another camera. {half if several else ''}"
        f"{'a' if several else 'A'} CSV with the column subset says who is trained on."
    ]
