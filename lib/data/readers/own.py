"""Your own images: a folder, or a list of files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lib.data.dataset import SUBSETS
from lib.data.errors import DataError, few
from lib.data.readers.files import file_source, list_folders, list_images
from lib.data.store import Source

LOOKS_LIKE = {
    "viper": ("cam_a", "cam_b"),
    "market1501": ("bounding_box_train", "bounding_box_test", "query"),
    "msmt17": ("list_train.txt",),
    "cuhk03": ("cuhk-03.mat",),
}


def from_folder(folder: Path) -> Source:
    """``folder/identity/camera/*.jpg``: the folders' names are the identity and the camera; any picture format Pillow
    reads."""
    folder = Path(folder)
    layout = f"{folder}/identity/camera/picture.jpg"
    for name, entries in LOOKS_LIKE.items():
        if all((folder / entry).exists() for entry in entries):
            raise DataError(
                f"{folder} has the layout of a public set: load_dataset({name!r}, root={str(folder)!r}) "
                "(DukeMTMC: 'dukemtmc')."
            )
    records = []
    for person in list_folders(folder):
        for camera in list_folders(person):
            for path in list_images(camera):
                records.append({"pid": person.name, "cam": camera.name, "file": path.relative_to(folder).as_posix()})
    used = {record["file"] for record in records}
    stray = [path for path in list_images(folder, deep=True) if path.relative_to(folder).as_posix() not in used]
    if stray:
        raise DataError(
            f"{few(stray, 3)}: not in the layout {layout}. Move the picture(s), or list them in a CSV with "
            "file,pid,cam."
        )
    if not records:
        raise DataError(f"{folder} holds no images in the layout {layout}.")
    return file_source(f"own-{folder.resolve().name}", folder, records, version=1)


def from_csv(file: Path) -> Source:
    """A CSV with the columns file, pid, cam and perhaps subset; paths are relative to the CSV, further columns are
    kept as attributes.

    ``subset`` is train, query, gallery or empty. Everything is read as text: the identity 0002 stays 0002.
    """
    file = Path(file)
    if not file.is_file():
        raise DataError(f"The list {file} does not exist.")
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"The list {file} cannot be read as CSV in UTF-8: {error}") from error
    table.columns = [str(column).strip() for column in table.columns]
    missing = [column for column in ("file", "pid", "cam") if column not in table]
    if missing:
        hint = " Separate the columns by commas, not semicolons." if ";" in table.columns[0] else ""
        raise DataError(
            f"The list {file} lacks the column(s) {', '.join(missing)}; it has {', '.join(table.columns)}.{hint}"
        )
    taken = [column for column in ("width", "height") if column in table]
    table = table.drop(columns=taken)  # the pictures themselves say how large they are
    if "subset" in table:
        unknown = table[~table["subset"].isin(SUBSETS)]
        if len(unknown):
            line = unknown.index[0] + 2
            raise DataError(
                f"{file}, line {line}: subset {unknown['subset'].iloc[0]!r}; use train, query, gallery or "
                "leave it empty."
            )
    for column in ("file", "pid", "cam"):
        empty = table.index[table[column].str.strip() == ""]
        if len(empty):
            raise DataError(f"{file}, line {empty[0] + 2}: {column} is empty.")
    twice = table["file"][table["file"].duplicated()]
    if len(twice):
        raise DataError(f"{file} lists a file twice: {few(twice)}. Remove the second line.")
    return file_source(f"own-{file.stem}", file.parent, table.to_dict("records"), version=1)
