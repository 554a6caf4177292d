"""CAVIAR4REID (Cheng et al., BMVC 2011): 72 people, two real cameras of very different resolution.

The names carry no camera. Images 001-010 of a person are from the camera in the corridor and 011-020 from the one
before the shop, where nearly everybody is farther away; 22 people have the first ten only. Which block is the near
camera is decided by the image areas, by majority over people, so that a camera has one name for everybody. Two people
(0020 and 0050) pass close before the shop and are larger there: their camera stays "far", and a warning says so (the
protocol's option ``lr_camera="smaller-side"`` goes by size instead). Person 0062 has nine and eleven: an image beside
the border whose area lies outside its own block's range and inside the other's belongs to the other.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from lib.data.errors import few
from lib.data.readers.files import file_source, find_folder, list_images, parse, unread
from lib.data.store import Source

BLOCK = 10
JUMP = 2.0


def caviar(root: Path) -> Source:
    """``CAVIARa/PPPPIII.jpg``: four digits of identity, three of index. Cameras are "near" (HR) and "far" (LR)."""
    folder = find_folder(root, "caviar", ("CAVIARa", "CAVIAR4REID", "caviar"), ("00*.*",))
    records = []
    for path in list_images(folder):
        match = parse(path, r"(\d{4})(\d{3})\.", "caviar", "0001001.jpg")
        index = int(match[2])
        records.append(
            {"pid": match[1], "cam": "first" if index <= BLOCK else "second", "file": path.name, "index": index}
        )
    return file_source("caviar", folder, records, version=1, finish=name_cameras, warnings=unread(folder, [folder]))


def name_cameras(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Near and far by the areas; returns the table and what disagrees with the two blocks of ten."""
    area = table["width"] * table["height"]
    block = table["cam"].copy()
    warnings, moved = [], []
    for _, rows in table.groupby("pid").groups.items():
        for row in misplaced(table.loc[rows, "index"], area[rows], block[rows]):
            block[row] = "second" if block[row] == "first" else "first"
            moved.append(table.at[row, "file"])
    typical = area.groupby([table["pid"], block]).median().unstack()
    both = typical.dropna() if typical.shape[1] == 2 else typical.iloc[:0]
    first_is_near = bool((both["first"] > both["second"]).mean() >= 0.5) if len(both) else True
    near, far = ("first", "second") if first_is_near else ("second", "first")
    table = table.assign(cam=block.map({near: "near", far: "far"}))
    larger_far = list(both.index[both[far] > both[near]]) if len(both) else []
    if larger_far:
        warnings.append(
            f"people {few(larger_far)} are larger in the far camera than in the near one. They are left in; "
            'make_protocol(…, lr_camera="smaller-side") swaps their sides.'
        )
    if moved:
        warnings.append(f"{few(moved)}: by its size of the other camera than its index says; counted there.")
    seen = table.groupby("pid")["cam"].nunique()
    alone = seen.index[seen < 2]
    if len(alone):
        warnings.append(
            f"{len(alone)} of {len(seen)} people are in one camera only ({few(alone)}): the protocol discards them."
        )
    return table, warnings


def misplaced(index: pd.Series, area: pd.Series, block: pd.Series) -> list[int]:
    """Rows beside the border of the two blocks whose size jumps away from their own block and into the other's
    range."""
    order = index.sort_values().index
    first, second = ([row for row in order if block[row] == name] for name in ("first", "second"))
    if len(first) < 2 or len(second) < 2:
        return []
    found = []
    for row, neighbour, other in ((first[-1], first[-2], area[second]), (second[0], second[1], area[first])):
        # Somebody who walks towards the camera grows by a quarter from one image to the next, not twofold.
        jump = abs(np.log(area[row] / area[neighbour])) > np.log(JUMP)
        if jump and other.min() <= area[row] <= other.max():
            found.append(row)
    return found
