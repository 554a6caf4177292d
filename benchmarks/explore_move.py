"""A move of lesson 99's sliders: shrink the picture, describe it, rank, paint; beside matplotlib's painting.

    python -m benchmarks.explore_move                # of the network that ships and of colours: a minute
    python -m benchmarks.explore_move --trained      # of every method that was trained here, too
    python -m benchmarks.explore_move --moves 30

Medians in milliseconds over moves to a new person, resolution and kernel each, among 50 people. "whole" is what a
slider calls (``Explorer.look`` and ``lib.plots.explore.search``), measured by itself; the four parts are timed apart.
The peer paints the same pictures, frames and curve by matplotlib as a PNG, on a figure that is drawn once and only
changed, which is its fastest way. All of a move take turns, so that a busy machine slows both. What the browser then
needs is not in it: tests/unit/test_explore_lab.py prints the time from a key to the changed list.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lib.data import load_dataset
from lib.data.batches import Batch
from lib.data.canvases import Canvases
from lib.evaluation.features import device_of
from lib.experiments import explore
from lib.experiments.study import cells
from lib.plots.explore import RIGHT, WRONG, search

PEOPLE, TOP = 50, 8
PARTS = ("shrink", "describe", "rank", "paint", "whole", "matplotlib")


class Peer:
    """The same on a figure of matplotlib: the probe twice, ``TOP`` pictures with frames, rank-1 along the ratios."""

    def __init__(self):
        self.figure = Figure(figsize=(11, 5), dpi=80)
        self.canvas = FigureCanvasAgg(self.figure)
        grid = self.figure.add_gridspec(2, 2 + TOP)
        self.axes = [self.figure.add_subplot(grid[0, column]) for column in range(2 + TOP)]
        blank = np.zeros((2, 2, 3), np.uint8)
        self.images = [axes.imshow(blank, extent=(0, 1, 0, 2), aspect="equal") for axes in self.axes]
        for axes in self.axes:
            axes.set(xticks=[], yticks=[])
        curve = self.figure.add_subplot(grid[1, :])
        curve.set(xlabel="resolution of the probe r", ylabel="rank-1", ylim=(0, 1), xlim=(-0.5, len(explore.RATIOS)))
        (self.line,) = curve.plot(range(len(explore.RATIOS)), [0] * len(explore.RATIOS))
        (self.mark,) = curve.plot([0], [0], "o")

    def paint(self, look: explore.Look, pictures: list[np.ndarray], values: dict[float, float], ratio: float) -> bytes:
        """A PNG of a search."""
        rows = look.order[:TOP]
        for image, pixels in zip(self.images, [look.left, look.seen, *(pictures[row] for row in rows)], strict=True):
            image.set_data(pixels)
        for place, axes in enumerate(self.axes[2:]):
            axes.set_title(place + 1)
            axes.spines[:].set(color=RIGHT if look.right[place] else WRONG, linewidth=4)
        self.line.set_ydata([values[ratio] for ratio in explore.RATIOS])
        self.mark.set_data([explore.RATIOS.index(ratio)], [values[ratio]])
        target = io.BytesIO()
        self.canvas.print_png(target)
        return target.getvalue()


def timed(times: list[float], call: Callable[..., Any], *told: Any) -> Any:
    """What the call returns; its milliseconds are added to ``times``."""
    started = time.perf_counter()
    made = call(*told)
    times.append(1000 * (time.perf_counter() - started))
    return made


def measure(explorer: explore.Explorer, name: str, moves: int) -> dict[str, float]:
    """{part: milliseconds, median over the moves} of a method."""
    method, gallery = explorer.methods[name], explorer.described(name)  # the gallery is described once, before
    curves = {kernel: explorer.curve(name, kernel) for kernel in explore.KERNELS}
    pictures, peer, rng = explorer.pictures, Peer(), np.random.default_rng(0)
    found: dict[str, list[float]] = {part: [] for part in PARTS}

    def shrink(person: int, ratio: float, kernel: str) -> Batch:
        told = (explorer.protocols[kernel], tuple(method.canvas), device_of(method))
        canvases = Canvases(*told, getattr(method, "enlargement", None))
        return Batch.shown(canvases, [int(explorer.probes["image"][person])], [ratio])

    def rank(described: torch.Tensor) -> torch.Tensor:
        return method.distance(described, gallery).argsort(1, stable=True)

    def whole(person: int, ratio: float, kernel: str) -> str:
        return search(explorer.look(name, person, ratio, kernel), pictures, name, curves[kernel], ratio, TOP)

    for move in range(moves + 3):
        person = int(rng.integers(len(explorer.probes)))
        ratio, kernel = (some[int(rng.integers(len(some)))] for some in (explore.RATIOS, explore.KERNELS))
        if move == 3:  # the first ones load what is loaded once
            found = {part: [] for part in PARTS}
        with torch.inference_mode():
            batch = timed(found["shrink"], shrink, person, ratio, kernel)
            described = timed(found["describe"], lambda batch=batch: method.embed(batch, "probe").float())
            distances = timed(found["rank"], rank, described)
        look = explorer.look(name, person, ratio, kernel)
        assert int(distances[0, 0]) == look.order[0], "the parts are not those of the whole"
        timed(found["paint"], search, look, pictures, name, curves[kernel], ratio, TOP)
        timed(found["whole"], whole, person, ratio, kernel)
        timed(found["matplotlib"], peer.paint, look, pictures, curves[kernel], ratio)
    return {part: median(times) for part, times in found.items()}


def main(arguments: list[str] | None = None) -> None:
    """The shell's way in."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.explore_move", description=__doc__.split("\n\n")[0])
    parser.add_argument("--moves", type=int, default=100, help="of each method")
    parser.add_argument("--trained", action="store_true", help="the methods that were trained here, too")
    told = parser.parse_args(arguments)
    (cell,) = cells(load_dataset("pedestrians"), "mlr")
    methods = explore.untrained(cell, "course") | (explore.trained(cell, "course") if told.trained else {})
    explorer = explore.Explorer(cell.protocol, methods, PEOPLE)
    print(
        f"{torch.get_num_threads()} threads; ms, medians over {told.moves} moves among {len(explorer.gallery)} pictures"
    )
    print(f"{'':28}" + "".join(f"{part:>11}" for part in PARTS) + "  painting, matplotlib over ours")
    for name in methods:
        found = measure(explorer, name, told.moves)
        ratio = found["matplotlib"] / found["paint"]
        print(f"{name:28}" + "".join(f"{found[part]:11.1f}" for part in PARTS) + f"{ratio:10.1f}", flush=True)


if __name__ == "__main__":
    main()
