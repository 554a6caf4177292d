"""All methods under one protocol: what each gains over the plain network, what its paper prints, and what it costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lib.plots import style
from lib.plots.tables import require

SETS = {"pedestrians": (style.BLACK, "o"), "viper": (style.VERMILION, "s"), "caviar": (style.GREEN, "^")}


def left(table: pd.DataFrame, gains: pd.DataFrame, title: str = "") -> Figure:
    """What is left of each paper's gain: a row a method, an open diamond for what its paper prints over its own plain
    network, a mark with an interval for each set that it is measured on.

    table : set, name, mean, low, high (fractions; rows without a mean are left out). gains : name, dataset, gain
    (points), the rows in their order.
    """
    require(table, "set", "name", "mean", "low", "high")
    require(gains, "name", "dataset", "gain")
    measured = table[table["mean"].notna() & table["name"].isin(gains["name"])]
    sets = list(dict.fromkeys(measured["set"]))
    fig, ax = style.chart(size=(8.6, 1.7 + 0.62 * len(gains)))
    ax.axvspan(-style.NEGLIGIBLE, style.NEGLIGIBLE, color=style.SHADE, zorder=0)
    ax.axvline(0, color=style.BLACK, linewidth=1.2)
    for place, row in enumerate(gains.itertuples()):
        ax.plot(row.gain, place, color=style.BLACK, zorder=4, **style.PUBLISHED)
        ax.annotate(row.dataset, (row.gain, place), xytext=(9, 0), textcoords="offset points", va="center",
                    fontsize=style.SMALL, color="#555555")  # fmt: skip
        for shift, name in zip(np.linspace(-0.17, 0.17, max(2, len(sets))), sets, strict=False):
            colour, marker = SETS.get(name, (style.PURPLE, "v"))
            for one in measured[(measured["set"] == name) & (measured["name"] == row.name)].itertuples():
                at = place + (shift if len(sets) > 1 else 0)
                sure = one.low > 0 or one.high < 0
                ax.plot([100 * one.low, 100 * one.high], [at, at], color=colour, linewidth=3, alpha=1 if sure else 0.45)
                ax.plot(100 * one.mean, at, marker, color=colour, markerfacecolor=colour if sure else "white",
                        markersize=8, markeredgewidth=1.6)  # fmt: skip
    missing = [name for name in gains["name"] if name not in set(measured["name"])]
    names = [style.look(name).label + (" (not recorded yet)" if name in missing else "") for name in gains["name"]]
    ax.set_yticks(range(len(gains)), names)
    ax.set_ylim(len(gains) - 0.5, -0.5)
    ax.margins(x=0.2)
    style.plain(ax, "x")
    style.axes_labels(ax, "gain in rank-1 over the plain network (points)", "")
    handles = [Line2D([], [], color=style.BLACK, label="published, over its own baseline", **style.PUBLISHED)]
    handles += [
        Line2D([], [], color=SETS.get(name, (style.PURPLE, "v"))[0], marker=SETS.get(name, ("", "v"))[1], linewidth=3,
               label=f"measured: {style.text(name)}")
        for name in sets
    ]  # fmt: skip
    handles.append(Patch(color=style.SHADE, label=f"within {style.NEGLIGIBLE:g} point: negligible"))
    style.legend_below(fig, ax, handles=handles, columns=2)
    style.headline(fig, title)
    return fig


def against_cost(table: pd.DataFrame, costs: pd.DataFrame, title: str = "") -> Figure:
    """Rank-1 over the multiply-adds of a probe and a gallery image, a panel a set, with intervals.

    table : set, name, value, level_low, level_high (fractions). costs : name, macs. Names without a cost are an error.
    """
    require(table, "set", "name", "value", "level_low", "level_high")
    require(costs, "name", "macs")
    macs = costs.set_index("name")["macs"] / 1e9
    if lost := sorted(set(table["name"]) - set(macs.index)):
        raise ValueError(f"no cost is known of {', '.join(lost)}")
    sets = list(dict.fromkeys(table["set"]))
    looks = style.looks(dict.fromkeys(table["name"]))
    fig, axes = style.chart(1, len(sets), size=(9.2 if len(sets) > 1 else 6.4, 4.4), sharex=True, squeeze=False)
    for ax, people in zip(axes[0], sets, strict=True):
        part = table[table["set"] == people]
        spread = dict(zip(part["name"], np.linspace(0.97, 1.03, len(part)), strict=True))  # that equal costs stay apart
        for row in part.itertuples():
            drawn, x = looks[row.name], macs[row.name] * spread[row.name]
            ax.plot([x, x], [100 * row.level_low, 100 * row.level_high], color=drawn.colour, linewidth=2, alpha=0.6)
            ax.plot(x, 100 * row.value, drawn.marker, color=drawn.colour, markersize=9, label=drawn.label)
        ax.set_xscale("log")
        ticks = [m for m in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if macs.min() / 1.6 < m < macs.max() * 1.6]
        ax.set_xticks(ticks, [f"{m:g}" for m in ticks])
        ax.minorticks_off()
        ax.set_title(style.text(people), fontsize=style.TEXT, loc="left")
        style.plain(ax, "both")
        style.axes_labels(ax, "multiply-adds of a probe and a gallery image (G)", style.AXES["rank-1"])
    style.legend_below(fig, axes[0][0])
    style.headline(fig, title)
    style.fit_xlabels(fig, axes[0])
    return fig
