"""Figures about data sets and protocols: who has which role at which resolution, what a degradation does to the
spectrum,
and whose number stands in a published table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.patches import Patch, Rectangle

from lib.data.values import natural
from lib.plots import style

if TYPE_CHECKING:
    from lib.data import Protocol

SMALLEST = 0.3  # side of the square of an image whose ratio is near 0: below, its colour cannot be seen


def roles(protocols: Mapping[str, Protocol], people: Mapping[str, Sequence[str]], title: str = "", shots: int = 2):
    """One panel per protocol: a line per person, a square per image, coloured by role, its side the ratio.

    people : for each subset ("train", "val", "test") the identities to draw, in this order. shots : images drawn of
    each
    person and camera.
    """
    first = next(iter(protocols.values()))
    cams = natural(first.dataset.table["cam"].unique())[:6]
    order = [(subset, pid) for subset, pids in people.items() for pid in pids]
    columns = [(cam, shot) for cam in cams for shot in range(shots)]
    fig, axes = style.figure(
        1, len(protocols), size=(max(5.0, 0.55 + len(protocols) * 0.19 * (len(columns) + 2)), 0.9 + 0.24 * len(order))
    )
    for ax, (name, protocol) in zip(np.atleast_1d(axes), protocols.items(), strict=True):
        used = protocol.table.set_index("image")
        table = protocol.dataset.table
        for line, (_, pid) in enumerate(order):
            for cam_number, cam in enumerate(cams):
                images = table.index[(table["pid"] == pid) & (table["cam"] == cam)][:shots]
                for shot, image in enumerate(images):
                    x = cam_number * (shots + 0.35) + shot
                    if image not in used.index:
                        ax.add_patch(Rectangle((x - 0.2, line - 0.03), 0.4, 0.06, color="#BBBBBB"))
                        continue
                    row = used.loc[image]
                    side = 0.86 * (SMALLEST + (1 - SMALLEST) * row["ratio"])
                    colour = style.ROLES[row["role"] if row["subset"] != "train" else "train"]
                    faint = 0.45 if row["subset"] == "val" else 1.0
                    ax.add_patch(Rectangle((x - side / 2, line - side / 2), side, side, color=colour, alpha=faint))
        ends = np.cumsum([len(pids) for pids in people.values()])[:-1]
        for end in ends:
            ax.axhline(end - 0.5, color="#666666", linewidth=0.8)
        width = len(cams) * (shots + 0.35)
        ax.set_xlim(-0.7, width - 0.5)
        ax.set_ylim(len(order) - 0.4, -0.6)
        ax.set_aspect("equal")
        places = [n * (shots + 0.35) + (shots - 1) / 2 for n in range(len(cams))]
        ax.set_xticks(places, [cam.replace("cam_", "") for cam in cams], fontsize=9)
        ax.set_title(name, fontsize=10, fontweight="bold")
        middles = np.cumsum([0, *(len(pids) for pids in people.values())])[:-1] + np.array(
            [len(p) / 2 - 0.5 for p in people.values()]
        )
        ax.set_yticks(
            middles if ax is np.atleast_1d(axes)[0] else [], list(people) if ax is np.atleast_1d(axes)[0] else []
        )
        ax.tick_params(length=0)
        ax.grid(False)
        for side in ax.spines.values():
            side.set_visible(False)
    handles = [Patch(color=style.ROLES[role], label=role) for role in ("train", "probe", "gallery")]
    fig.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=style.SMALL, frameon=False)
    style.headline(fig, title)
    return fig


def spectrum(table: pd.DataFrame, limits: Mapping[str, float], title: str = "", size=(8.2, 4.0)):
    """Power over spatial frequency.

    table : columns frequency (cycles over the width of the canvas), and one column of power per curve.
    limits : vertical lines, name -> frequency.
    """
    fig, ax = style.figure(size=size)
    for number, name in enumerate(c for c in table.columns if c != "frequency"):
        dashes = ("-", "-", (0, (4, 2)))[number % 3]
        ax.plot(
            table["frequency"], table[name], color=style.PALETTE[number], linewidth=2.6, linestyle=dashes, label=name
        )
    low = float(table.drop(columns="frequency").to_numpy().min())
    for name, at in limits.items():
        ax.axvline(at, color=style.GREY, linewidth=1.2, linestyle=":")
        ax.annotate(
            name,
            (at, 0.02),
            xycoords=("data", "axes fraction"),
            rotation=90,
            fontsize=9,
            ha="right",
            va="bottom",
            color="#555555",
        )
    ax.set_yscale("log")
    ax.set_ylim(bottom=max(low, 1e-3))
    style.legend_below(fig, ax, columns=2)
    style.axes_labels(ax, "horizontal frequency (cycles across the canvas)", "power (grey levels squared)")
    style.plain(ax, "both")
    style.headline(fig, title)
    return fig


def distances_in_db(table: pd.DataFrame, title: str = "", size=(8.2, 4.2)):
    """How far other ways to degrade are from ours, in dB of PSNR (further right: more alike).

    table : columns way, value, low, high, stated (the number of PROTOCOLS, low end), stated_high; NaN where none is
    stated.
    """
    fig, ax = style.figure(size=size)
    table = table.sort_values("value", ascending=False).reset_index(drop=True)
    for y, row in table.iterrows():
        colour = style.VERMILION if row["way"].startswith("the original") else style.BLUE
        ax.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=4, solid_capstyle="butt")
        ax.plot(row["value"], y, "o", color=colour, markersize=9)
        ax.annotate(
            f"{row['value']:.1f}", (row["value"], y), xytext=(0, 8), textcoords="offset points", ha="center", fontsize=9
        )
        if np.isfinite(row["stated"]):
            ax.plot([row["stated"], row["stated_high"]], [y + 0.22] * 2, color=style.ORANGE, linewidth=3)
            ax.plot((row["stated"] + row["stated_high"]) / 2, y + 0.22, "D", color=style.ORANGE, markersize=7)
    ax.plot([], [], "o-", color=style.BLUE, label="measured here, with 95 % interval")
    ax.plot([], [], "D-", color=style.ORANGE, label="measured on larger photographs")
    ax.set_yticks(range(len(table)), list(table["way"]))
    ax.set_ylim(len(table) - 0.4, -0.8)
    fig.legend(fontsize=style.SMALL, frameon=False, loc="outside lower center", ncols=2)
    style.axes_labels(ax, "PSNR to bicubic with antialias (dB)", "")
    style.plain(ax, "x")
    style.headline(fig, title)
    return fig


def quoted(table: pd.DataFrame, title: str = "", own: str = "", borrowed: str = "", size=(8.2, 4.6)):
    """A published column as bars, those that belong to another data set in another colour and hatched.

    table : columns method, value (percent), borrowed (bool).
    """
    fig, ax = style.figure(size=size)
    table = table.sort_values("value").reset_index(drop=True)
    for y, row in table.iterrows():
        colour = style.VERMILION if row["borrowed"] else style.SKY
        ax.barh(y, row["value"], color=colour, hatch="///" if row["borrowed"] else None, edgecolor="white", height=0.78)
        ax.text(row["value"] + 0.6, y, f"{row['value']:.1f}", va="center", fontsize=9)
    ax.set_yticks(range(len(table)), list(table["method"]), fontsize=9)
    style.percent_axis(ax, which="x")
    handles = [
        Patch(facecolor=style.SKY, label=own),
        Patch(facecolor=style.VERMILION, hatch="///", edgecolor="white", label=borrowed),
    ]
    fig.legend(handles=handles, fontsize=style.SMALL, loc="outside lower center", ncols=2, frameon=False)
    style.axes_labels(ax, "rank-1 (%), as printed", "")
    style.plain(ax, "x")
    style.headline(fig, title)
    return fig
