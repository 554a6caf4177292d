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
        ax.axhspan(k, k + 0.8, color=str(0.6 + 0.015 * k))
        ax.text(0, k, "many words in small letters, " * 4, fontsize=style.SMALL)
    for k, colour in enumerate((style.BLUE, style.VERMILION, style.PURPLE)):
        ax.plot([0, 1, 2], [k, 24 - k, k], color=colour, linewidth=1.5)
    handle = Line2D([], [], linestyle="", marker="s", markersize=13, color=style.GREEN, label="reproduced")
    style.legend_below(fig, ax, handles=[handle])
    return fig


def drawn(encoded: bytes, colour: str) -> int:
    """How many pixels of a picture have exactly this colour."""
    with Image.open(io.BytesIO(encoded)) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    return int((pixels == np.round(255 * np.array(to_rgb(colour)))).all(-1).sum())


@pytest.mark.parametrize("colours", [256, 32, 16])
def test_a_small_swatch_and_thin_lines_keep_their_colours(colours):
    fig = chart(colours)
    packed = fig.palette_png()
    fig.savefig(full := io.BytesIO(), format="png", dpi=80, bbox_inches="tight")
    for colour in (style.GREEN, style.BLUE, style.VERMILION, style.PURPLE):
        assert drawn(packed, colour) == drawn(full.getvalue(), colour) > 50
    with Image.open(io.BytesIO(packed)) as picture:
        assert picture.mode == "P" and len(picture.getcolors()) <= colours
    median = Image.open(full).convert("RGB").quantize(16, dither=Image.Dither.NONE)
    assert style.GREEN.lower() not in {f"#{bytes(one).hex()}" for one in np.reshape(median.getpalette(), (-1, 3))}


def test_a_picture_of_few_colours_stays_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 3, (20, 30, 3), dtype=np.uint8) * 100  # 27 at most
    assert (np.asarray(few_colours(Image.fromarray(pixels), 64).convert("RGB")) == pixels).all()
    one = Image.new("RGB", (4, 3), "white")
    assert few_colours(one, 2).convert("RGB").getcolors() == [(12, (255, 255, 255))]


@pytest.mark.parametrize("colours", [2, 7, 256])
def test_there_are_never_more_colours_and_each_pixel_has_the_nearest(colours):
    pixels = np.random.default_rng(1).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    pixels[:6] = (0, 158, 115)
    few = few_colours(Image.fromarray(pixels), colours)
    palette = np.reshape(few.getpalette(), (-1, 3))[:colours].astype(int)  # (K, 3)
    assert len(few.getcolors()) <= colours
    apart = ((pixels[:, :, None].astype(int) - palette) ** 2).sum(-1)  # (H, W, K)
    mine = ((pixels.astype(int) - np.asarray(few.convert("RGB"))) ** 2).sum(-1)
    assert (mine == apart.min(-1)).all()
