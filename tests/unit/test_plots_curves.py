"""The curves draw what they are given: numbers, intervals, names; and they stay readable in odd cases."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pandas as pd
import pytest

from lib.plots import curves, style

GRID = (0.125, 0.25, 0.5, 1.0)
RATIOS = (1.0, 1 / 2, 1 / 4, 1 / 8)


def objective_table(networks=("full resolution", "all resolutions")) -> pd.DataFrame:
    rows = []
    for n, (network, curve, r) in enumerate(itertools.product(networks, ("O(r, r)", "O(r, 1)"), GRID)):
        o = 0.4 + 0.3 * (1 - r) ** 2 * (1.5 if curve == "O(r, 1)" else 1) + 0.002 * n
        rows.append({"network": network, "curve": curve, "r": r, "normalised": o, "value": o / 100, "rank1": 0.9 - o})
    table = pd.DataFrame(rows)
    return table.assign(
        low=table["value"] * 0.9, high=table["value"] * 1.1, normalised_low=table["normalised"] - 0.03,
        normalised_high=table["normalised"] + 0.03, rank1_low=0.0, rank1_high=1.0,
    )  # fmt: skip


def resolution_table(names=("plain", "all resolutions", "histogram"), panels=("one", "two")) -> pd.DataFrame:
    rows = [
        {"panel": panel, "name": name, "ratio": ratio, "value": 0.8 * ratio**0.5 / (k + 1)}
        for panel, (k, name), ratio in itertools.product(panels, enumerate(names), RATIOS)
    ]
    table = pd.DataFrame(rows)
    return table.assign(low=table["value"] - 0.03, high=table["value"] + 0.03)


def texts(fig) -> str:
    fig.canvas.draw()
    parts = [t.get_text() for ax in fig.axes for t in (ax.xaxis.label, ax.yaxis.label, *ax.texts)]
    parts += [ax.get_title(loc="left") for ax in fig.axes]
    parts += [t.get_text() for ax in fig.axes for t in ax.get_xticklabels() + ax.get_yticklabels()]
    for legend in [*fig.legends, *(ax.get_legend() for ax in fig.axes if ax.get_legend())]:
        parts += [t.get_text() for t in legend.get_texts()]
    return "\n".join([fig.get_suptitle(), *parts])


@pytest.mark.parametrize("column", ["normalised", "value"])
def test_objective_curves_show_both_paths_of_every_network(column):
    table = objective_table()
    fig = curves.objective_curves(table, column, "A finding", level=1.0 if column == "normalised" else None)
    shown = texts(fig)
    for text in ("A finding", "full resolution", "all resolutions", "O(r, r)", "O(r, 1)", "resolution r (1 = full)"):
        assert text in shown
    one = table[(table["network"] == "full resolution") & (table["curve"] == "O(r, 1)")]
    line = next(x for x in fig.axes[0].get_lines() if x.get_label() == "O(r, 1)")
    np.testing.assert_allclose(line.get_ydata(), one[column])
    np.testing.assert_allclose(line.get_xdata(), GRID)
    *_, between = fig.axes[0].collections
    assert len(fig.axes[0].collections) == 3  # the intervals, and what lies between the paths
    assert between.get_label() == "what a difference costs" and "what a difference costs" in shown


def test_intervals_that_are_missing_are_no_error():
    table = objective_table().assign(normalised_low=np.nan, normalised_high=np.nan)
    assert curves.objective_curves(table, "normalised").axes[0].lines
    assert curves.resolution_curves(resolution_table().assign(low=np.nan, high=np.nan)).axes[0].lines


def test_the_surface_has_every_cell_with_its_number():
    cells = [{"r1": a, "r2": b, "normalised": 0.5 + 0.1 * abs(a - b)} for a, b in itertools.product(GRID, GRID)]
    shown = texts(curves.objective_surface(pd.DataFrame(cells), title="A square"))
    assert "A square" in shown and "0.500" in shown and "0.588" in shown
    with pytest.raises(ValueError, match="lacks cells"):
        curves.objective_surface(pd.DataFrame(cells[:-1]))


def test_resolution_is_logarithmic_and_in_percent():
    fig = curves.resolution_curves(resolution_table(), "Detail goes first")
    shown = texts(fig)
    for text in (
        "Detail goes first",
        "1 = full",
        "1/2",
        "1/3",
        "1/4",
        "1/8",
        "plain",
        "histogram",
        "one",
        "rank-1 (%)",
    ):
        assert text in shown
    ax = fig.axes[0]
    assert ax.get_xscale() == "log" and ax.get_ylim()[0] == 0
    assert max(ax.get_lines()[0].get_ydata()) == pytest.approx(80)


def test_a_name_keeps_its_colour_in_all_panels():
    table = resolution_table()
    table = table[~((table["panel"] == "two") & (table["name"] == "plain"))]
    fig = curves.resolution_curves(table)
    colour = {(k, x.get_label()): x.get_color() for k, ax in enumerate(fig.axes) for x in ax.get_lines()}
    assert colour[0, "histogram"] == colour[1, "histogram"] != colour[0, "plain"]


def test_chance_is_marked():
    table = resolution_table(panels=("one",)).drop(columns="panel")
    fig = curves.resolution_curves(table, floor=0.4, level=0.5, y="right choices in %")
    assert "chance" in texts(fig) and fig.axes[0].get_ylim()[0] == pytest.approx(40)


def test_objective_against_rank_names_networks_once():
    shown = texts(curves.objective_against_rank(objective_table(), "O follows rank-1"))
    assert shown.count("all resolutions") == 1
    assert "r = 1/8" in shown and "rank-1 (%)" in shown


def test_training_curves_have_every_term_and_the_rate():
    history = pd.DataFrame({"identity": [5.0, 3, 2], "triplet": [1.0, 0.5, 0.2], "lr": [1e-3, 1e-3, 1e-5]})
    shown = texts(curves.training_curves({"plain": history, "all": history.iloc[:1]}, title="It learns"))
    for text in ("identity loss", "triplet loss", "learning rate", "epoch", "plain", "all", "It learns"):
        assert text in shown


def test_effects_are_filled_where_zero_is_excluded():
    table = pd.DataFrame(
        [("a - b", "full", 0.05, 0.01, 0.09), ("a - b", "1/4", 0.02, -0.01, 0.05), ("a - c", "full", -0.1, -0.2, -0.1)],
        columns=["group", "name", "mean", "low", "high"],
    )
    fig = curves.effects(table, "What helps")
    shown = texts(fig)
    for text in ("a - b", "a - c", "full", "1/4", "What helps"):
        assert text in shown
    said = {" ".join(ax.get_xlabel().split()) for ax in fig.axes}
    assert said == {"difference in rank-1 (points; within 1: negligible)"}
    faces = [x.get_markerfacecolor() for ax in fig.axes for x in ax.get_lines() if x.get_marker() == "o"]
    assert faces == [style.GREEN, "white", style.VERMILION]


def test_what_is_negligible_of_another_unit_is_grey_and_said():
    rows = [("slope", "a", 0.5, 0.2, 0.9), ("slope", "b", 3.0, 1.0, 5.0), ("slope", "c", 0.5, -0.2, 0.9)]
    table = pd.DataFrame(rows, columns=["group", "name", "mean", "low", "high"])
    fig = curves.effects(table, unit="%", label="of O", scale=1.0, negligible=2.0)
    faces = [x.get_markerfacecolor() for ax in fig.axes for x in ax.get_lines() if x.get_marker() == "o"]
    assert faces == [style.GREY, style.GREEN, style.GREY]
    assert " ".join(fig.axes[0].get_xlabel().split()) == "of O (%; within 2: negligible)"
    usual = curves.effects(table, unit="%", label="of O", scale=1.0)
    faces = [x.get_markerfacecolor() for ax in usual.axes for x in ax.get_lines() if x.get_marker() == "o"]
    assert faces == [style.GREEN, style.GREEN, "white"]


def test_small_effects_do_not_vanish_beside_large_ones():
    def widths(large):
        rows = [("few", "full", 0.02, 0.01, 0.03), ("many", "full", large, large - 0.02, large + 0.02)]
        fig = curves.effects(pd.DataFrame(rows, columns=["group", "name", "mean", "low", "high"]))
        assert all(ax.get_xlim()[0] <= 0 <= ax.get_xlim()[1] for ax in fig.axes)
        return [float(np.ptp(ax.get_xlim())) for ax in fig.axes]

    near, far = widths(0.05), widths(0.6)
    assert near[0] == near[1] and far[1] > 10 * far[0]


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_long_labels_of_effects_keep_to_their_panels(groups):
    rows = [(f"group {g}", f"a rather long name {n}", 0.1, 0.0, 0.2) for g in range(groups) for n in range(3)]
    table = pd.DataFrame(rows, columns=["group", "name", "mean", "low", "high"])
    said = "ResNet against the variant, trained for as long, on all ratios"
    fig = curves.effects(table, "A finding", unit="%", label=said)
    fig.draw_without_rendering()
    labels = [ax.xaxis.label.get_window_extent() for ax in fig.axes]
    assert all(" ".join(ax.get_xlabel().split()) == f"{said} (%)" for ax in fig.axes)
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(labels))
    assert all(box.x0 >= 0 and box.x1 <= fig.bbox.x1 and box.y0 >= 0 for box in labels)
    short = curves.effects(table, label="rank-1")
    assert {" ".join(ax.get_xlabel().split()) for ax in short.axes} == {"rank-1 (points; within 1: negligible)"}


def test_lifts_are_in_the_order_of_full_resolution():
    table = pd.DataFrame(
        [("upper_colour", 1.0, 3.0), ("hat", 1.0, 1.1), ("upper_colour", 0.25, 2.0), ("hat", 0.25, 0.9)],
        columns=["attribute", "ratio", "lift"],
    ).assign(low=lambda t: t["lift"] * 0.8, high=lambda t: t["lift"] * 1.2)
    fig = curves.attribute_lift(table, "Clothes make the man")
    shown = texts(fig)
    assert "colour above" in shown and "probe at 1/4" in shown and "probe at full" in shown
    assert [t.get_text() for t in fig.axes[0].get_yticklabels()] == ["kind of hat", "colour above"]


def test_a_notebook_gets_few_bytes_of_the_same_picture():
    from PIL import Image

    fig = curves.resolution_curves(resolution_table(), "Small")
    packed = fig.palette_png()
    fig.savefig(full := io.BytesIO(), dpi=80, bbox_inches="tight")
    assert len(packed) < 0.6 * len(full.getvalue())
    a, b = (np.asarray(Image.open(f).convert("RGB"), dtype=float) for f in (io.BytesIO(packed), full))
    assert a.shape == b.shape and np.abs(a - b).mean() < 1


def test_long_titles_are_broken():
    fig = curves.resolution_curves(resolution_table(), "a finding with many words " * 8)
    assert "\n" in fig.get_suptitle()


def comparison_table(networks=("ResNet-50", "FFSR", "RIFE")) -> pd.DataFrame:
    rows = [
        {"network": n, "curve": c, "r": r, "normalised": 0.3 + 0.1 * k + 0.1 * (1 - r)}
        for (k, n), c, r in itertools.product(enumerate(networks), ("O(r, r)", "O(r, 1)"), GRID)
    ]
    table = pd.DataFrame(rows)
    return table.assign(normalised_low=table["normalised"] - 0.02, normalised_high=table["normalised"] + 0.02)


def test_objective_comparison_has_every_network_in_both_panels():
    table = comparison_table()
    fig = curves.objective_comparison(table, "a finding")
    assert fig.get_suptitle() == "a finding" and len(fig.axes) == 2
    for ax, curve in zip(fig.axes, ("O(r, r)", "O(r, 1)"), strict=True):
        assert curve in ax.get_title(loc="left") and len(ax.collections) == 3
        for line, name in zip(ax.get_lines(), ("ResNet-50", "FFSR", "RIFE"), strict=True):
            one = table[(table["network"] == name) & (table["curve"] == curve)]
            assert line.get_label() == name and line.get_color() == style.look(name).colour
            np.testing.assert_allclose(line.get_ydata(), one["normalised"])
        assert [t.get_text() for t in ax.get_xticklabels()] == ["1/8", "1/4", "1/3", "1/2", "1"]
    assert [t.get_text() for t in fig.legends[0].get_texts()] == ["ResNet-50", "FFSR", "RIFE"]


def test_objective_comparison_wants_both_curves_of_every_network():
    table = comparison_table()
    with pytest.raises(ValueError, match=r"'RIFE' has no O\(r, 1\)"):
        curves.objective_comparison(table[(table["network"] != "RIFE") | (table["curve"] == "O(r, r)")])
    with pytest.raises(ValueError, match="normalised_low"):
        curves.objective_comparison(table.drop(columns="normalised_low"))


def lengths(short=("SING",), final=0.8) -> pd.DataFrame:
    """Rank-1 after 1 to 64 thousand images; the families in ``short`` still rise after 20 thousand."""
    rows = [
        {"name": name, "images": images, "value": final - drop}
        for name in ("baseline", "SING")
        for images, drop in ((1_000, 0.4), (5_000, 0.2), (20_000, 0.05 if name in short else 0.004), (64_000, 0.0))
    ]
    return pd.DataFrame(rows).assign(people="400 further people")


@pytest.mark.parametrize("short", [(), ("SING",)])
def test_the_title_of_convergence_says_whether_the_budget_is_enough(short):
    fig = curves.convergence(lengths(short), budget=20_000)
    gains = curves.still_to_gain(lengths(short), 20_000)
    assert gains["baseline"] == pytest.approx(0.4 * np.log(2.5) / np.log(3.2), abs=1e-9)
    said = " ".join(fig.get_suptitle().split())
    if short:
        assert gains["SING"] == pytest.approx(5 * np.log(2.5) / np.log(3.2), abs=1e-9)
        assert "too few for 1 of 2 families" in said and f"bring up to +{gains['SING']:.1f} points (SING)" in said
    else:
        assert "20 thousand images are enough" in said and "at most +0.3 points" in said
    marked = {line.get_xdata()[0] for line in fig.axes[0].get_lines() if len(line.get_xdata()) == 2}
    assert marked == {20.0, 50.0} and "images seen (thousands)" in texts(fig)
    assert "rank-1 of 400 further people (%)" in texts(fig)


def test_the_title_of_convergence_is_as_sure_as_the_intervals():
    table = lengths(())
    still = pd.DataFrame({"name": ["baseline", "SING"], "low": [-0.002, -0.01], "high": [0.008, 0.03]})

    def said(some: pd.DataFrame) -> str:
        return " ".join(curves.convergence(table, budget=20_000, still=some).get_suptitle().split())

    assert "20 thousand images are enough, to within a point at 95 %, for 1 of 2 families" in said(still)
    assert "20 thousand images are enough: 2.5 times as many bring at most +0.3 points" in said(
        still.assign(high=0.009)
    )

    table = lengths(("SING",))  # which gains 3.9 points, and more than one point only where its interval says so
    assert "for 1 of 2 families; 2.5 times as many bring up to +3.9 [-1.0, +3.0] points (SING)" in said(still)
    assert "too few for 1 of 2 families" in said(still.assign(low=[-0.002, 0.011]))


def test_convergence_wants_families_that_were_trained_long_enough():
    with pytest.raises(ValueError, match="asked for 75000"):
        curves.convergence(lengths(), budget=30_000)
    with pytest.raises(ValueError, match="images"):
        curves.convergence(lengths().drop(columns="images"), budget=20_000)
    mixed = pd.concat([lengths(), lengths().assign(name="FTWA", people="validation people")])
    with pytest.raises(ValueError, match="one axis for different people: 400 further people, validation people"):
        curves.convergence(mixed, budget=20_000)


def test_percent_axes_end_at_100_whatever_the_legend_needs():
    table = resolution_table(names=[f"network {k}" for k in range(6)], panels=("one",))
    table["value"], table["low"], table["high"] = 1.0, 0.97, 1.0
    ax = curves.resolution_curves(table).axes[0]
    assert ax.get_ylim() == (0, 100)
    assert all(not line.get_clip_on() for line in ax.get_lines())  # a mark at 100 is whole
    low = curves.resolution_curves(resolution_table(panels=("one",)), floor=0.5).axes[0]
    assert low.get_ylim()[0] == 50 and all(x.get_clip_on() for x in low.get_lines() if min(x.get_ydata()) < 50)


def test_what_knows_nothing_does_not_take_the_room_of_the_curves():
    for level, drawn in ((1.0, False), (0.8, True)):
        fig = curves.objective_curves(objective_table(), "normalised", level=level)
        top = fig.axes[0].get_ylim()[1]
        assert "knows nothing" in texts(fig) and (top >= level) == drawn
        assert top < 1.05


def test_differences_over_resolution_stand_beside_each_other():
    rows = [(n, r, 0.02, 0.01, 0.03) for n in ("FFSR", "RIFE") for r in GRID]
    table = pd.DataFrame(rows, columns=["name", "ratio", "mean", "low", "high"])
    fig = curves.resolution_differences(table, "ResNet", "gains")
    first, second = (line for line in fig.axes[0].get_lines() if line.get_label() in ("FFSR", "RIFE"))
    assert (np.asarray(second.get_xdata()) > np.asarray(first.get_xdata())).all()
    assert list(first.get_ydata()) == pytest.approx([2.0] * 4) and "minus ResNet" in texts(fig)
    assert fig.axes[0].get_xlim()[1] > max(second.get_xdata())
