"""Activation maps over pictures of people: which places speak for a decision, and which against it.

Letters: H x W a picture in pixels, h x w a map. A map is drawn as it is, in blocks: smoothed it would look as if the
network had decided more finely than it does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from lib.plots import style
from lib.plots.people import sheet
from lib.plots.style import Photographs

FOR, AGAINST = style.VERMILION, style.BLUE
COVER = 0.85  # how much of a picture a block of the largest value covers; one of 0 covers nothing
MOST = 95  # percent of all blocks within the scale: one that stands out would leave the others without colour
FINE = 240  # pixels that an overlay is high at least, so that edges of blocks are sharp on small pictures
BAR = 1.0  # inches for the scale and its numbers


def activation_maps(
    pictures: Sequence[np.ndarray],
    maps: Mapping[str, Sequence[np.ndarray]],
    rows: Sequence[str] = (),
    matches: Sequence[np.ndarray] = (),
    title: str = "",
    quantity: str = "similarity",
    height: float = 0.8,
) -> Photographs:
    """A row per person: the picture, whom it is compared with, then the map of each network over the picture in grey.

    One scale for all maps, symmetric about 0, with a bar. Below each map its mean, which is the ``quantity`` that it
    takes apart (``lib.models.activation``).

    pictures : (H, W, 3) uint8. maps : network -> one (h, w) for each picture. matches : one for each picture, or none.
    height : inches of a picture; leave it where real people are shown. ValueError where the numbers differ, for maps of
    different sizes, and for maps that are nothing but 0 or not finite.
    """
    if not maps or any(len(some) != len(pictures) for some in maps.values()) or len(matches) not in (0, len(pictures)):
        counts = ", ".join(f"{len(some)} of {name}" for name, some in maps.items()) or "none"
        raise ValueError(f"{len(pictures)} pictures, maps: {counts}, and {len(matches)} matches: one for each picture")
    sizes = {np.shape(one) for some in maps.values() for one in some}
    if len(sizes) != 1 or len(size := next(iter(sizes))) != 2:
        raise ValueError(f"maps of sizes {sorted(sizes)}: all are (h, w), and the same")
    values = np.abs([one for some in maps.values() for one in some])
    if not 0 < values.max() < np.inf:  # also NaN
        raise ValueError(f"the maps reach {values.max()}: there is nothing to draw")
    end = float(np.percentile(values, MOST) or values.max())
    names = ["picture", *(["match"] if len(matches) else []), *map(style.text, maps)]
    before = len(names) - len(maps)
    longest = max(len(word) for name in names for word in name.split())
    # a picture may be narrower than its name
    aspect = max(0.09 * longest / height, *(one.shape[1] / one.shape[0] for one in (*pictures, *matches)))
    free = [None] * math.ceil(BAR / (height * aspect))
    images = [
        [picture, *matches[i : i + 1], *(overlay(picture, some[i] / end) for some in maps.values()), *free]
        for i, picture in enumerate(pictures)
    ]
    captions = [[*[""] * before, *(f"{np.mean(some[i]):.2f}" for some in maps.values())] for i in range(len(images))]
    fig = sheet(
        images, columns=[name.replace(" ", "\n") for name in names], rows=rows, captions=captions, title=title,
        note=f"The maps have {size[0]} x {size[1]} blocks. Below each: its mean, which is the {quantity}.",
        height=height, aspect=aspect, wide_after=(before - 1,),
    )  # fmt: skip
    for number, ax in enumerate(fig.axes):
        if number % len(names) >= before:
            _seams(ax, size)
    _bar(fig, end, beyond=values.max() > end)
    return fig


def overlay(picture: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8 under blocks (h, w): in grey where they are 0, vermilion from 1 on, blue from -1 down.
    uint8, enlarged by whole pixels where it is small.
    """
    times = max(1, -(-FINE // len(picture)))
    grey = picture.astype(float) @ (0.299, 0.587, 0.114) / 255  # Rec. 601
    grey = np.repeat(np.repeat(0.3 + 0.7 * grey, times, 0), times, 1)  # black would hide the blocks' colours
    at = [np.arange(size) * blocks // size for size, blocks in zip(grey.shape, shares.shape, strict=True)]
    return np.round(255 * _tinted(grey, shares[np.ix_(*at)])).astype(np.uint8)


def _tinted(grey: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(H, W) grey in [0, 1], covered the more the further the shares (H, W) are from 0: (H, W, 3) in [0, 1]."""
    cover = COVER * np.abs(shares).clip(0, 1)[..., None]
    return (1 - cover) * grey[..., None] + cover * np.where(shares[..., None] > 0, to_rgb(FOR), to_rgb(AGAINST))


def _seams(ax: Axes, size: tuple[int, int]) -> None:
    """Thin lines between the blocks."""
    (left, right), (low, top) = ax.get_xlim(), ax.get_ylim()
    drawn = {"colors": "white", "linewidth": 0.5}
    ax.hlines(np.linspace(low, top, size[0] + 1)[1:-1], left, right, **drawn)
    ax.vlines(np.linspace(left, right, size[1] + 1)[1:-1], low, top, **drawn)


def _bar(fig: Photographs, end: float, beyond: bool) -> None:
    """The colours and what they say, in the place right of the pictures that was left free. beyond : whether there are
    values past its ends.
    """
    boxes = [ax.get_position() for ax in fig.axes]
    width, height = fig.get_size_inches()
    top, low = max(box.y1 for box in boxes), min(box.y0 for box in boxes)
    tall = min(top - low, 2.2 / height)
    ax = fig.add_axes((max(box.x1 for box in boxes) + 0.15 / width, top - tall, 0.14 / width, tall))
    ramp = np.linspace(-1, 1, 255)[:, None]
    ax.imshow(_tinted(np.ones_like(ramp), ramp), aspect="auto", origin="lower", extent=(0, 1, -end, end))
    ax.set_xticks([])
    ax.yaxis.tick_right()
    less, more = ("≤ ", "≥ ") if beyond else ("", "")
    ax.set_yticks([-end, 0, end], [f"{less}−{end:.2g}\nagainst", "0", f"{more}+{end:.2g}\nfor"], fontsize=style.SMALL)
