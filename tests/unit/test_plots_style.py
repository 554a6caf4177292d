"""One look per name, one text per quantity: what all figures have in common."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.colors import rgb_to_hsv, to_rgb

from lib.data import load_dataset
from lib.experiments.studies import STUDIES
from lib.plots import style

CANONICAL = """baseline|baseline, all resolutions|baseline, pre-trained only|baseline, from scratch|colour histogram
bilinear, then re-id|bicubic, then re-id|SRCNN, then re-id|SRCNN, then re-id (same images)|SING|SING, one model
LOMO + XQDA|LOMO + NFST|ResNet|ResNet, trained on|SRCNN + ResNet|VDSR + ResNet|AE + ResNet|FFSR, no joint learning|FFSR
FFSR, frozen|FFSR (outlines)|RIFE|RIFE, trained on|two networks, equal weights|two networks, learned weights
two streams, equal weights|FFSR + RIFE|SE-ResNet|DenseNet|HIM|LIM|HIM + LIM|JBIM|OSNet|AGW
PS-HRNet|PS-HRNet, SR+ID|PS-HRNet, ID|HRNet-ReID|HRNet-C|PCB|FTWA
FTWA-R|FTWA-B|FTWA-B, with copies|FTWA-R, T the identity|FTWA, balanced (ours)|baseline, no erasing"""
NAMES = [name for line in CANONICAL.splitlines() for name in line.split("|")]
OWN = ("SING", "FFSR + RIFE", "JBIM", "PS-HRNet", "FTWA")  # one of each paper
RESTORING = {
    "original",
    "bilinear",
    "bicubic",
    "SRCNN",
    "FSRCNN",
    "VDSR",
    "DRCN",
    "SRGAN",
    "RCAN",
    "VDSR-CA",
}  # pictures, which share the looks of their networks
DEUTERANOPIA = np.array(  # Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
)


@pytest.fixture(autouse=True)
def closed():
    yield
    style.plt.close("all")


def seen_by_the_colour_blind(colour: str) -> np.ndarray:
    linear = np.array([c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)])
    return np.clip(DEUTERANOPIA @ linear, 0, 1) ** (1 / 2.2)


def test_every_network_of_the_lessons_has_a_look_of_its_own():
    assert set(NAMES) <= set(style.LOOKS)
    drawn = [look for name, look in style.LOOKS.items() if name not in RESTORING]
    assert len({look.colour for look in drawn}) == len(drawn)
    assert all(look.marker != "D" for look in drawn)  # diamonds are published numbers
    assert all(look.label == name for name, look in style.LOOKS.items())


def test_a_name_of_the_code_looks_like_what_a_figure_calls_it():
    for name, shown in style._TEXTS.items():
        if shown in style.LOOKS or any(shown.startswith(f"{known}, ") for known in style.LOOKS):
            assert style.look(name) == style.look(shown), name
    narrow = style.looks(["vdsr-narrow", "ffsr-narrow", "vdsr-ca-narrow", "srcnn-915", "rcan-light"])
    assert len({look.colour for look in narrow.values()}) == len(narrow)
    assert style.looks(["vdsr", "something", "FSRCNN"])["vdsr"].colour == style.LOOKS["VDSR"].colour


def test_all_looks_can_be_seen_on_white():
    for name, look in style.LOOKS.items():
        assert 1.05 / (style.luminance(to_rgb(look.colour)) + 0.05) > style.LEAST, name


def test_the_papers_own_methods_stay_apart_for_the_colour_blind():
    colours = [seen_by_the_colour_blind(style.look(name).colour) for name in OWN]
    apart = [np.linalg.norm(a - b) for a, b in itertools.combinations(colours, 2)]
    assert min(apart) > 0.25


def test_plain_networks_are_grey():
    for name in ("baseline", "baseline, all resolutions", "baseline, from scratch", "ResNet", "ResNet, trained on"):
        assert np.ptp(to_rgb(style.look(name).colour)) < 0.02


def test_a_name_that_is_not_in_the_table_has_one_look_in_all_figures():
    alone = style.look("a new network")
    assert alone == style.looks(["baseline", "a new network"])["a new network"] and alone.label == "a new network"
    assert alone.colour == style.VERMILION != style.looks(["a new network", "SING"])["a new network"].colour
    many = style.looks([f"network {k}" for k in range(8)])
    assert len({look.colour for look in many.values()}) == 8
    assert style.looks(reversed(list(many))) == many  # the order of rows does not matter
    assert len(style.looks(f"network {k}" for k in range(20))) == 20  # more than there are colours


def test_a_variant_has_the_hue_of_its_method_and_no_diamond():
    people = load_dataset("pedestrians")
    rows = {row.name for plan in STUDIES.values() for row in plan.rows(people)} - set(style.LOOKS)
    for name in rows:
        method = max((known for known in style.LOOKS if name.startswith(known)), key=len)
        hues = [rgb_to_hsv(to_rgb(style.look(n).colour)) for n in (name, method)]
        assert abs(hues[0][0] - hues[1][0]) < 0.02 and not np.array_equal(*hues), name
        assert style.look(name).marker not in ("D", style.look(method).marker), name
        assert 1.05 / (style.luminance(to_rgb(style.look(name).colour)) + 0.05) > style.LEAST, name
    assert rows and len({style.look(name)[1:3] for name in rows}) == len(rows)
    strangers = [style.look(f"network {k}") for k in range(99)]
    assert all(look.marker != "D" for look in strangers)


def test_names_of_the_code_become_words():
    assert style.text("vdsr-narrow") == "VDSR, narrow" and style.text("viper") == "VIPeR"
    assert style.look("lower").label == "garment below" and style.text("SING") == "SING"


@pytest.mark.parametrize(
    "drawn, ticks",
    [
        ((1 / 8, 1.0), ["1/8", "1/4", "1/3", "1/2", "1"]),
        ((1.0, 1 / 4), ["1/4", "1/3", "1/2", "1"]),
        ((1 / 6, 3 / 8, 3 / 4, 1.0), ["1/6", "1/4", "1/3", "1/2", "1"]),  # 3/8 has no room beside 1/3
    ],
)
def test_resolution_rises_to_the_right(drawn, ticks):
    _, ax = style.figure()
    style.resolution_axis(ax, drawn)
    assert [t.get_text() for t in ax.get_xticklabels()] == ticks
    left, right = ax.get_xlim()
    assert left < min(drawn) and 1 < right < 1.2 and ax.get_xscale() == "log"
    for wrong in ((0, 1), (1,), (1.5,), ()):
        with pytest.raises(ValueError, match="smallest resolution"):
            style.resolution_axis(ax, wrong)


@pytest.mark.parametrize("which", ["x", "y"])
def test_percent_axes(which):
    _, ax = style.figure()
    points = ([0, 1], [20, 99.9]) if which == "y" else ([20, 99.9], [0, 1])
    ax.plot(*points)
    style.percent_axis(ax, 10, which)
    assert (ax.get_ylim() if which == "y" else ax.get_xlim()) == (10, 100)
    with pytest.raises(ValueError, match="percent axis"):
        style.percent_axis(ax, 100)


def test_counts_have_whole_ticks():
    for last in (1, 5, 20, 50, 300):
        _, ax = style.figure()
        style.whole_axis(ax, last)
        ticks = ax.get_xticks()
        assert ticks[0] == 1 and all(t == int(t) for t in ticks) and len(ticks) <= 10 and max(ticks) <= last


def test_nudged_keeps_the_order_and_the_gap():
    given = [5.0, 1.0, 5.1, 5.2, 9.0]
    moved = style.nudged(given, 1.0)
    assert list(np.argsort(moved)) == list(np.argsort(given)) and np.diff(np.sort(moved)).min() >= 1 - 1e-9
    assert moved[1] == 1.0 and moved[4] == 9.0  # what is free stays
    assert np.mean(moved[[0, 2, 3]]) == pytest.approx(5.1)
    assert len(style.nudged([], 1.0)) == 0


def test_titles_keep_to_the_width_of_their_figure():
    for width in (5, 7.2, 9.2):
        fig, _ = style.chart(size=(width, 3))
        style.headline(fig, "A finding about Many Wide Words and Numbers such as 78.5 % against 72.6 %; " * 2)
        fig.draw_without_rendering()
        assert fig._suptitle.get_window_extent().x1 <= fig.bbox.x1


def test_ink_can_be_read_on_white():
    for colour in (style.YELLOW, style.SKY, style.BLACK, "#FFFFFF"):
        assert 1.05 / (style.luminance(to_rgb(style.ink(colour))) + 0.05) >= 4.4
    assert style.ink(style.BLACK) == style.BLACK


def test_labels_keep_to_their_panels():
    fig, axes = style.chart(1, 3, size=(9, 3))
    for ax in axes:
        style.axes_labels(ax, "a label that is far too long for a third of this figure's width", "")
    style.fit_xlabels(fig, axes)
    fig.draw_without_rendering()
    boxes = [ax.xaxis.label.get_window_extent() for ax in axes]
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))


def test_a_figure_is_described_in_words():
    fig, axes = style.chart(1, 2)
    for ax, name in zip(axes, ("embedded people", "VIPeR"), strict=True):
        style.line(ax, [0.25, 1], [10, 50], style.look("SING"))
        style.axes_labels(ax, style.AXES["probe"], style.AXES["rank-1"] if ax is axes[0] else "")
        ax.set_title(name, loc="left")
    style.legend_below(fig, axes[0])
    style.headline(fig, "Detail goes first")
    assert style.described(fig) == (
        "Detail goes first. Rank-1 (%) over resolution r of the probe (1 = full); panels: embedded people, VIPeR. "
        "Drawn are SING."
    )
    assert style.described(style.chart()[0]) == ""
    fig, ax = style.chart()
    style.axes_labels(ax, style.AXES["rank-1"], style.AXES["mAP"])
    assert style.described(fig) == "mAP (%) over rank-1 (%)."
