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
    "normalised": style.AXES["O"],
    "value": style.AXES["O, sums"],
}
PATHS = {"O(r, r)": "O(r, r): both at resolution r", "O(r, 1)": "O(r, 1): one at r, the other at full"}
CURVE_STYLES = {
    "O(r, r)": style.Look("O(r, r)", style.BLUE, "o"),
    "O(r, 1)": style.Look("O(r, 1)", style.VERMILION, "s", style.DASHES),
}


def objective_curves(
    table: pd.DataFrame,
    column: str = "normalised",
    title: str = "",
    level: float | None = None,
    subject: str = "",
) -> Figure:
    """O(r, r) and O(r, 1) over r, a panel per network; RIPR Fig. 2 (a) and (b) in one picture.

    table : network, curve ("O(r, r)" or "O(r, 1)"), r, and ``column`` with ``<column>_low`` and ``<column>_high`` (for
    "value": low, high). level : a value to mark, e.g. 1, the ratio of means of a descriptor that knows nothing.
    subject : what stands before each network's name, e.g. "trained on: ".
    """
    networks = list(dict.fromkeys(table["network"]))
    fig, axes = style.chart(
        1, len(networks), size=(min(3.2 * len(networks) + 0.6, 9.2), 3.9), sharey=True, squeeze=False
    )
    for ax, network in zip(axes[0], networks, strict=True):
        for curve, drawn in CURVE_STYLES.items():
            part = table[(table["network"] == network) & (table["curve"] == curve)].sort_values("r")
            style.line(ax, part["r"], part[column], drawn, *_limits(part, column))
        paths = table[table["network"] == network].pivot(index="r", columns="curve", values=column)
        between = (paths.index, *(paths[curve] for curve in CURVE_STYLES))
        ax.fill_between(*between, color=style.ORANGE, alpha=0.25, linewidth=0, label="what a difference costs")
        ax.set_title(textwrap.fill(f"{subject}{network}", 24), fontsize=style.TEXT, loc="left")
        style.axes_labels(ax, style.AXES["resolution"], O_LABELS[column] if ax is axes[0][0] else "")
        style.resolution_axis(ax, table["r"])
        style.plain(ax)
    if level is not None:
        _mark(axes[0], level, "knows nothing")
    style.legend_below(fig, axes[0][0])
    style.headline(fig, title)
    return fig


def _mark(axes: Sequence[Axes], level: float, name: str) -> None:
    """A level as a line where the curves come near it, else as a note at the upper edge: the curves keep the room."""
    low, high = axes[0].get_ylim()
    near = level <= high + 0.25 * (high - low)
    for ax in axes:
        if near:
            ax.axhline(level, color=style.GREY, linewidth=1.2, linestyle=":")
    where = {"xy": (0.98, level), "xycoords": ("axes fraction", "data"), "va": "bottom"} if near else {
        "xy": (0.98, 0.97), "xycoords": "axes fraction", "va": "top"
    }  # fmt: skip
    said = name if near else f"{name}: {level:g} ↑"
    axes[-1].annotate(said, ha="right", fontsize=style.SMALL, color="#555555", **where)


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
    names = [style.tick_name(r) for r in wide.index]
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
    x: str = style.AXES["probe"],
    y: str = style.AXES["rank-1"],
    floor: float = 0.0,
    level: float | None = None,
) -> Figure:
    """A metric over the resolution, a line per name and a panel per ``panel`` (one where there is no such column).

    table : name, ratio, value, low, high (fractions), perhaps panel. A name has the same look in all panels.
    floor : where the axis begins, a fraction. level : a value to mark as chance.
    """
    require(table, "name", "ratio", "value", "low", "high")
    panels = list(dict.fromkeys(table["panel"])) if "panel" in table else [None]
    drawn = style.looks(table["name"])
    fig, axes = style.chart(1, len(panels), size=(9.0 if len(panels) > 1 else 7.2, 4.6), sharey=True, squeeze=False)
    for ax, panel in zip(axes[0], panels, strict=True):
        part = table if panel is None else table[table["panel"] == panel]
        for name in dict.fromkeys(part["name"]):
            one = part[part["name"] == name].sort_values("ratio")
            style.line(ax, one["ratio"], 100 * one["value"], drawn[name], 100 * one["low"], 100 * one["high"])
        style.resolution_axis(ax, table["ratio"])
        style.axes_labels(ax, x, y if ax is axes[0][0] else "")
        if level is not None:
            ax.axhline(100 * level, color=style.GREY, linewidth=1.2, linestyle=":")
            ax.annotate("chance", (1, 100 * level), ha="right", va="bottom", fontsize=style.SMALL, color="#555555")
        style.plain(ax)
        if panel is not None:
            ax.set_title(textwrap.fill(style.text(panel), 40), fontsize=style.TEXT, loc="left")
    style.percent_axis(axes[0][0], 100 * floor)
    handles = {line.get_label(): line for ax in axes[0] for line in ax.get_lines() if line.get_label()[0] != "_"}
    style.legend_below(fig, axes[0][0], handles=list(handles.values()))
    style.headline(fig, title)
    return fig


def resolution_differences(
    table: pd.DataFrame,
    reference: str,
    title: str = "",
    x: str = style.AXES["probe"],
    y: str = style.AXES["difference"],
) -> Figure:
    """What each name gains over ``reference`` at every resolution, with the interval of that difference: where several
    curves lie within each other's intervals, this says which of them differ.

    table : name, ratio, mean, low, high (paired differences, fractions), perhaps panel. ``reference`` is the line at 0.
    """
    require(table, "name", "ratio", "mean", "low", "high")
    panels = list(dict.fromkeys(table["panel"])) if "panel" in table else [None]
    drawn = style.looks(table["name"])
    fig, axes = style.chart(1, len(panels), size=(9.0 if len(panels) > 1 else 7.2, 4.4), sharey=True, squeeze=False)
    for ax, panel in zip(axes[0], panels, strict=True):
        part = table if panel is None else table[table["panel"] == panel]
        ax.axhline(0, color=style.look(reference).colour, linewidth=2)
        for number, name in enumerate(dict.fromkeys(part["name"])):
            one, look = part[part["name"] == name].sort_values("ratio"), drawn[name]
            places = one["ratio"] * 2 ** (0.03 * number)  # beside each other: the intervals stay readable
            ax.vlines(places, 100 * one["low"], 100 * one["high"], color=look.colour, linewidth=2, alpha=0.6)
            style.line(ax, places, 100 * one["mean"], look)
        style.resolution_axis(ax, table["ratio"])
        ax.set_xlim(right=2 ** (0.03 * len(drawn)) * 1.03)
        style.axes_labels(ax, x, f"{y}\nminus {style.look(reference).label}" if ax is axes[0][0] else "")
        style.plain(ax)
        if panel is not None:
            ax.set_title(textwrap.fill(style.text(panel), 40), fontsize=style.TEXT, loc="left")
    handles = {line.get_label(): line for ax in axes[0] for line in ax.get_lines() if line.get_label()[0] != "_"}
    style.legend_below(fig, axes[0][0], handles=list(handles.values()))
    style.headline(fig, title)
    return fig


def objective_against_rank(table: pd.DataFrame, title: str = "") -> Figure:
    """Rank-1 over O, a point per pair of resolutions: does the one tell the other?

    table : network, curve, r, normalised, rank1 (fraction). Points of one network and curve are joined in the order of
    r; the one at the lowest r is larger and open.
    """
    networks = list(dict.fromkeys(table["network"]))
    fig, ax = style.chart(size=(7.2, 4.6))
    handles, named = [], style.looks(networks)
    for network in networks:
        for curve, of_curve in CURVE_STYLES.items():
            part = table[(table["network"] == network) & (table["curve"] == curve)].sort_values("r")
            style.line(ax, part["normalised"], 100 * part["rank1"], named[network], linestyle=of_curve.dash, alpha=0.85)
            drawn, first = ax.get_lines()[-1], part.iloc[0]
            ax.plot(
                [first["normalised"]], [100 * first["rank1"]], marker=drawn.get_marker(), markersize=11,
                color=drawn.get_color(), markerfacecolor="white", markeredgewidth=2,
            )  # fmt: skip
        look = named[network]
        handles.append(Line2D([], [], color=look.colour, marker=look.marker, linewidth=2, label=look.label))
    for curve, of_curve in CURVE_STYLES.items():
        handles.append(Line2D([], [], color=style.BLACK, linestyle=of_curve.dash, linewidth=2, label=curve))
    lowest = f"r = {style.ratio_name(float(table['r'].min()))}"
    handles.append(
        Line2D(
            [], [], color=style.BLACK, linestyle="", marker="o", markersize=10, markerfacecolor="white", label=lowest
        )
    )
    style.axes_labels(ax, O_LABELS["normalised"], style.AXES["rank-1"])
    style.percent_axis(ax, max(0.0, np.floor(ax.get_ylim()[0] / 5) * 5))
    style.plain(ax, "both")
    style.legend_below(fig, ax, handles=handles)
    style.headline(fig, title)
    return fig


def objective_comparison(table: pd.DataFrame, title: str = "") -> Figure:
    """O(r, r) and O(r, 1) over r, a panel each, a line per network with its interval (RIPR Fig. 4).

    table : network, curve ("O(r, r)" or "O(r, 1)"), r, normalised, normalised_low, normalised_high.
    """
    require(table, "network", "curve", "r", "normalised", "normalised_low", "normalised_high")
    drawn = style.looks(table["network"])
    fig, axes = style.chart(1, 2, size=(9.2, 4.4), sharey=True)
    for ax, curve in zip(axes, CURVE_STYLES, strict=True):
        for network, look in drawn.items():
            part = table[(table["network"] == network) & (table["curve"] == curve)].sort_values("r")
            if part.empty:
                raise ValueError(f"{network!r} has no {curve}")
            low, high = part["normalised_low"], part["normalised_high"]
            style.line(ax, part["r"], part["normalised"], look, low, high)
        style.resolution_axis(ax, table["r"])
        ax.set_title(PATHS[curve], fontsize=style.TEXT, loc="left")
        style.axes_labels(ax, style.AXES["resolution"], O_LABELS["normalised"] if ax is axes[0] else "")
        style.plain(ax)
    style.legend_below(fig, axes[0], columns=4)
    style.headline(fig, title)
    return fig


def training_curves(
    histories: Mapping[str, pd.DataFrame], terms: Sequence[str] = ("identity", "triplet"), title: str = ""
) -> Figure:
    """Each loss term over the epochs, a line per run, and the learning rate.

    histories : ``run.history`` by name; epochs of several stages are counted on.
    """
    fig, axes = style.chart(1, len(terms) + 1, size=(9.2, 3.6))
    drawn = style.looks(histories)
    for name, history in histories.items():
        epochs = np.arange(1, len(history) + 1)
        every = max(1, len(epochs) // 8)
        for ax, column in zip(axes, (*terms, "lr"), strict=True):
            style.line(ax, epochs, history[column], drawn[name], markevery=every)
    for ax, column in zip(axes, (*terms, "lr"), strict=True):
        label = "learning rate" if column == "lr" else f"{column} loss"
        style.axes_labels(ax, style.AXES["epoch"], label)
        style.whole_axis(ax, max(len(history) for history in histories.values()))
        ax.set_ylim(0, None)
        style.plain(ax)
    style.legend_below(fig, axes[0])
    style.headline(fig, title)
    return fig


def convergence(
    table: pd.DataFrame, budget: float, title: str | None = None, longer: float = 2.5, still: pd.DataFrame | None = None
) -> Figure:
    """Rank-1 over the images that a network has seen, a line per family of methods; the budget and ``longer`` times it
    marked, with the rank-1 there.

    No intervals: all points are of the same people, so that those of the levels hide the lines and say nothing of a
    gain (``lib.experiments.convergence.gains``). table : name, images (a count), value (a fraction), people (who was
    searched for; all the same). title : None for ``still_to_gain`` in words, as sure as the intervals of ``still``
    (name, low, high: fractions) where they are given. ValueError where a family was not trained for ``longer`` times
    the budget, and for families that were asked of different people.
    """
    require(table, "name", "images", "value", "people")
    if table["people"].nunique() != 1:
        raise ValueError(f"one axis for different people: {', '.join(table['people'].unique())}")
    (people,) = table["people"].unique()
    gains = still_to_gain(table, budget, longer)
    if still is not None:
        still = 100 * still.set_index("name")[["low", "high"]].reindex(gains.index)
    drawn = style.looks(table["name"])
    fig, ax = style.chart(size=(8.2, 4.8))
    for name, look in drawn.items():
        part = table[table["name"] == name].sort_values("images")
        style.line(ax, part["images"] / 1000, 100 * part["value"], look, label=look.label)
        for length in (1, longer):
            at = 100 * value_at(part, length * budget)
            ax.plot(length * budget / 1000, at, look.marker, color=look.colour, markersize=11, markerfacecolor="white",
                    markeredgewidth=2, zorder=4)  # fmt: skip
    ax.set_xscale("log")
    ax.axvline(budget / 1000, color=style.BLACK, linewidth=1.4)
    ax.axvline(longer * budget / 1000, color=style.GREY, linewidth=1.4, linestyle="--")
    for length, said in ((1, "budget"), (longer, f"{longer:g} times")):
        ax.annotate(
            f" {said}", (length * budget / 1000, 0.02), xycoords=("data", "axes fraction"), fontsize=style.SMALL
        )
    images = table["images"] / 1000
    ticks = [m * 10.0**e for e in range(-3, 6) for m in (1, 2, 5)]
    ticks = [t for t in ticks if images.min() * 0.98 <= t <= images.max() * 1.02]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    style.percent_axis(ax, max(0.0, 5 * np.floor(ax.get_ylim()[0] / 5)))
    style.axes_labels(ax, style.AXES["images"], f"rank-1 of {people} (%)")
    style.plain(ax)
    style.legend_below(fig, ax)
    style.headline(fig, convergence_finding(gains, budget, longer, still=still) if title is None else title)
    return fig


def value_at(part: pd.DataFrame, images: float) -> float:
    """One family's value after so many images, between two lengths in proportion to their logarithm.

    part : images, value. ValueError outside of the lengths that it has.
    """
    part = part.sort_values("images")
    seen = part["images"].to_numpy(float)
    if not seen[0] <= images * (1 + 1e-9) or not images <= seen[-1] * (1 + 1e-9):
        raise ValueError(f"trained for {seen[0]:g} to {seen[-1]:g} images, asked for {images:g}")
    return float(np.interp(np.log(images), np.log(seen), part["value"].to_numpy(float)))


def still_to_gain(table: pd.DataFrame, budget: float, longer: float = 2.5) -> pd.Series:
    """What each family gains from ``longer`` times the budget over the budget: points, by name.

    table : as for ``convergence``.
    """
    require(table, "name", "images", "value")
    parts = dict(list(table.groupby("name", sort=False)))
    return pd.Series(
        {n: 100 * (value_at(part, longer * budget) - value_at(part, budget)) for n, part in parts.items()}, dtype=float
    )


def convergence_finding(
    gains: pd.Series, budget: float, longer: float = 2.5, enough: float = 1.0, still: pd.DataFrame | None = None
) -> str:
    """The title of ``convergence``: is the budget long enough, to within ``enough`` points? By the gains themselves, or
    as sure as their intervals, ``still`` (by name: low, high; points).
    """
    most = gains.idxmax()
    first = f"{budget / 1000:g} thousand images"
    name = style.look(most).label
    largest = f"{gains.max():+.1f}"
    # what is surely more, and what is surely no more
    more, less = (gains, gains) if still is None else (still["low"], still["high"])
    short, long = (more > enough + 1e-9).sum(), (less <= enough + 1e-9).sum()
    if short:
        few = f"{first} are too few for {short} of {len(gains)} families"
        return f"{few}: {longer:g} times as many bring up to {largest} points ({name})"
    if long == len(gains):
        return f"{first} are enough: {longer:g} times as many bring at most {gains.max():+.1f} points ({name})"
    if still is not None:
        largest += f" [{still['low'][most]:+.1f}, {still['high'][most]:+.1f}]"
    return (
        f"{first} are enough, to within a point at 95 %, for {long} of {len(gains)} families; "
        f"{longer:g} times as many bring up to {largest} points ({name})"
    )


ONE_SCALE = 3  # times that one group's differences may reach further than another's on one axis


def effects(
    table: pd.DataFrame,
    title: str = "",
    unit: str = "points",
    label: str = "difference in rank-1",
    scale: float = 100.0,
    negligible: float | None = None,
) -> Figure:
    """Differences with intervals, one row each, grouped; those whose interval excludes zero are filled, and what is
    negligible is shaded. Groups of very different size have a scale each: small ones would vanish beside large ones.

    table : group, name, mean, low, high (fractions; drawn times ``scale``, in ``unit``). negligible : in ``unit``,
    where it is another than that of points; then what lies within it altogether is filled in grey.
    """
    within = style.NEGLIGIBLE if unit == "points" else negligible
    groups = list(dict.fromkeys(table["group"]))
    names = list(dict.fromkeys(table["name"]))
    rows = {name: textwrap.fill(style.text(name.replace("\n", " ")), 34) for name in names}
    lines = sum(max(1.0, 0.55 + 0.45 * row.count("\n") + 0.45) for row in rows.values())
    size = (9.2 if len(groups) > 1 else 7.2, 1.5 + 0.42 * lines)
    reach = table.assign(reach=table[["low", "high"]].abs().max(axis=1)).groupby("group")["reach"].max()
    one_scale = bool(reach.max() <= ONE_SCALE * reach.min())
    shaded = f"; within {within:g}: negligible" if within else ""
    fig, axes = style.chart(1, len(groups), size=size, sharex=one_scale, sharey=True, squeeze=False)
    for ax, group in zip(axes[0], groups, strict=True):
        part = table[table["group"] == group]
        if within:
            ax.axvspan(-within, within, color=style.SHADE, zorder=0)
        ax.axvline(0, color=style.BLACK, linewidth=1)
        for row in part.itertuples():
            place = len(names) - 1 - names.index(row.name)
            sure = row.low > 0 or row.high < 0
            small = negligible is not None and scale * max(abs(row.low), abs(row.high)) < negligible
            colour = style.GREY if small or not sure else style.GREEN if row.low > 0 else style.VERMILION
            ax.plot(
                [scale * row.low, scale * row.high], [place, place], color=colour, linewidth=3, solid_capstyle="butt"
            )
            face = colour if sure or small else "white"
            ax.plot([scale * row.mean], [place], marker="o", markersize=8, color=colour, markerfacecolor=face)
        ax.set_yticks(range(len(names)), [rows[name] for name in names[::-1]])
        ax.set_ylim(-0.6, len(names) - 0.4)
        ax.set_title(textwrap.fill(style.text(str(group)), 60 // len(groups)), fontsize=style.TEXT, loc="left")
        style.axes_labels(ax, f"{label} ({unit}{shaded})", "")
        style.plain(ax, "x")
    style.headline(fig, title)
    style.fit_xlabels(fig, axes[0])
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
        colour, marker = style.RATIO_COLOURS[1 + 2 * number], style.MARKERS[number]
        ax.hlines(places, part["low"].clip(lower=1e-2), part["high"], color=colour, linewidth=2, alpha=0.5)
        ax.plot(
            part["lift"], places, linestyle="", marker=marker, color=colour, label=f"probe at {style.ratio_name(ratio)}"
        )
    ax.set_yticks(range(len(names)), [style.text(name).replace("_", " ") for name in names])
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


def _limits(part: pd.DataFrame, column: str) -> tuple[pd.Series, pd.Series]:
    names = ("low", "high") if column == "value" else (f"{column}_low", f"{column}_high")
    return part[names[0]], part[names[1]]
