"""What the two streams of a network weigh (RIPR Eq. 7)."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lib.plots import style
from lib.plots.tables import require

STREAMS = {"low": (style.VERMILION, "s", "1 − r"), "high": (style.BLUE, "o", "r")}


def stream_weights(table: pd.DataFrame, title: str = "") -> Figure:
    """What each stream of a block weighs over the true resolution, beside the target of Eq. 7; a panel per block.

    table : block, stream ("low" or "high"), r, mean, low, high (the spread over images).
    """
    require(table, "block", "stream", "r", "mean", "low", "high")
    if unknown := set(table["stream"]) - set(STREAMS):
        raise ValueError(f"streams are named {', '.join(STREAMS)}, not {', '.join(map(str, unknown))}")
    blocks = list(dict.fromkeys(table["block"]))
    fig, axes = style.chart(1, len(blocks), size=(min(2.2 * len(blocks) + 1.6, 9.2), 3.7), sharey=True, squeeze=False)
    for ax, block in zip(axes[0], blocks, strict=True):
        for stream, (colour, marker, _) in STREAMS.items():
            part = table[(table["block"] == block) & (table["stream"] == stream)].sort_values("r")
            if part.empty:
                raise ValueError(f"{block} has no weights of its {stream} stream")
            target = (0, 1) if stream == "high" else (1, 0)
            ax.plot((0, 1), target, color=colour, linewidth=1.6, linestyle="--")
            style.line(
                ax, part["r"], part["mean"], 0, f"{stream} stream", part["low"], part["high"], color=colour,
                marker=marker,
            )  # fmt: skip
        ax.set_title(str(block), fontsize=style.TEXT, loc="left")
        ax.set_xlim(0, 1.05)
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "1/4", "1/2", "3/4", "1"])
        style.axes_labels(ax, "resolution r", "weight of the stream" if ax is axes[0][0] else "")
        style.plain(ax)
    # nothing is cut off where a network leaves 0 to 1
    axes[0][0].set_ylim(min(-0.02, table["low"].min()), max(1.02, table["high"].max()))
    handles = [line for line in axes[0][0].get_lines() if line.get_label().endswith("stream")]
    handles += [
        Line2D([], [], color=colour, linestyle="--", linewidth=1.6, label=f"its target: {target}")
        for colour, _, target in STREAMS.values()
    ]
    fig.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=style.SMALL, frameon=False)
    style.headline(fig, title)
    return fig
