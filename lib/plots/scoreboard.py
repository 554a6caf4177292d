"""All methods under one protocol: what each gains over the plain network, what its paper prints, and what it costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lib.names import PEOPLE
from lib.plots import style
from lib.plots.tables import require

SETS = {"pedestrians": (style.BLACK, "o"), "viper": (style.VERMILION, "s"), "caviar": (style.GREEN, "^")}
PLAIN = "baseline"
APART = 0.055  # of a decade of cost: as near as two marks may stand


def left(table: pd.DataFrame, gains: pd.DataFrame, title: str = "") -> Figure:
    """What is left of each paper's gain: a row a method, an open diamond for what its paper prints over its own plain
    network, a mark with an interval for each set that it is measured on, dashed where fewer than three trainings are
    behind it.

    table : set, name, mean, low, high (fractions; rows without a mean are left out), trainings. gains : name, dataset,
    gain (points), the rows in their order.
    """
    require(table, "set", "name", "mean", "low", "high", "trainings")
    require(gains, "name", "dataset", "gain")
    measured = table[table["mean"].notna() & table["name"].isin(gains["name"])]
    sets = list(dict.fromkeys(measured["set"]))
    fig, ax = style.chart(size=(8.6, 1.8 + 0.72 * len(gains)))
    ax.axvspan(-style.NEGLIGIBLE, style.NEGLIGIBLE, color=style.SHADE, zorder=0)
    ax.axvline(0, color=style.BLACK, linewidth=1.2)
    for place, row in enumerate(gains.itertuples()):
        ax.plot(row.gain, place, color=style.BLACK, zorder=4, **style.PUBLISHED)
        ax.annotate(row.dataset, (row.gain, place), xytext=(9, 0), textcoords="offset points", va="center",
                    fontsize=style.SMALL, color="#555555")  # fmt: skip
        for shift, name in zip(np.linspace(-0.22, 0.22, max(2, len(sets))), sets, strict=False):
            colour, marker = SETS.get(name, (style.PURPLE, "v"))
            for one in measured[(measured["set"] == name) & (measured["name"] == row.name)].itertuples():
                at = place + (shift if len(sets) > 1 else 0)
                few = one.trainings < style.TRAININGS
                sure = not few and (one.low > 0 or one.high < 0)
                ax.plot([100 * one.low, 100 * one.high], [at, at], color=colour, linewidth=3, alpha=1 if sure else 0.45,
                        linestyle=style.DOTS if few else "-")  # fmt: skip
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
               label=f"measured: {PEOPLE.get(name, name)}")
        for name in sets
    ]  # fmt: skip
    if (measured["trainings"] < style.TRAININGS).any():
        handles.append(Line2D([], [], **style.FEW))
    handles.append(Line2D([], [], color="#555555", marker="o", markerfacecolor="white", linewidth=3, alpha=0.6,
                          label="open: the interval includes 0"))  # fmt: skip
    handles.append(Patch(color=style.SHADE, label=f"within {style.NEGLIGIBLE:g} point: negligible"))
    style.legend_below(fig, ax, handles=handles, columns=2)
    style.headline(fig, title)
    return fig


def against_cost(table: pd.DataFrame, costs: pd.DataFrame, title: str = "") -> Figure:
    """Rank-1 over the multiply-adds of a probe and a gallery image, a panel a set. The dotted line is the plain
    network; a bar the interval of the difference to it, so that one that clears the line is certain. Open: fewer than
    three trainings. Marks of like cost are moved apart until ``APART`` is between them.

    table : set, name, value, mean, low, high (fractions; the last three NaN for the plain network itself), trainings.
    costs : name, macs. Names without a cost are an error.
    """
    require(table, "set", "name", "value", "mean", "low", "high", "trainings")
    require(costs, "name", "macs")
    macs = costs.set_index("name")["macs"] / 1e9
    if lost := sorted(set(table["name"]) - set(macs.index)):
        raise ValueError(f"no cost is known of {', '.join(lost)}")
    sets = list(dict.fromkeys(table["set"]))
    looks = style.looks(dict.fromkeys(table["name"]))
    wide = [1.4, *[1.0] * (len(sets) - 1)]  # the first set has all rows, and so the widest range of costs
    fig, axes = style.chart(
        1, len(sets), size=(10.4 if len(sets) > 1 else 6.4, 5.6), squeeze=False, gridspec_kw={"width_ratios": wide}
    )
    for ax, people in zip(axes[0], sets, strict=True):
        part = table[table["set"] == people]
        places = 10 ** style.nudged(np.log10(macs[part["name"]].to_numpy()), APART)
        for row, x in zip(part.itertuples(), places, strict=True):
            drawn, few = looks[row.name], row.trainings < style.TRAININGS
            level = 100 * (row.value - row.mean)  # of the plain network: differences are to it
            if np.isfinite(row.mean):
                ax.plot([x, x], [level + 100 * row.low, level + 100 * row.high], color=drawn.colour, linewidth=3,
                        alpha=0.6, linestyle=style.DOTS if few else "-")  # fmt: skip
            elif row.name == PLAIN:
                ax.axhline(100 * row.value, color=style.BLACK, linewidth=1.4, linestyle=":", zorder=1)
            face, edge = ("white", drawn.colour) if few else (drawn.colour, "white")
            ax.plot(x, 100 * row.value, drawn.marker, color=drawn.colour, markersize=10, markerfacecolor=face,
                    markeredgecolor=edge, markeredgewidth=2 if few else 1.2, zorder=4)  # fmt: skip
        ax.set_xscale("log")
        first, last = places.min() / 1.2, places.max() * 1.2
        ticks = [m for m in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if first < m < last]
        ax.set_xticks(ticks, [f"{m:g}" for m in ticks])
        ax.minorticks_off()
        ax.set_title(PEOPLE.get(people, people), fontsize=style.TEXT, loc="left")
        style.plain(ax, "both")
        ax.margins(x=0.08)
        style.axes_labels(ax, "multiply-adds of a probe and a gallery image (G)", "")
    axes[0][0].set_ylabel(style.AXES["rank-1"], fontsize=style.TEXT)
    handles = [
        Line2D([], [], color=look.colour, marker=look.marker, markersize=9, linestyle="", label=look.label)
        for look in looks.values()
    ]
    handles.append(Line2D([], [], color=style.BLACK, linewidth=1.4, linestyle=":", label="level of the baseline"))
    handles.append(Line2D([], [], color="#555555", linewidth=3, alpha=0.6, label="difference to baseline, 95 %"))
    if (table["trainings"] < style.TRAININGS).any():
        handles.append(Line2D([], [], marker="o", markerfacecolor="white", markeredgewidth=2, **style.FEW))
    style.legend_below(fig, axes[0][0], handles=handles, columns=3)
    style.headline(fig, title)
    style.fit_xlabels(fig, axes[0])
    return fig
