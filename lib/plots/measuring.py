"""Figures about measuring: intervals side by side, CMC curves, draws against their expectation, published differences.

All scores come in as fractions and are drawn in percent; intervals are 95 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lib.plots import style


def forest(table: pd.DataFrame, title: str = "", x: str = "rank-1 (%)", reference: str | None = None, size=None):
    """A line per result: value and interval.

    table : columns label, value, low, high, and perhaps group (colour; first seen, first coloured) and note (text at the
    right). reference : the label whose value is drawn through all lines.
    """
    table = table.reset_index(drop=True)
    groups = list(dict.fromkeys(table["group"])) if "group" in table else [""]
    fig, ax = style.figure(size=size or (8.6, 1.2 + 0.36 * len(table)))
    for y, row in table.iterrows():
        number = groups.index(row["group"]) if "group" in table else 0
        colour, marker = style.PALETTE[number], style.MARKERS[number]
        ax.plot([100 * row["low"], 100 * row["high"]], [y, y], color=colour, linewidth=4, alpha=0.6, solid_capstyle="butt")
        ax.plot(100 * row["value"], y, marker, color=colour, markersize=9)
        if "note" in table and row["note"]:
            ax.annotate(row["note"], (1.01, y), xycoords=("axes fraction", "data"), fontsize=9, va="center", color="#444444")
    if reference is not None:
        at = 100 * float(table.loc[table["label"] == reference, "value"].iloc[0])
        ax.axvline(at, color=style.GREY, linewidth=1.5, linestyle="--", zorder=0)
    for number, group in enumerate(groups):
        if group:
            ax.plot([], [], style.MARKERS[number] + "-", color=style.PALETTE[number], linewidth=4, markersize=8, label=group)
    ax.set_yticks(range(len(table)), list(table["label"]), fontsize=style.SMALL)
    ax.set_ylim(len(table) - 0.4, -0.6)
    if len(groups) > 1:
        fig.legend(fontsize=style.SMALL, frameon=False, loc="outside lower center", ncols=len(groups))
    style.axes_labels(ax, x, "")
    style.plain(ax, "x")
    style.finding(fig, title)
    return fig


def cmc(curves: Mapping[str, np.ndarray], title: str = "", ranks: int = 20, bands: Mapping[str, tuple] | None = None, size=(7.6, 4.0)):
    """CMC curves (K,) by name, ranks 1 .. ``ranks``; bands: name -> (low, high), each (K,)."""
    fig, ax = style.figure(size=size)
    for number, (name, values) in enumerate(curves.items()):
        shown = min(ranks, len(values))
        low, high = (bands or {}).get(name, (None, None))
        style.line(
            ax, range(1, shown + 1), 100 * np.asarray(values[:shown]), number, name,
            None if low is None else 100 * np.asarray(low[:shown]), None if high is None else 100 * np.asarray(high[:shown]),
        )  # fmt: skip
    ax.set_ylim(0, 103)
    style.axes_labels(ax, "rank k: how far down the list one looks", "probes found by then (%)")
    style.plain(ax)
    style.end_labels(ax, list(curves))
    style.finding(fig, title)
    return fig


def conventions(table: pd.DataFrame, title: str = "", size=(8.6, 3.4)):
    """One matrix under several conventions: rank-1 and mAP (columns convention, rank-1, mAP), as fractions."""
    fig, ax = style.figure(size=size)
    places = np.arange(len(table))
    for number, metric in enumerate(("rank-1", "mAP")):
        values = 100 * table[metric].to_numpy()
        bars = ax.barh(places + 0.2 * (2 * number - 1), values, height=0.36, color=style.PALETTE[number], label=metric)
        ax.bar_label(bars, labels=[f"{value:.1f}" for value in values], padding=3, fontsize=style.SMALL)
    ax.set_yticks(places, list(table["convention"]))
    ax.invert_yaxis()
    ax.set_xlim(right=1.18 * 100 * table[["rank-1", "mAP"]].to_numpy().max())
    ax.legend(fontsize=style.SMALL, frameon=False, loc="lower right")
    style.axes_labels(ax, "score (%)", "")
    style.plain(ax, "x")
    style.finding(fig, title)
    return fig


def draws_against_expectation(studies: Mapping[str, tuple[np.ndarray, float]], title: str = "", size=(8.0, 3.6)):
    """Estimates of rank-1 by means of sampled galleries, as a scatter per row, and the closed form as a line.

    studies : row name -> (estimates (n,), expectation), fractions.
    """
    fig, ax = style.figure(size=size)
    rng = np.random.default_rng(0)
    for y, (name, (estimates, expectation)) in enumerate(studies.items()):
        jitter = rng.uniform(-0.24, 0.24, len(estimates))
        ax.scatter(100 * np.asarray(estimates), y + jitter, s=22, color=style.SKY, edgecolor=style.BLUE, linewidth=0.6)
        ax.plot([100 * expectation] * 2, [y - 0.36, y + 0.36], color=style.VERMILION, linewidth=3.5)
        spread = 100 * np.std(estimates, ddof=1)
        ax.annotate(f"± {spread:.1f}", (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=style.TEXT)
    ax.set_yticks(range(len(studies)), list(studies), fontsize=style.SMALL)
    ax.set_ylim(len(studies) - 0.5, -0.5)
    ax.scatter([], [], s=22, color=style.SKY, edgecolor=style.BLUE, label="one estimate from drawn galleries")
    ax.plot([], [], color=style.VERMILION, linewidth=3.5, label="expectation, closed form")
    fig.legend(fontsize=style.SMALL, frameon=False, loc="outside lower center", ncols=2)
    style.axes_labels(ax, "rank-1 (%)", "")
    style.plain(ax, "x")
    style.finding(fig, title)
    return fig


def published_differences(table: pd.DataFrame, title: str = "", size=(8.4, 4.2)):
    """Differences between neighbours in published tables, beside one standard error.

    table : columns dataset, difference (points), error (points: one standard error of rank-1 on that data set).
    """
    fig, ax = style.figure(size=size)
    names = list(dict.fromkeys(table["dataset"]))
    rng = np.random.default_rng(0)
    for y, name in enumerate(names):
        rows = table[table["dataset"] == name]
        error = float(rows["error"].iloc[0])
        ax.barh(y, error, left=0, height=0.8, color=style.YELLOW, alpha=0.55, edgecolor="none")
        ax.plot([error] * 2, [y - 0.4, y + 0.4], color=style.ORANGE, linewidth=3)
        inside = rows["difference"] < error
        for part, colour, marker in ((rows[inside], style.VERMILION, "o"), (rows[~inside], style.BLUE, "s")):
            ax.scatter(part["difference"], y + rng.uniform(-0.25, 0.25, len(part)), color=colour, marker=marker, s=34, zorder=3)
        ax.annotate(f"{inside.sum()} of {len(rows)}\ninside", (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=style.SMALL)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(left=0)
    ax.barh([], [], color=style.YELLOW, alpha=0.55, label="one standard error of one split")
    ax.scatter([], [], color=style.VERMILION, marker="o", label="difference inside it")
    ax.scatter([], [], color=style.BLUE, marker="s", label="larger difference")
    fig.legend(fontsize=style.SMALL, frameon=False, loc="outside lower center", ncols=3)
    style.axes_labels(ax, "rank-1 of a method minus that of the next lower one (points)", "")
    style.plain(ax, "x")
    style.finding(fig, title)
    return fig


def two_metrics(table: pd.DataFrame, pair: Sequence[str] = (), title: str = "", size=(7.4, 4.4)):
    """rank-1 against mAP of several systems (columns system, rank-1, mAP); ``pair``: two that the metrics order
    differently, joined by an arrow."""
    fig, ax = style.figure(size=size)
    for number, row in table.reset_index(drop=True).iterrows():
        chosen = row["system"] in pair
        ax.plot(100 * row["rank-1"], 100 * row["mAP"], style.MARKERS[number % len(style.MARKERS)], color=style.PALETTE[number % len(style.PALETTE)], markersize=11 if chosen else 8)
        ax.annotate(row["system"], (100 * row["rank-1"], 100 * row["mAP"]), xytext=(8, -3), textcoords="offset points", fontsize=style.SMALL, fontweight="bold" if chosen else "normal")
    if len(pair) == 2:
        ends = [table.loc[table["system"] == name].iloc[0] for name in pair]
        (x0, y0), (x1, y1) = ((100 * end["rank-1"], 100 * end["mAP"]) for end in ends)
        ax.annotate("", (x1, y1), (x0, y0), arrowprops={"arrowstyle": "->", "color": style.VERMILION, "linewidth": 2.5})
    style.axes_labels(ax, "rank-1 (%)", "mAP (%)")
    ax.margins(x=0.25, y=0.15)
    style.plain(ax, "both")
    style.finding(fig, title)
    return fig


def restoration(table: pd.DataFrame, title: str = "", size=(8.2, 3.6)):
    """PSNR of degraded pictures and rank-1 with them as probes, against the ratio (columns ratio, psnr, rank-1, low, high)."""
    fig, axes = style.figure(1, 2, size=size)
    places = np.log2(1 / table["ratio"].to_numpy())
    names = [style.ratio_name(ratio) for ratio in table["ratio"]]
    style.line(axes[0], places, table["psnr"], 0, "PSNR")
    style.line(axes[1], places, 100 * table["rank-1"], 1, "rank-1", 100 * table["low"], 100 * table["high"])
    for ax, y in zip(axes, ("PSNR to the original (dB)", "rank-1 (%)"), strict=True):
        ax.set_xticks(places, names)
        style.axes_labels(ax, "ratio of the probe", y)
        style.plain(ax)
    axes[1].set_ylim(bottom=0)
    style.finding(fig, title)
    return fig
