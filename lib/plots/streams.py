"""What the two streams of a network weigh (RIPR Eq. 7; FTWA Eq. 4)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lib.plots import style
from lib.plots.tables import require

STREAMS = {
    "low": (style.Look("low-resolution stream", style.VERMILION, "s"), "1 − r"),
    "high": (style.Look("high-resolution stream", style.BLUE, "o"), "r"),
}
TICKS = (1 / 8, 1 / 4, 1 / 2, 1.0)  # of a narrow panel


def stream_weights(table: pd.DataFrame, title: str = "") -> Figure:
    """What each stream of a block weighs over the true resolution, beside the target of Eq. 7; a panel per block.

    table : block, stream ("low" or "high"), r, mean, low, high (the spread over images).
    """
    require(table, "block", "stream", "r", "mean", "low", "high")
    if unknown := set(table["stream"]) - set(STREAMS):
        raise ValueError(f"streams are named {', '.join(STREAMS)}, not {', '.join(map(str, unknown))}")
    blocks = list(dict.fromkeys(table["block"]))
    lowest = float(table["r"].min())
    every = np.geomspace(lowest, 1, 50)  # where the targets are drawn: they bend on a logarithmic axis
    fig, axes = style.chart(1, len(blocks), size=(min(2.2 * len(blocks) + 1.6, 9.2), 3.7), sharey=True, squeeze=False)
    for ax, block in zip(axes[0], blocks, strict=True):
        for stream, (look, _) in STREAMS.items():
            part = table[(table["block"] == block) & (table["stream"] == stream)].sort_values("r")
            if part.empty:
                raise ValueError(f"{block} has no weights of its {stream} stream")
            ax.plot(every, every if stream == "high" else 1 - every, color=look.colour, linewidth=1.6, linestyle="--")
            style.line(ax, part["r"], part["mean"], look, part["low"], part["high"])
        ax.set_title(str(block), fontsize=style.TEXT, loc="left")
        style.resolution_axis(ax, table["r"], TICKS)
        style.axes_labels(ax, "resolution r", "weight of the stream" if ax is axes[0][0] else "")
        style.plain(ax)
    # nothing is cut off where a network leaves 0 to 1
    axes[0][0].set_ylim(min(-0.02, table["low"].min()), max(1.02, table["high"].max()))
    handles = [line for line in axes[0][0].get_lines() if line.get_label().endswith("stream")]
    handles += [
        Line2D([], [], color=look.colour, linestyle="--", linewidth=1.6, label=f"its target: {target}")
        for look, target in STREAMS.values()
    ]
    style.legend_below(fig, axes[0][0], columns=2, handles=handles)
    style.headline(fig, title)
    return fig


READINGS = {  # of FTWA's Eq. 7, as ``lib.losses.pair_shares`` names them
    "anchor": style.Look("anchor by anchor (ours)", style.ORANGE, "o"),
    "scalar": style.Look("means over the batch", style.BLUE, "s", style.DASHES),
    "batch": style.Look("one quotient over the batch", style.VERMILION, "^", style.DOTS),
}


def weights_alone(table: pd.DataFrame, title: str = "") -> Figure:
    """Eq. 7 over steps in which only the weights are learned and the vectors stay as they are, a line per reading.

    table : reading, step, loss (of ``lib.experiments.ftwa_weights.weights_alone``). ValueError for columns that are
    missing and for another reading.
    """
    require(table, "reading", "step", "loss")
    if unknown := set(table["reading"]) - set(READINGS):
        raise ValueError(f"a reading is named {', '.join(READINGS)}, not {', '.join(map(str, unknown))}")
    fig, ax = style.chart(size=(6.4, 3.8))
    for reading, part in table.groupby("reading", sort=False):
        look = READINGS[reading]
        ax.plot(part["step"], part["loss"], color=look.colour, linestyle=look.dash, linewidth=2.2, label=look.label)
    ax.set_ylim(0, None)
    ax.set_xlim(0, None)
    style.axes_labels(ax, "training steps, the vectors fixed", "loss of Eq. 7")
    style.plain(ax)
    style.legend_below(fig, ax, columns=3)
    style.headline(fig, title)
    return fig


SIDES = {"hr": "images of the high-resolution side", "lr": "images of the low-resolution side"}


def weights_over_steps(table: pd.DataFrame, title: str = "") -> Figure:
    """The mean weight of each stream while it is learned, a line per training; a panel for each side of the protocol.

    table : training, step, stream ("high" or "low"), side ("hr" or "lr"), weight, as
    ``lib.experiments.ftwa_weights.over_steps`` gives it. ValueError for columns that are missing and other names.
    """
    require(table, "training", "step", "stream", "side", "weight")
    for column, known in (("stream", STREAMS), ("side", SIDES)):
        if unknown := set(table[column]) - set(known):
            raise ValueError(f"a {column} is named {' or '.join(known)}, not {', '.join(map(str, unknown))}")
    sides = [side for side in SIDES if side in set(table["side"])]
    fig, axes = style.chart(1, len(sides), size=(4.1 * len(sides) + 0.6, 3.6), sharey=True, squeeze=False)
    for ax, side in zip(axes[0], sides, strict=True):
        for stream, (look, _) in STREAMS.items():
            part = table[(table["side"] == side) & (table["stream"] == stream)]
            for _, one in part.groupby("training"):
                ax.plot(one["step"], one["weight"], color=look.colour, linewidth=1.8, label=look.label, marker=".")
        ax.axhline(0.5, color=style.GREY, linewidth=1.0, linestyle=style.DOTS, zorder=0)
        ax.set_xlim(0, None)
        ax.set_ylim(-0.02, 1.02)
        ax.set_title(SIDES[side], fontsize=style.TEXT, loc="left")
        style.axes_labels(ax, "training steps", "mean weight" if ax is axes[0][0] else "")
        style.plain(ax)
    style.legend_below(fig, axes[0][0], columns=2)
    style.headline(fig, title)
    return fig


def weights_by_image(table: pd.DataFrame, title: str = "", groups: int = 8) -> Figure:
    """Each image's weights over what it shows: a dot for an image and stream, and each group's mean as the mark of the
    stream. If weights measured quality, the marks would rise or fall together with what is shown.

    table : shown (a ratio or r in (0, 1]), high, low (weights), as ``lib.experiments.ftwa_weights.by_image`` gives
    them. groups : more different values than these are put into as many groups of equal size. ValueError for columns
    that are missing.
    """
    require(table, "shown", "high", "low")
    shown = table["shown"].astype(float)
    few = shown.nunique() <= groups
    group = shown if few else pd.qcut(shown, groups, duplicates="drop")
    moved = np.exp2(np.random.default_rng(0).uniform(-0.08, 0.08, len(shown))) if few else 1.0  # apart on a log axis
    fig, ax = style.chart(size=(6.4, 3.9))
    for stream, (look, _) in STREAMS.items():
        ax.scatter(shown * moved, table[stream], s=9, color=look.colour, alpha=0.25, linewidths=0)
        means = pd.DataFrame({"x": shown, "y": table[stream]}).groupby(group, observed=True).mean()
        style.line(ax, means["x"], means["y"], look, markeredgecolor="white")
    style.resolution_axis(ax, shown)
    ax.set_ylim(-0.02, 1.02)
    style.axes_labels(ax, "what the picture shows (1 = full resolution)", "weight of the stream")
    style.plain(ax)
    style.legend_below(fig, ax, columns=2)
    style.headline(fig, title)
    return fig
