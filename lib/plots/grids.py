"""Maps over two resolutions: gains in rank-1 of probe and gallery, and the objective O, a map per network.

Tables are tidy; scores come in as fractions and are drawn in percent. ``title`` is the finding, in words, given by the
caller who has computed it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from lib.plots import style
from lib.plots.tables import require


def rank_grid_gain(tables: Mapping[str, pd.DataFrame], baseline: str, title: str = "") -> Figure:
    """Rank-1 minus that of ``baseline`` in points, a map per other variant; white is no difference, blue a gain.

    tables : name -> probe, gallery, value; one row per cell, the baseline and up to four others.
    """
    if baseline not in tables or len(tables) < 2:
        raise ValueError(f"the tables lack the baseline {baseline!r} or anything to compare it with")
    wide = _wide(tables)
    wide = {name: grid - wide[baseline] for name, grid in wide.items() if name != baseline}
    reach = max(1.0, *(np.abs(grid.to_numpy()).max() for grid in wide.values()))
    return _maps(wide, "RdBu", Normalize(-reach, reach), "{:+.1f}", f"rank-1 minus that of {baseline} (points)", title)


def objective_maps(tables: Mapping[str, pd.DataFrame], title: str = "") -> Figure:
    """O over the resolutions of both images, a map per network, all with one scale; dark is easy.

    tables : name -> r1, r2, normalised; one row per cell, up to four names, all with the same resolutions.
    """
    named = {n: t.rename(columns={"r1": "probe", "r2": "gallery", "normalised": "value"}) for n, t in tables.items()}
    wide = {name: grid / 100 for name, grid in _wide(named).items()}  # O is no percentage
    values = np.concatenate([grid.to_numpy().ravel() for grid in wide.values()])
    norm = Normalize(values.min(), values.max())
    return _maps(wide, "cividis", norm, "{:.2f}", "normalised O", title, ("r of one image", "r of the other"))


def _wide(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Each table as a grid in percent, probes down and galleries across."""
    if not tables:
        raise ValueError("there are no tables")
    wide = {}
    for name, table in tables.items():
        require(table, "probe", "gallery", "value")
        grid = 100 * table.pivot(index="probe", columns="gallery", values="value").sort_index().sort_index(axis=1)
        if grid.isna().any(axis=None):
            raise ValueError(f"{name!r} lacks cells of the grid")
        first = next(iter(wide.values()), grid)
        if not (grid.index.equals(first.index) and grid.columns.equals(first.columns)):
            raise ValueError(f"{name!r} has other resolutions than the first table")
        wide[name] = grid
    return wide


def _maps(
    wide: Mapping[str, pd.DataFrame],
    cmap: str,
    norm: Normalize,
    form: str,
    label: str,
    title: str,
    sides: tuple[str, str] = (style.AXES["gallery"], style.AXES["probe"]),
) -> Figure:
    """A map per grid, every cell with its number, one colour bar; four maps two by two. sides : across and up."""
    if not 1 <= len(wide) <= 4:
        raise ValueError(f"up to four maps fit into a figure, not {len(wide)}")
    rows, columns = (2, 2) if len(wide) == 4 else (1, len(wide))
    tall, broad = next(iter(wide.values())).shape
    width = 4.6 if len(wide) == 1 else 8.0 if rows == 2 else 9.2
    panel = (width - 1.4) / columns  # inches
    lines = np.ceil(len(title) / (style.CHARACTERS * width))
    size = (width, rows * (0.5 + (panel - 0.35) * tall / broad) + 0.5 + 0.28 * lines)
    fig, axes = style.chart(rows, columns, size=size, sharex=True, sharey=True, squeeze=False)
    points = min(style.SMALL, 19 * (panel - 0.25) / broad)  # five characters fit into a cell
    colours = matplotlib.colormaps[cmap]
    for number, (ax, (name, grid)) in enumerate(zip(axes.flat, wide.items(), strict=True)):
        picture = ax.imshow(grid.to_numpy(), origin="lower", cmap=colours, norm=norm, aspect="equal")
        for (i, j), value in np.ndenumerate(grid.to_numpy()):
            text = form.format(value)
            text = (text if float(text) else form.format(0.0)).replace("-", "−")  # no minus zero
            ax.text(j, i, text, ha="center", va="center", fontsize=points, color=_ink(colours(norm(value))))
        ax.set_xticks(range(broad), [style.tick_name(r) for r in grid.columns])
        ax.set_yticks(range(tall), [style.tick_name(r) for r in grid.index])
        ax.grid(False)
        ax.set_title(name, fontsize=style.TEXT, loc="left", pad=8)
        below, left = number // columns == rows - 1, number % columns == 0
        style.axes_labels(ax, sides[0] if below else "", sides[1] if left else "")
    bar = fig.colorbar(picture, ax=axes, shrink=0.8)
    bar.set_label(label, fontsize=style.SMALL)
    style.headline(fig, title)
    return fig


def _ink(background: Sequence[float]) -> str:
    """Black or white, whichever stands out more on a colour (r, g, b, ...)."""
    return "black" if style.luminance(background) > 0.179 else "white"
