"""CUHK03 (Li et al., CVPR 2014), the classic release: one MATLAB v7.3 file (an HDF5 file) of references to images.

MATLAB stores columns first, so that every array appears transposed here: an image as (3, w, h), a camera pair as (10,
people).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from lib.data.errors import DataError, NotHere
from lib.data.readers.counts import incomplete
from lib.data.readers.files import nested, one_camera_only
from lib.data.store import Item, Source

FILE = "cuhk-03.mat"
FOLDERS = ("cuhk03_release", "CUHK03", "cuhk03")
CROPS = {"both": ("labeled", "detected"), "labeled": ("labeled",), "detected": ("detected",)}
VIEWS = 10  # columns 0-4 are one view, 5-9 the other


def cuhk03(root: Path, *, crops: str = "both") -> Source:
    """``cuhk-03.mat``: five camera pairs, 1,467 people, up to five images of each view.

    The identity is ``pair_number`` ("1_0001"), the cameras of pair 1 are "1a" and "1b". The twenty official test sets
    of 100 people are kept in the column ``testsets``: the trials a person is tested in. ``crops`` is "both" (SING's
    and JBIM's variant, after Xiao et al. 2016: boxes drawn by hand and boxes of a detector together), "labeled" or
    "detected".

    Raises
    ------
    NotHere : the file is missing; says where it was expected.
    DataError : it is of another MATLAB version, or lacks the variables of the release.
    """
    if crops not in CROPS:
        raise DataError(f"cuhk03: crops must be one of {', '.join(CROPS)}, not {crops!r}.")
    places = [root / place / FILE for place in (".", *nested(FOLDERS))]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise NotHere(
            f"cuhk03 was not found below {root}: expected {root / FOLDERS[0] / FILE}. Put the release there, or name "
            "the folder that holds it with root=… or the environment variable REID_DATA; data/README.md says where to "
            "get it."
        )
    check_version(path)
    with open_mat(path) as mat:
        missing = [name for name in (*CROPS[crops], "testsets") if name not in mat]
        total = 0 if missing else sum(count_images(mat, crop) for crop in CROPS[crops])
        people = 0 if missing else min(sum(map(len, pairs(mat, crop))) for crop in CROPS[crops])
    if missing:
        raise DataError(
            f"{path} lacks the variable(s) {', '.join(missing)}: it is not cuhk-03.mat of the classic release."
        )
    said = incomplete("cuhk03", {"people": people})
    stat = path.stat()
    key = {"version": 1, "crops": crops, "file": str(path.resolve()), "bytes": stat.st_size, "time": stat.st_mtime_ns}
    key |= {"said": said} if said else {}

    def finish(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
        return table, one_camera_only(table)

    return Source("cuhk03", key, lambda: read_images(path, CROPS[crops]), total, finish, warnings=said)


def check_version(path: Path) -> None:
    """MATLAB writes its version into the first bytes; only 7.3 is HDF5."""
    with open(path, "rb") as file:
        header = file.read(116)
    if h5py.is_hdf5(path):
        return
    if header.startswith(b"MATLAB 5.0"):
        found = "a MATLAB v5 file (saved with -v6 or -v7)"
    elif header.startswith(b"MATLAB 7.3"):
        found = "a truncated MATLAB v7.3 file: copy it again"
    else:
        found = "no MATLAB file"
    raise DataError(
        f"{path} is {found}. The release is v7.3; in MATLAB: load cuhk-03.mat; save('cuhk-03.mat', '-v7.3')."
    )


@contextmanager
def open_mat(path: Path) -> Iterator[h5py.File]:
    """The open file; what h5py raises inside the block becomes a DataError that names it."""
    try:
        with h5py.File(path, "r") as mat:
            yield mat
    except (OSError, LookupError, RuntimeError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is truncated or damaged: {error}. Copy it again from the release.") from error


def pairs(mat: h5py.File, crop: str) -> list[np.ndarray]:
    """The camera pairs, each an array (people, 10) of references to images."""
    found = []
    for reference in np.asarray(mat[crop]).ravel():
        cells = np.asarray(mat[reference])
        found.append(cells.T if cells.shape[0] == VIEWS else cells)
    return found


def is_image(node: h5py.Dataset) -> bool:
    """An empty cell refers to a tiny array of its dimensions."""
    return node.ndim == 3 and "MATLAB_empty" not in node.attrs


def count_images(mat: h5py.File, crop: str) -> int:
    return sum(is_image(mat[reference]) for cells in pairs(mat, crop) for reference in cells.ravel())


def read_testsets(mat: h5py.File) -> dict[tuple[int, int], list[int]]:
    """(pair, person), both from 1 as in MATLAB -> the numbers of the test sets, from 0, that hold this person."""
    found: dict[tuple[int, int], list[int]] = {}
    for number, reference in enumerate(np.asarray(mat["testsets"]).ravel()):
        people = np.asarray(mat[reference])
        people = people.T if people.shape[0] == 2 else people  # (100, 2)
        for pair, person in people.astype(int):
            found.setdefault((int(pair), int(person)), []).append(number)
    return found


def read_images(path: Path, crops: tuple[str, ...]) -> Iterator[Item]:
    with open_mat(path) as mat:
        testsets = read_testsets(mat)
        for crop in crops:
            for pair, cells in enumerate(pairs(mat, crop), 1):
                for person, images in enumerate(cells, 1):
                    for column, reference in enumerate(images):
                        name = f"{crop}/{pair}/{person:04d}/{column + 1:02d}"
                        try:
                            node = mat[reference]
                            if not is_image(node):
                                continue
                            image = np.asarray(node)
                        except (OSError, LookupError, RuntimeError, TypeError, AttributeError, ValueError) as error:
                            raise DataError(
                                f"{path}, image {name}: {error}. The file is damaged: copy it again."
                            ) from error
                        record = {
                            "pid": f"{pair}_{person:04d}",
                            "cam": f"{pair}{'a' if column < VIEWS // 2 else 'b'}",
                            "file": name,
                            "pair": str(pair),
                            "crop": crop,
                            "testsets": " ".join(map(str, testsets.get((pair, person), []))),
                        }
                        # (3, w, h) -> (h, w, 3)
                        image = image.transpose(2, 1, 0) if image.shape[0] == 3 else image
                        yield Item(record, np.ascontiguousarray(image))
