"""Figures about two streams and joint learning: what they draw."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from lib.plots import people, streams, style

RATIOS = (0.125, 0.25, 0.5, 1.0)


@pytest.fixture(autouse=True)
def closed():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def picture(seed=0, height=32, width=16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def weights(blocks=4) -> pd.DataFrame:
    rows = [
        {"block": f"block {b}", "stream": s, "r": r, "mean": 0.1 + 0.8 * (r if s == "high" else 1 - r)}
        for b, s, r in itertools.product(range(1, blocks + 1), ("low", "high"), RATIOS)
    ]
    return pd.DataFrame(rows).assign(low=lambda t: t["mean"] - 0.1, high=lambda t: t["mean"] + 0.1)


def grid(add=0.0, ratios=RATIOS) -> pd.DataFrame:
    rows = [{"probe": p, "gallery": g, "value": 0.2 + 0.4 * p + 0.1 * g + add} for p in ratios for g in ratios]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


def costs() -> pd.DataFrame:
    rows = [
        ("bilinear", 0, 0.476), ("bicubic", 0, 0.478), ("SRCNN", 2.5e9, 0.467), ("VDSR", 32.8e9, 0.485),
        ("auto-encoder", 3.7e9, 0.481), ("Gaussian mask", 3.7e9, 0.483), ("joint", 3.7e9, 0.528),
        ("true mask, joint", 3.7e9, 0.529),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["label", "macs", "value"])
    return table.assign(low=table["value"] - 0.02, high=table["value"] + 0.02)


def objective(networks=("ResNet-50", "FFSR", "RIFE")) -> pd.DataFrame:
    rows = [
        {"network": n, "curve": c, "r": r, "normalised": 0.3 + 0.1 * k + 0.1 * (1 - r)}
        for (k, n), c, r in itertools.product(enumerate(networks), ("O(r, r)", "O(r, 1)"), RATIOS)
    ]
    table = pd.DataFrame(rows)
    return table.assign(normalised_low=table["normalised"] - 0.02, normalised_high=table["normalised"] + 0.02)


def cells(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_stream_weights_stand_beside_their_targets():
    table = weights()
    fig = streams.stream_weights(table, "a finding")
    assert fig.get_suptitle() == "a finding" and len(fig.axes) == 4
    assert [ax.get_title(loc="left") for ax in fig.axes] == [f"block {b}" for b in range(1, 5)]
    for ax in fig.axes:
        dashed = {tuple(line.get_ydata()) for line in ax.get_lines() if line.get_linestyle() == "--"}
        assert dashed == {(0, 1), (1, 0)}  # r and 1 - r over (0, 1)
        low = next(line for line in ax.get_lines() if line.get_label() == "low stream")
        assert list(low.get_xdata()) == list(RATIOS) and low.get_ydata()[0] == pytest.approx(0.1 + 0.8 * 0.875)
        assert len(ax.collections) == 2  # the spreads
        assert ax.get_ylim() == pytest.approx((-0.02, 1.02))
    assert len(fig.legends) == 1 and len(fig.legends[0].get_texts()) == 4


def test_stream_weights_outside_of_0_to_1_are_not_cut_off():
    table = weights(1).assign(high=1.4, low=-0.3)
    assert streams.stream_weights(table).axes[0].get_ylim() == pytest.approx((-0.3, 1.4))


def test_stream_weights_want_both_streams_and_all_columns():
    table = weights(1)
    with pytest.raises(ValueError, match="low, high"):
        streams.stream_weights(table.drop(columns=["low", "high"]))
    with pytest.raises(ValueError, match="its low stream"):
        streams.stream_weights(table[table["stream"] == "high"])
    with pytest.raises(ValueError, match="middle"):
        streams.stream_weights(table.assign(stream="middle"))
    with pytest.raises(ValueError, match="no rows"):
        streams.stream_weights(table.iloc[:0])


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_rank_grid_has_a_map_per_variant_and_one_bar(count):
    tables = {f"variant {k}": grid(0.1 * k) for k in range(count)}
    fig = streams.rank_grid(tables, "a finding")
    *maps, bar = fig.axes
    assert [ax.get_title(loc="left") for ax in maps] == list(tables) and fig.get_suptitle() == "a finding"
    assert bar.get_ylabel() == "rank-1 in %"
    assert len({ax.images[0].get_clim() for ax in maps}) == 1  # one scale
    assert all(len(ax.texts) == 16 for ax in maps)
    # the first row is the lowest probe; the last cell both at full resolution
    assert cells(maps[0])[0] == "26.2" and cells(maps[0])[3] == "35.0" and cells(maps[0])[-1] == "70.0"
    assert [t.get_text() for t in maps[-1].get_xticklabels()] == ["1/8", "1/4", "1/2", "full"]


def test_rank_grid_numbers_stand_out_from_their_cells():
    ax = streams.rank_grid({"one": grid()}).axes[0]
    drawn = ax.images[0]
    for text in ax.texts:
        j, i = (int(k) for k in text.get_position())
        back = drawn.cmap(drawn.norm(drawn.get_array()[i, j]))[:3]
        assert abs(np.dot((0.2126, 0.7152, 0.0722), np.subtract(back, to_rgb(text.get_color())))) > 0.35


def test_rank_grid_wants_full_grids_of_the_same_resolutions():
    with pytest.raises(ValueError, match="lacks cells"):
        streams.rank_grid({"one": grid().iloc[1:]})
    with pytest.raises(ValueError, match="other resolutions"):
        streams.rank_grid({"one": grid(), "two": grid(ratios=RATIOS[:3])})
    with pytest.raises(ValueError, match="gallery"):
        streams.rank_grid({"one": grid().drop(columns="gallery")})
    with pytest.raises(ValueError, match="four maps"):
        streams.rank_grid({str(k): grid() for k in range(5)})
    with pytest.raises(ValueError, match="no tables"):
        streams.rank_grid({})


def test_rank_grid_gain_is_in_points_and_centred():
    tables = {"plain": grid(), "better": grid(0.1234), "worse": grid(-0.02), "same": grid(-1e-9)}
    fig = streams.rank_grid_gain(tables, "plain", "a finding")
    *maps, bar = fig.axes
    assert [ax.get_title(loc="left") for ax in maps] == ["better", "worse", "same"] and "plain" in bar.get_ylabel()
    assert set(cells(maps[0])) == {"+12.3"} and set(cells(maps[1])) == {"−2.0"} and set(cells(maps[2])) == {"+0.0"}
    low, high = maps[0].images[0].get_clim()
    assert low == -high == pytest.approx(-12.34)


def test_rank_grid_gain_wants_its_baseline():
    with pytest.raises(ValueError, match="plain"):
        streams.rank_grid_gain({"one": grid(), "two": grid()}, "plain")
    with pytest.raises(ValueError, match="compare"):
        streams.rank_grid_gain({"plain": grid()}, "plain")


def test_cost_against_rank_draws_percent_over_giga():
    table = costs()
    fig = streams.cost_against_rank(table, "a finding")
    (ax,) = fig.axes
    marks = [line for line in ax.get_lines() if line.get_label() != "break"]
    assert [line.get_ydata()[0] for line in marks] == pytest.approx(list(100 * table["value"]))
    assert marks[3].get_xdata()[0] == pytest.approx(32.8)  # alone at its cost: exactly there
    same = [line.get_xdata()[0] for line in marks[4:]]
    assert np.prod(same) ** (1 / 4) == pytest.approx(3.7) and len(set(same)) == 4  # beside each other, around it
    assert sorted(t for t in cells(ax) if t) == sorted(table["label"]) and fig.get_suptitle() == "a finding"
    ends = [segment[:, 1] for drawn in ax.collections for segment in drawn.get_segments()]
    np.testing.assert_allclose(ends, 100 * table[["low", "high"]])
    assert ax.get_xscale() == "log"


def test_cost_of_nothing_is_left_of_a_break():
    (ax,) = streams.cost_against_rank(costs()).axes
    assert ax.get_xticklabels()[0].get_text() == "none" and [x.get_label() for x in ax.get_lines()].count("break") == 1
    gap = next(line.get_xdata()[0] for line in ax.get_lines() if line.get_label() == "break")
    assert ax.get_lines()[1].get_xdata()[0] < gap < ax.get_lines()[2].get_xdata()[0]
    (ax,) = streams.cost_against_rank(costs().iloc[2:4]).axes
    assert "none" not in [t.get_text() for t in ax.get_xticklabels()] and len(ax.get_lines()) == 2


@pytest.mark.parametrize("spread", [0.005, 0.02, 0.06])
def test_names_of_costs_are_on_nothing_else(spread):
    table = costs().assign(low=lambda t: t["value"] - spread, high=lambda t: t["value"] + spread)
    fig = streams.cost_against_rank(table, "a finding")
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
            streams.cost_against_rank(costs().assign(macs=macs))
    with pytest.raises(ValueError, match="high"):
        streams.cost_against_rank(costs().drop(columns="high"))


def rows(count=4, correct=(False, True, False)) -> list[dict]:
    return [
        {"name": f"row {k}", "query": picture(k), "found": [picture(9 + k)] * len(correct), "correct": list(correct)}
        for k in range(count)
    ]


def test_joint_lists_mark_every_picture_and_part_the_searches():
    fig = streams.joint_lists(rows(6), "a finding")
    assert len(fig.axes) == 6 * 4
    signs = [text.get_text() for ax in fig.axes for text in ax.texts]
    assert signs.count(people.SIGNS["true"]) == 6 and signs.count(people.SIGNS["false"]) == 12
    assert len(fig.artists) == 2  # between three searches
    np.testing.assert_array_equal(fig.axes[4].images[0].get_array(), picture(1))  # the second row's query, as it came
    shown = {text.get_text() for text in fig.texts}
    assert {"a finding", "rank 1", "3", *(f"row {k}" for k in range(6))} <= shown


def test_joint_lists_stay_small_and_their_lines_touch_no_picture():
    fig = streams.joint_lists(rows(4))
    assert max(ax.get_position().height * fig.get_figheight() for ax in fig.axes) <= 0.8 + 1e-9
    (line,) = fig.artists
    y = line.get_ydata()[0]
    assert all(not ax.get_position().y0 <= y <= ax.get_position().y1 for ax in fig.axes)
    assert sum(ax.get_position().y0 > y for ax in fig.axes) == 8


def test_joint_lists_want_rows_of_equal_length_for_every_search():
    with pytest.raises(ValueError, match="2 rows"):
        streams.joint_lists(rows(3))
    with pytest.raises(ValueError, match="2 rows"):
        streams.joint_lists([])
    assert not streams.joint_lists(rows(3), per_search=3).artists
    wrong = rows(2)
    wrong[1]["correct"] = [True]
    with pytest.raises(ValueError, match="'row 1' has 3 pictures and 1"):
        streams.joint_lists(wrong)


def test_masks_fade_to_white():
    image, half = picture(), np.zeros((32, 16))
    half[:16] = 0.5
    fig = streams.masks([image, image], [[half, half == 0], [half, half == 0]], ["soft", "true mask"], "a finding")
    assert len(fig.axes) == 6
    soft, hard = (np.asarray(fig.axes[k].images[0].get_array()) for k in (1, 2))
    np.testing.assert_array_equal(np.asarray(fig.axes[0].images[0].get_array()), image)
    assert (soft[16:] == 255).all() and np.abs(soft[:16] - (image[:16] / 2 + 127.5)).max() <= 0.5
    assert (hard[:16] == 255).all() and (hard[16:] == image[16:]).all()
    assert {"a finding", "picture", "soft", "true\nmask"} <= {text.get_text() for text in fig.texts}
    assert max(ax.get_position().height * fig.get_figheight() for ax in fig.axes) <= 0.8 + 1e-9


def test_names_of_masks_do_not_overlap():
    image, mask = picture(), np.ones((32, 16))
    fig = streams.masks([image], [[mask] * 3], ["Gaussian", "segmentation", "none"])
    fig.draw_without_rendering()
    boxes = [text.get_window_extent() for text in fig.texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_masks_want_one_mask_per_name_of_the_picture_s_size():
    image, mask = picture(), np.ones((32, 16))
    with pytest.raises(ValueError, match="2 masks: a, b"):
        streams.masks([image], [[mask]], ["a", "b"])
    with pytest.raises(ValueError, match="1 pictures"):
        streams.masks([image], [[mask], [mask]], ["a"])
    for wrong in (np.ones((16, 32)), 2 * mask, -mask):
        with pytest.raises(ValueError, match=r"in \[0, 1\]"):
            streams.masks([image], [[wrong]], ["a"])


def test_objective_comparison_has_every_network_in_both_panels():
    table = objective()
    fig = streams.objective_comparison(table, "a finding")
    assert fig.get_suptitle() == "a finding" and len(fig.axes) == 2
    for ax, curve in zip(fig.axes, ("O(r, r)", "O(r, 1)"), strict=True):
        assert curve in ax.get_title(loc="left") and len(ax.collections) == 3
        for number, (line, name) in enumerate(zip(ax.get_lines(), ("ResNet-50", "FFSR", "RIFE"), strict=True)):
            one = table[(table["network"] == name) & (table["curve"] == curve)]
            assert line.get_label() == name and line.get_color() == style.PALETTE[number]
            np.testing.assert_allclose(line.get_ydata(), one["normalised"])
        assert [t.get_text() for t in ax.get_xticklabels()] == ["1/8", "1/4", "1/2", "full"]
    assert [t.get_text() for t in fig.legends[0].get_texts()] == ["ResNet-50", "FFSR", "RIFE"]


def test_objective_comparison_wants_both_curves_of_every_network():
    table = objective()
    with pytest.raises(ValueError, match=r"'RIFE' has no O\(r, 1\)"):
        streams.objective_comparison(table[(table["network"] != "RIFE") | (table["curve"] == "O(r, r)")])
    with pytest.raises(ValueError, match="normalised_low"):
        streams.objective_comparison(table.drop(columns="normalised_low"))


def test_objective_maps_show_o_itself():
    cells = [(a, b) for a in (0.25, 1.0) for b in (0.25, 1.0)]
    table = pd.DataFrame(cells, columns=["r1", "r2"]).assign(normalised=[0.04, 0.5, 0.6, 0.3])
    fig = streams.objective_maps({"ResNet": table, "RIFE": table}, "O")
    texts = {text.get_text() for ax in fig.axes for text in ax.texts}
    assert texts == {"0.04", "0.50", "0.60", "0.30"}
    with pytest.raises(ValueError, match="lacks"):
        streams.objective_maps({"ResNet": table.drop(columns="normalised")})
