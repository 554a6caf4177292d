"""A picture in few colours that keeps those which are drawn: a line, a mark, the swatch in a legend.

Pillow's median cut gives colours to where most pixels are. In a chart that is white, grey and the edges of letters, and
a small swatch turns into its neighbour's colour.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

LEAST = 12  # pixels beside one of the same colour: fewer are the edge of something
NEAR = 8  # of 255: colours that nobody tells apart
# pixels and those to the right, below, and below to both sides
NEXT = (
    (np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:]),
    (np.s_[:-1, :-1], np.s_[1:, 1:]), (np.s_[:-1, 1:], np.s_[1:, :-1]),
)  # fmt: skip
SHARE = 0.75  # of the palette, for what is drawn; the rest is for the edges


def few_colours(picture: Image.Image, colours: int) -> Image.Image:
    """The picture in a palette of at most ``colours`` (2 to 256), those which are drawn as they are."""
    pixels = np.asarray(picture.convert("RGB"))  # (H, W, 3)
    codes = pixels @ np.array([1 << 16, 1 << 8, 1], np.uint32)  # (H, W)
    kept = _drawn(codes, int(SHARE * colours))
    palette, others = _parts(kept), pixels[~np.isin(codes, kept)]  # (K, 3), (N, 3)
    if len(others):
        rest = Image.fromarray(others[None]).quantize(colours - len(kept), dither=Image.Dither.NONE)
        palette = np.concatenate([palette, np.reshape(rest.getpalette(), (-1, 3))])
    known, where = np.unique(codes, return_inverse=True)
    # |a - b|² without |a|², which is the same for all of the palette
    apart = (palette**2).sum(1) - 2 * _parts(known) @ palette.T  # (U, K)
    found = Image.fromarray(apart.argmin(1)[where].reshape(codes.shape).astype(np.uint8))
    found.putpalette(palette.astype(np.uint8).tobytes())
    return found


def _drawn(codes: np.ndarray, most: int) -> np.ndarray:
    """The colours of areas, the largest first, then those of lines, none of them near one before it: codes (K,)."""
    line, area = np.zeros(codes.shape, bool), np.zeros(codes.shape, bool)
    alike = [(one, codes[one] == codes[other]) for one, other in NEXT]
    for one, same in alike:
        line[one] |= same
    area[:-1, :-1] = alike[0][1][:-1] & alike[1][1][:, :-1] & alike[2][1]
    found, which = np.unique(codes[line], return_inverse=True)
    sizes, areas = np.bincount(which), np.bincount(which, area[line])
    enough = sizes >= LEAST
    found, sizes, areas = found[enough], sizes[enough], np.where(areas >= LEAST, areas, 0)[enough]
    hues = np.ptp(_parts(found), axis=1)  # greys come last: letters are full of them, and others are near enough
    kept: list[int] = []
    for place in np.lexsort((-sizes, -sizes * hues, -areas)):
        near = np.abs(_parts(np.array(kept, np.uint32)) - _parts(found[place])).max(1) <= NEAR  # (K,)
        if len(kept) < most and not near.any():
            kept.append(found[place])
    return np.array(kept, np.uint32)


def _parts(codes: np.ndarray) -> np.ndarray:
    """Codes (...) as red, green and blue (..., 3)."""
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], -1).astype(float)
