"""The explorer as one static file: no server, no kernel, no library (linked from the site).

    python -m lib.course.explore_page --out build/explore.html
    python -m lib.course.explore_page --train       # each method once before, where it was not: half an hour on a core

Whatever was trained on the embedded people is found again (``make course``); on a machine where nothing was, it shows
what needs no training. Every move of a slider is computed here: people x ratios x kernels x methods. Pictures are
WebP sheets inside the file, which works from a disk, on a phone and by the keyboard. Rendered people only.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lib.bars import Bar
from lib.data import load_dataset
from lib.experiments.explore import KERNELS, RATIOS, Explorer, train, trained, untrained
from lib.experiments.study import cells
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


def computed(explorer: Explorer, about: str, progress: bool = False) -> dict[str, Any]:
    """Everything that the page shows, as JSON-able data; lists are in the order kernel, ratio, person."""
    people = [explorer.name_of(i) for i in range(len(explorer.probes))]
    place = {pid: i for i, pid in enumerate(explorer.probes["pid"])}
    steps = [(kernel, ratio) for kernel in KERNELS for ratio in RATIOS]
    methods, left = [], None
    for name, method in explorer.methods.items():
        looks = []
        with Bar(f"every move, {name}", len(steps), "steps", show=progress) as bar:
            for kernel, ratio in steps:
                looks += explorer.looks(name, range(len(people)), ratio, kernel)
                bar.step()
        left = left or [look.left for look in looks]
        restores = any(getattr(part, "sr", None) is not None for part in method.modules())
        methods.append(
            {
                "label": style.looks([name])[name].label.replace("\n", " "),
                "order": [int(g) for look in looks for g in look.order[:TOP]],
                "place": [look.place for look in looks],
                "curves": [[round(value, 4) for value in explorer.curve(name, kernel).values()] for kernel in KERNELS],
                "seen": grid([look.seen for look in looks], SOFT) if restores else None,
            }
        )
    uri, boxes = sheet(left, SHARP)
    return {
        "people": people, "ratios": list(RATIOS), "ratio_texts": [style.ratio_name(r) for r in RATIOS], "start": START,
        "kernels": list(KERNELS), "top": min(TOP, len(explorer.gallery)), "methods": methods, "about": about,
        "left": {"uri": uri, "boxes": boxes},
        "gallery": grid(explorer.pictures, SHARP) | {"of": [place[pid] for pid in explorer.gallery["pid"]]},
    }  # fmt: skip


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


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m lib.course.explore_page", description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "explore.html")
    parser.add_argument("--profile", default="course", choices=("quick", "course", "paper"))
    parser.add_argument("--people", type=int, default=PEOPLE, help="in the gallery")
    parser.add_argument("--train", action="store_true", help="the methods that were not trained yet, one model each")
    told = parser.parse_args(arguments)
    (cell,) = cells(load_dataset("pedestrians"), "mlr")
    if told.train:
        train(cell, told.profile)
    methods = untrained(cell, told.profile) | trained(cell, told.profile)
    explorer = Explorer(cell.protocol, methods, told.people)
    about = (
        f"Rendered people, {cell.protocol.preset}, trial {cell.protocol.trial}, protocol {cell.protocol.sha256[:12]}; "
        f"one training of each method, profile {told.profile}. The networks see "
        f"{len(explorer.gallery)} gallery pictures; on the whole test, and with intervals, see lessons 04 to 90."
    )
    text = page(computed(explorer, about, progress=True))
    told.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(told.out, lambda path: path.write_text(text, encoding="utf-8"))
    print(f"{told.out}: {len(text) / 1e6:.1f} MB, {len(methods)} methods: {', '.join(methods)}")


if __name__ == "__main__":
    main()
