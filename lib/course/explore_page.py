"""The explorer as one static file: no server, no kernel, no library (linked from the site).

    python -m lib.course.explore_page                    # build/explore.html, of what data/explore keeps: no training
    python -m lib.course.explore_page --train --store    # make data/explore again: half an hour on a core

Every move of a slider is computed here or was before (``lib.course.explore_kept``): people x ratios x kernels x
methods. Where ``data/explore`` is of other people or code than today's, the page says so, and has what was trained on
this machine and what needs no training. Pictures are WebP sheets inside the file, which works from a disk, on a phone
and by the keyboard. Rendered people only.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lib.bars import Bar
from lib.course import explore_kept
from lib.data import load_dataset
from lib.experiments.explore import KERNELS, RATIOS, SHOWN, Explorer, fused, runs_in, train, untrained
from lib.experiments.study import Cell, cells
from lib.paths import ROOT, write_atomically
from lib.plots import style

TEMPLATE = ROOT / "site" / "explore.html"
MARK = "/*DATA*/"
PEOPLE, TOP, COLUMNS = 50, 10, 40
SHARP, SOFT = 80, 55  # WebP quality: of what is looked at closely, and of restored pictures
START = RATIOS.index(1 / 4)
LARGEST = 4_500_000  # bytes: more is no page to open on a phone


def sheet(pictures: Sequence[np.ndarray], quality: int, columns: int = COLUMNS) -> tuple[str, list[list[int]]]:
    """Pictures (h, w, 3) uint8 of any sizes side by side in rows: a data URI, and [x, y, w, h] of each."""
    boxes, y = [], 0
    for first in range(0, len(pictures), columns):
        x, row = 0, pictures[first : first + columns]
        for picture in row:
            boxes.append([x, y, picture.shape[1], picture.shape[0]])
            x += picture.shape[1]
        y += max(picture.shape[0] for picture in row)
    whole = np.zeros((y, max(x + w for x, _, w, _ in boxes), 3), np.uint8)
    for picture, (x, top, w, h) in zip(pictures, boxes, strict=True):
        whole[top : top + h, x : x + w] = picture
    target = io.BytesIO()
    Image.fromarray(whole).save(target, "WEBP", quality=quality, method=6)
    return "data:image/webp;base64," + base64.b64encode(target.getvalue()).decode(), boxes


def grid(pictures: Sequence[np.ndarray], quality: int) -> dict[str, Any]:
    """Pictures of one size as a sheet: uri, columns, width, height."""
    height, width = pictures[0].shape[:2]
    return {"uri": sheet(pictures, quality)[0], "columns": COLUMNS, "width": width, "height": height}


def searched(explorer: Explorer, name: str, progress: bool = False) -> dict[str, Any]:
    """What a method says at every move, JSON-able; lists are in the order kernel, ratio, person.

    order : the first ``TOP`` rows of the gallery of each. place : of the first right one, from 1. curves : for each
    kernel rank-1 at each ratio, fractions. seen : what its super-resolution makes of each probe, None without one.
    """
    looks = []
    with Bar(f"every move, {name}", len(KERNELS) * len(RATIOS), "steps", show=progress) as bar:
        for kernel in KERNELS:
            for ratio in RATIOS:
                looks += explorer.looks(name, range(len(explorer.probes)), ratio, kernel)
                bar.step()
    parts = (getattr(part, "sr", None) for part in explorer.methods[name].modules())
    restores = any(next(sr.parameters(), None) is not None for sr in parts if sr)  # an enlargement learns nothing
    return {
        "name": name,
        "order": [int(g) for look in looks for g in look.order[:TOP]],
        "place": [look.place for look in looks],
        "curves": [[round(value, 4) for value in explorer.curve(name, kernel).values()] for kernel in KERNELS],
        "seen": grid([look.seen for look in looks], SOFT) if restores else None,
    }


def computed(
    explorer: Explorer, about: str, kept: Sequence[Mapping[str, Any]] = (), trainings: Sequence[str] = (),
    progress: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Everything that the page shows, as JSON-able data: the ``kept`` methods, then the explorer's own, searched now.

    about, trainings : sentences for the end of the page. Lists are in the order kernel, ratio, person.
    """
    people = range(len(explorer.probes))
    place = {pid: i for i, pid in enumerate(explorer.probes["pid"])}
    methods = [*kept, *(searched(explorer, name, progress) for name in explorer.methods)]
    left = [explorer.left(person, ratio, kernel) for kernel in KERNELS for ratio in RATIOS for person in people]
    uri, boxes = sheet(left, SHARP)
    return {
        "people": [explorer.name_of(person) for person in people], "ratios": list(RATIOS),
        "ratio_texts": [style.ratio_name(r) for r in RATIOS], "start": START, "kernels": list(KERNELS),
        "top": min(TOP, len(explorer.gallery)), "about": about, "trainings": list(trainings),
        "methods": [{"label": label(method["name"])} | dict(method) for method in methods],
        "left": {"uri": uri, "boxes": boxes},
        "gallery": grid(explorer.pictures, SHARP) | {"of": [place[pid] for pid in explorer.gallery["pid"]]},
    }  # fmt: skip


def label(name: str) -> str:
    """A method as figures call it, in one line."""
    return style.looks([name])[name].label.replace("\n", " ")


def page(data: Mapping[str, Any]) -> str:
    """The template with its data. ValueError where the data would end the script it stands in, or the file is too
    large.
    """
    template, text = TEMPLATE.read_text(encoding="utf-8"), json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    if "</" in text or template.count(MARK) != 1:
        raise ValueError(f"{TEMPLATE.name} needs {MARK} once, and the data no '</'")
    made = template.replace(MARK, text)
    if len(made) > LARGEST:
        raise ValueError(f"{len(made):,} bytes, at most {LARGEST:,}: show fewer people or methods")
    return made


def made(cell: Cell, profile: str, people: int, progress: bool = False) -> tuple[dict[str, Any], str]:
    """The page's data, and why ``data/explore`` is not part of it ("" where it is). Where that does not belong to
    today's people and code, the page has what was trained on this machine instead, and says so.
    """
    plain, why = untrained(cell, profile), ""
    explorer = Explorer(cell.protocol, plain, people)
    try:
        kept, about = explore_kept.read(explorer, profile, min(TOP, len(explorer.gallery)))
        runs, when = about["runs"], about["made"]
        whence = f"Made on {when['date'][:10]} at commit {when['commit'][:12]}; it is of today's people and code."
    except explore_kept.Stale as stale:
        why, kept = f"data/explore is not shown: {stale}", []
        found = runs_in(cell, profile)
        explorer = Explorer(cell.protocol, {name: fused(some) for name, some in found.items()} | plain, people)
        runs = {name: {run.directory.name: run.key for run in some.values()} for name, some in found.items()}
        whence = f"{why}. Instead: what {'was trained on this machine' if runs else 'needs no training'}."
    absent = ", ".join(label(name) for rows in SHOWN.values() for name in rows if name not in runs)
    sentences = [
        f"Rendered people, {cell.protocol.preset}, trial {cell.protocol.trial}, protocol {cell.protocol.sha256[:12]}; "
        f"one training of each method, profile {profile}.",
        whence,
        f"Not trained and so not here: {absent}." if absent else "",
        f"The networks see {len(explorer.gallery)} gallery pictures; on the whole test, and with intervals, see "
        "lessons 04 to 90.",
    ]
    order = [name for rows in SHOWN.values() for name in rows if name in runs]
    trainings = [f"{label(name)}: {', '.join(runs[name])}" for name in order]
    return computed(explorer, " ".join(filter(None, sentences)), kept, trainings, progress), why


def store(cell: Cell, profile: str, people: int, progress: bool = False) -> list[Path]:
    """Keep in ``data/explore`` what the trained methods of this machine say; returns the files. ValueError where
    nothing was trained.
    """
    runs = runs_in(cell, profile)
    explorer = Explorer(cell.protocol, {name: fused(some) for name, some in runs.items()}, people)
    methods = [searched(explorer, name, progress) for name in runs]
    return explore_kept.keep(explorer, methods, runs, profile, min(TOP, len(explorer.gallery)))


def main(arguments: Sequence[str] | None = None) -> None:
    """The shell's way in."""
    parser = argparse.ArgumentParser(prog="python -m lib.course.explore_page", description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "explore.html")
    parser.add_argument("--profile", default="course", choices=("quick", "course", "paper"))
    parser.add_argument("--people", type=int, default=PEOPLE, help="in the gallery")
    parser.add_argument("--train", action="store_true", help="the methods that were not trained yet, one model each")
    parser.add_argument("--store", action="store_true", help="make data/explore again from what was trained")
    told = parser.parse_args(arguments)
    (cell,) = cells(load_dataset("pedestrians"), "mlr")
    if told.train:
        train(cell, told.profile)
    if told.store:
        for path in store(cell, told.profile, told.people, progress=True):
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")
    data, why = made(cell, told.profile, told.people, progress=True)
    text = page(data)
    told.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(told.out, lambda path: path.write_text(text, encoding="utf-8"))
    names = [method["label"] for method in data["methods"]]
    print(f"{told.out}: {len(text) / 1e6:.1f} MB, {len(names)} methods: {', '.join(names)}")
    if why:
        print(f"{why}; python -m lib.course.explore_page --train --store makes it again", file=sys.stderr)


if __name__ == "__main__":
    main()
