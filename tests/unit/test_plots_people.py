"""Figures of lessons 00 to 02: what they show is what they were given; all of them can be drawn and saved."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from lib.data import PersonDataset, make_protocol
from lib.plots import measuring, overview, people, protocols, style


def picture(height=32, width=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def drawn(fig) -> np.ndarray:
    stored = io.BytesIO()
    fig.savefig(stored, format="png", dpi=50)
    return np.asarray(Image.open(stored))


def texts(fig) -> str:
    inside = [
        text.get_text() for ax in fig.axes for text in [*ax.texts, ax.title, ax.xaxis.label, *ax.get_yticklabels()]
    ]
    return " ".join([*inside, *(text.get_text() for text in fig.texts)])


def test_at_width_keeps_the_size_and_loses_detail():
    image = picture()
    small = people.at_width(image, 4)
    assert small.shape == image.shape and small.dtype == np.uint8
    assert small.std() < image.std()
    np.testing.assert_array_equal(people.at_width(image, 16), image)
    np.testing.assert_array_equal(people.at_width(image, 99), image)


def test_sheet_has_one_place_per_picture_and_skips_none():
    fig = people.sheet(
        [[picture(), None, picture()], [picture(8, 4)]], rows=["a", "b"], columns=["x", "y", "z"], title="T", note="N"
    )
    assert len(fig.axes) == 3
    assert {"a", "b", "x", "z", "T", "N"} <= set(texts(fig).split())
    np.testing.assert_array_equal(fig.axes[0].images[0].get_array(), picture())
    assert drawn(fig).ndim == 3


def test_a_sheet_shows_itself_as_a_small_jpeg():
    fig = people.sheet([[picture(128, 64)] * 4], height=1.5)
    jpeg = fig.jpeg()
    assert jpeg[:2] == b"\xff\xd8"
    png = io.BytesIO()
    fig.savefig(png, format="png", dpi=80, bbox_inches="tight")
    assert len(jpeg) < len(png.getvalue())


def test_ranked_lists_mark_matches_and_wrong_people():
    fig = people.ranked_lists(
        [picture(), picture()], [[picture()] * 3, [picture()] * 2], [[True, False, True], [False, True]]
    )
    signs = [text.get_text() for ax in fig.axes for text in ax.texts]
    assert len(fig.axes) == 7
    assert signs.count(people.SIGNS["true"]) == 3 and signs.count(people.SIGNS["false"]) == 2


def test_a_long_title_leaves_no_canvas_empty():
    said = "At 1/4 the network misses a third of the probes that it gets right at full resolution, which is a lot"
    fig = people.ranked_lists([picture()], [[picture()] * 6], [[True] * 6], ["kept, full"], title=said, note=said)
    right = max(ax.get_position().x1 for ax in fig.axes)
    assert right > 0.9
    assert said in " ".join(texts(fig).split()) and fig.get_label() == said


def test_a_paper_has_one_colour_on_the_map_and_in_the_tables():
    fig = overview.course_map()
    bars = {line.get_color() for line in fig.axes[0].get_lines()}
    assert bars == {style.look(name).colour for name in ("SING", "RIFE", "JBIM", "PS-HRNet", "FTWA")}


def test_resolution_ladder_adds_the_stored_sizes():
    fig = people.resolution_ladder([picture(64, 32), picture(64, 32, 1)], [32, 16, 4], ["A", "B"])
    assert len(fig.axes) == 9
    smallest = np.asarray(fig.axes[-1].images[0].get_array())
    coloured = (smallest != 255).any(2)
    assert coloured.any(0).sum() == 4 and coloured.any(1).sum() == 8


def test_masks_are_outlined_and_cut_out():
    image, mask = np.zeros((10, 10, 3), np.uint8), np.zeros((10, 10), bool)
    mask[2:8, 3:7] = True
    alone = people.cut_out(image, mask)
    assert (alone[mask] == 0).all() and (alone[~mask] == 255).all()
    line = (people.outlined(image, mask) != 0).any(2)
    assert line.sum() == 2 * 6 + 2 * 2 and not line[~mask].any()


def test_similar_views_are_of_one_camera_and_one_side():
    table = pd.DataFrame(
        [("a", "c1", 3.1), ("a", "c2", 0.1), ("b", "c1", -3.1), ("b", "c2", 2.0), ("c", "c3", 0.0)],
        columns=["pid", "cam", "yaw"],
    )
    assert people.similar_views(table, "a", "b") in ((0, 2), (1, 3))
    assert people.similar_views(table, "a", "b") == (0, 2)  # 3.1 and -3.1 are nearly the same side
    assert people.similar_views(table, "a", "c") == ()


@pytest.fixture(scope="module")
def tiny():
    table = pd.DataFrame(
        [(f"p{p:02d}", f"c{c}") for p in range(12) for c in (1, 2, 3) for _ in range(2)], columns=["pid", "cam"]
    )
    return PersonDataset.from_arrays("tiny", [np.full((16, 8, 3), i, np.uint8) for i in range(len(table))], table)


def test_roles_draws_every_used_image(tiny):
    made = {name: make_protocol(tiny, name) for name in ("plain", "mlr", "vr")}
    plain = made["plain"]
    who = {subset: sorted(plain.rows(subset)["pid"].unique())[:2] for subset in ("train", "val", "test")}
    fig = protocols.roles(made, who, "T")
    shown = sum(len(pids) for pids in who.values()) * 6
    assert all(len(ax.patches) == shown for ax in fig.axes)
    probes = [
        patch for patch in fig.axes[1].patches if patch.get_facecolor()[:3] == pytest.approx(_rgb("probe"), abs=0.01)
    ]
    assert probes and all(patch.get_width() < 0.7 for patch in probes)  # mlr's probes are small
    drawn(fig)


def _rgb(role):
    from matplotlib.colors import to_rgb

    return to_rgb(style.ROLES[role])


FIGURES = {
    "map": lambda: overview.course_map(),
    "spectrum": lambda: protocols.spectrum(
        pd.DataFrame({"frequency": range(9), "a": np.geomspace(1, 0.01, 9), "b": np.geomspace(1, 0.1, 9)}),
        {"limit": 4},
        "T",
    ),
    "distances": lambda: protocols.distances_in_db(
        pd.DataFrame(
            [("x", 30.0, 29.0, 31.0, 29.6, 29.6), ("the original", 20.0, 19.0, 21.0, np.nan, np.nan)],
            columns=["way", "value", "low", "high", "stated", "stated_high"],
        ),
        "T",
    ),
    "quoted": lambda: protocols.quoted(
        pd.DataFrame({"method": ["a", "b"], "value": [50.0, 60.0], "borrowed": [True, False]}), "T"
    ),
    "forest": lambda: measuring.forest(
        pd.DataFrame(
            {
                "label": ["a", "b"],
                "value": [0.5, 0.6],
                "low": [0.4, 0.5],
                "high": [0.6, 0.7],
                "group": ["x", "y"],
                "note": ["n", ""],
            }
        ),
        "T",
        reference="a",
    ),
    "cmc": lambda: measuring.cmc({"a": np.linspace(0.1, 1, 30)}, "T", bands={"a": (np.zeros(30), np.ones(30))}),
    "conventions": lambda: measuring.conventions(
        pd.DataFrame(
            [("sing", *([0.5, 0.4, 0.6] * 2))],
            columns=["convention", "rank-1", "rank-1_low", "rank-1_high", "mAP", "mAP_low", "mAP_high"],
        ),
        "T",
    ),
    "draws": lambda: measuring.draws_against_expectation({"a": (np.linspace(0, 1, 9), 0.5)}, "T"),
    "gains": lambda: measuring.published_gains(
        pd.DataFrame(
            {"dataset": ["D", "D"], "paper": ["P", "Q"], "gain": [1.0, 40.0], "error": 3.0, "error_high": 9.0}
        ),
        "T",
    ),
    "metrics": lambda: measuring.two_metrics(
        pd.DataFrame({"system": ["a", "b"], "rank-1": [0.5, 0.4], "mAP": [0.3, 0.4]}), ("a", "b"), "T"
    ),
    "restoration": lambda: measuring.restoration(
        pd.DataFrame(
            {"ratio": [0.5, 0.25], "psnr": [30.0, 25.0], "rank-1": [0.5, 0.3], "low": [0.4, 0.2], "high": [0.6, 0.4]}
        ),
        "T",
    ),
    "details": lambda: people.detail_sizes(
        pd.DataFrame({"detail": ["zip", "zip", "head"], "pixels": [3.0, 4.0, 30.0]}), [0.5, 0.25], "T"
    ),
    "left": lambda: people.detail_left(
        pd.DataFrame(
            {
                "kind": "a",
                "people": 3,
                "ratio": [1, 0.5, 0.25],
                "left": [1, 0.5, 0.1],
                "low": [1, 0.4, 0],
                "high": [1, 0.6, 0.2],
            }
        ),
        "T",
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_can_be_drawn(name):
    fig = FIGURES[name]()
    assert isinstance(fig, Figure)
    pixels = drawn(fig)
    assert pixels.std() > 5
    if name != "map":
        assert "T" in texts(fig).split() or fig.get_suptitle() == "T"


def test_scores_are_drawn_in_percent_and_intervals_where_they_are():
    fig = FIGURES["forest"]()
    ax = fig.axes[0]
    points = [
        line.get_xdata()[0] for line in ax.lines if line.get_marker() in style.MARKERS and len(line.get_xdata()) == 1
    ]
    assert points == pytest.approx([50, 60])


def test_gains_off_the_scale_keep_their_number():
    assert "40 →" in texts(FIGURES["gains"]())


def test_a_paper_has_its_method_s_colour_among_the_gains():
    table = pd.DataFrame({"dataset": "D", "paper": ["RIPR", "SING"], "gain": [1.0, 2.0], "error": 3.0, "error_high": 9})
    marks = [x for x in measuring.published_gains(table).axes[0].get_lines() if len(x.get_xdata()) == 1]
    assert [x.get_color() for x in marks] == [style.look(name).colour for name in ("RIFE", "SING")]


def test_ratio_names():
    assert [style.ratio_name(r) for r in (1, 1 / 2, 1 / 3, 0.25, 0.125, 0.3, 3 / 8, 0.625, 2 / 3, 0.4)] == [
        "full",
        "1/2",
        "1/3",
        "1/4",
        "1/8",
        "0.30",
        "3/8",
        "5/8",
        "2/3",
        "2/5",
    ]


def test_end_labels_stay_apart():
    _, ax = style.figure()
    for end in (0.5, 0.5, 0.51):
        style.line(ax, [0, 1], [0, end], style.look(str(end)))
    ax.set_ylim(0, 1)
    style.end_labels(ax, ["a", "b", "c"], gap=0.1)
    at = sorted(text.xy[1] for text in ax.texts)
    assert np.diff(at).min() >= 0.1 - 1e-9


def test_the_palette_stays_apart_in_grey_or_by_marker():
    assert len(set(style.PALETTE)) == len(style.PALETTE) == len(style.MARKERS) == len(set(style.MARKERS))


def test_what_is_left_of_a_detail_keeps_its_axis_whatever_the_interval():
    """The band of a handful of people reaches far below zero: the lines stay readable, the legend is not on them."""
    rows = [("stripes", 5, ratio, left, -3.0, 1.5) for ratio, left in ((1 / 4, 0.1), (1 / 2, 0.5), (1.0, 1.0))]
    table = pd.DataFrame(rows, columns=["kind", "people", "ratio", "left", "low", "high"])
    fig = people.detail_left(table, title="T")
    (ax,) = fig.axes
    assert ax.get_ylim() == (-25, 100) and ax.get_legend() is None and len(fig.legends) == 1
    fig = people.detail_left(table.assign(low=-0.1))
    assert fig.axes[0].get_ylim() == (-10, 100)
