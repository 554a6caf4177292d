"""The map of the course: which part of a re-identification system each of the five papers changes, and which lesson
builds
it."""

from __future__ import annotations

from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from lib.plots import style

STEPS = (
    "an image of\nresolution r",
    "restore\nits pixels",
    "extract\na descriptor",
    "compare\ntwo descriptors",
    "rank\nand measure",
)
PAPERS = (  # name, first and last step it changes, what it says, lessons
    ("SING 2018", 1, 3, "learn super-resolution and identity together;\nmix three scales when comparing", "10, 11"),
    ("RIPR 2019", 1, 2, "restore the foreground;\ntwo streams, for low and high resolution", "03, 20-22"),
    ("PS-HRNet 2021", 1, 2, "restore with attention; make LR and HR\ndescriptors alike, layer by layer", "40, 41"),
    ("JBIM 2022", 0, 3, "two views: enlarge the probe, and shrink the gallery; use both", "30, 31"),
    ("FTWA 2021", 2, 3, "move LR descriptors towards HR ones;\nweigh them by their quality", "50, 51"),
)
FOUNDATIONS = (("00, 01", 0, 0), ("05", 1, 1), ("04", 2, 2), ("03", 3, 3), ("02, 90, 91", 4, 4))


def course_map(title: str = "Five papers, and the steps that each changes"):
    """The steps of a system from left to right, a bar per paper over the steps it changes, lessons in bold."""
    fig, ax = style.figure(size=(9.0, 4.6))
    width, gap = 1.0, 0.16
    for number, name in enumerate(STEPS):
        x = number * (width + gap)
        ax.add_patch(
            FancyBboxPatch((x, 0), width, 0.62, boxstyle="round,pad=0.02", facecolor="#E8EEF4", edgecolor=style.BLUE)
        )
        ax.text(x + width / 2, 0.31, name, ha="center", va="center", fontsize=style.TEXT - 1)
        if number:
            ax.add_patch(
                FancyArrowPatch((x - gap, 0.31), (x, 0.31), arrowstyle="-|>", mutation_scale=13, color=style.BLUE)
            )
    for lessons, first, last in FOUNDATIONS:
        middle = (first + last) / 2 * (width + gap) + width / 2
        ax.text(
            middle,
            -0.12,
            f"lesson{'s' if ',' in lessons else ''} {lessons}",
            ha="center",
            va="top",
            fontsize=style.SMALL,
            fontweight="bold",
            color=style.BLUE,
        )
    for number, (name, first, last, what, lessons) in enumerate(PAPERS):
        y = 0.95 + 0.62 * number
        left, right = first * (width + gap), last * (width + gap) + width
        colour = style.paper(name.split()[0])
        ax.add_patch(
            FancyBboxPatch(
                (left, y), right - left, 0.46, boxstyle="round,pad=0.02", facecolor=colour, alpha=0.16, edgecolor="none"
            )
        )
        ax.plot([left, left], [y, y + 0.46], color=colour, linewidth=5, solid_capstyle="butt")
        ax.text(left + 0.06, y + 0.23, what, ha="left", va="center", fontsize=9.5)
        ax.text(
            5 * (width + gap) + 0.02,
            y + 0.23,
            f"{name}\nlessons {lessons}",
            ha="right",
            va="center",
            fontsize=style.SMALL,
            fontweight="bold",
        )
    ax.set_xlim(-0.08, 5 * (width + gap) + 0.05)
    ax.set_ylim(-0.35, 0.95 + 0.62 * len(PAPERS))
    ax.set_axis_off()
    style.headline(fig, title)
    return fig
