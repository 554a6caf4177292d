"""A picture in few colours keeps those which are drawn, however small."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from PIL import Image

from lib.plots import style
from lib.plots.palette import few_colours


@pytest.fixture(autouse=True)
def closed():
    yield
    style.plt.close("all")


def chart(colours: int = 256, **size) -> style.Chart:
    """A page of text and grounds, a thin line of each of the palette, and a green swatch in the legend alone."""
    fig, ax = style.chart(**size)
    fig.colours = colours
    for k in range(24):
        ax.axhspan(k, k + 0.8, color=str(0.7 + 0.05 * (k % 6)))
        ax.text(0, k, "many words in small letters, " * 2, fontsize=style.SMALL)
    for k, colour in enumerate((style.BLUE, style.VERMILION, style.PURPLE)):
        ax.plot([0, 1, 2], [k, 24 - 4 * k, k], color=colour, linewidth=1.5)
    handle = Line2D([], [], linestyle="", marker="s", markersize=13, color=style.GREEN, label="reproduced")
    style.legend_below(fig, ax, handles=[handle])
    return fig


def pixels(encoded: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(encoded)) as picture:
        return np.asarray(picture.convert("RGB"))  # (H, W, 3)


@pytest.mark.parametrize("colours", [256, 32, 16])
def test_a_small_swatch_and_thin_lines_keep_their_colours(colours):
    fig = chart(colours)
    fig.savefig(stored := io.BytesIO(), format="png", dpi=80, bbox_inches="tight")
    full, shown = pixels(stored.getvalue()), pixels(fig.palette_png())
    packed = np.asarray(few_colours(Image.fromarray(full), colours).convert("RGB"))
    for colour in (style.GREEN, style.BLUE, style.VERMILION, style.PURPLE):
        wanted = np.round(255 * np.array(to_rgb(colour)))
        drawn = (full == wanted).all(-1)
        assert drawn.sum() > 50 and (packed[drawn] == full[drawn]).all() and (shown == wanted).all(-1).sum() > 50
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) <= colours
    median = np.asarray(Image.fromarray(full).quantize(16, dither=Image.Dither.NONE).convert("RGB"))
    green = (full == [0, 158, 115]).all(-1)
    assert np.abs(median[green] - full[green].astype(int)).max() > 25  # what was done before


def test_a_picture_of_few_colours_stays_as_it_is():
    made = np.random.default_rng(0).integers(0, 3, (20, 30, 3), dtype=np.uint8) * 100  # 27 at most
    assert (np.asarray(few_colours(Image.fromarray(made), 64).convert("RGB")) == made).all()
    one = Image.new("RGB", (4, 3), "white")
    assert few_colours(one, 2).convert("RGB").getcolors() == [(12, (255, 255, 255))]


@pytest.mark.parametrize("colours", [2, 7, 256])
def test_there_are_never_more_colours_and_each_pixel_has_the_nearest(colours):
    made = np.random.default_rng(1).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    made[:6] = (0, 158, 115)
    few = few_colours(Image.fromarray(made), colours)
    palette = np.reshape(few.getpalette(), (-1, 3))[:colours].astype(int)  # (K, 3)
    assert len(few.getcolors()) <= colours
    apart = ((made[:, :, None].astype(int) - palette) ** 2).sum(-1)  # (H, W, K)
    mine = ((made.astype(int) - np.asarray(few.convert("RGB"))) ** 2).sum(-1)
    assert (mine == apart.min(-1)).all()
