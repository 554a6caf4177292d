"""The verdicts as pictures: how many of each word, what a control does to them, and what could have been seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from lib.names import PEOPLE
from lib.plots import style
from lib.plots.tables import require

MOST = 6  # papers that can still be read when projected
# from dark to light in grey as well
COLOURS = {"reproduced": "#00664B", "contradicted": "#D55E00", "no effect": "#A9CCE8", "undecided": "#E2E2E2"}
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
