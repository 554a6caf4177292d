"""Your own images: a folder, or a list of files."""

from __future__ import annotations

import csv
import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lib.data.dataset import SUBSETS
from lib.data.errors import DataError, few
from lib.data.labels import INVISIBLE, JUNK, STRANGERS, readable
from lib.data.pictures import is_picture
from lib.data.readers.files import check_links, file_source, is_called, left_out, one_camera_only, walk
from lib.data.store import Source

LOOKS_LIKE = {
    "viper": ("cam_a", "cam_b"),
    "market1501": ("bounding_box_train", "bounding_box_test", "query"),
    "dukemtmc": ("bounding_box_train", "bounding_box_test", "query"),
    "msmt17": ("list_train.txt",),
    "cuhk03": ("cuhk-03.mat",),
}
LAYOUTS = ("identity/camera", "camera/identity")
# What is called so is a part of a set, or a camera, not a person.
PARTS = re.compile(
    r"(train(ing|val)?|test(ing)?|val(id(ation)?)?|quer(y|ies)|gallery|probes?|bounding_box_(train|test)|"
    r"single_shot|multi_shot)",
    re.IGNORECASE,
)
CAMERA = re.compile(r"(c|cam|camera|kamera|cctv|ch|channel|view|sensor)[\s_-]*([0-9]+|[a-z])?", re.IGNORECASE)
LONGEST = 80  # bytes of a set's name
SIZES = ("width", "height")
MANY = 3  # times the images of anybody else


def from_folder(folder: Path, *, layout: str | None = None) -> Source:
    """``folder/identity/camera/*.jpg``: the folders' names are the identity and the camera; any picture format Pillow
    reads.

    ``layout`` is "identity/camera" or "camera/identity". Without it, a folder whose names look like another order, like
    train, query and gallery, or like several sets is not read.

    Raises
    ------
    DataError : the folder has another layout, or its names leave in doubt which one; says what to write.
    """
    folder = Path(folder)
    if layout not in (None, *LAYOUTS):
        raise DataError(f"layout={layout!r}: use {' or '.join(map(repr, LAYOUTS))}.")
    public = next((name for name, needed in LOOKS_LIKE.items() if is_public(folder, name, needed)), None)
    if public is not None:
        raise DataError(
            f"{readable(folder)} has the layout of a public set: load_dataset({public!r}, root={readable(folder)!r})."
        )
    found = list(walk(folder))
    pictures = [path for path in found if is_picture(path) and not path.is_dir()]
    check_links(pictures)
    warnings = left_out(found, folder)
    names = [path.relative_to(folder).parts for path in pictures]
    if layout is None:
        ask(folder, names)
    shown = f"{readable(folder)}/{layout or LAYOUTS[0]}/picture.jpg"
    stray = [path for path, parts in zip(pictures, names, strict=True) if len(parts) != 3]
    if stray:
        raise DataError(
            f"{few(map(readable, stray), 3)}: not in the layout {shown} ({len(stray)} of {len(pictures)} pictures). "
            "Move the picture(s), or list them in a CSV with file,pid,cam."
        )
    if not pictures:
        raise DataError(f"{readable(folder)} holds no images in the layout {shown}. {' '.join(warnings)}".rstrip())
    swapped = layout == LAYOUTS[1]
    records = [{"pid": parts[swapped], "cam": parts[not swapped], "file": "/".join(parts)} for parts in names]
    records.sort(key=lambda record: (record["pid"], record["cam"], record["file"]))
    return own_source(folder.resolve().name, folder, records, warnings)


def is_public(folder: Path, name: str, needed: Sequence[str]) -> bool:
    """Whether a folder has the layout of a public set and is called like it: others have cam_a and cam_b, too."""
    return is_called(folder, name) and all((folder / entry).exists() for entry in needed)


def ask(folder: Path, names: Sequence[tuple[str, ...]]) -> None:
    """Raises DataError where the names of the folders leave in doubt that they are identity/camera.

    Parameters
    ----------
    names : of each picture the folders below ``folder`` and the file.
    """
    firsts = sorted({parts[0] for parts in names if len(parts) > 1})
    seconds = sorted({parts[1] for parts in names if len(parts) > 2})
    order = (
        f"load_dataset({readable(folder)!r}, layout={LAYOUTS[1]!r}) reads camera/identity/picture.jpg, "
        f"layout={LAYOUTS[0]!r} reads it as identity/camera all the same."
    )
    listed = "List the pictures in a CSV with the columns file,pid,cam,subset (train, query or gallery)."
    sets = [
        name for name in firsts for public, needed in LOOKS_LIKE.items() if is_public(folder / name, public, needed)
    ]
    if sets:
        raise DataError(
            f"{readable(folder)} is a folder of data sets ({few(sets)}). Load one of them, by its name and "
            f"root={readable(folder)!r}."
        )
    for level in (firsts, seconds):
        parts = [name for name in level if PARTS.fullmatch(name)]
        if len(parts) > 1 or (parts and len(parts) == len(level)):
            raise DataError(
                f"{readable(folder)}: {few(parts)} are called like the parts of a set, not like people or cameras. "
                f"{listed}"
            )
    if not seconds:
        return
    first_are_cameras = all(CAMERA.fullmatch(name) for name in firsts)
    second_are_cameras = all(CAMERA.fullmatch(name) for name in seconds)
    if first_are_cameras and not second_are_cameras:
        raise DataError(
            f"{readable(folder)} looks like camera/identity: its folders are called {few(firsts, 3)}, those in them "
            f"{few(seconds, 3)}. {order}"
        )
    if len(seconds) > len(firsts) and not second_are_cameras:
        raise DataError(
            f"{readable(folder)} would give {len(firsts)} people ({few(firsts, 3)}) in {len(seconds)} cameras "
            f"({few(seconds, 3)}): is it camera/identity? {order}"
        )
    if len(seconds) == 1 and len(firsts) > 1 and not second_are_cameras:
        raise DataError(
            f"{readable(folder)} would give {len(firsts)} people ({few(firsts, 3)}) in one camera, {seconds[0]!r}: is "
            f"each of them a set, or a camera? {order} {listed}"
        )


def from_csv(file: Path) -> Source:
    """A CSV with the columns file, pid, cam and perhaps subset; paths are relative to the CSV, further columns are
    kept as attributes, except ``width`` and ``height``: the pictures themselves say how large they are.

    ``subset`` is train, query, gallery or empty. Everything is read as text: the identity 0002 stays 0002.

    Raises
    ------
    DataError : the list cannot be read, lacks a column, or a line is wrong; says which.
    """
    file = Path(file)
    if not file.is_file():
        raise DataError(f"The list {readable(file)} does not exist.")
    lines, rows = read_csv(file)
    missing = [column for column in ("file", "pid", "cam") if column not in rows[0]]
    if missing:
        first = next(iter(rows[0]))
        signs = {";": "semicolons", "\t": "tabs"}
        hint = next(
            (f" Separate the columns by commas, not {name}." for sign, name in signs.items() if sign in first), ""
        )
        if not hint and set(missing) <= {column.lower() for column in rows[0]}:
            hint = " Write these names in small letters."
        raise DataError(
            f"The list {readable(file)} lacks the column(s) {', '.join(missing)}; it has {', '.join(rows[0])}.{hint}"
        )
    records = []
    places: dict[str, list[tuple[int, str]]] = {}
    for line, row in zip(lines, rows, strict=True):
        record = {name: text for name, text in row.items() if name not in SIZES}
        for column in ("file", "pid", "cam", "subset"):
            text = record.get(column, "").strip(INVISIBLE)
            record[column] = record[column] if column in ("pid", "cam") else text  # names are cleaned, and it is said
            if not text and column != "subset":
                raise DataError(f"{readable(file)}, line {line}: {column} is empty.")
        if record["subset"] not in SUBSETS:
            raise DataError(
                f"{readable(file)}, line {line}: subset {record['subset']!r}; use train, query, gallery or leave it "
                "empty."
            )
        record["file"] = as_on_disk(file.parent, record["file"])
        places.setdefault(os.path.abspath(file.parent / record["file"]), []).append((line, record["file"]))
        records.append(record)
    twice = [" = ".join(f"{name} (line {line})" for line, name in some) for some in places.values() if len(some) > 1]
    if twice:
        raise DataError(f"{readable(file)} lists a file twice: {few(twice)}. Remove the second line.")
    sizes = [name for name in SIZES if name in rows[0]]
    said = [
        f"the list's {' and '.join(sizes)} is not kept: the pictures themselves say how large they are. Rename the "
        "column to keep it."
    ]
    return own_source(file.stem, file.parent, records, said if sizes else [])


def read_csv(file: Path) -> tuple[list[int], list[dict[str, str]]]:
    """The lines at which the rows of a CSV begin, from 1, and each row as {column: text}.

    Raises
    ------
    DataError : the file is not CSV in UTF-8, or a row has more or fewer fields than the first line names.
    """
    header: list[str] = []
    lines, rows, line = [], [], 1
    try:
        with open(file, newline="", encoding="utf-8-sig") as text:
            reader = csv.reader(text, skipinitialspace=True, strict=True)
            for fields in reader:
                here, line = line, reader.line_num + 1
                if not any(field.strip() for field in fields):
                    continue
                if not header:
                    header = column_names(fields, file)
                    continue
                extra = [field for field in fields[len(header) :] if field.strip()]
                if extra or len(fields) < len(header):
                    raise DataError(
                        f"{readable(file)}, line {here}: {len(fields)} fields where the first line names "
                        f"{len(header)}: {', '.join(header)}. Put texts with commas in quotes."
                    )
                lines.append(here)
                rows.append(dict(zip(header, fields, strict=False)))
    except (OSError, csv.Error, UnicodeError) as error:
        hint = '. Save it again as "CSV UTF-8".' if isinstance(error, UnicodeError) else ""
        raise DataError(f"The list {readable(file)} cannot be read as CSV in UTF-8: {error}{hint}") from error
    if not header:
        raise DataError(f"The list {readable(file)} cannot be read as CSV in UTF-8: it is empty")
    if not rows:
        raise DataError(f"The list {readable(file)} has no rows below its first line, {', '.join(header)}.")
    return lines, rows


def column_names(fields: Sequence[str], file: Path) -> list[str]:
    """The names in a CSV's first line, without empty ones at its end."""
    names = [field.strip(INVISIBLE) for field in fields]
    while names and not names[-1]:
        names.pop()
    if "" in names:
        raise DataError(f"{readable(file)}: column {names.index('') + 1} has no name. Name it or remove it.")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{readable(file)} has the column(s) {', '.join(twice)} twice. Rename or remove one of each.")
    return names


def as_on_disk(folder: Path, name: str) -> str:
    """A file's path as the disk spells it: a Mac writes é as e and an accent, Windows \\ between folders."""
    if "\\" in name and "\0" not in name and not (folder / name).exists():
        name = name.replace("\\", "/")
    forms = (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name))
    if not name.isascii() and "\0" not in name:
        return next((form for form in forms if (folder / form).exists()), name)
    return name


def own_source(name: str, folder: Path, records: Sequence[dict[str, Any]], warnings: Sequence[str] = ()) -> Source:
    """The source of somebody's own pictures: "own-" and the name, so that no set of that name is taken for a public
    one."""
    if len(name.encode("utf-8", "replace")) > LONGEST:  # it becomes a part of the names of runs and tables
        name = f"{name[: LONGEST // 4]}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"
    nobody, market = market_names([record["pid"].strip(INVISIBLE) for record in records])

    def finish(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
        return table, one_camera_only(table[~table["pid"].isin(nobody)])

    said = [*warnings, *market]
    return file_source(f"own-{readable(name)}", folder, records, version=2, finish=finish, warnings=said)


def market_names(pids: Sequence[str]) -> tuple[set[str], list[str]]:
    """Identities that are no person in the numbering of Market-1501, and what to say about them: -1, and 0000 where it
    has far more pictures than anybody else (beside a -1: the most)."""
    counts = Counter(pids)
    junk = sum(count for pid, count in counts.items() if JUNK.fullmatch(pid))
    zeros = {pid: count for pid, count in counts.items() if STRANGERS.fullmatch(pid)}
    others = [count for pid, count in counts.items() if not JUNK.fullmatch(pid) and pid not in zeros]
    nobody, found = {pid for pid in counts if JUNK.fullmatch(pid)}, []
    if junk:
        found.append(
            f"{junk} pictures have the identity -1, which in Market-1501 is nobody. If it is a person here, give it "
            "another name."
        )
    if others and sum(zeros.values()) > max(others) * (1 if junk else MANY):
        nobody |= set(zeros)
        found.append(
            f"the identity {' or '.join(zeros)} has {sum(zeros.values())} of {len(pids)} pictures, nobody else more "
            f"than {max(others)}: in Market-1501 it stands for all strangers in the gallery. Give it another name if "
            "it is one person here."
        )
    return nobody, found
