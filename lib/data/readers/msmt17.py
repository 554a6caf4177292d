"""MSMT17 (Wei et al., CVPR 2018): 4,101 people, 15 cameras, in two releases with the same list files."""

from __future__ import annotations

import posixpath
from pathlib import Path

from lib.data.errors import DataError
from lib.data.readers.files import file_source, find_folder
from lib.data.store import Source

LISTS = {"list_train.txt": "train", "list_val.txt": "train", "list_query.txt": "query", "list_gallery.txt": "gallery"}
RELEASES = (("train", "test"), ("mask_train_v2", "mask_test_v2"))  # V1; V2, with blurred faces


def msmt17(root: Path) -> Source:
    """``list_{train,val,query,gallery}.txt`` of lines "path id"; the camera is the third ``_`` field of the file's
    name.

    Training and test people are numbered from 0 each, so that the identity is "train-0000" or "test-0000". The official
    validation list holds images of training people: it is part of "train" here (column ``official`` keeps it apart).

    Raises
    ------
    DataError : a list cannot be read, or names a picture that it or another list has named before; says which line.
    """
    folder = find_folder(root, "msmt17", ("MSMT17_V1", "MSMT17_V2", "MSMT17", "msmt17"), tuple(LISTS))
    release = next((pair for pair in RELEASES if all((folder / part).is_dir() for part in pair)), None)
    if release is None:
        raise DataError(
            f"msmt17: {folder} has neither train/ and test/ (V1) nor mask_train_v2/ and mask_test_v2/ (V2). "
            "Unpack the archive there."
        )
    records: list[dict[str, str]] = []
    seen: dict[str, str] = {}
    for name, subset in LISTS.items():
        part, owner = (release[0], "train") if subset == "train" else (release[1], "test")
        try:
            lines = (folder / name).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{folder / name} cannot be read: {error}. Restore the list from the archive.") from error
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            path, _, person = line.strip().rpartition(" ")
            fields = Path(path).name.split("_")
            if not person.isdigit() or len(fields) < 4 or not fields[2].isdigit():
                raise DataError(
                    f'{folder / name}, line {number}: cannot read "{line}"; expected '
                    '"0000/0000_000_01_0303morning_0015_0.jpg 0". '
                    "Restore the list from the archive."
                )
            file = posixpath.normpath(f"{part}/{path}")
            if file in seen:
                raise DataError(
                    f"{folder / name}, line {number}: {path} is in {seen[file]} already. Restore the lists from the "
                    "archive: each picture is in one of them, once."
                )
            seen[file] = f"{name}, line {number},"
            records.append(
                {
                    "pid": f"{owner}-{int(person):04d}",
                    "cam": f"c{int(fields[2]):02d}",
                    "subset": subset,
                    "file": file,
                    "official": name[5:-4],
                }
            )
    return file_source("msmt17", folder, records, version=1)
