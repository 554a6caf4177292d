"""One look for all figures: a palette that colour-blind readers can tell apart, sizes that survive a projector.

The colours are Okabe and Ito's ("Color Universal Design", 2008), which stay apart under all common colour deficiencies;
nothing is said by colour alone (lines have markers, marks have shapes, ends of lines carry their name).

``LOOKS`` gives every network of the lessons one look, so that it is the same line in all figures; ``AXES`` gives every
quantity one text.
"""

from __future__ import annotations

import io
import textwrap
import zlib
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MultipleLocator, NullLocator

from lib.names import PEOPLE
from lib.plots.palette import few_colours

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
NEGLIGIBLE = 1.0  # points: where all of an interval lies within, ``lib.experiments.claims`` says "no effect"
SHADE = "#ECECEC"  # a ground that says: too small to matter
TRAININGS = 3  # behind a difference; fewer decide nothing (``lib.experiments.claims``), and are drawn as ``FEW``
TRUE, FALSE = GREEN, VERMILION  # a match and a wrong person; also drawn with another line style or a sign
ROLES = {"train": GREY, "val": PURPLE, "probe": VERMILION, "gallery": BLUE}
# from full resolution (dark) to little of it (light, still visible on white)
RATIO_COLOURS = ("#08306B", "#2171B5", "#4BA3C7", "#E69F00", "#D55E00", "#7F2704")
TEXT, SMALL = 12, 10  # points
TITLE = 13
CHARACTERS = 8.8  # of a title, per inch of width
INTERVAL_ALPHA = 0.18
LEAST = 2.1  # contrast of a mark with white
# a published number: an open diamond
PUBLISHED = {"marker": "D", "markerfacecolor": "none", "markeredgewidth": 2, "markersize": 8, "linestyle": ""}


class Look(NamedTuple):
    """How one name is drawn: its text, colour, marker and line style."""

    label: str
    colour: str
    marker: str
    dash: str | tuple = "-"


DOTS, DASHES, MIXED = (0, (1, 1.2)), (0, (4, 1.6)), (0, (5, 1.5, 1, 1.5))
# an interval that fewer than ``TRAININGS`` are behind, in a legend
FEW = {"color": "#555555", "linewidth": 3, "linestyle": DOTS, "label": f"fewer than {TRAININGS} trainings"}

# Each paper's own method has a hue: SING vermilion, RIPR blue (FFSR lighter, RIFE darker, both darkest), JBIM purple,
# PS-HRNet sky, FTWA orange. Plain networks are black and grey, super-resolution before a re-id network is green, LOMO
# olive. What a control changes is told by the line: full for the method, dashed for a variant, dotted for a floor.
# No diamonds: they are for published numbers.
_NAMED = {
    "baseline": (BLACK, "o", "-"),
    "baseline, all resolutions": ("#555555", "s", DASHES),
    "baseline, pre-trained only": ("#8C8C8C", "v", MIXED),
    "baseline, from scratch": ("#767676", "^", DOTS),
    "baseline, from scratch, all resolutions": ("#9A9A9A", "<", DOTS),
    "colour histogram": ("#A3A3A3", "X", DOTS),
    "ResNet": ("#1F1F1F", "P", "-"),
    "ResNet, trained on": ("#707070", "P", DASHES),
    "SE-ResNet": ("#969696", "<", "-"),
    "DenseNet": ("#AAAAAA", ">", "-"),
    "all resolutions (JBIM)": ("#5E5E5E", "<", DASHES),
    "OSNet": ("#7E7E7E", "p", "-"),
    "AGW": ("#484848", "h", "-"),
    "two networks, equal weights": ("#8A96A3", "s", MIXED),
    "two networks, learned weights": ("#66788A", "^", MIXED),
    "two streams, equal weights": ("#9DACBA", "v", MIXED),
    "bilinear, then re-id": ("#7FB593", "v", DOTS),
    "bicubic, then re-id": ("#55B087", "^", DOTS),
    "SRCNN, then re-id": (GREEN, "s", DASHES),
    "SRCNN, then re-id (same images)": ("#00664B", "X", DASHES),
    "SRCNN + ResNet": ("#2FA37F", "<", DASHES),
    "VDSR + ResNet": ("#117A5C", ">", DASHES),
    "AE + ResNet": ("#004F3A", "p", DASHES),
    "LOMO + XQDA": ("#A89A00", "h", DOTS),
    "LOMO + NFST": ("#6E6500", "p", DOTS),
    "SING": (VERMILION, "o", "-"),
    "SING, one model": ("#F0925A", "s", DASHES),
    "FFSR": ("#5A8FD6", "s", "-"),
    "FFSR, no joint learning": ("#8FB3E6", "v", DASHES),
    "FFSR, frozen": ("#7FA6DF", "X", MIXED),
    "FFSR (outlines)": ("#4679C0", "p", DASHES),
    "RIFE": ("#2F5FA8", "^", "-"),
    "RIFE, trained on": ("#23487F", "^", DASHES),
    "FFSR + RIFE": ("#14245C", "o", "-"),
    "FFSR + RIFE, as its code": ("#4C5C94", "P", DASHES),
    "JBIM": (PURPLE, "o", "-"),
    "HIM": ("#D892B8", "^", DASHES),
    "LIM": ("#B0588A", "v", DASHES),
    "HIM + LIM": ("#8A3A68", "s", "-"),
    "PS-HRNet": (SKY, "o", "-"),
    "PS-HRNet, SR+ID": ("#3693CC", "^", DASHES),
    "PS-HRNet, ID": ("#27668C", "v", DASHES),
    "HRNet-ReID": ("#1C6F7D", "s", "-"),
    "HRNet-C": ("#6C9AA6", "<", "-"),
    "PCB": ("#857A6B", "H", "-"),
    "FTWA": (ORANGE, "o", "-"),
    "FTWA-R": ("#C88A00", "s", "-"),
    "FTWA-B": ("#8F6200", "v", DASHES),
    "FTWA-B, with copies": ("#6B4A00", "^", DASHES),
    "FTWA-R, T the identity": ("#D6993C", "X", MIXED),
    "FTWA, balanced (ours)": ("#B36B00", "P", DASHES),
    "baseline, no erasing": ("#2E2E2E", "p", DASHES),
    # restoring alone (lessons 05, 20): what a picture goes through before the network
    "original": (BLACK, "o", "-"),
    "bilinear": ("#7FB593", "v", DOTS),
    "bicubic": ("#55B087", "^", DOTS),
    "SRCNN": (GREEN, "s", DASHES),
    "FSRCNN": ("#4FA88C", "<", DASHES),
    "VDSR": ("#117A5C", ">", DASHES),
    "DRCN": ("#3C8F72", "P", DASHES),
    "SRGAN": ("#7DAF9E", "X", DASHES),
    "RCAN": ("#5F9C80", "p", DASHES),
    "VDSR-CA": ("#3A9BB8", "s", DASHES),
}
# the row of the tables whose colour a paper has, where it is not called like its method
PAPERS = {"RIPR": "RIFE"}
# what settings call something, and what a figure calls it
_TEXTS = {
    "srcnn": "SRCNN",
    "srcnn-luma": "SRCNN, luma",
    "srcnn-915": "SRCNN 9-1-5",
    "srcnn-915-luma": "SRCNN 9-1-5, luma",
    "fsrcnn": "FSRCNN",
    "vdsr": "VDSR",
    "vdsr-narrow": "VDSR, narrow",
    "vdsr-ca": "VDSR-CA",
    "vdsr-ca-narrow": "VDSR-CA, narrow",
    "drcn": "DRCN",
    "drcn-narrow": "DRCN, narrow",
    "rcan": "RCAN",
    "rcan-light": "RCAN, light",
    "srgan": "SRGAN",
    "srgan-narrow": "SRGAN, narrow",
    "ffsr": "FFSR",
    "ffsr-narrow": "FFSR, narrow",
    **PEOPLE,
    "woman": "woman or man",
    "upper": "garment above",
    "lower": "garment below",
    "upper_colour": "colour above",
    "lower_colour": "colour below",
    "pattern": "pattern above",
    "lower_pattern": "pattern below",
    "hair": "colour of the hair",
    "hair_shape": "shape of the hair",
    "skin": "colour of the skin",
    "bag": "kind of bag",
    "bag_colour": "colour of the bag",
    "shoes": "colour of the shoes",
    "hat": "kind of hat",
    "zip": "zip or none",
    "glasses": "glasses or none",
}
LOOKS = {name: Look(name, *drawn) for name, drawn in _NAMED.items()}


def text(name: str) -> str:
    """What a figure calls a name of the code: "vdsr-narrow" -> "VDSR, narrow"; a name that is readable stays."""
    return _TEXTS.get(name, name)


def look(name: str) -> Look:
    """The look of one name, of the code's ("ffsr") or a reader's ("FFSR"). One that ``LOOKS`` does not have follows
    from its letters, so that it is the same in every figure: a variant ("SING, no pixel loss", "vdsr-narrow") has its
    method's hue, lighter or darker, another one any colour.
    """
    if text(name) in LOOKS:
        return LOOKS[text(name)]
    markers = [marker for marker in MARKERS if marker != PUBLISHED["marker"]]
    of = _varied(text(name))
    number = zlib.crc32((text(name) if of else name).encode())
    if of:
        shade = 0.4 * (number % 997) / 996 - 0.25  # towards black below 0, towards white above
        mixed = [c + shade * ((1 - c) if shade > 0 else c) for c in to_rgb(LOOKS[of].colour)]
        while 1.05 / (luminance(mixed) + 0.05) <= LEAST:  # a light method's lighter variant
            mixed = [0.98 * c for c in mixed]
        others = [marker for marker in markers if marker != LOOKS[of].marker]
        return Look(text(name), to_hex(mixed), others[number // 997 % len(others)], DASHES)
    return Look(text(name), PALETTE[number % 6], markers[number // 6 % len(markers)])


def _varied(name: str) -> str:
    """The method that a name is a variant of, the longest that fits; "" for none."""
    fits = [known for known in LOOKS if name.startswith((f"{known}, ", f"{known} ("))]
    return max(fits, key=len, default="")


def paper(name: str) -> str:
    """The colour of a paper, e.g. "RIPR": that of its method."""
    return look(PAPERS.get(name, name)).colour


def looks(names: Iterable[str]) -> dict[str, Look]:
    """The looks of all names of one figure. A name outside ``LOOKS`` that is no variant and whose colour another one of
    the figure has takes the next that is free, as long as there is one: those in the table first, then the others in
    the alphabet's order.
    """
    names = list(dict.fromkeys(names))
    found = {name: look(name) for name in names}
    known = {name for name in names if text(name) in LOOKS}
    taken = {found[name].colour for name in known}
    for name in sorted(name for name in set(names) - known if not _varied(text(name))):
        start = PALETTE.index(found[name].colour)
        order = [*PALETTE[start:6], *PALETTE[:start], *PALETTE[6:]]
        colour = next((c for c in order if c not in taken), found[name].colour)
        taken.add(colour)
        found[name] = found[name]._replace(colour=colour)
    return found


AXES = {
    "rank-1": "rank-1 (%)",
    "mAP": "mAP (%)",
    "difference": "difference in rank-1 (points)",
    "probe": "resolution r of the probe (1 = full)",
    "gallery": "resolution r of the gallery (1 = full)",
    "resolution": "resolution r (1 = full)",
    "psnr": "PSNR (dB)",
    "images": "images seen (thousands)",
    "cost": "multiply-adds (G per image)",
    "O": "O, ratio of mean distances",
    "O, sums": "O, ratio of sums (Eq. 2)",
    "epoch": "epoch",
}
RESOLUTIONS = (1 / 8, 1 / 4, 1 / 3, 1 / 2, 1.0)  # where every axis of resolution has a tick
ROOM = 0.4  # halvings between two ticks: a little less than from 1/3 to 1/4


class Photographs(Figure):
    """A figure full of pictures of people. In a notebook it shows itself as JPEG: a sixth of the bytes of a PNG."""

    alt = ""  # a sentence for who does not see it; without one, what ``described`` finds

    def jpeg(self, dpi: float = 80, quality: int = 82) -> bytes:
        stored = io.BytesIO()
        self.savefig(stored, format="jpeg", dpi=dpi, bbox_inches="tight", pil_kwargs={"quality": quality})
        return stored.getvalue()

    def _ipython_display_(self) -> None:
        from IPython.display import Image, display

        display(Image(data=self.jpeg(), format="jpeg", alt=self.alt or described(self) or None))


class Chart(Figure):
    """Lines and text on white: in a notebook it shows itself in few colours, a third of the bytes of a full PNG."""

    alt = ""  # as of ``Photographs``
    colours = 256  # fewer for a page of text in a few colours: a quarter of the bytes less with 32

    def palette_png(self, dpi: float = 80) -> bytes:
        from PIL import Image

        stored, packed = io.BytesIO(), io.BytesIO()
        self.savefig(stored, format="png", dpi=dpi, bbox_inches="tight")
        with Image.open(stored) as picture:
            few_colours(picture, self.colours).save(packed, "PNG", optimize=True)
        return packed.getvalue()

    def _ipython_display_(self) -> None:
        from IPython.display import Image, display

        display(Image(data=self.palette_png(), format="png", alt=self.alt or described(self) or None))


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


def described(fig: Figure) -> str:
    """The figure in a sentence or two for those who do not see it: its finding, what is drawn over what, and the names
    in its legends. What a figure says only in pictures is not in it."""
    title = " ".join((fig.get_suptitle() or fig.get_label() or "").split())
    sentences = [title + ("" if title.endswith((".", "?", "!", ":")) or not title else ".")]
    panels = [ax for ax in fig.axes if ax.axison and (ax.get_xlabel() or ax.get_ylabel())]
    x, y = (
        list(dict.fromkeys(" ".join(f().split()) for f in found if f()))
        for found in ([ax.get_xlabel for ax in panels], [ax.get_ylabel for ax in panels])
    )
    if x or y:
        over = f"{' and '.join(y)} over {' and '.join(x)}" if x and y else " and ".join(x or y)
        named = [" ".join(ax.get_title(loc="left").split()) for ax in panels]
        named = ", ".join(filter(None, named))
        start = over[0].upper() if over[1:2].islower() else over[0]  # mAP stays mAP
        sentences.append(f"{start}{over[1:]}" + (f"; panels: {named}." if named else "."))
    legends = [*fig.legends, *(ax.get_legend() for ax in fig.axes if ax.get_legend())]
    names = list(dict.fromkeys(text.get_text() for legend in legends for text in legend.get_texts()))
    if names:
        sentences.append(f"Drawn are {', '.join(names)}.")
    return " ".join(filter(None, sentences))


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


def resolution_axis(ax: Axes, drawn: Iterable[float], ticks: Sequence[float] | None = None) -> None:
    """The x axis of r: logarithmic, so that halving is the same step everywhere, rising to full on the right.

    drawn : the r that are drawn, above 0, the smallest below 1 (ValueError for others). ticks : None for
    ``RESOLUTIONS`` and those of ``drawn`` below 1/2 that have room; below all that is drawn there is none.
    """
    drawn = sorted(set(map(float, drawn)))
    lowest = drawn[0] if drawn else 0.0
    if not 0 < lowest < 1:
        raise ValueError(f"the smallest resolution lies in (0, 1), not {lowest}")
    if ticks is None:
        more = (r for r in drawn if r < 1 / 2 and all(abs(np.log2(r / tick)) > ROOM for tick in RESOLUTIONS))
        ticks = sorted([*RESOLUTIONS, *more])
    shown = [r for r in ticks if r > 0.98 * lowest]
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_locator(FixedLocator(shown))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(shown, [tick_name(r) for r in shown])
    ax.set_xlim(lowest * 0.94, 1.06)


def percent_axis(ax: Axes, floor: float = 0.0, which: str = "y") -> None:
    """A y (or x) axis in percent from ``floor`` to what is drawn, at most to 100, in round steps.

    A mark at 100 is drawn whole, over the edge. ValueError for a floor outside of [0, 100).
    """
    if not 0 <= floor < 100:
        raise ValueError(f"a percent axis begins in [0, 100), not at {floor}")
    axis, (_, top) = (ax.yaxis, ax.get_ylim()) if which == "y" else (ax.xaxis, ax.get_xlim())
    top = min(top, 100.0)
    top = max(top, floor + 5)
    step = next(s for s in (1, 2, 5, 10, 20) if (top - floor) / s <= 7 or s == 20)
    axis.set_major_locator(MultipleLocator(step))
    (ax.set_ylim if which == "y" else ax.set_xlim)(floor, top)
    for mark in ax.get_lines():
        values = np.asarray(mark.get_ydata() if which == "y" else mark.get_xdata(), dtype=float)
        mark.set_clip_on(bool(np.nanmin(values, initial=top) < floor or np.nanmax(values, initial=floor) > top))


def whole_axis(ax: Axes, last: int) -> None:
    """An x axis of counts from 1 to ``last`` (ranks, epochs): ticks at whole numbers, 1 among them."""
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500) if last / s <= 8 or s == 500)
    ax.set_xticks([1, *(k for k in range(step, last + 1, step) if k > 1)])


def line(ax: Axes, x: Sequence[float], y: Sequence[float], drawn: Look, low=None, high=None, **options) -> None:
    """A line in its look, and its interval (low, high) as a band where there is one."""
    chosen = {"color": drawn.colour, "marker": drawn.marker, "linestyle": drawn.dash, "label": drawn.label} | options
    ax.plot(x, y, linewidth=2.2, markersize=6, **chosen)
    if low is not None:
        ax.fill_between(x, low, high, color=chosen["color"], alpha=INTERVAL_ALPHA, linewidth=0)


def legend_below(fig: Figure, ax: Axes, columns: int = 3, **options) -> None:
    """One legend for the figure, below it: no panel loses room to it."""
    handles, names = options.pop("handles", None), None
    if handles is None:
        handles, names = ax.get_legend_handles_labels()
        handles = dict(zip(names, handles, strict=True)).values()  # each name once
    named = [(handle.get_label()) for handle in handles]
    longest = max((len(name) for name in named), default=0)
    fits = max(1, int(fig.get_figwidth() / (0.085 * longest + 0.65)))
    fig.legend(
        handles=list(handles), loc="outside lower center", ncols=min(columns, fits, len(named)), fontsize=SMALL,
        frameon=False, **options,
    )  # fmt: skip


def ink(colour: str) -> str:
    """The colour dark enough to be read as text on white (a contrast of 4.5 or more), as "#rrggbb"."""
    r, g, b = to_rgb(colour)
    while 1.05 / (luminance((r, g, b)) + 0.05) < 4.5:
        r, g, b = 0.95 * r, 0.95 * g, 0.95 * b
    return to_hex((r, g, b))


def luminance(colour: Sequence[float]) -> float:
    """The relative luminance (WCAG 2) of a colour (r, g, b, ...) in [0, 1]: 0 black, 1 white."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


def fit_xlabels(fig: Figure, axes: Iterable[Axes]) -> None:
    """Each label below an axes broken into lines that fit under it: a long one goes on below, not into its
    neighbour."""
    fig.draw_without_rendering()  # settles the layout
    for ax in axes:
        characters = int(11 * ax.get_window_extent().width / fig.dpi)
        ax.set_xlabel(textwrap.fill(ax.get_xlabel(), max(characters, 12)))


def nudged(values: Sequence[float], gap: float) -> np.ndarray:
    """Values moved apart as little as keeps neighbours ``gap`` apart, in the order given: (n,)."""
    values = np.asarray(values, dtype=float)
    order = np.argsort(values, kind="stable")
    groups: list[list] = []  # [sum of the places without their gaps, count], lowest first
    for k, number in enumerate(order):
        groups.append([values[number] - k * gap, 1])
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] > groups[-1][0] / groups[-1][1]:
            total, count = groups.pop()
            groups[-1][0] += total
            groups[-1][1] += count
    level = np.concatenate([np.full(count, total / count) for total, count in groups]) if groups else np.zeros(0)
    found = np.empty(len(values))
    found[order] = level + gap * np.arange(len(values))
    return found


def end_labels(ax: Axes, labels: Sequence[str], gap: float = 0.06) -> None:
    """Name the first lines of an axes at their right ends instead of in a legend, ``gap`` of its height apart at
    least."""
    low, high = ax.get_ylim()
    drawn = list(ax.get_lines())[: len(labels)]
    at = nudged([float(curve.get_ydata()[-1]) for curve in drawn], gap * (high - low))
    for curve, label, y in zip(drawn, labels, at, strict=True):
        ax.annotate(
            label, (float(curve.get_xdata()[-1]), y), xytext=(8, 0), textcoords="offset points", fontsize=SMALL,
            color=ink(curve.get_color()), va="center", fontweight="bold", annotation_clip=False,
        )  # fmt: skip


def ratio_name(ratio: float) -> str:
    """0.25 -> "1/4", 3/8 -> "3/8", 1 -> "full", 0.3 -> "0.30": a fraction down to eighths, else two digits."""
    if ratio >= 1:
        return "full"
    inverse = 1 / ratio
    if abs(inverse - round(inverse)) < 0.02:
        return f"1/{round(inverse)}"
    near = Fraction(ratio).limit_denominator(8)
    return str(near) if abs(near - ratio) < 1e-3 else f"{ratio:.2f}"


def tick_name(ratio: float) -> str:
    """A resolution on an axis that says "(1 = full)": as ``ratio_name``, and "1" for 1."""
    return "1" if ratio == 1 else ratio_name(ratio)
