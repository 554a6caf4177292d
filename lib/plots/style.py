"""One look for all figures: a palette that colour-blind readers can tell apart, sizes that survive a projector.

The colours are Okabe and Ito's ("Color Universal Design", 2008), which stay apart under all common colour deficiencies;
nothing is said by colour alone (lines have markers, marks have shapes, ends of lines carry their name).
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from fractions import Fraction

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE, GREY = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
    "#8C8C8C",
)
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK, GREY)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
TRUE, FALSE = GREEN, VERMILION  # a match and a wrong person; also drawn with another line style or a sign
ROLES = {"train": GREY, "val": PURPLE, "probe": VERMILION, "gallery": BLUE}
# from full resolution (dark) to little of it (light, still visible on white)
RATIO_COLOURS = ("#08306B", "#2171B5", "#4BA3C7", "#E69F00", "#D55E00", "#7F2704")
TEXT, SMALL = 12, 10  # points
TITLE = 13
CHARACTERS = 11.5  # of a title, per inch of width
INTERVAL_ALPHA = 0.18


class Photographs(Figure):
    """A figure full of pictures of people. In a notebook it shows itself as JPEG: a sixth of the bytes of a PNG."""

    def jpeg(self, dpi: float = 80, quality: int = 82) -> bytes:
        stored = io.BytesIO()
        self.savefig(stored, format="jpeg", dpi=dpi, bbox_inches="tight", pil_kwargs={"quality": quality})
        return stored.getvalue()

    def _ipython_display_(self) -> None:
        from IPython.display import Image, display

        display(Image(data=self.jpeg(), format="jpeg", alt=self.get_label() or None))


class Chart(Figure):
    """Lines and text on white: in a notebook it shows itself in 256 colours, a third of the bytes of a full PNG."""

    def palette_png(self, dpi: float = 80) -> bytes:
        from PIL import Image

        stored, packed = io.BytesIO(), io.BytesIO()
        self.savefig(stored, format="png", dpi=dpi, bbox_inches="tight")
        with Image.open(stored) as picture:
            picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
        return packed.getvalue()

    def _ipython_display_(self) -> None:
        from IPython.display import Image, display

        display(Image(data=self.palette_png(), format="png", alt=self.get_suptitle() or None))


def figure(rows: int = 1, columns: int = 1, size: tuple[float, float] = (8.0, 4.0), **options) -> tuple[Figure, object]:
    """``plt.subplots`` with room for titles: (figure, axes); ``size`` is in inches, ``options`` go to subplots."""
    return plt.subplots(rows, columns, figsize=size, layout="constrained", **options)


def chart(rows: int = 1, columns: int = 1, size: tuple[float, float] = (8.0, 4.0), **options):
    """``figure`` that makes a Chart."""
    return figure(rows, columns, size, FigureClass=Chart, **options)


def finding(target: Axes | Figure, text: str) -> None:
    """The title says what is seen. Left, bold, over an axes or over a whole figure."""
    if isinstance(target, Figure):
        target.suptitle(text, x=0.01, ha="left", fontsize=TITLE, fontweight="bold")
    else:
        target.set_title(text, loc="left", fontsize=TITLE, fontweight="bold")


def headline(fig: Figure, text: str) -> None:
    """The finding over the figure, in lines that fit its width."""
    if text:
        finding(fig, "\n".join(textwrap.wrap(text, int(CHARACTERS * fig.get_figwidth()))))


def axes_labels(ax: Axes, x: str, y: str) -> None:
    """Both labels at the size of the text; write the unit into them."""
    ax.set_xlabel(x, fontsize=TEXT)
    ax.set_ylabel(y, fontsize=TEXT)
    ax.tick_params(labelsize=SMALL)


def plain(ax: Axes, grid: str | None = "y") -> None:
    """No box; grid lines along "x", "y", "both" or none, behind the data."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.grid(False)
    if grid:
        ax.grid(True, axis=grid, color="#DDDDDD", linewidth=0.8)
    ax.set_axisbelow(True)


def line(
    ax: Axes, x: Sequence[float], y: Sequence[float], number: int, label: str, low=None, high=None, **options
) -> None:
    """Line ``number`` of a figure: its colour and marker, and its interval (low, high) as a band where there is one."""
    colour = options.pop("color", PALETTE[number % len(PALETTE)])
    marker = options.pop("marker", MARKERS[number % len(MARKERS)])
    ax.plot(x, y, color=colour, marker=marker, linewidth=2.2, markersize=6, label=label, **options)
    if low is not None:
        ax.fill_between(x, low, high, color=colour, alpha=INTERVAL_ALPHA, linewidth=0)


def end_labels(ax: Axes, labels: Sequence[str], gap: float = 0.06) -> None:
    """Name the first lines of an axes at their right ends instead of in a legend, ``gap`` of its height apart at
    least."""
    low, high = ax.get_ylim()
    drawn = list(ax.get_lines())[: len(labels)]
    ends = sorted(
        (float(curve.get_ydata()[-1]), float(curve.get_xdata()[-1]), label, curve.get_color())
        for curve, label in zip(drawn, labels, strict=True)
    )
    at = -float("inf")
    for y, x, label, colour in ends:
        at = max(y, at + gap * (high - low))
        ax.annotate(
            label,
            (x, at),
            xytext=(8, 0),
            textcoords="offset points",
            fontsize=SMALL,
            color=colour,
            va="center",
            fontweight="bold",
            annotation_clip=False,
        )


def ratio_name(ratio: float) -> str:
    """0.25 -> "1/4", 3/8 -> "3/8", 1 -> "full", 0.3 -> "0.30": a fraction down to eighths, else two digits."""
    if ratio >= 1:
        return "full"
    inverse = 1 / ratio
    if abs(inverse - round(inverse)) < 0.02:
        return f"1/{round(inverse)}"
    near = Fraction(ratio).limit_denominator(8)
    return str(near) if abs(near - ratio) < 1e-3 else f"{ratio:.2f}"
