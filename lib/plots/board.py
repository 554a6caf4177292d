"""The claims of the papers and what was measured of them, on one page."""

from __future__ import annotations

import textwrap

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from lib.names import PEOPLE
from lib.plots import style
from lib.plots.tables import require
from lib.plots.verdicts import COLOURS

# sign and its colour, on the ground of ``lib.plots.verdicts.COLOURS``: told by the sign alone
SIGNS = {"reproduced": ("✓", "white"), "contradicted": ("✗", "white"), "no effect": ("=", "black"),
         "undecided": ("?", "#555555")}  # fmt: skip
VERDICTS = {verdict: (sign, COLOURS[verdict], ink) for verdict, (sign, ink) in SIGNS.items()}
COLUMNS = {"paper": "as the\npaper", "control": "against\nthe control"}
MOST = 16  # claims that can still be read when projected


def claims_board(table: pd.DataFrame, title: str | None = None) -> Figure:
    """A row per claim, two columns per set of people: as the paper compares, and against the control.

    table : claim (short text), set, column ("paper" or "control"), verdict (one of ``VERDICTS``; "undecided (1
    training)" counts as undecided). A cell without a row stays empty: it was not measured. title : None for how
    many are reproduced (``counted``). ValueError for an unknown verdict or column, two verdicts for one cell, or more
    claims than can be read.
    """
    require(table, "claim", "set", "column", "verdict")
    if unknown := sorted(set(table["column"]) - set(COLUMNS)):
        raise ValueError(f"columns are {', '.join(COLUMNS)}, not {', '.join(unknown)}")
    if table.duplicated(["claim", "set", "column"]).any():
        raise ValueError("a claim has two verdicts for one set and column")
    claims, sets = (list(dict.fromkeys(table[name])) for name in ("claim", "set"))
    if len(claims) > MOST:
        raise ValueError(f"{len(claims)} claims cannot be read when projected: {MOST} at most, draw two boards")
    lines = [textwrap.fill(claim, 44) for claim in claims]
    tall = [0.34 + 0.16 * line.count("\n") for line in lines]  # inches
    tops = [sum(tall[:k]) for k in range(len(tall))]
    left, wide = 3.8, 0.78  # inches: the claims, a column
    ends = left + 2 * len(sets) * wide + 0.2 * len(sets)
    fig, ax = style.chart(size=(max(ends, 7.6), sum(tall) + 1.9))
    fig.colours = 8
    for line, top, height in zip(lines, tops, tall, strict=True):
        ax.text(0, top + height / 2, line, fontsize=style.SMALL, va="center")
    verdicts = table.set_index(["set", "claim", "column"])["verdict"].map(plain_verdict)
    for number, name in enumerate(sets):
        start = left + number * (2 * wide + 0.2)
        ax.text(
            start + wide,
            -0.52,
            PEOPLE.get(name, name),
            fontsize=style.TEXT,
            fontweight="bold",
            ha="center",
            va="bottom",
        )
        for k, (column, said) in enumerate(COLUMNS.items()):
            x = start + k * wide
            ax.text(x + wide / 2, -0.06, said, fontsize=9, ha="center", va="bottom", color="#444444")
            for claim, top, height in zip(claims, tops, tall, strict=True):
                if (name, claim, column) in verdicts.index:
                    _cell(ax, x, top, wide, height, verdicts[name, claim, column])
    ax.set_xlim(-0.05, max(ends, 7.6))
    ax.set_ylim(sum(tall) + 0.05, -0.95)
    ax.set_axis_off()
    handles = [
        Line2D([], [], linestyle="", marker="s", markersize=13, color=ground, markeredgecolor="#999999", label=verdict)
        for verdict, (_, ground, _) in VERDICTS.items()
    ]
    legend = [f"{sign}  {verdict}" for verdict, (sign, _, _) in VERDICTS.items()]
    for handle, text in zip(handles, legend, strict=True):
        handle.set_label(text)
    style.legend_below(fig, ax, columns=4, handles=handles)
    style.headline(fig, counted(table) if title is None else title)
    return fig


def _cell(ax, x: float, top: float, wide: float, height: float, verdict: str) -> None:
    sign, ground, ink = VERDICTS[verdict]
    ax.add_patch(Rectangle((x + 0.03, top + 0.025), wide - 0.06, height - 0.05, facecolor=ground, edgecolor="none"))
    ax.text(
        x + wide / 2, top + height / 2, sign, fontsize=style.TEXT + 1, color=ink, ha="center", va="center",
        fontweight="bold", family="DejaVu Sans",
    )  # fmt: skip


def plain_verdict(verdict: str) -> str:
    """The verdict without what stands in brackets behind it: one of ``VERDICTS``, ValueError for another."""
    plain = verdict.partition(" (")[0]
    if plain not in VERDICTS:
        raise ValueError(f"{verdict!r} is no verdict; they are {', '.join(VERDICTS)}")
    return plain


def counted(table: pd.DataFrame, people: str = "pedestrians") -> str:
    """How many of a set's claims are reproduced, as the papers compare and against the control, in a sentence.

    table : as for ``claims_board``.
    """
    require(table, "claim", "set", "column", "verdict")
    here = table[table["set"] == people]
    words = {column: here.loc[here["column"] == column, "verdict"].map(plain_verdict) for column in COLUMNS}
    paper, control = (f"{(said == 'reproduced').sum()} of {len(said)}" for said in words.values())
    return f"{paper} claims reproduced as the paper compares, {control} against the control ({PEOPLE[people]})"
