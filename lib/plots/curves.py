"""Curves over resolution: the objective O, rank-1, training; and effects with their intervals.

All take tidy tables and return a Figure. Values are fractions and drawn in percent where the axis says so; low and high
are limits of an interval and may be NaN. ``title`` is the finding, in words, given by the caller who has computed it.
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

from lib.plots import style
from lib.plots.tables import require

O_LABELS = {
    "normalised": "O, ratio of mean distances",
    "value": "O, ratio of sums (Eq. 2)",
}
PATHS = {"O(r, r)": "O(r, r): both at resolution r", "O(r, 1)": "O(r, 1): one at r, the other at full"}
CURVE_STYLES = {"O(r, r)": (style.BLUE, "o", "-"), "O(r, 1)": (style.VERMILION, "s", "--")}


def objective_curves(
    table: pd.DataFrame, column: str = "normalised", title: str = "", level: float | None = None
) -> Figure:
    """O(r, r) and O(r, 1) over r, a panel per network; RIPR Fig. 2 (a) and (b) in one picture.

    table : network, curve ("O(r, r)" or "O(r, 1)"), r, and ``column`` with ``<column>_low`` and ``<column>_high`` (for
    "value": low, high). level : a value to mark, e.g. 1, the ratio of means of a descriptor that knows nothing.
    """
    networks = list(dict.fromkeys(table["network"]))
    fig, axes = style.chart(
        1, len(networks), size=(min(3.2 * len(networks) + 0.6, 9.2), 3.9), sharey=True, squeeze=False
    )
    for ax, network in zip(axes[0], networks, strict=True):
        for curve, (colour, marker, dash) in CURVE_STYLES.items():
            part = table[(table["network"] == network) & (table["curve"] == curve)].sort_values("r")
            low, high = _limits(part, column)
            style.line(ax, part["r"], part[column], 0, curve, low, high, color=colour, marker=marker, linestyle=dash)
        if level is not None:
            ax.axhline(level, color=style.GREY, linewidth=1.2, linestyle=":")
            ax.annotate("knows nothing", (1, level), ha="right", va="bottom", fontsize=style.SMALL, color=style.GREY)
        ax.set_title(network, fontsize=style.TEXT, loc="left")
        style.axes_labels(ax, "resolution r", O_LABELS[column] if ax is axes[0][0] else "")
        ax.set_xlim(0, 1.05)
        ax.set_xticks([0.125, 0.25, 0.5, 0.75, 1], ["1/8", "1/4", "1/2", "3/4", "1"])
        style.plain(ax)
    axes[0][0].legend(fontsize=style.SMALL, frameon=False)
    style.headline(fig, title)
    return fig


def objective_surface(table: pd.DataFrame, column: str = "normalised", title: str = "") -> Figure:
    """O over r1 and r2 as a map, every cell with its value; the two curves of RIPR Fig. 2 are its diagonal and its last
    column.

    table : r1, r2, ``column``, one row per cell of a full grid.
    """
    wide = table.pivot(index="r1", columns="r2", values=column).sort_index().sort_index(axis=1)
    if wide.isna().any(axis=None):
        raise ValueError("the table lacks cells of the grid, or O is not defined there")
    count = len(wide)
    side = float(np.clip(0.5 * count + 1.4, 3.6, 5.6))
    fig, ax = style.chart(size=(side + 1.3, side))
    picture = ax.imshow(wide.to_numpy(), origin="lower", cmap="cividis", aspect="equal")
    middle = (wide.to_numpy().min() + wide.to_numpy().max()) / 2
    # as many digits as tell the extremes apart
    digits = int(np.clip(np.ceil(-np.log10(max(np.ptp(wide.to_numpy()), 1e-12))) + 1, 2, 5))
    for (i, j), value in np.ndenumerate(wide.to_numpy()):
        ink = "white" if value < middle else "black"
        ax.text(j, i, f"{value:.{digits}f}", ha="center", va="center", fontsize=style.SMALL - 1, color=ink)
    names = [f"{r:.3g}" for r in wide.index]
    ax.set_xticks(range(count), names)
    ax.set_yticks(range(count), names)
    ax.grid(False)
    for k in range(count):
        ax.add_patch(Rectangle((k - 0.46, k - 0.46), 0.92, 0.92, fill=False, edgecolor=style.SKY, linewidth=2))
    last = Rectangle((count - 1.49, -0.49), 0.98, count - 0.02, fill=False, edgecolor=style.VERMILION, linewidth=2.5)
    last.set_linestyle("--")
    ax.add_patch(last)
    style.axes_labels(ax, "resolution r2  (dashed frame: O(r, 1))", "resolution r1  (blue squares: O(r, r))")
    fig.colorbar(picture, ax=ax, shrink=0.8).set_label(O_LABELS[column], fontsize=style.SMALL)
    style.headline(fig, title)
    return fig


def resolution_curves(
    table: pd.DataFrame,
    title: str = "",
    x: str = "resolution of the probe, gallery at full",
    y: str = "rank-1 in %",
    floor: float = 0.0,
    level: float | None = None,
) -> Figure:
    """A metric over the ratio, a line per name and a panel per ``panel`` (one where there is no such column).

    table : name, ratio, value, low, high (fractions), perhaps panel. A name has the same colour in all panels.
    floor : where the axis begins. level : a value to mark as chance.
    """
    panels = list(dict.fromkeys(table["panel"])) if "panel" in table else [None]
    names = list(dict.fromkeys(table["name"]))
    fig, axes = style.chart(1, len(panels), size=(9.0 if len(panels) > 1 else 7.2, 4.3), sharey=True, squeeze=False)
    for ax, panel in zip(axes[0], panels, strict=True):
        part = table if panel is None else table[table["panel"] == panel]
        for name in dict.fromkeys(part["name"]):
            one = part[part["name"] == name].sort_values("ratio")
            low, high = 100 * one["low"], 100 * one["high"]
            style.line(ax, one["ratio"], 100 * one["value"], names.index(name), name, low, high)
        ratio_axis(ax, sorted(set(part["ratio"])))
        style.axes_labels(ax, x, y if ax is axes[0][0] else "")
        if level is not None:
            ax.axhline(100 * level, color=style.GREY, linewidth=1.2, linestyle=":")
            ax.annotate("chance", (1, 100 * level), ha="right", va="bottom", fontsize=style.SMALL, color=style.GREY)
        style.plain(ax)
        ax.legend(fontsize=style.SMALL, frameon=False, loc="upper left")
        if panel is not None:
            ax.set_title(panel, fontsize=style.TEXT, loc="left")
    top = max(ax.get_ylim()[1] for ax in axes[0])
    # the legend has its own room above the lines
    most = max(len(ax.get_legend().get_texts()) for ax in axes[0])
    axes[0][0].set_ylim(100 * floor, top + (top - 100 * floor) * 0.09 * most)
    style.headline(fig, title)
    return fig


def objective_against_rank(table: pd.DataFrame, title: str = "") -> Figure:
    """Rank-1 over O, a point per pair of resolutions: does the one tell the other?

    table : network, curve, r, normalised, rank1 (fraction). Points of one network and curve are joined in the order of
    r; the one at the lowest r is larger and open.
    """
    networks = list(dict.fromkeys(table["network"]))
    fig, ax = style.chart(size=(7.2, 4.6))
    handles = []
    for number, network in enumerate(networks):
        for curve, (_, _, dash) in CURVE_STYLES.items():
            part = table[(table["network"] == network) & (table["curve"] == curve)].sort_values("r")
            style.line(ax, part["normalised"], 100 * part["rank1"], number, network, linestyle=dash, alpha=0.85)
            drawn, first = ax.get_lines()[-1], part.iloc[0]
            ax.plot(
                [first["normalised"]], [100 * first["rank1"]], marker=drawn.get_marker(), markersize=11,
                color=drawn.get_color(), markerfacecolor="white", markeredgewidth=2,
            )  # fmt: skip
        handles.append(drawn)
    for curve, (_, _, dash) in CURVE_STYLES.items():
        handles.append(Line2D([], [], color=style.BLACK, linestyle=dash, linewidth=2, label=curve))
    lowest = style.ratio_name(float(table["r"].min()))
    handles.append(Line2D([], [], color=style.BLACK, linestyle="", marker="o", markersize=10, markerfacecolor="white"))
    names = [*networks, *CURVE_STYLES, f"r = {lowest}"]
    style.axes_labels(ax, O_LABELS["normalised"], "rank-1 in %")
    style.plain(ax, "both")
    fig.legend(handles, names, loc="outside lower center", ncols=3, fontsize=style.SMALL, frameon=False)
    style.headline(fig, title)
    return fig


def objective_comparison(table: pd.DataFrame, title: str = "") -> Figure:
    """O(r, r) and O(r, 1) over r, a panel each, a line per network with its interval (RIPR Fig. 4).

    table : network, curve ("O(r, r)" or "O(r, 1)"), r, normalised, normalised_low, normalised_high.
    """
    require(table, "network", "curve", "r", "normalised", "normalised_low", "normalised_high")
    networks, ratios = list(dict.fromkeys(table["network"])), sorted(set(table["r"]))
    halves = [r for r in ratios if abs(np.log2(r) - round(np.log2(r))) < 1e-6]
    fig, axes = style.chart(1, 2, size=(9.2, 4.4), sharey=True)
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
    style.headline(fig, title)
    return fig


def training_curves(
    histories: Mapping[str, pd.DataFrame], terms: Sequence[str] = ("identity", "triplet"), title: str = ""
) -> Figure:
    """Each loss term over the epochs, a line per run, and the learning rate.

    histories : ``run.history`` by name; epochs of several stages are counted on.
    """
    fig, axes = style.chart(1, len(terms) + 1, size=(9.2, 3.4))
    for number, (name, history) in enumerate(histories.items()):
        epochs = np.arange(1, len(history) + 1)
        every = max(1, len(epochs) // 8)
        for ax, column in zip(axes, (*terms, "lr"), strict=True):
            style.line(ax, epochs, history[column], number, name, markevery=every)
    for ax, column in zip(axes, (*terms, "lr"), strict=True):
        label = "learning rate" if column == "lr" else f"{column} loss"
        style.axes_labels(ax, "epoch", label)
        ax.set_ylim(0, None)
        style.plain(ax)
    fig.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=style.SMALL, frameon=False
    )
    style.headline(fig, title)
    return fig


def effects(
    table: pd.DataFrame, title: str = "", unit: str = "points", label: str = "difference", scale: float = 100.0
) -> Figure:
    """Differences with intervals, one row each, grouped; those whose interval excludes zero are filled.

    table : group, name, mean, low, high (fractions; drawn times ``scale``, in ``unit``).
    """
    groups = list(dict.fromkeys(table["group"]))
    size = (9.2 if len(groups) > 1 else 6.4, 1.3 + 0.42 * table["name"].nunique())
    fig, axes = style.chart(1, len(groups), size=size, sharex=True, sharey=True, squeeze=False)
    names = list(dict.fromkeys(table["name"]))
    for ax, group in zip(axes[0], groups, strict=True):
        part = table[table["group"] == group]
        ax.axvline(0, color=style.BLACK, linewidth=1)
        for row in part.itertuples():
            place = len(names) - 1 - names.index(row.name)
            sure = row.low > 0 or row.high < 0
            colour = style.GREY if not sure else style.GREEN if row.low > 0 else style.VERMILION
            ax.plot(
                [scale * row.low, scale * row.high], [place, place], color=colour, linewidth=3, solid_capstyle="butt"
            )
            face = colour if sure else "white"
            ax.plot([scale * row.mean], [place], marker="o", markersize=8, color=colour, markerfacecolor=face)
        ax.set_yticks(range(len(names)), names[::-1])
        ax.set_ylim(-0.6, len(names) - 0.4)
        ax.set_title("\n".join(textwrap.wrap(str(group), 34)), fontsize=style.TEXT, loc="left")
        style.axes_labels(ax, f"{label}, {unit}", "")
        style.plain(ax, "x")
    style.headline(fig, title)
    fig.draw_without_rendering()  # settles the layout: a long label goes on in a second line, not into its neighbour
    wide = int(13 * axes[0][0].get_window_extent().width / fig.dpi)  # characters that fit under a panel
    for ax in axes[0]:
        ax.set_xlabel(textwrap.fill(ax.get_xlabel(), max(wide, 12)))
    return fig


def attribute_lift(
    table: pd.DataFrame, title: str = "", x: str = "how much more often than by chance the nearest stranger shares it"
) -> Figure:
    """What a network takes for the same person: a row per attribute, a mark per ratio, on a logarithmic axis.

    table : attribute, ratio, lift (1 = as often as by chance), low, high. Rows in the order of the lift at the largest
    ratio.
    """
    ratios = sorted(set(table["ratio"]), reverse=True)
    first = table[table["ratio"] == ratios[0]].sort_values("lift")
    names = list(first["attribute"])
    fig, ax = style.chart(size=(7.6, 1.2 + 0.33 * len(names)))
    ax.axvline(1, color=style.BLACK, linewidth=1)
    for number, ratio in enumerate(ratios):
        part = table[table["ratio"] == ratio].set_index("attribute").loc[names]
        places = np.arange(len(names)) + 0.22 * ((len(ratios) - 1) / 2 - number)
        colour, marker = style.PALETTE[number], style.MARKERS[number]
        ax.hlines(places, part["low"].clip(lower=1e-2), part["high"], color=colour, linewidth=2, alpha=0.5)
        ax.plot(
            part["lift"], places, linestyle="", marker=marker, color=colour, label=f"probe at {style.ratio_name(ratio)}"
        )
    ax.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    ax.set_xscale("log")
    ticks = [t for t in (0.25, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10) if ax.get_xlim()[0] <= t <= ax.get_xlim()[1]]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    style.axes_labels(ax, x, "")
    style.plain(ax, "x")
    ax.legend(fontsize=style.SMALL, frameon=False, loc="lower right")
    style.headline(fig, title)
    return fig


def ratio_axis(ax: Axes, ratios: Sequence[float]) -> None:
    """A logarithmic axis of resolution with a tick at each ratio: halving is the same step everywhere."""
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_locator(FixedLocator(list(ratios)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(list(ratios), [style.ratio_name(ratio) for ratio in ratios])


def _limits(part: pd.DataFrame, column: str) -> tuple[pd.Series, pd.Series]:
    names = ("low", "high") if column == "value" else (f"{column}_low", f"{column}_high")
    return part[names[0]], part[names[1]]
