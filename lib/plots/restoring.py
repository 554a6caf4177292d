"""Figures about super-resolution and about tables: pictures restored, what a mask keeps of them, whom they find, PSNR
and cost against rank-1, published beside measured.

Scores come in as fractions and are drawn in percent; PSNR is in dB; intervals are 95 %.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, NullLocator
from matplotlib.transforms import Bbox

from lib.plots import style
from lib.plots.people import ranked_lists, sheet
from lib.plots.style import Photographs
from lib.plots.tables import require

PUBLISHED = {"marker": "D", "markerfacecolor": "white", "markeredgewidth": 2, "markersize": 8, "linestyle": ""}


def beside(table: pd.DataFrame, title: str = "", x: str = "rank-1 in %", published: str = "published") -> Figure:
    """A row per label: measured with its interval (filled) and, where the paper has a number, the paper's (open).

    table : label, value, low, high (fractions), published (percent, or NaN), perhaps group (colour). published : what
    the open marks are of, for the legend.
    """
    table = table.reset_index(drop=True)
    groups = list(dict.fromkeys(table["group"])) if "group" in table else [""]
    fig, ax = style.chart(size=(8.6, 1.5 + 0.36 * len(table)))
    for y, row in table.iterrows():
        number = groups.index(row["group"]) if "group" in table else 0
        colour, marker = style.PALETTE[number], style.MARKERS[number]
        ax.plot([100 * row["low"], 100 * row["high"]], [y, y], color=colour, linewidth=4, alpha=0.5)
        ax.plot(100 * row["value"], y, marker, color=colour, markersize=9)
        if np.isfinite(row["published"]):
            ax.plot(row["published"], y, color=style.BLACK, **PUBLISHED)
    for number, group in enumerate(groups):
        label = f"measured: {group}" if group else "measured"
        ax.plot(
            [], [], style.MARKERS[number] + "-", color=style.PALETTE[number], linewidth=4, markersize=8, label=label
        )
    if table["published"].notna().any():
        ax.plot([], [], color=style.BLACK, label=published, **PUBLISHED)
    ax.set_yticks(range(len(table)), list(table["label"]), fontsize=style.SMALL)
    ax.set_ylim(len(table) - 0.4, -0.6)
    ax.set_xlim(left=0)
    fig.legend(fontsize=style.SMALL, frameon=False, loc="outside lower center", ncols=min(3, len(groups) + 1))
    style.axes_labels(ax, x, "")
    style.plain(ax, "x")
    style.finding(fig, title)
    return fig


def sweep(table: pd.DataFrame, x: str, title: str = "", y: str = "rank-1 in %") -> Figure:
    """A metric over the values of a setting (evenly spaced), a line per name; published points open.

    table : name, setting (in order), value, low, high (fractions), published (percent, or NaN).
    """
    settings = list(dict.fromkeys(table["setting"]))
    fig, ax = style.chart(size=(7.4, 4.0))
    for number, name in enumerate(dict.fromkeys(table["name"])):
        part = table[table["name"] == name]
        places = [settings.index(s) for s in part["setting"]]
        style.line(ax, places, 100 * part["value"], number, name, 100 * part["low"], 100 * part["high"])
        if part["published"].notna().any():
            colour = style.PALETTE[number]
            ax.plot(places, part["published"], color=colour, label=f"{name}, published", **PUBLISHED)
    ax.set_xticks(range(len(settings)), [s if isinstance(s, str) else f"{s:g}" for s in settings])
    style.axes_labels(ax, x, y)
    style.plain(ax)
    fig.legend(fontsize=style.SMALL, frameon=False, loc="outside lower center", ncols=3)
    style.finding(fig, title)
    return fig


def psnr_against_rank(table: pd.DataFrame, title: str = "", panel: str = "") -> Figure:
    """A point per network: fidelity to the right, re-identification upwards.

    table : name, psnr (dB), value, low, high (rank-1, fractions).
    """
    fig, ax = style.chart(size=(7.4, 4.6))
    for number, row in enumerate(table.itertuples()):
        colour, marker = style.PALETTE[number % 8], style.MARKERS[number % 8]
        ax.plot([row.psnr, row.psnr], [100 * row.low, 100 * row.high], color=colour, linewidth=2, alpha=0.35)
        ax.plot(row.psnr, 100 * row.value, marker, color=colour, markersize=10)
    _names(ax, table)
    style.axes_labels(ax, "PSNR to the original in dB", "rank-1 in %")
    style.plain(ax, "both")
    ax.margins(x=0.18)
    style.finding(fig, title)
    return fig


def _names(ax, table: pd.DataFrame) -> None:
    """Each point's name to its right, moved up where two would overlap."""
    low, high = ax.get_ylim()
    gap, taken = 0.055 * (high - low), []
    for row in table.sort_values("value").itertuples():
        at = 100 * row.value
        while any(abs(at - other) < gap and abs(row.psnr - psnr) < 1.2 for other, psnr in taken):
            at += gap / 2
        taken.append((at, row.psnr))
        ax.annotate(
            row.name, (row.psnr, at), xytext=(9, 0), textcoords="offset points", fontsize=style.SMALL, va="center"
        )


def restored(
    pictures: Mapping[str, Sequence[np.ndarray]],
    quality: Mapping[str, Sequence[float]],
    rows: Sequence[str] = (),
    title: str = "",
    note: str = "",
    height: float = 1.5,
) -> Photographs:
    """A column per way of restoring, a row per person, the PSNR below each picture that has one.

    pictures : name -> pictures (H, W, 3) uint8, one per row. quality : name -> PSNR in dB, for names that have one.
    """
    names = list(pictures)
    count = len(pictures[names[0]])
    images = [[pictures[name][i] for name in names] for i in range(count)]
    captions = [[f"{quality[name][i]:.1f} dB" if name in quality else "" for name in names] for i in range(count)]
    columns = [name.replace("-", "-\n", 1) for name in names]  # a picture is narrower than its name
    return sheet(images, columns=columns, rows=rows, captions=captions, title=title, note=note, height=height)


def cost_against_rank(table: pd.DataFrame, title: str = "") -> Figure:
    """Rank-1 over what restoring an image costs, a named mark per network; those that cost nothing left of the break.

    table : label, macs (multiply-adds of the super-resolution of one image; 0 for interpolation), value, low, high.
    """
    require(table, "label", "macs", "value", "low", "high")
    table = table.reset_index(drop=True)
    giga = table["macs"].to_numpy(float) / 1e9
    if not (giga > 0).any() or (giga < 0).any():
        raise ValueError("macs must be 0 or more, and more than 0 for one network at least")
    least, most = giga[giga > 0].min(), giga.max()
    none = least / 4  # where a cost of nothing is drawn on an axis that has no 0
    exact = np.where(giga > 0, giga, none)
    step = (most / none * 4) ** 0.025  # networks of one cost stand beside each other
    places = exact.copy()
    for place in np.unique(exact):
        same = np.flatnonzero(exact == place)
        places[same] = place * step ** (np.arange(len(same)) - (len(same) - 1) / 2)
    fig, ax = style.chart(size=(8.6, 4.8))
    for number, row in enumerate(table.itertuples()):
        colour, marker = style.PALETTE[number % 8], style.MARKERS[number % 8]
        ax.vlines(places[number], 100 * row.low, 100 * row.high, color=colour, linewidth=3, alpha=0.45)
        ax.plot(places[number], 100 * row.value, marker, color=colour, markersize=10)
    _cost_axis(ax, none if (giga == 0).any() else None, least, most)
    style.axes_labels(ax, "multiply-adds of the super-resolution, G per image", "rank-1 in %")
    style.plain(ax)
    style.headline(fig, title)
    _label(ax, list(table["label"]), places, 100 * table[["value", "low", "high"]].to_numpy(float))
    return fig


def _cost_axis(ax: Axes, none: float | None, least: float, most: float) -> None:
    """A logarithmic axis in G; with a place for a cost of nothing, left of a break in the axis."""
    ax.set_xscale("log")
    ax.set_xlim((none or least) / 1.7, most * (most / (none or least)) ** 0.3 * 1.7)
    nice = [m * 10.0**e for e in range(-6, 6) for m in (1, 3)]
    ticks = [tick for tick in nice if least / 1.6 <= tick <= most * 1.6]
    names = [f"{tick:g}" for tick in ticks]
    if none is not None:
        middle = np.sqrt(none * min(least, *ticks))
        ax.plot([middle], [0], transform=ax.get_xaxis_transform(), marker=(2, 0, -20), markersize=14, color="black",
                linestyle="", clip_on=False, zorder=5, label="break")  # fmt: skip
        ticks, names = [none, *ticks], ["none", *names]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(ticks, names)


def _label(ax: Axes, labels: Sequence[str], x: np.ndarray, y: np.ndarray) -> None:
    """Each mark's name beside it, where it is on no other name, mark or interval; with a line to it where that is
    far.

    y : (n, 3), value, low and high of each mark.
    """
    fig = ax.figure
    fig.draw_without_rendering()  # settles the layout; what is measured below is in pixels
    scale = fig.dpi / 72
    at = [ax.transData.transform(np.column_stack([np.full(3, place), row])) for place, row in zip(x, y, strict=True)]
    taken = [Bbox([[p[0][0] - 7 * scale, p[0][1] - 7 * scale], [p[0][0] + 7 * scale, p[0][1] + 7 * scale]]) for p in at]
    taken += [Bbox([[p[1][0] - 3 * scale, p[1][1]], [p[1][0] + 3 * scale, p[2][1]]]) for p in at]
    moves = [(side * dx, 6 * k) for dx in range(11, 130, 12) for k in range(-22, 23) for side in (1, -1)]  # points
    moves.sort(key=lambda move: (np.hypot(move[0], 1.6 * move[1]) + (6 if move[0] < 0 else 0), -move[1]))
    for number in np.argsort(-y[:, 0], kind="stable"):
        text = ax.annotate(
            labels[number], (x[number], y[number, 0]), xytext=(0, 0), textcoords="offset points", fontsize=style.SMALL,
            color=style.PALETTE[number % 8], fontweight="bold", va="center",
        )  # fmt: skip
        size = text.get_window_extent()
        for dx, dy in moves:
            left = at[number][0][0] + dx * scale - (size.width if dx < 0 else 0)
            middle = at[number][0][1] + dy * scale
            box = Bbox.from_bounds(left, middle - size.height / 2, size.width, size.height)
            inside = ax.bbox.x0 < box.x0 and box.x1 < ax.bbox.x1 and ax.bbox.y0 < box.y0 and box.y1 < ax.bbox.y1
            if inside and not box.padded(3 * scale).count_overlaps(taken):
                break
        else:
            dx, dy, box = 11, 0, size
        text.set(ha="right" if dx < 0 else "left", position=(dx, dy))
        taken.append(box)
        if abs(dx) > 12 or abs(dy) > 8:
            end = dx - 2 if dx > 0 else dx + 2
            ax.annotate(
                "", (x[number], y[number, 0]), xytext=(end, dy), textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": style.PALETTE[number % 8], "linewidth": 1, "shrinkA": 0},
            )  # fmt: skip


def masks(
    pictures: Sequence[np.ndarray],
    masks: Sequence[Sequence[np.ndarray]],
    names: Sequence[str],
    title: str = "",
    height: float = 0.8,
) -> Photographs:
    """A row per person: the picture, then what each mask keeps of it; the rest fades to white.

    pictures : (H, W, 3) uint8. masks : for each picture its masks in the order of ``names``, (H, W), bool or in [0, 1].
    height : inches of a picture; leave it where real people are shown.
    """
    if len(pictures) != len(masks) or any(len(row) != len(names) for row in masks):
        raise ValueError(f"every one of the {len(pictures)} pictures needs {len(names)} masks: {', '.join(names)}")
    images = [[image, *(faded(image, mask) for mask in row)] for image, row in zip(pictures, masks, strict=True)]
    columns = ["picture", *(name.replace(" ", "\n") for name in names)]
    longest = max(len(part) for name in columns for part in name.split("\n"))
    # a picture may be narrower than its name
    aspect = max(0.095 * longest / height, *(image.shape[1] / image.shape[0] for image in pictures))
    lines = textwrap.fill(title, max(36, int(len(columns) * aspect * height / 0.118)))
    fig = sheet(images, columns=columns, title=lines, height=height, aspect=aspect)
    for ax, image in zip(fig.axes, (image for row in images for image in row), strict=True):
        tall, wide = image.shape[:2]  # a thin frame: white on white has no edge
        ax.add_patch(Rectangle((-0.5, -0.5), wide, tall, fill=False, edgecolor=style.GREY, linewidth=0.8))
    return fig


def faded(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The picture where the mask (H, W) is 1, white where it is 0, between them in between."""
    weight = np.asarray(mask, dtype=float)
    if weight.shape != image.shape[:2] or weight.min() < 0 or weight.max() > 1:
        raise ValueError(f"a mask is {image.shape[:2]} in [0, 1], not {weight.shape} up to {weight.max():.3g}")
    weight = weight[..., None]
    return np.round(weight * image + (1 - weight) * 255).astype(np.uint8)


def joint_lists(rows: Sequence[Mapping], title: str = "", per_search: int = 2, height: float = 0.8) -> Photographs:
    """Without and with joint learning: query and nearest gallery as each network restores them (RIPR Fig. 5).

    rows : ``per_search`` rows for each search, one per network: {"name": label, "query": (H, W, 3) uint8, "found":
    pictures from the nearest on, "correct": bool for each of them}. A line stands between searches. height : inches of
    a picture; leave it where real people are shown.
    """
    if not rows or len(rows) % per_search:
        raise ValueError(f"every search needs {per_search} rows, there are {len(rows)} rows in all")
    for row in rows:
        if len(row["found"]) != len(row["correct"]) or not len(row["found"]):
            raise ValueError(f"{row['name']!r} has {len(row['found'])} pictures and {len(row['correct'])} judgements")
    fig = ranked_lists(
        [row["query"] for row in rows], [row["found"] for row in rows], [row["correct"] for row in rows],
        names=[row["name"] for row in rows], title=textwrap.fill(title, 54), height=height,
        note="✓ the person searched for   ✗ somebody else",
    )  # fmt: skip
    boxes = {round(ax.get_position().y0, 6): ax.get_position() for ax in fig.axes}
    boxes = [boxes[y] for y in sorted(boxes, reverse=True)]  # one per row, from the top
    right = max(ax.get_position().x1 for ax in fig.axes)
    for k in range(per_search, len(rows), per_search):
        y = (boxes[k - 1].y0 + boxes[k].y1) / 2
        fig.add_artist(Line2D([0.01, right], [y, y], color=style.GREY, linewidth=1))
    return fig
