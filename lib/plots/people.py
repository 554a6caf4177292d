"""Pictures of people: grids, one person at several resolutions, masks, twins, ranked lists.

Letters: h, w the height and width of a picture in pixels. Pictures are (h, w, 3) uint8 arrays, of any sizes. Sizes of
figures are in inches. ``height`` is that of one picture: where real people are shown keep it at 0.8 or less, so that
nobody is printed larger than in the source.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from lib.data.resolution import degrade, shrink
from lib.plots import style
from lib.plots.style import Photographs

LINE = 0.19  # inches of one line of text
SIGNS = {"true": "✓", "false": "✗"}
COLOURS = {"true": style.TRUE, "false": style.FALSE}


def at_width(image: np.ndarray, width: int, kernel: str = "bicubic") -> np.ndarray:
    """The picture with no more detail than ``width`` pixels hold, at its own size again; untouched where it is not
    wider."""
    if width >= image.shape[1]:
        return np.asarray(image)
    picture = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    return degrade(picture, width / image.shape[1], kernel).permute(1, 2, 0).numpy()


def sheet(
    images: Sequence[Sequence[np.ndarray | None]],
    *,
    columns: Sequence[str] = (),
    rows: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
    marks: Sequence[Sequence[str]] = (),
    title: str = "",
    note: str = "",
    height: float = 1.2,
    aspect: float | None = None,
    wide_after: Sequence[int] = (),
    row_space: float | None = None,
) -> Photographs:
    """Rows of pictures.

    Parameters
    ----------
    images : rows of pictures; None leaves a place empty.
    columns, rows : names above and to the left. captions : a text below each picture. note : one text below all.
    marks : "true", "false" or "" for each picture: a frame with a sign.
    height : inches of one picture. aspect : width over height of a place; that of the widest picture when None.
    wide_after : columns after which there is a wider gap.
    row_space : inches to the left for the rows' names; as many as they need when None.
    """
    many = max(len(row) for row in images)
    if aspect is None:
        aspect = max(image.shape[1] / image.shape[0] for row in images for image in row if image is not None)
    width, gap = height * aspect, 0.07
    caption_lines = max((text.count("\n") + 1 for row in captions for text in row if text), default=0)
    if row_space is None:
        row_space = 0.085 * max((len(part) for name in rows for part in name.split("\n")), default=0) + (
            0.1 if rows else 0
        )
    pictures = row_space + many * (width + gap) + 0.18 * len(wide_after)
    # titles and notes keep to the width of the pictures, or to that of a few words
    title, note = _fill(title, pictures / 0.118, 34), _fill(note, pictures / 0.082, 50)
    title_space = (0.1 + 0.24 * (title.count("\n") + 1)) if title else 0.02
    column_space = LINE * max((name.count("\n") + 1 for name in columns), default=0)
    note_space = (0.05 + LINE * (note.count("\n") + 1)) if note else 0.02
    step = height + gap + LINE * 0.92 * caption_lines
    total_height = title_space + column_space + step * len(images) + note_space
    words = [0.118 * len(part) for part in title.split("\n")] + [0.082 * len(part) for part in note.split("\n")]
    total_width = max(pictures, *words)
    fig = Photographs(figsize=(total_width, total_height), facecolor="white")
    fig.set_label(title.replace("\n", " "))
    lefts, x = [], row_space
    for column in range(many):
        lefts.append(x)
        x += width + gap + (0.18 if column in wide_after else 0)

    def write(x: float, y: float, text: str, **options) -> None:
        fig.text(x / total_width, 1 - y / total_height, text, **({"fontsize": style.SMALL, "va": "top"} | options))

    if title:
        write(0.02, 0.02, title, fontsize=style.TITLE, fontweight="bold")
    for column, name in enumerate(columns):
        write(lefts[column] + width / 2, title_space + column_space - 0.03, name, ha="center", va="bottom")
    for number, row in enumerate(images):
        top = title_space + column_space + number * step
        if number < len(rows):
            write(row_space - 0.08, top + height / 2, rows[number], ha="right", va="center")
        for column, image in enumerate(row):
            if image is None:
                continue
            box = (
                lefts[column] / total_width,
                1 - (top + height) / total_height,
                width / total_width,
                height / total_height,
            )
            ax = fig.add_axes(box)
            show(ax, image, marks[number][column] if len(marks) else "")
            if len(captions) and captions[number][column]:
                write(lefts[column] + width / 2, top + height + 0.02, captions[number][column], ha="center", fontsize=9)
    if note:
        write(0.02, total_height - note_space + 0.04, note, color="#444444")
    return fig


def _fill(text: str, characters: float, least: int) -> str:
    """The text in lines of so many characters, of ``least`` at least."""
    return textwrap.fill(text.replace("\n", " "), max(int(characters), least))


def show(ax: Axes, image: np.ndarray, mark: str = "") -> None:
    """One picture without axes, framed and signed where it is marked."""
    ax.imshow(image, interpolation="nearest")
    ax.set_axis_off()
    if mark:
        tall, wide = image.shape[:2]
        ax.add_patch(Rectangle((-0.5, -0.5), wide, tall, fill=False, edgecolor=COLOURS[mark], linewidth=3.5))
        box = {"boxstyle": "circle,pad=0.12", "facecolor": COLOURS[mark], "edgecolor": "white"}
        ax.text(
            0.84, 0.08, SIGNS[mark], transform=ax.transAxes, fontsize=9, color="white", ha="center", va="center",
            fontweight="bold", bbox=box, family="DejaVu Sans",
        )  # fmt: skip


def resolution_ladder(
    people: Sequence[np.ndarray], widths: Sequence[int], names: Sequence[str] = (), title: str = "", height: float = 1.7
) -> Photographs:
    """Each person at falling widths in pixels, enlarged again to one size; below, the first one as small as stored."""
    rows = [[at_width(image, width) for width in widths] for image in people]
    first = people[0]
    tall, wide = first.shape[:2]
    small = []
    for width in widths:
        size = (max(1, round(tall * min(1.0, width / wide))), min(width, wide))
        page = np.full(first.shape, 255, np.uint8)
        left = (wide - size[1]) // 2
        picture = torch.from_numpy(np.array(first)).permute(2, 0, 1)
        page[: size[0], left : left + size[1]] = shrink(picture, size).permute(1, 2, 0).numpy()
        small.append(page)
    labels = [*names, "as large as\nit is stored"] if names else []
    return sheet(
        [*rows, small], columns=[f"{width} px" for width in widths],
        rows=labels, title=title, height=height,
    )  # fmt: skip


def similar_views(table: pd.DataFrame, a: str, b: str) -> tuple[int, ...]:
    """Rows of ``table`` (columns pid, cam, yaw in radians) that show a and b in one camera from nearly the same side,
    from
    the front where there is a choice; an empty tuple where they never meet one camera."""
    mine, theirs = table[table["pid"] == a], table[table["pid"] == b]
    pairs = []
    for i, one in mine.iterrows():
        for j, other in theirs.iterrows():
            if one["cam"] == other["cam"]:
                between = abs(np.angle(np.exp(1j * (one["yaw"] - other["yaw"]))))
                pairs.append((between + 0.3 * abs(one["yaw"]) + 0.3 * abs(other["yaw"]), i, j))
    return min(pairs)[1:] if pairs else ()


def cut_out(image: np.ndarray, mask: np.ndarray, paper: int = 255) -> np.ndarray:
    """The person alone, on white paper."""
    return np.where(mask[..., None], image, np.uint8(paper))


def outlined(image: np.ndarray, mask: np.ndarray, colour: str = style.YELLOW) -> np.ndarray:
    """The picture with the mask's outline, one pixel wide."""
    inside = mask.copy()
    for axis in (0, 1):
        for shift in (-1, 1):
            inside &= np.roll(mask, shift, axis)
    result = np.array(image)
    result[mask & ~inside] = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return result


def ranked_lists(
    probes: Sequence[np.ndarray],
    lists: Sequence[Sequence[np.ndarray]],
    matches: Sequence[Sequence[bool]],
    names: Sequence[str] = (),
    title: str = "",
    note: str = "",
    height: float = 1.1,
    captions: Sequence[Sequence[str]] = (),
) -> Photographs:
    """A row per search: the probe, then the gallery from the nearest on, matches with a tick and wrong people with a
    cross."""
    images = [[probe, *found] for probe, found in zip(probes, lists, strict=True)]
    marks = [["", *("true" if match else "false" for match in row)] for row in matches]
    longest = max(len(row) for row in images)
    for row, mark in zip(images, marks, strict=True):
        row += [None] * (longest - len(row))
        mark += [""] * (longest - len(mark))
    return sheet(
        images, marks=marks, columns=["probe", *(f"{k}" if k > 1 else "rank 1" for k in range(1, longest))], rows=names,
        title=title, note=note, height=height, wide_after=(0,),
        captions=[["", *row, *([""] * (longest - 1 - len(row)))] for row in captions],
    )  # fmt: skip


def detail_sizes(table: pd.DataFrame, limits: Sequence[float], title: str = "", size=(8.2, 3.9)):
    """How large details are in pixels, and the smallest that each ratio can carry.

    table : columns detail (name) and pixels (size of one period at full resolution), one row per detail and person.
    limits : ratios; at ratio r nothing with a period below 2 / r pixels is left (Nyquist).
    """
    fig, ax = style.figure(size=size)
    names = list(table.groupby("detail")["pixels"].median().sort_values().index)
    for place, name in enumerate(names):
        values = np.sort(table.loc[table["detail"] == name, "pixels"].to_numpy())
        low, quarter, middle, three, high = np.percentile(values, [5, 25, 50, 75, 95])
        ax.plot([low, high], [place, place], color=style.BLUE, linewidth=2)
        ax.plot([quarter, three], [place, place], color=style.BLUE, linewidth=10, solid_capstyle="butt")
        ax.plot([middle], [place], marker="|", color="white", markersize=9, markeredgewidth=2)
    for number, ratio in enumerate(limits):
        colour = style.RATIO_COLOURS[number % len(style.RATIO_COLOURS)]
        ax.axvline(2 / ratio, color=colour, linewidth=2, linestyle="--")
        ax.annotate(
            f"{style.ratio_name(ratio)}\n{2 / ratio:.0f} px", (2 / ratio, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),  # noqa: E501
            textcoords="offset points", ha="center", va="bottom", fontsize=9, color=colour, fontweight="bold",
        )  # fmt: skip
    ax.annotate(
        "ratio r:\nlimit 2/r:", (0, 1), xycoords="axes fraction", xytext=(-6, 3), textcoords="offset points", ha="right",  # noqa: E501
        va="bottom", fontsize=9,
    )  # fmt: skip
    ax.set_yticks(range(len(names)), names)
    ax.set_xscale("log", base=2)
    ticks = [2, 4, 8, 16, 32, 64]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.set_xlim(1.6, max(40, table["pixels"].max() * 1.1))
    style.axes_labels(ax, "size of one period at full resolution (pixels; box: half of the people, line: 90 %)", "")
    style.plain(ax, "x")
    style.headline(fig, title)
    return fig


def detail_left(table: pd.DataFrame, title: str = "", size=(8.0, 3.8)):
    """How much of what a pattern adds is left, against the ratio.

    table : columns kind, people, ratio, left, low, high; left is a share of the value at ratio 1.
    """
    fig, ax = style.figure(size=size)
    for kind, rows in table.groupby("kind", sort=False):
        rows = rows.sort_values("ratio")
        drawn = style.looks(table["kind"])[kind]
        drawn = drawn._replace(label=f"{kind} ({int(rows['people'].iloc[0])} people)")
        style.line(ax, rows["ratio"], 100 * rows["left"], drawn, 100 * rows["low"], 100 * rows["high"])
    style.resolution_axis(ax, table["ratio"])
    ax.axhline(0, color=style.GREY, linewidth=1)
    ax.set_ylim(max(100 * float(table["low"].min()), -25), 100)  # of a handful of people an interval says nothing
    style.axes_labels(ax, style.AXES["resolution"], "left of the variance (%)")
    style.plain(ax)
    style.legend_below(fig, ax)
    style.headline(fig, title)
    return fig
