"""One search as HTML: the probe, what the network is shown, the nearest gallery pictures, rank-1 over the resolution.

HTML and not a figure: matplotlib takes longer to draw it than the network to search. Used by lesson 99's sliders.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from lib.plots import style

RIGHT, WRONG = "#0072B2", "#B9B9B9"
TALL = 192  # pixels: how high a picture is shown
CELL = "display:inline-block;margin:0 10px 8px 0;vertical-align:top;text-align:center;font-size:12px"


def picture(pixels: np.ndarray, text: str, caption: str = "", frame: str = "", blocks: bool = False) -> str:
    """A picture (h, w, 3) uint8 in the page itself, ``TALL`` pixels high. text : for who does not see it. frame : a
    colour around it. blocks : every pixel as a square, not smoothed.
    """
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "WEBP", quality=85)
    data = base64.b64encode(target.getvalue()).decode()
    width = round(TALL * pixels.shape[1] / pixels.shape[0])
    look = f"width:{width}px;height:{TALL}px;display:block"
    look += ";image-rendering:pixelated" if blocks else ""
    look += f";border:5px solid {frame};box-sizing:content-box" if frame else ""
    image = f'<img src="data:image/webp;base64,{data}" alt="{html.escape(text)}" style="{look}">'
    return f'<div style="{CELL}">{image}{html.escape(caption)}</div>'


def heat(pixels: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The picture with the places that made it similar lit and the others dark: (H, W, 3) uint8. where : (h, w)."""
    height, width = pixels.shape[:2]
    light = np.clip(where / max(float(where.max()), 1e-9), 0, 1)
    y, x = (np.arange(n) * m // n for n, m in zip((height, width), light.shape))
    return (pixels * (0.25 + 0.75 * light[y[:, None], x])[..., None]).astype(np.uint8)


def curve(values: Mapping[float, float], at: float, colour: str, label: str) -> str:
    """Rank-1 (fractions) over the resolution as SVG, high resolution on the left, ``at`` marked."""
    ratios = sorted(values, reverse=True)
    width, left, low = 460, 44, 120
    x = {ratio: left + 10 + (width - left - 30) * k / max(1, len(ratios) - 1) for k, ratio in enumerate(ratios)}
    y = {ratio: low - (low - 12) * values[ratio] for ratio in ratios}
    said = ", ".join(f"{style.ratio_name(ratio)} {values[ratio]:.0%}" for ratio in ratios)
    parts = [f'<svg viewBox="0 0 {width} {low + 40}" width="{width}" role="img" aria-label="rank-1: {said}">']
    for value in (0, 0.5, 1):
        place = low - (low - 12) * value
        parts.append(f'<line x1="{left}" x2="{width - 10}" y1="{place}" y2="{place}" stroke="#8884"/>')
        parts.append(_text(left - 6, place + 4, f"{value:.0%}", "end"))
    parts += [_text(x[ratio], low + 17, style.ratio_name(ratio)) for ratio in ratios]
    points = " ".join(f"{x[ratio]:.1f},{y[ratio]:.1f}" for ratio in ratios)
    parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="3"/>')
    if at in x:
        parts.append(f'<circle cx="{x[at]:.1f}" cy="{y[at]:.1f}" r="6" fill="{colour}"/>')
    parts.append(_text(width / 2, low + 36, f"resolution of the probe r; rank-1 of {label} upwards"))
    return "".join([*parts, "</svg>"])


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    place = f'x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"'
    return f'<text {place} font-size="12" fill="currentColor">{html.escape(text)}</text>'


def search(
    look, gallery: Sequence[np.ndarray], name: str, values: Mapping[float, float], ratio: float, top: int = 8
) -> str:
    """A ``lib.experiments.explore.Look`` as HTML.

    gallery : its pictures (h, w, 3) uint8. name : of the method. values : {ratio: rank-1}, see ``curve``.
    """
    drawn = style.looks([name])[name]
    label = drawn.label.replace("\n", " ")
    height, width = look.left.shape[:2]
    before = look.place - 1
    found = "finds the right person first" if not before else f"has {before} wrong picture{'s' * (before > 1)} before"
    left = [
        picture(look.left, f"The probe, {width} by {height} pixels", f"{width} x {height} pixels", blocks=True),
        picture(look.seen, "What the network is shown", "what the network is shown"),
    ]
    if look.where is not None:
        left.append(picture(heat(look.seen, look.where), "Where it is similar to its match", "similar here"))
    listed = []
    for place, row in enumerate(look.order[:top], 1):
        right = bool(look.right[place - 1])
        text = f"Place {place}: {'the right person' if right else 'another person'}"
        listed.append(picture(gallery[row], text, f"{place} ✓" if right else f"{place}", RIGHT if right else WRONG))
    return (
        f"<p><b>{html.escape(label)}</b> {found}.</p><div>{''.join(left)}</div><div>{''.join(listed)}</div>"
        f"{curve(values, ratio, drawn.colour, label)}"
    )
