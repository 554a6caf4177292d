"""Figures about measuring: intervals side by side, CMC curves, draws against their expectation, published differences.

All scores come in as fractions and are drawn in percent; intervals are 95 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lib.plots import style


def forest(
    table: pd.DataFrame, title: str = "", x: str = style.AXES["rank-1"], reference: str | None = None, size=None
):
    """A line per result: value and interval.

    table : columns label, value, low, high, and perhaps group (colour; first seen, first coloured) and note (text at
    the
    right). reference : the label whose value is drawn through all lines.
    """
    table = table.reset_index(drop=True)
    groups = list(dict.fromkeys(table["group"])) if "group" in table else [""]
    fig, ax = style.figure(size=size or (8.6, 1.2 + 0.36 * len(table)))
    for y, row in table.iterrows():
        number = groups.index(row["group"]) if "group" in table else 0
        colour, marker = style.PALETTE[number], style.MARKERS[number]
        ax.plot(
            [100 * row["low"], 100 * row["high"]], [y, y], color=colour, linewidth=4, alpha=0.6, solid_capstyle="butt"
        )
        ax.plot(100 * row["value"], y, marker, color=colour, markersize=9)
        if "note" in table and row["note"]:
            ax.annotate(
                row["note"], (1.01, y), xycoords=("axes fraction", "data"), fontsize=9, va="center", color="#444444"
            )
    if reference is not None:
        at = 100 * float(table.loc[table["label"] == reference, "value"].iloc[0])
        ax.axvline(at, color=style.GREY, linewidth=1.5, linestyle="--", zorder=0)
    for number, group in enumerate(groups):
        if group:
            ax.plot(
                [], [], style.MARKERS[number] + "-", color=style.PALETTE[number], linewidth=4, markersize=8, label=group
            )
    ax.set_yticks(range(len(table)), list(table["label"]), fontsize=style.SMALL)
    ax.set_ylim(len(table) - 0.4, -0.6)
    if len(groups) > 1:
        fig.legend(fontsize=style.SMALL, frameon=False, loc="outside lower center", ncols=len(groups))
    style.axes_labels(ax, x, "")
    style.plain(ax, "x")
    style.headline(fig, title)
    return fig


def cmc(
    curves: Mapping[str, np.ndarray],
    title: str = "",
    ranks: int = 20,
    bands: Mapping[str, tuple] | None = None,
    size=(7.6, 4.0),
):
    """CMC curves (K,) by name, ranks 1 .. ``ranks``; bands: name -> (low, high), each (K,)."""
    fig, ax = style.figure(size=size)
    drawn = {name: style.Look(name, style.RATIO_COLOURS[k % 6], style.MARKERS[k % 8]) for k, name in enumerate(curves)}
    for name, values in curves.items():
        shown = min(ranks, len(values))
        low, high = (bands or {}).get(name, (None, None))
        style.line(
            ax, range(1, shown + 1), 100 * np.asarray(values[:shown]), drawn[name],
            None if low is None else 100 * np.asarray(low[:shown]), None if high is None else 100 * np.asarray(high[:shown]),  # noqa: E501
        )  # fmt: skip
    lowest = min(100 * np.asarray(values)[0] for values in curves.values())
    style.percent_axis(ax, max(0.0, 20 * np.floor(lowest / 20 - 0.25)))
    style.whole_axis(ax, max(min(ranks, len(values)) for values in curves.values()))
    style.axes_labels(ax, "rank k: how far down the list one looks", "probes found by then (%)")
    style.plain(ax)
    ax.legend(fontsize=style.SMALL, frameon=False, loc="lower right")
    style.headline(fig, title)
    return fig


def conventions(table: pd.DataFrame, title: str = "", size=(8.6, 3.4)):
    """One matrix under several conventions: columns convention, and for rank-1 and mAP the value, ``_low`` and
    ``_high``."""
    fig, ax = style.figure(size=size)
    places, end = np.arange(len(table)), 0.0
    for number, metric in enumerate(("rank-1", "mAP")):
        values, low, high = (100 * table[f"{metric}{limit}"].to_numpy() for limit in ("", "_low", "_high"))
        at = places + 0.2 * (2 * number - 1)
        ax.barh(at, values, height=0.36, color=style.PALETTE[number], label=metric)
        ax.hlines(at, low, high, color=style.BLACK, linewidth=1.8)
        for y, value, right in zip(at, values, high, strict=True):
            ax.annotate(
                f"{value:.1f}",
                (max(value, right), y),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=style.SMALL,
            )
        end = max(end, high.max())
    ax.set_yticks(places, list(table["convention"]))
    ax.invert_yaxis()
    ax.set_xlim(0, min(1.12 * end, 100))
    fig.legend(fontsize=style.SMALL, frameon=False, loc="outside lower center", ncols=2)
    style.axes_labels(ax, "score (%), with 95 % interval", "")
    style.plain(ax, "x")
    style.headline(fig, title)
    return fig


def draws_against_expectation(studies: Mapping[str, tuple[np.ndarray, float]], title: str = "", size=(8.0, 3.6)):
    """Estimates of rank-1 from sampled galleries, a row per study, as distances from their closed form.

    studies : row name -> (estimates (n,), expectation), fractions. At the right: the standard deviation of the
    estimates.
    """
    fig, ax = style.figure(size=size)
    rng = np.random.default_rng(0)
    for y, (estimates, expectation) in enumerate(studies.values()):
        jitter = rng.uniform(-0.24, 0.24, len(estimates))
        ax.scatter(
            100 * (np.asarray(estimates) - expectation),
            y + jitter,
            s=22,
            color=style.SKY,
            edgecolor=style.BLUE,
            linewidth=0.6,
        )
        spread = 100 * np.std(estimates, ddof=1)
        ax.annotate(f"± {spread:.1f}", (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=style.TEXT)
    ax.axvline(0, color=style.VERMILION, linewidth=3, zorder=3)
    names = [f"{name}\n(closed form {100 * expectation:.1f} %)" for name, (_, expectation) in studies.items()]
    ax.set_yticks(range(len(studies)), names, fontsize=style.SMALL)
    ax.set_ylim(len(studies) - 0.5, -0.5)
    reach = max(np.abs(ax.get_xlim()).max(), 0.5)
    ax.set_xlim(-reach, reach)
    style.axes_labels(ax, "rank-1 from drawn galleries minus the closed form (points)", "")
    style.plain(ax, "x")
    style.headline(fig, title)
    return fig


def published_gains(table: pd.DataFrame, title: str = "", size=(8.6, 4.0), end: float = 14.0):
    """What each paper gains over the best method it compares with, beside one standard error of one split.

    table : columns dataset, paper, gain (points of rank-1, below zero where a rival is better), and the standard error
    of rank-1 in points if all probes were independent (``error``) and if all probes of a person succeeded or failed
    together (``error_high``). Gains beyond ``end`` are drawn there, with their number.
    """
    fig, ax = style.figure(size=size)
    names, papers = list(dict.fromkeys(table["dataset"])), list(dict.fromkeys(table["paper"]))
    for y, name in enumerate(names):
        rows = table[table["dataset"] == name]
        error, high = float(rows["error"].iloc[0]), float(rows["error_high"].iloc[0])
        ax.barh(y, high, height=0.84, color=style.YELLOW, alpha=0.35, edgecolor="none")
        ax.barh(y, error, height=0.84, color=style.ORANGE, alpha=0.45, edgecolor="none")
        places = y + np.linspace(-0.28, 0.28, len(rows)) if len(rows) > 1 else [y]
        for place, (_, row) in zip(places, rows.iterrows(), strict=True):
            number, x = papers.index(row["paper"]), min(row["gain"], end)
            ax.plot(
                x,
                place,
                style.MARKERS[number],
                color=style.paper(row["paper"]),
                markersize=10,
                markeredgecolor="white",
                clip_on=False,
            )
            if row["gain"] > end:
                ax.annotate(
                    f"{row['gain']:.0f} →",
                    (x, place),
                    xytext=(-9, 0),
                    textcoords="offset points",
                    ha="right",
                    va="center",
                    fontsize=style.SMALL,
                )
    bands = [
        Patch(color=style.ORANGE, alpha=0.45, label="one standard error, if probes are independent"),
        Patch(color=style.YELLOW, alpha=0.35, label="… if a person's probes agree"),
    ]
    marks = [
        Line2D(
            [],
            [],
            marker=style.MARKERS[number],
            color=style.paper(paper),
            linestyle="none",
            markersize=10,
            label=paper,
        )
        for number, paper in enumerate(papers)
    ]
    fig.legend(handles=bands, fontsize=style.SMALL, frameon=False, loc="outside lower center", ncols=2)
    fig.legend(handles=marks, fontsize=style.SMALL, frameon=False, loc="outside right center")
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(min(0.0, table["gain"].min() - 0.5), end)
    ax.axvline(0, color="#8C8C8C", linewidth=1)
    style.axes_labels(ax, "rank-1 of the paper's method minus the best it compares with (points)", "")
    style.plain(ax, "x")
    style.headline(fig, title)
    return fig


def two_metrics(table: pd.DataFrame, pair: Sequence[str] = (), title: str = "", size=(8.0, 4.2)):
    """rank-1 against mAP of several systems (columns system, rank-1, mAP); ``pair``: two that the metrics order
    differently, joined by an arrow."""
    fig, ax = style.figure(size=size)
    table = table.sort_values("mAP", ignore_index=True)
    at = np.linspace(0.04, 0.96, len(table))
    for number, row in table.iterrows():
        x, y, bold = 100 * row["rank-1"], 100 * row["mAP"], row["system"] in pair
        colour = style.PALETTE[number % len(style.PALETTE)]
        ax.plot(x, y, style.MARKERS[number % len(style.MARKERS)], color=colour, markersize=12 if bold else 9, zorder=3)
        ax.annotate(
            row["system"], (x, y), xytext=(1.05, at[number]), textcoords="axes fraction", va="center", fontsize=style.SMALL,  # noqa: E501
            fontweight="bold" if bold else "normal",
            arrowprops={"arrowstyle": "-", "color": "#BBBBBB", "linewidth": 1, "relpos": (0, 0.5)},
        )  # fmt: skip
    if len(pair) == 2:
        start, end = (
            100 * table.loc[table["system"] == name, ["rank-1", "mAP"]].iloc[0].to_numpy(float) for name in pair
        )
        ax.annotate(
            "", end, start, arrowprops={"arrowstyle": "-|>", "color": style.VERMILION, "linewidth": 3}, zorder=4
        )
    style.axes_labels(ax, style.AXES["rank-1"], style.AXES["mAP"])
    ax.margins(0.12)
    style.plain(ax, "both")
    style.headline(fig, title)
    return fig


def restoration(table: pd.DataFrame, title: str = "", size=(8.2, 3.6)):
    """PSNR of degraded pictures and rank-1 with them as probes, against the ratio (columns ratio, psnr, rank-1, low,
    high)."""
    fig, axes = style.figure(1, 2, size=size)
    table = table.sort_values("ratio")
    of = {"psnr": style.Look("PSNR", style.BLUE, "o"), "rank-1": style.Look("rank-1", style.VERMILION, "s")}
    style.line(axes[0], table["ratio"], table["psnr"], of["psnr"])
    style.line(axes[1], table["ratio"], 100 * table["rank-1"], of["rank-1"], 100 * table["low"], 100 * table["high"])
    for ax, quantity in zip(axes, of, strict=True):
        style.resolution_axis(ax, table["ratio"])
        style.axes_labels(ax, style.AXES["probe"], style.AXES[quantity])
        style.plain(ax)
    style.percent_axis(axes[1])
    style.headline(fig, title)
    return fig
