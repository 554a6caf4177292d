"""What rows of a table gain over one of them, on several sets of people side by side, beside what the paper gains.

Levels of different sets do not belong on one axis (lesson 01); differences to one row do: published and measured are
both in points.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lib.plots import style
from lib.plots.tables import require

MOST = 14  # rows that can still be read when projected


def against(
    table: pd.DataFrame,
    reference: str,
    title: str = "",
    published: pd.DataFrame | None = None,
    levels: Mapping[str, float] | None = None,
    x: str = style.AXES["difference"],
) -> Figure:
    """Differences to the row ``reference``: a row per name, a panel per set of people, one scale.

    table : set, name, mean, low, high (paired differences to ``reference`` with their intervals, fractions); the rows
    of ``reference`` itself may be missing. published : set (that beside which it is drawn), name, value (percent, as
    printed), with a row of ``reference`` for each set: drawn are the differences to it, as open diamonds. levels : what
    ``reference`` itself reaches on each set, a fraction, for the panels' titles.

    A mark is filled where the interval excludes 0, and open and pale where it does not; what is negligible is shaded.
    A column ``trainings`` may be there: fewer than three decide nothing, and are open on a dotted interval.
    ValueError for a published set without its reference, for a set of ``published`` that is not in the table, and for
    more rows than can be read.
    """
    require(table, "set", "name", "mean", "low", "high")
    sets = list(dict.fromkeys(table["set"]))
    gains = published_gains(published, reference, sets)
    names = [n for n in dict.fromkeys([*table["name"], *gains["name"]]) if n != reference]
    if len(names) > MOST:
        raise ValueError(f"{len(names)} rows cannot be read when projected: {MOST} at most, draw two figures")
    drawn = style.looks([reference, *names])
    labels = {name: textwrap.fill(drawn[name].label, 30) for name in names}
    height = 0.36 * sum(1 + 0.45 * label.count("\n") for label in labels.values())
    fig, axes = style.chart(
        1, len(sets), size=(9.2 if len(sets) > 1 else 7.4, 1.9 + height), sharex=True, sharey=True, squeeze=False
    )
    measured = table[table["name"] != reference]
    measured = measured.assign(few="trainings" in table and measured["trainings"] < style.TRAININGS)
    for ax, name in zip(axes[0], sets, strict=True):
        ax.axvspan(-style.NEGLIGIBLE, style.NEGLIGIBLE, color=style.SHADE, zorder=0)
        ax.axvline(0, color=style.BLACK, linewidth=1.2)
        for row in measured[measured["set"] == name].itertuples():
            _row(ax, names.index(row.name), row, drawn[row.name])
        for row in gains[gains["set"] == name].itertuples():
            ax.plot(row.gain, names.index(row.name), color=style.BLACK, zorder=4, **style.PUBLISHED)
        level = f"0 = {100 * levels[name]:.1f} %" if levels and name in levels else ""
        ax.set_title("\n".join(filter(None, [style.text(name), level])), fontsize=style.TEXT, loc="left")
        style.axes_labels(ax, f"{x}, minus {drawn[reference].label}", "")
        style.plain(ax, "x")
    axes[0][0].set_yticks(range(len(names)), [labels[name] for name in names], fontsize=style.SMALL)
    axes[0][0].set_ylim(len(names) - 0.4, -0.6)
    handles = [
        Line2D([], [], color="#444444", marker="o", linewidth=3, label="measured, interval without 0"),
        Line2D([], [], color="#AAAAAA", marker="o", markerfacecolor="white", linewidth=3, label="measured, with 0"),
        Patch(color=style.SHADE, label=f"within {style.NEGLIGIBLE:g} point: negligible"),
    ]
    if measured["few"].any():
        handles.append(Line2D([], [], **style.FEW))
    if len(gains):
        handles.append(Line2D([], [], color=style.BLACK, label="published, minus the same row", **style.PUBLISHED))
    style.legend_below(fig, axes[0][0], handles=handles)
    style.headline(fig, title)
    style.fit_xlabels(fig, axes[0])
    return fig


def _row(ax, place: int, row, look: style.Look) -> None:
    sure = not row.few and (row.low > 0 or row.high < 0)
    alpha = 1.0 if sure else 0.45
    ax.plot(
        [100 * row.low, 100 * row.high], [place, place], color=look.colour, linewidth=3.5, alpha=alpha,
        linestyle=style.DOTS if row.few else "-", solid_capstyle="butt",
    )  # fmt: skip
    face = look.colour if sure else "white"
    ax.plot(
        100 * row.mean, place, look.marker, color=look.colour, markerfacecolor=face, markersize=8.5, markeredgewidth=1.6
    )


def published_gains(published: pd.DataFrame | None, reference: str, sets: list[str]) -> pd.DataFrame:
    """The published values minus that of ``reference`` of their own set: set, name, gain (points)."""
    if published is None or published.empty:
        return pd.DataFrame({"set": [], "name": [], "gain": []})
    require(published, "set", "name", "value")
    if unknown := sorted(set(published["set"]) - set(sets)):
        raise ValueError(f"nothing is measured beside the published {', '.join(unknown)}")
    parts = []
    for name, part in published.groupby("set", sort=False):
        zero = part.loc[part["name"] == reference, "value"].dropna()
        if len(zero) != 1:
            raise ValueError(f"the published numbers beside {name} need one {reference!r}, they have {len(zero)}")
        part = part[(part["name"] != reference) & part["value"].notna()]
        parts.append(part.assign(gain=part["value"] - zero.iloc[0])[["set", "name", "gain"]])
    return pd.concat(parts, ignore_index=True)


def sentence(table: pd.DataFrame, reference: str) -> str:
    """What the measured differences say, for a title: how many rows lie decidedly above the reference, and below. Fewer
    than three trainings decide nothing.

    table : as for ``against``.
    """
    require(table, "set", "name", "mean", "low", "high")
    above, below = [], []
    for name, part in table[table["name"] != reference].groupby("set", sort=False):
        on = f"on {style.text(name)}"
        enough = part["trainings"] >= style.TRAININGS if "trainings" in part else True
        above.append(f"{((part['low'] > 0) & enough).sum()} of {len(part)} {on}")
        below.append(f"{((part['high'] < 0) & enough).sum()} {on}")
    return f"Decidedly above {style.look(reference).label}: {', '.join(above)}; below: {', '.join(below)}"


def best(table: pd.DataFrame, reference: str) -> dict[str, tuple[str, float, bool]]:
    """For each set the row with the largest difference: its name, the difference in points, and whether its interval
    excludes 0."""
    require(table, "set", "name", "mean", "low", "high")
    found = {}
    for name, part in table[table["name"] != reference].groupby("set", sort=False):
        top = part.loc[part["mean"].idxmax()]
        found[name] = top["name"], float(100 * top["mean"]), bool(np.sign(top["low"]) == np.sign(top["high"]) != 0)
    return found
