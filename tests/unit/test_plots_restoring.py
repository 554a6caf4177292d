"""Figures about super-resolution and tables: what they draw."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from lib.plots import people, restoring


@pytest.fixture(autouse=True)
def closed():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def test_psnr_against_rank_names_every_point():
    table = pd.DataFrame({"name": ["x", "y"], "psnr": [23.0, 24.0], "value": [0.3, 0.3], "low": 0.2, "high": 0.4})
    (ax,) = restoring.psnr_against_rank(table, "t").axes
    assert sorted(t.get_text() for t in ax.texts) == ["x", "y"]


def test_restored_pictures_have_their_psnr_below_them():
    pictures = {name: [np.zeros((16, 8, 3), np.uint8)] * 2 for name in ("original", "bicubic")}
    fig = restoring.restored(pictures, {"bicubic": [23.04, 25.0]}, title="t")
    texts = [t.get_text() for t in fig.texts]
    assert "23.0 dB" in texts and "25.0 dB" in texts and len(fig.axes) == 4


def picture(seed=0, height=32, width=16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def costs() -> pd.DataFrame:
    rows = [
        ("bilinear", 0, 0.476), ("bicubic", 0, 0.478), ("SRCNN", 2.5e9, 0.467), ("VDSR", 32.8e9, 0.485),
        ("auto-encoder", 3.7e9, 0.481), ("Gaussian mask", 3.7e9, 0.483), ("joint", 3.7e9, 0.528),
        ("true mask, joint", 3.7e9, 0.529),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["label", "macs", "value"])
    return table.assign(low=table["value"] - 0.02, high=table["value"] + 0.02)


def rows(count=4, correct=(False, True, False)) -> list[dict]:
    return [
        {"name": f"row {k}", "query": picture(k), "found": [picture(9 + k)] * len(correct), "correct": list(correct)}
        for k in range(count)
    ]


def test_cost_against_rank_draws_percent_over_giga():
    table = costs()
    fig = restoring.cost_against_rank(table, "a finding")
    (ax,) = fig.axes
    marks = [line for line in ax.get_lines() if line.get_label() != "break"]
    assert [line.get_ydata()[0] for line in marks] == pytest.approx(list(100 * table["value"]))
    assert marks[3].get_xdata()[0] == pytest.approx(32.8)  # alone at its cost: exactly there
    assert [line.get_xdata()[0] for line in marks[4:]] == pytest.approx([3.7] * 4)  # one cost is one place
    assert [t.get_text() for t in ax.get_xticklabels()] == ["none", "2.5", "3.7", "32.8"]  # the costs themselves
    assert (
        sorted(t for t in (text.get_text() for text in ax.texts) if t) == sorted(table["label"])
        and fig.get_suptitle() == "a finding"
    )
    assert "(G per image)" in ax.get_xlabel()
    ends = [segment[:, 1] for drawn in ax.collections for segment in drawn.get_segments()]
    np.testing.assert_allclose(ends, 100 * table[["low", "high"]])
    assert ax.get_xscale() == "log"


def test_cost_of_nothing_is_left_of_a_break():
    (ax,) = restoring.cost_against_rank(costs()).axes
    assert ax.get_xticklabels()[0].get_text() == "none" and [x.get_label() for x in ax.get_lines()].count("break") == 1
    gap = next(line.get_xdata()[0] for line in ax.get_lines() if line.get_label() == "break")
    assert ax.get_lines()[1].get_xdata()[0] < gap < ax.get_lines()[2].get_xdata()[0]
    (ax,) = restoring.cost_against_rank(costs().iloc[2:4]).axes
    assert "none" not in [t.get_text() for t in ax.get_xticklabels()] and len(ax.get_lines()) == 2


@pytest.mark.parametrize("spread", [0.005, 0.02, 0.06])
def test_names_of_costs_are_on_nothing_else(spread):
    table = costs().assign(low=lambda t: t["value"] - spread, high=lambda t: t["value"] + spread)
    fig = restoring.cost_against_rank(table, "a finding")
    fig.draw_without_rendering()
    (ax,) = fig.axes
    names = [text.get_window_extent() for text in ax.texts if text.get_text()]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(names, 2))
    marks = ax.transData.transform([(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.get_lines()[:-1]])
    assert not any(box.contains(*mark) for box in names for mark in marks)
    assert all(ax.bbox.x0 < box.x0 and box.x1 < ax.bbox.x1 for box in names)


def test_cost_against_rank_wants_a_cost():
    for macs in (0, -1e9):
        with pytest.raises(ValueError, match="macs"):
            restoring.cost_against_rank(costs().assign(macs=macs))
    with pytest.raises(ValueError, match="high"):
        restoring.cost_against_rank(costs().drop(columns="high"))


def test_joint_lists_mark_every_picture_and_part_the_searches():
    fig = restoring.joint_lists(rows(6), "a finding")
    assert len(fig.axes) == 6 * 4
    signs = [text.get_text() for ax in fig.axes for text in ax.texts]
    assert signs.count(people.SIGNS["true"]) == 6 and signs.count(people.SIGNS["false"]) == 12
    assert len(fig.artists) == 2  # between three searches
    np.testing.assert_array_equal(fig.axes[4].images[0].get_array(), picture(1))  # the second row's query, as it came
    shown = {text.get_text() for text in fig.texts}
    assert {"a finding", "rank 1", "3", *(f"row {k}" for k in range(6))} <= shown


def test_joint_lists_stay_small_and_their_lines_touch_no_picture():
    fig = restoring.joint_lists(rows(4))
    assert max(ax.get_position().height * fig.get_figheight() for ax in fig.axes) <= 0.8 + 1e-9
    (line,) = fig.artists
    y = line.get_ydata()[0]
    assert all(not ax.get_position().y0 <= y <= ax.get_position().y1 for ax in fig.axes)
    assert sum(ax.get_position().y0 > y for ax in fig.axes) == 8


def test_joint_lists_want_rows_of_equal_length_for_every_search():
    with pytest.raises(ValueError, match="2 rows"):
        restoring.joint_lists(rows(3))
    with pytest.raises(ValueError, match="2 rows"):
        restoring.joint_lists([])
    assert not restoring.joint_lists(rows(3), per_search=3).artists
    wrong = rows(2)
    wrong[1]["correct"] = [True]
    with pytest.raises(ValueError, match="'row 1' has 3 pictures and 1"):
        restoring.joint_lists(wrong)


def test_masks_fade_to_white():
    image, half = picture(), np.zeros((32, 16))
    half[:16] = 0.5
    fig = restoring.masks([image, image], [[half, half == 0], [half, half == 0]], ["soft", "true mask"], "a finding")
    assert len(fig.axes) == 6
    soft, hard = (np.asarray(fig.axes[k].images[0].get_array()) for k in (1, 2))
    np.testing.assert_array_equal(np.asarray(fig.axes[0].images[0].get_array()), image)
    assert (soft[16:] == 255).all() and np.abs(soft[:16] - (image[:16] / 2 + 127.5)).max() <= 0.5
    assert (hard[:16] == 255).all() and (hard[16:] == image[16:]).all()
    assert {"a finding", "picture", "soft", "true\nmask"} <= {text.get_text() for text in fig.texts}
    assert max(ax.get_position().height * fig.get_figheight() for ax in fig.axes) <= 0.8 + 1e-9


def test_names_of_masks_do_not_overlap():
    image, mask = picture(), np.ones((32, 16))
    fig = restoring.masks([image], [[mask] * 3], ["Gaussian", "segmentation", "none"])
    fig.draw_without_rendering()
    boxes = [text.get_window_extent() for text in fig.texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_masks_want_one_mask_per_name_of_the_picture_s_size():
    image, mask = picture(), np.ones((32, 16))
    with pytest.raises(ValueError, match="2 masks: a, b"):
        restoring.masks([image], [[mask]], ["a", "b"])
    with pytest.raises(ValueError, match="1 pictures"):
        restoring.masks([image], [[mask], [mask]], ["a"])
    for wrong in (np.ones((16, 32)), 2 * mask, -mask):
        with pytest.raises(ValueError, match=r"in \[0, 1\]"):
            restoring.masks([image], [[wrong]], ["a"])


def test_small_costs_are_in_millions():
    ax = restoring.cost_against_rank(costs().assign(macs=lambda t: t["macs"] / 100)).axes[0]
    assert "(M per image)" in ax.get_xlabel() and [t.get_text() for t in ax.get_xticklabels()][-1] == "328"


def test_names_of_points_of_psnr_are_on_nothing_else():
    names = ["bicubic", "bilinear", "srcnn-915-luma", "vdsr-narrow", "drcn-narrow", "rcan-light"]
    table = pd.DataFrame({"name": names, "psnr": [22.9, 22.9, 23.0, 23.1, 23.1, 22.0], "value": 0.5}).assign(
        value=[0.47, 0.475, 0.47, 0.48, 0.478, 0.4], low=0.38, high=0.55
    )
    fig = restoring.psnr_against_rank(table, "a finding")
    fig.draw_without_rendering()
    (ax,) = fig.axes
    shown = [text for text in ax.texts if text.get_text()]
    assert {text.get_text() for text in shown} >= {"SRCNN 9-1-5, luma", "VDSR, narrow"}  # no names of the code
    boxes = [text.get_window_extent() for text in shown]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert ax.get_ylim()[1] <= 100 and ax.get_ylabel() == "rank-1 (%)"


def test_names_of_restored_pictures_are_whole_and_apart():
    names = ("original", "bilinear", "bicubic", "srcnn-915-luma", "drcn-narrow")
    pictures = {name: [np.zeros((32, 16, 3), np.uint8)] for name in names}
    fig = restoring.restored(pictures, {}, title="a rather long finding about three pictures " * 2, height=1.0)
    fig.draw_without_rendering()
    shown = [text for text in fig.texts if "finding" not in text.get_text()]
    assert {text.get_text().split("\n")[0] for text in shown} >= {"original", "bilinear", "bicubic", "DRCN,"}
    boxes = [text.get_window_extent() for text in shown]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert max(ax.get_position().x1 for ax in fig.axes) > 0.85  # no empty canvas because of the title
