"""The verdicts as pictures: how many of each word, what a control does to them, and what could have been seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lib.names import PEOPLE
from lib.plots import style
from lib.plots.tables import require

MOST = 6  # papers that can still be read when projected
# from dark to light in grey as well
COLOURS = {"reproduced": "#00664B", "contradicted": "#D55E00", "no effect": "#A9CCE8", "undecided": "#E2E2E2"}
EDGE = 6.5  # points: what lies beyond is drawn there, with its number
SIDES = {"": "as the paper compares", "control_": "against the control"}
LINES = {"pedestrians": (style.BLACK, "-"), "viper": (style.VERMILION, "--"), "caviar": (style.GREEN, ":")}


def bars(counts: pd.DataFrame, title: str = "") -> Figure:
    """How often each verdict was given, as the paper compares and against the control: two bars a paper, on a page of
    16 to 9 with letters that can be read when it is projected.

    counts : a row per paper (its index), columns the four words and "control: " before them. ValueError for more papers
    than can be read.
    """
    require(counts, *COLOURS, *(f"control: {word}" for word in COLOURS))
    if len(counts) > MOST:
        raise ValueError(f"{len(counts)} papers cannot be read when projected: {MOST} at most")
    fig, ax = style.chart(size=(9.6, 5.4))
    fig.colours, ticks = 32, []
    for place, (name, row) in enumerate(counts.iterrows()):
        for shift, prefix, said in ((-0.2, "", f"{name}, as it compares"), (0.2, "control: ", "against the control")):
            ticks.append((place + shift, said))
            left = 0
            for word, colour in COLOURS.items():
                count = int(row[f"{prefix}{word}"])
                ax.barh(place + shift, count, 0.38, left=left, color=colour, edgecolor="white")
                if count:
                    ink = "black" if style.luminance(to_rgb(colour)) > 0.35 else "white"
                    ax.text(left + count / 2, place + shift, str(count), ha="center", va="center", color=ink,
                            fontsize=style.TEXT)  # fmt: skip
                left += count
    ax.set_ylim(len(counts) - 0.5, -0.5)
    style.plain(ax, "x")
    style.axes_labels(ax, "number of claims", "")
    ax.set_yticks(*zip(*ticks, strict=True), fontsize=style.TEXT)
    ax.tick_params(axis="x", labelsize=style.TEXT)
    handles = [Patch(color=colour, label=word) for word, colour in COLOURS.items()]
    fig.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=style.TEXT, frameon=False)
    style.headline(fig, title)
    return fig


def sizes(table: pd.DataFrame, title: str = "") -> Figure:
    """How large the differences in rank-1 are: each claim a dot with its interval, paper by paper in rising order;
    above as the paper compares, below against the control. What is beyond ``EDGE`` stands there with its number.

    table : judged claims of one set with paper, mean, low, high, verdict, and the same of the control (``control_mean``
    NaN where a claim has none); fractions. A column of dots for each paper, in the table's order.
    """
    require(table, "paper", *(side + name for side in SIDES for name in ("mean", "low", "high", "verdict")))
    papers = list(dict.fromkeys(table["paper"]))
    starts = np.cumsum([0, *(table["paper"].value_counts()[name] + 2 for name in papers)])
    fig, axes = style.chart(len(SIDES), 1, size=(9.6, 5.4), sharex=True, sharey=True)
    fig.colours = 24
    for ax, (side, said) in zip(axes, SIDES.items(), strict=True):
        ax.axhspan(-style.NEGLIGIBLE, style.NEGLIGIBLE, color=style.SHADE, zorder=0)
        ax.axhline(0, color="#8C8C8C", linewidth=1)
        for start, end, name in zip(starts, starts[1:], papers, strict=False):
            part = table[(table["paper"] == name) & table[f"{side}mean"].notna()].sort_values(f"{side}mean")
            ax.axvline(end - 1.5, color="#D0D0D0", linewidth=0.8)
            for x, row in enumerate(part.to_dict("records"), start):
                _dot(ax, x, *(100 * row[side + what] for what in ("mean", "low", "high")), row[f"{side}verdict"])
            for sign in (-1, 1):
                far = [(x, m) for x, m in enumerate(100 * part[f"{side}mean"], start) if sign * m > EDGE]
                if far:
                    middle, told = np.mean([x for x, _ in far]), ", ".join(f"{mean:+.0f}" for _, mean in far)
                    ax.text(middle, sign * (EDGE + 1.3), told, ha="center", va="center", fontsize=style.SMALL)
        ax.set_ylim(-EDGE - 2.2, EDGE + 2.2)
        ax.set_yticks([-5, -2.5, 0, 2.5, 5])
        style.plain(ax, "y")
        style.axes_labels(ax, "", f"{said}\n(points of rank-1)")
    names = [name.replace(" ", "\n") for name in papers]
    axes[-1].set_xticks((starts[:-1] + starts[1:] - 3) / 2, names, fontsize=style.TEXT)
    for ax in axes:
        ax.tick_params(axis="x", length=0)
    axes[-1].set_xlim(-1.5, starts[-1] - 1.5)
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=8, color=colour, markeredgecolor="#444444", label=word)
        for word, colour in COLOURS.items()
    ]
    fig.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=style.TEXT, frameon=False)
    style.headline(fig, title)
    return fig


def _dot(ax: Axes, x: float, mean: float, low: float, high: float, verdict: str) -> None:
    """One difference in points."""
    colour = COLOURS[verdict.partition(" (")[0]]
    marker = "o" if abs(mean) <= EDGE else "^" if mean > 0 else "v"
    ax.plot([x, x], np.clip([low, high], -EDGE, EDGE), color="#8C8C8C", linewidth=1.2, zorder=1)
    for end, beyond in ((low, low < -EDGE), (high, high > EDGE)):
        if beyond and abs(mean) <= EDGE:  # an interval that goes on: a small arrow at the edge
            ax.plot(x, np.sign(end) * EDGE, "v" if end < 0 else "^", markersize=4, color="#8C8C8C", zorder=1)
    ax.plot(x, np.clip(mean, -EDGE, EDGE), marker, markersize=6, color=colour, markeredgecolor="#444444", zorder=2)


def shifts(table: pd.DataFrame, title: str = "") -> Figure:
    """What the control makes of a verdict: rows as the paper compares, columns against the control, each cell how many
    claims.

    table : judged claims with verdict and control_verdict ("" or NaN where a claim has no control: left out).
    """
    require(table, "verdict", "control_verdict")
    asked = table[table["control_verdict"].fillna("") != ""]
    words = list(COLOURS)
    first, then = (asked[c].str.split(" \\(").str[0] for c in ("verdict", "control_verdict"))
    grid = np.array([[int(((first == a) & (then == b)).sum()) for b in words] for a in words])
    fig, ax = style.chart(size=(6.4, 4.6))
    ax.imshow(grid, cmap="Blues", vmin=0, vmax=max(1, grid.max()))
    for (i, j), count in np.ndenumerate(grid):
        ax.text(j, i, str(count) if count else "·", ha="center", va="center", fontsize=style.TEXT,
                color="white" if count > 0.6 * grid.max() else "black")  # fmt: skip
    ax.set_xticks(range(len(words)), words)
    ax.set_yticks(range(len(words)), words)
    ax.grid(False)
    style.axes_labels(ax, "against the control", "as the paper compares")
    style.headline(fig, title)
    return fig


def power(table: pd.DataFrame, title: str = "") -> Figure:
    """Which share of the claims a set's measurements would call reproduced, over a true gain that all had.

    table : set, truth (fraction), reproduced (share), claims, as ``lib.experiments.power.found`` gives it.
    """
    require(table, "set", "truth", "reproduced", "claims")
    fig, ax = style.chart(size=(7.6, 4.2))
    for people, part in table.groupby("set", sort=False):
        colour, dash = LINES.get(people, (style.PURPLE, "-"))
        name = f"{PEOPLE.get(people, people)} ({part['claims'].iloc[0]} claims)"
        ax.plot(100 * part["truth"], 100 * part["reproduced"], dash, color=colour, linewidth=2.4, label=name)
    ax.axvspan(0, style.NEGLIGIBLE, color=style.SHADE, zorder=0)
    ax.axhline(80, color="#8C8C8C", linewidth=1, linestyle=":")
    ax.set_ylim(0, 102)
    style.plain(ax, "both")
    style.axes_labels(ax, "true gain in rank-1 (points)", "claims called reproduced (%)")
    style.legend_below(fig, ax)
    style.headline(fig, title)
    return fig
