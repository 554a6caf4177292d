"""What the two streams of a network weigh (RIPR Eq. 7)."""

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
