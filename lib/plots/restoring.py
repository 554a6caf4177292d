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
from matplotlib.transforms import Bbox, ScaledTranslation

from lib.plots import style
from lib.plots.people import ranked_lists, sheet
from lib.plots.style import Photographs
from lib.plots.tables import require


def psnr_against_rank(table: pd.DataFrame, title: str = "") -> Figure:
    """A point per network: fidelity to the right, re-identification upwards.

    table : name, psnr (dB), value, low, high (rank-1, fractions).
    """
    require(table, "name", "psnr", "value", "low", "high")
    drawn = style.looks(table["name"])
    fig, ax = style.chart(size=(7.4, 4.6))
    for row in table.itertuples():
        look = drawn[row.name]
        ax.plot([row.psnr, row.psnr], [100 * row.low, 100 * row.high], color=look.colour, linewidth=2, alpha=0.35)
        ax.plot(row.psnr, 100 * row.value, look.marker, color=look.colour, markersize=10)
    ax.margins(x=0.22, y=0.1)
    style.axes_labels(ax, f"{style.AXES['psnr']} to the original", style.AXES["rank-1"])
    style.percent_axis(ax, max(0.0, 5 * np.floor(ax.get_ylim()[0] / 5)))
    style.plain(ax, "both")
    style.headline(fig, title)
    values = 100 * table[["value", "low", "high"]].to_numpy(float)
    _label(ax, [drawn[name] for name in table["name"]], table["psnr"].to_numpy(float), values)
    return fig


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
    longest = max(len(word) for name in names for word in style.text(name).split())
    # a picture may be narrower than its name
    aspect = max(0.09 * longest / height, *(picture.shape[1] / picture.shape[0] for some in images for picture in some))
    columns = [textwrap.fill(style.text(name), max(longest, int(height * aspect / 0.09))) for name in names]
    return sheet(
        images, columns=columns, rows=rows, captions=captions, title=title, note=note, height=height, aspect=aspect
    )


def cost_against_rank(table: pd.DataFrame, title: str = "") -> Figure:
    """Rank-1 over what restoring an image costs, a named mark per network; those that cost nothing left of the break.

    Every mark stands at its cost, so networks of one cost stand above each other; only their intervals are moved apart,
    by less than a mark. The ticks are the costs themselves.

    table : label, macs (multiply-adds of the super-resolution of one image; 0 for interpolation), value, low, high.
    """
    require(table, "label", "macs", "value", "low", "high")
    table = table.reset_index(drop=True)
    macs = table["macs"].to_numpy(float)
    if not (macs > 0).any() or (macs < 0).any():
        raise ValueError("macs must be 0 or more, and more than 0 for one network at least")
    unit, scale = ("G", 1e9) if macs.max() >= 1e9 else ("M", 1e6)
    costs = macs / scale
    least = costs[costs > 0].min()
    none = least / 4  # where a cost of nothing is drawn on an axis that has no 0
    places, drawn = np.where(costs > 0, costs, none), style.looks(table["label"])
    fig, ax = style.chart(size=(8.6, 4.8))
    for number, row in enumerate(table.itertuples()):
        look = drawn[row.label]
        same = np.flatnonzero(places == places[number])
        aside = 2.5 * (list(same).index(number) - (len(same) - 1) / 2) / 72  # inches
        moved = ax.transData + ScaledTranslation(aside, 0, fig.dpi_scale_trans)
        ax.vlines(
            places[number], 100 * row.low, 100 * row.high, color=look.colour, linewidth=2, alpha=0.6, transform=moved
        )
        ax.plot(places[number], 100 * row.value, look.marker, color=look.colour, markersize=10, label=look.label)
    ax.set_ylim(*_around(100 * table[["low", "high"]].to_numpy()))  # what is moved does not count by itself
    _cost_axis(ax, none if (costs == 0).any() else None, sorted({*costs[costs > 0]}))
    style.axes_labels(ax, f"multiply-adds of the super-resolution ({unit} per image)", style.AXES["rank-1"])
    style.plain(ax)
    style.headline(fig, title)
    values = 100 * table[["value", "low", "high"]].to_numpy(float)
    _label(ax, [drawn[name] for name in table["label"]], places, values)
    return fig


def _around(values: np.ndarray) -> tuple[float, float]:
    """Limits with some room around percentages, within 0 and 100."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = 0.08 * max(high - low, 2.0)
    return max(0.0, low - room), min(100.0, high + room)


def _cost_axis(ax: Axes, none: float | None, costs: Sequence[float]) -> None:
    """A logarithmic axis with a tick at each cost, those too near to the one before left out; with a place for a cost
    of nothing, left of a break in the axis."""
    least, most = costs[0], costs[-1]
    left = none or least
    reach = max(most / left, 4.0)
    ax.set_xscale("log")
    ax.set_xlim(left / reach**0.08 / 1.3, most * reach**0.3 * 1.3)
    ticks: list[float] = []
    for cost in costs:
        if not ticks or np.log(cost / ticks[-1]) > 0.08 * np.log(reach):
            ticks.append(cost)
    names = [f"{tick:.3g}" for tick in ticks]
    if none is not None:
        ax.plot([np.sqrt(none * least)], [0], transform=ax.get_xaxis_transform(), marker=(2, 0, -20), markersize=14,
                color="black", linestyle="", clip_on=False, zorder=5, label="break")  # fmt: skip
        ticks, names = [none, *ticks], ["none", *names]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(ticks, names)


def _label(ax: Axes, looks: Sequence[style.Look], x: np.ndarray, y: np.ndarray) -> None:
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
            looks[number].label, (x[number], y[number, 0]), xytext=(0, 0), textcoords="offset points",
            fontsize=style.SMALL, color=style.ink(looks[number].colour), fontweight="bold", va="center",
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
                arrowprops={"arrowstyle": "-", "color": looks[number].colour, "linewidth": 1, "shrinkA": 0},
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
    fig = sheet(images, columns=columns, title=title, height=height, aspect=aspect)
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
        names=[row["name"] for row in rows], title=title, height=height,
        note="✓ the person searched for   ✗ somebody else",
    )  # fmt: skip
    boxes = {round(ax.get_position().y0, 6): ax.get_position() for ax in fig.axes}
    boxes = [boxes[y] for y in sorted(boxes, reverse=True)]  # one per row, from the top
    right = max(ax.get_position().x1 for ax in fig.axes)
    for k in range(per_search, len(rows), per_search):
        y = (boxes[k - 1].y0 + boxes[k].y1) / 2
        fig.add_artist(Line2D([0.01, right], [y, y], color=style.GREY, linewidth=1))
    return fig


def rates(table: pd.DataFrame, best: pd.DataFrame, title: str = "") -> Figure:
    """What the learning rate is worth: a line per network, its best rate marked, zero at bicubic enlargement.

    Networks that pass bicubic at their best rate and those that do not have a panel each: their scales differ.

    table : name, rate, gain (dB over bicubic, mean over ratios). best : name, rate, gain, one row per network.
    """
    require(table, "name", "rate", "gain")
    drawn, ticks = style.looks(best["name"]), sorted(table["rate"].unique())
    passes = best["gain"] > 0
    parts = {"pass bicubic": best[passes], "do not": best[~passes]}
    parts = {name: part for name, part in parts.items() if len(part)}
    fig, axes = style.chart(1, len(parts), size=(5.6 * len(parts), 4.6), squeeze=False)
    for ax, (said, part) in zip(axes[0], parts.items(), strict=True):
        for row in part.itertuples():  # the best first, as in the legend
            look = drawn[row.name]
            line = table[table["name"] == row.name].sort_values("rate")
            style.line(ax, line["rate"], line["gain"], look, label=look.label)
            ax.plot(row.rate, row.gain, look.marker, color=look.colour, markersize=11, markerfacecolor="white",
                    markeredgewidth=2, zorder=4)  # fmt: skip
        if ax.get_ylim()[0] < 0 < ax.get_ylim()[1]:
            ax.axhline(0, color=style.GREY, linewidth=1.8, linestyle="--")
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(FixedLocator(ticks))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.set_xlim(ticks[0] * 0.8, ticks[-1] * 1.25)
        ax.set_title(said, loc="left", fontsize=style.SMALL)
        style.axes_labels(ax, "learning rate", "PSNR minus that of bicubic (dB)")
        style.plain(ax)
    style.legend_below(fig, axes[0][0], handles=[h for ax in axes[0] for h in ax.get_legend_handles_labels()[0]])
    style.headline(fig, title)
    return fig
