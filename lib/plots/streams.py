"""Figures about two streams and joint learning (RIPR): learned weights, rank-1 over both resolutions, cost, ranked
lists, masks, and O of several networks.

Tables are tidy, scores come in as fractions and are drawn in percent, low and high are limits of an interval. ``title``
is the finding, in words, given by the caller who has computed it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, NullLocator
from matplotlib.transforms import Bbox

from lib.plots import curves, style
from lib.plots.curves import CURVE_STYLES, O_LABELS, chart, ratio_axis
from lib.plots.people import ranked_lists, sheet
from lib.plots.style import Photographs

STREAMS = {"low": (style.VERMILION, "s", "1 − r"), "high": (style.BLUE, "o", "r")}
PATHS = {"O(r, r)": "O(r, r): both at resolution r", "O(r, 1)": "O(r, 1): one at r, the other at full"}


def stream_weights(table: pd.DataFrame, title: str = "") -> Figure:
    """What each stream of a block weighs over the true resolution, beside the target of Eq. 7; a panel per block.

    table : block, stream ("low" or "high"), r, mean, low, high (the spread over images).
    """
    _has(table, "block", "stream", "r", "mean", "low", "high")
    if unknown := set(table["stream"]) - set(STREAMS):
        raise ValueError(f"streams are named {', '.join(STREAMS)}, not {', '.join(map(str, unknown))}")
    blocks = list(dict.fromkeys(table["block"]))
    fig, axes = chart(1, len(blocks), size=(min(2.2 * len(blocks) + 1.6, 9.2), 3.7), sharey=True, squeeze=False)
    for ax, block in zip(axes[0], blocks, strict=True):
        for stream, (colour, marker, _) in STREAMS.items():
            part = table[(table["block"] == block) & (table["stream"] == stream)].sort_values("r")
            if part.empty:
                raise ValueError(f"{block} has no weights of its {stream} stream")
            target = (0, 1) if stream == "high" else (1, 0)
            ax.plot((0, 1), target, color=colour, linewidth=1.6, linestyle="--")
            style.line(
                ax, part["r"], part["mean"], 0, f"{stream} stream", part["low"], part["high"], color=colour,
                marker=marker,
            )  # fmt: skip
        ax.set_title(str(block), fontsize=style.TEXT, loc="left")
        ax.set_xlim(0, 1.05)
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "1/4", "1/2", "3/4", "1"])
        style.axes_labels(ax, "resolution r", "weight of the stream" if ax is axes[0][0] else "")
        style.plain(ax)
    # nothing is cut off where a network leaves 0 to 1
    axes[0][0].set_ylim(min(-0.02, table["low"].min()), max(1.02, table["high"].max()))
    handles = [line for line in axes[0][0].get_lines() if line.get_label().endswith("stream")]
    handles += [
        Line2D([], [], color=colour, linestyle="--", linewidth=1.6, label=f"its target: {target}")
        for colour, _, target in STREAMS.values()
    ]
    fig.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=style.SMALL, frameon=False)
    curves._title(fig, title)
    return fig


def rank_grid(tables: Mapping[str, pd.DataFrame], title: str = "") -> Figure:
    """Rank-1 in percent over the resolutions of probe and gallery, a map per variant, all with one scale.

    tables : name -> probe, gallery, value; one row per cell, up to four names, all with the same resolutions.
    """
    wide = _wide(tables)
    values = np.concatenate([grid.to_numpy().ravel() for grid in wide.values()])
    norm = Normalize(values.min(), max(values.max(), values.min() + 1))
    return _maps(wide, "cividis", norm, "{:.1f}", "rank-1 in %", title)


def rank_grid_gain(tables: Mapping[str, pd.DataFrame], baseline: str, title: str = "") -> Figure:
    """Rank-1 minus that of ``baseline`` in points, a map per other variant; white is no difference, blue a gain.

    tables : name -> probe, gallery, value; one row per cell, the baseline and up to four others.
    """
    if baseline not in tables or len(tables) < 2:
        raise ValueError(f"the tables lack the baseline {baseline!r} or anything to compare it with")
    wide = _wide(tables)
    wide = {name: grid - wide[baseline] for name, grid in wide.items() if name != baseline}
    reach = max(1.0, *(np.abs(grid.to_numpy()).max() for grid in wide.values()))
    return _maps(wide, "RdBu", Normalize(-reach, reach), "{:+.1f}", f"gain over {baseline} in points", title)


def objective_maps(tables: Mapping[str, pd.DataFrame], title: str = "") -> Figure:
    """O over the resolutions of both images, a map per network, all with one scale; dark is easy.

    tables : name -> r1, r2, normalised; one row per cell, up to four names, all with the same resolutions.
    """
    named = {n: t.rename(columns={"r1": "probe", "r2": "gallery", "normalised": "value"}) for n, t in tables.items()}
    wide = {name: grid / 100 for name, grid in _wide(named).items()}  # O is no percentage
    values = np.concatenate([grid.to_numpy().ravel() for grid in wide.values()])
    norm = Normalize(values.min(), values.max())
    return _maps(wide, "cividis", norm, "{:.2f}", "normalised O", title, ("r of one image", "r of the other"))


def cost_against_rank(table: pd.DataFrame, title: str = "") -> Figure:
    """Rank-1 over what restoring an image costs, a named mark per network; those that cost nothing left of the break.

    table : label, macs (multiply-adds of the super-resolution of one image; 0 for interpolation), value, low, high.
    """
    _has(table, "label", "macs", "value", "low", "high")
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
    fig, ax = chart(size=(8.6, 4.8))
    for number, row in enumerate(table.itertuples()):
        colour, marker = style.PALETTE[number % 8], style.MARKERS[number % 8]
        ax.vlines(places[number], 100 * row.low, 100 * row.high, color=colour, linewidth=3, alpha=0.45)
        ax.plot(places[number], 100 * row.value, marker, color=colour, markersize=10)
    _cost_axis(ax, none if (giga == 0).any() else None, least, most)
    style.axes_labels(ax, "multiply-adds of the super-resolution, G per image", "rank-1 in %")
    style.plain(ax)
    curves._title(fig, title)
    _label(ax, list(table["label"]), places, 100 * table[["value", "low", "high"]].to_numpy(float))
    return fig


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


def objective_comparison(table: pd.DataFrame, title: str = "") -> Figure:
    """O(r, r) and O(r, 1) over r, a panel each, a line per network with its interval (RIPR Fig. 4).

    table : network, curve ("O(r, r)" or "O(r, 1)"), r, normalised, normalised_low, normalised_high.
    """
    _has(table, "network", "curve", "r", "normalised", "normalised_low", "normalised_high")
    networks, ratios = list(dict.fromkeys(table["network"])), sorted(set(table["r"]))
    halves = [r for r in ratios if abs(np.log2(r) - round(np.log2(r))) < 1e-6]
    fig, axes = chart(1, 2, size=(9.2, 4.4), sharey=True)
    for ax, curve in zip(axes, CURVE_STYLES, strict=True):
        for number, network in enumerate(networks):
            part = table[(table["network"] == network) & (table["curve"] == curve)].sort_values("r")
            if part.empty:
                raise ValueError(f"{network!r} has no {curve}")
            low, high = part["normalised_low"], part["normalised_high"]
            style.line(ax, part["r"], part["normalised"], number, network, low, high)
        ratio_axis(ax, halves if len(halves) > 2 else ratios)
        ax.set_title(PATHS[curve], fontsize=style.TEXT, loc="left")
        style.axes_labels(ax, "resolution r", O_LABELS["normalised"] if ax is axes[0] else "")
        style.plain(ax)
    handles, names = axes[0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside lower center", ncols=4, fontsize=style.SMALL, frameon=False)
    curves._title(fig, title)
    return fig


def _has(table: pd.DataFrame, *columns: str) -> None:
    if missing := [column for column in columns if column not in table]:
        raise ValueError(f"the table lacks the column(s) {', '.join(missing)}")
    if table.empty:
        raise ValueError("the table has no rows")


def _wide(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Each table as a grid in percent, probes down and galleries across."""
    if not tables:
        raise ValueError("there are no tables")
    wide = {}
    for name, table in tables.items():
        _has(table, "probe", "gallery", "value")
        grid = 100 * table.pivot(index="probe", columns="gallery", values="value").sort_index().sort_index(axis=1)
        if grid.isna().any(axis=None):
            raise ValueError(f"{name!r} lacks cells of the grid")
        first = next(iter(wide.values()), grid)
        if not (grid.index.equals(first.index) and grid.columns.equals(first.columns)):
            raise ValueError(f"{name!r} has other resolutions than the first table")
        wide[name] = grid
    return wide


def _maps(
    wide: Mapping[str, pd.DataFrame],
    cmap: str,
    norm: Normalize,
    form: str,
    label: str,
    title: str,
    sides: tuple[str, str] = ("resolution of the gallery", "resolution of the probe"),
) -> Figure:
    """A map per grid, every cell with its number, one colour bar; four maps two by two. sides : across and up."""
    if not 1 <= len(wide) <= 4:
        raise ValueError(f"up to four maps fit into a figure, not {len(wide)}")
    rows, columns = (2, 2) if len(wide) == 4 else (1, len(wide))
    tall, broad = next(iter(wide.values())).shape
    width = 4.6 if len(wide) == 1 else 8.0 if rows == 2 else 9.2
    panel = (width - 1.4) / columns  # inches
    size = (width, rows * (0.45 + (panel - 0.35) * tall / broad) + 0.7)
    fig, axes = chart(rows, columns, size=size, sharex=True, sharey=True, squeeze=False)
    points = min(style.SMALL, 19 * (panel - 0.25) / broad)  # five characters fit into a cell
    colours = matplotlib.colormaps[cmap]
    for number, (ax, (name, grid)) in enumerate(zip(axes.flat, wide.items(), strict=True)):
        picture = ax.imshow(grid.to_numpy(), origin="lower", cmap=colours, norm=norm, aspect="equal")
        for (i, j), value in np.ndenumerate(grid.to_numpy()):
            text = form.format(value)
            text = (text if float(text) else form.format(0.0)).replace("-", "−")  # no minus zero
            ax.text(j, i, text, ha="center", va="center", fontsize=points, color=_ink(colours(norm(value))))
        ax.set_xticks(range(broad), [style.ratio_name(r) for r in grid.columns])
        ax.set_yticks(range(tall), [style.ratio_name(r) for r in grid.index])
        ax.grid(False)
        ax.set_title(name, fontsize=style.TEXT, loc="left")
        below, left = number // columns == rows - 1, number % columns == 0
        style.axes_labels(ax, sides[0] if below else "", sides[1] if left else "")
    bar = fig.colorbar(picture, ax=axes, shrink=0.8)
    bar.set_label(label, fontsize=style.SMALL)
    curves._title(fig, title)
    return fig


def _ink(background: Sequence[float]) -> str:
    """Black or white, whichever stands out more on a colour (r, g, b, ...)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in background[:3]]
    return "black" if np.dot((0.2126, 0.7152, 0.0722), linear) > 0.179 else "white"


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
