"""Market-1501 (Zheng et al., ICCV 2015) and DukeMTMC-reID (Zheng et al., ICCV 2017): the same three folders."""

from __future__ import annotations

from pathlib import Path

from lib.data.readers.files import file_source, find_folder, list_images, parse, unread
from lib.data.store import Source

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}


def market1501(root: Path) -> Source:
    """``PPPP_cCsS_FFFFFF_DD.jpg``; identity -1 (junk) is dropped, identity 0000 (distractors) stays in the gallery."""
    places = ("Market-1501-v15.09.15", "Market-1501", "market1501", "Market1501")
    return three_folders(root, "market1501", places, r"(-1|\d+)_c(\d+)s\d+_", "0002_c1s1_000451_03.jpg")


def dukemtmc(root: Path) -> Source:
    """``PPPP_cC_fFFFFFFF.jpg``. The authors withdrew the set; the reader stays for those who hold it
    (data/README.md)."""
    places = ("DukeMTMC-reID", "dukemtmc-reid", "dukemtmc", "DukeMTMC")
    return three_folders(root, "dukemtmc", places, r"(-1|\d+)_c(\d+)_f\d+", "0005_c2_f0046985.jpg")


def three_folders(root: Path, name: str, places: tuple[str, ...], pattern: str, example: str) -> Source:
    folder = find_folder(root, name, places, tuple(FOLDERS.values()))
    records, junk = [], 0
    for subset, place in FOLDERS.items():
        for path in list_images(folder / place):
            match = parse(path, pattern, name, example)
            if match[1] == "-1":
                junk += 1
                continue
            records.append({"pid": match[1], "cam": f"c{match[2]}", "subset": subset, "file": f"{place}/{path.name}"})
    notes = [f"{junk} junk images (identity -1) were dropped."] if junk else []
    strangers = unread(folder, [folder / place for place in FOLDERS.values()], above=[folder])
    return file_source(name, folder, records, version=1, notes=notes, warnings=strangers)
