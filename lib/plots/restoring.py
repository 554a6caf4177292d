"""Figures about super-resolution and about tables: pictures restored, PSNR against rank-1, published beside measured.

Scores come in as fractions and are drawn in percent; PSNR is in dB; intervals are 95 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.plots import style
from lib.plots.curves import chart
from lib.plots.people import Photographs, sheet

PUBLISHED = {"marker": "D", "markerfacecolor": "white", "markeredgewidth": 2, "markersize": 8, "linestyle": ""}


def beside(table: pd.DataFrame, title: str = "", x: str = "rank-1 in %", published: str = "published") -> Figure:
    """A row per label: measured with its interval (filled) and, where the paper has a number, the paper's (open).

    table : label, value, low, high (fractions), published (percent, or NaN), perhaps group (colour). published : what
    the open marks are of, for the legend.
    """
    table = table.reset_index(drop=True)
    groups = list(dict.fromkeys(table["group"])) if "group" in table else [""]
    fig, ax = chart(size=(8.6, 1.5 + 0.36 * len(table)))
    for y, row in table.iterrows():
        number = groups.index(row["group"]) if "group" in table else 0
        colour, marker = style.PALETTE[number], style.MARKERS[number]
        ax.plot([100 * row["low"], 100 * row["high"]], [y, y], color=colour, linewidth=4, alpha=0.5)
        ax.plot(100 * row["value"], y, marker, color=colour, markersize=9)
        if np.isfinite(row["published"]):
            ax.plot(row["published"], y, color=style.BLACK, **PUBLISHED)
    for number, group in enumerate(groups):
        label = f"measured: {group}" if group else "measured"
        ax.plot(
            [], [], style.MARKERS[number] + "-", color=style.PALETTE[number], linewidth=4, markersize=8, label=label
        )
    if table["published"].notna().any():
        ax.plot([], [], color=style.BLACK, label=published, **PUBLISHED)
    ax.set_yticks(range(len(table)), list(table["label"]), fontsize=style.SMALL)
    ax.set_ylim(len(table) - 0.4, -0.6)
    ax.set_xlim(left=0)
    fig.legend(fontsize=style.SMALL, frameon=False, loc="outside lower center", ncols=min(3, len(groups) + 1))
    style.axes_labels(ax, x, "")
    style.plain(ax, "x")
    style.finding(fig, title)
    return fig


def sweep(table: pd.DataFrame, x: str, title: str = "", y: str = "rank-1 in %") -> Figure:
    """A metric over the values of a setting (evenly spaced), a line per name; published points open.

    table : name, setting (in order), value, low, high (fractions), published (percent, or NaN).
    """
    settings = list(dict.fromkeys(table["setting"]))
    fig, ax = chart(size=(7.4, 4.0))
    for number, name in enumerate(dict.fromkeys(table["name"])):
        part = table[table["name"] == name]
        places = [settings.index(s) for s in part["setting"]]
        style.line(ax, places, 100 * part["value"], number, name, 100 * part["low"], 100 * part["high"])
        if part["published"].notna().any():
            colour = style.PALETTE[number]
            ax.plot(places, part["published"], color=colour, label=f"{name}, published", **PUBLISHED)
    ax.set_xticks(range(len(settings)), [s if isinstance(s, str) else f"{s:g}" for s in settings])
    style.axes_labels(ax, x, y)
    style.plain(ax)
    fig.legend(fontsize=style.SMALL, frameon=False, loc="outside lower center", ncols=3)
    style.finding(fig, title)
    return fig


def psnr_against_rank(table: pd.DataFrame, title: str = "", panel: str = "") -> Figure:
    """A point per network: fidelity to the right, re-identification upwards.

    table : name, psnr (dB), value, low, high (rank-1, fractions).
    """
    fig, ax = chart(size=(7.4, 4.6))
    for number, row in enumerate(table.itertuples()):
        colour, marker = style.PALETTE[number % 8], style.MARKERS[number % 8]
        ax.plot([row.psnr, row.psnr], [100 * row.low, 100 * row.high], color=colour, linewidth=2, alpha=0.35)
        ax.plot(row.psnr, 100 * row.value, marker, color=colour, markersize=10)
    _names(ax, table)
    style.axes_labels(ax, "PSNR to the original in dB", "rank-1 in %")
    style.plain(ax, "both")
    ax.margins(x=0.18)
    style.finding(fig, title)
    return fig


def _names(ax, table: pd.DataFrame) -> None:
    """Each point's name to its right, moved up where two would overlap."""
    low, high = ax.get_ylim()
    gap, taken = 0.055 * (high - low), []
    for row in table.sort_values("value").itertuples():
        at = 100 * row.value
        while any(abs(at - other) < gap and abs(row.psnr - psnr) < 1.2 for other, psnr in taken):
            at += gap / 2
        taken.append((at, row.psnr))
        ax.annotate(
            row.name, (row.psnr, at), xytext=(9, 0), textcoords="offset points", fontsize=style.SMALL, va="center"
        )


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
    columns = [name.replace("-", "-\n", 1) for name in names]  # a picture is narrower than its name
    return sheet(images, columns=columns, rows=rows, captions=captions, title=title, note=note, height=height)
