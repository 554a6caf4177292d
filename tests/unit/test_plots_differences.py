"""Differences to one row, on several sets, measured and published in one unit."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from lib.experiments import claims
from lib.plots import differences, style

ROWS = ("SING", "bicubic, then re-id", "baseline, all resolutions")


@pytest.fixture(autouse=True)
def closed():
    yield
    style.plt.close("all")


def measured(shift=0.0) -> pd.DataFrame:
    cells = itertools.product(("pedestrians", "viper"), enumerate(ROWS))
    rows = [(s, n, 0.01 * (k - 1) + shift, 0.01 * (k - 1.5) + shift, 0.01 * (k - 0.5) + shift) for s, (k, n) in cells]
    return pd.DataFrame(rows, columns=["set", "name", "mean", "low", "high"])


def printed() -> pd.DataFrame:
    rows = [("viper", "baseline", 26.0), ("viper", "SING", 33.5), ("viper", "bicubic, then re-id", np.nan)]
    return pd.DataFrame(rows, columns=["set", "name", "value"])


def test_published_and_measured_are_differences_in_points():
    fig = differences.against(measured(), "baseline", "a finding", printed(), {"viper": 0.316})
    diamonds = [[x.get_xdata()[0] for x in ax.get_lines() if x.get_marker() == "D"] for ax in fig.axes]
    assert diamonds == [[], [pytest.approx(7.5)]]  # 33.5 - 26, beside the set that it belongs to only
    marks = {x.get_marker(): x for x in fig.axes[0].get_lines() if len(x.get_xdata()) == 1}
    assert marks["o"].get_xdata()[0] == pytest.approx(-1) and marks["o"].get_markerfacecolor() == style.VERMILION
    assert marks["^"].get_markerfacecolor() == "white"  # its interval holds 0
    assert [t.get_text() for t in fig.axes[0].get_yticklabels()] == list(ROWS)
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["embedded people", "VIPeR\n0 = 31.6 %"]
    assert "minus baseline" in " ".join(fig.axes[0].get_xlabel().split())
    assert len({ax.get_xlim() for ax in fig.axes}) == 1


def test_the_reference_itself_is_no_row():
    table = pd.concat([measured(), pd.DataFrame([("viper", "baseline", 0, 0, 0)], columns=measured().columns)])
    fig = differences.against(table, "baseline")
    assert "baseline" not in [t.get_text() for t in fig.axes[0].get_yticklabels()]


def test_a_published_set_needs_its_own_reference():
    with pytest.raises(ValueError, match="beside viper need one 'baseline'"):
        differences.against(measured(), "baseline", published=printed().iloc[1:])
    with pytest.raises(ValueError, match="nothing is measured beside the published caviar"):
        differences.against(measured(), "baseline", published=printed().assign(set="caviar"))


def test_rows_that_cannot_be_read_are_refused():
    many = pd.concat([measured().iloc[:1].assign(name=f"row {k}") for k in range(differences.MOST + 1)])
    with pytest.raises(ValueError, match="15 rows"):
        differences.against(many, "baseline")
    with pytest.raises(ValueError, match="low"):
        differences.against(measured().drop(columns="low"), "baseline")


def test_long_names_are_broken_and_nothing_overlaps():
    table = measured().replace({"SING": "SRCNN, then re-id, with the same images and the same length of training"})
    fig = differences.against(table, "baseline", "a finding", printed())
    fig.draw_without_rendering()
    names = [t.get_window_extent() for t in fig.axes[0].get_yticklabels()]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(names, 2))
    legend, below = fig.legends[0].get_window_extent(), [ax.xaxis.label.get_window_extent() for ax in fig.axes]
    assert all(legend.y1 <= box.y0 for box in below)


@pytest.mark.parametrize("shift, above, below", [(0.0, 1, 1), (0.2, 3, 0), (-0.2, 0, 3)])
def test_the_sentence_agrees_with_the_intervals(shift, above, below):
    assert differences.sentence(measured(shift), "baseline") == (
        f"Decidedly above baseline: {above} of 3 on embedded people, {above} of 3 on VIPeR; "
        f"below: {below} on embedded people, {below} on VIPeR"
    )
    name, points, sure = differences.best(measured(shift), "baseline")["viper"]
    assert name == "baseline, all resolutions" and points == pytest.approx(1 + 100 * shift) and sure


def test_the_sentence_counts_no_row_that_too_few_trainings_decide():
    few = measured(0.1).assign(trainings=2)
    assert differences.sentence(few, "baseline") == (
        "Decidedly above baseline: 0 of 3 on embedded people, 0 of 3 on VIPeR; below: 0 on embedded people, 0 on VIPeR"
    )
    assert differences.sentence(few.assign(trainings=3), "baseline") == differences.sentence(measured(0.1), "baseline")


def test_the_best_row_need_not_be_sure():
    table = measured().assign(low=-0.1, high=0.1)
    assert differences.best(table, "baseline")["viper"][2] is False


def test_what_is_drawn_as_deciding_nothing_is_what_the_claims_say():
    assert style.NEGLIGIBLE == 100 * claims.NEGLIGIBLE
    assert style.TRAININGS == claims.TRAININGS


@pytest.mark.parametrize("trainings, dotted", [((3, 3), 0), ((2, 3), 3), ((1, 1), 6)])
def test_few_trainings_are_drawn_as_on_the_scoreboard(trainings, dotted):
    table = measured(0.2).assign(trainings=np.repeat(trainings, 3))  # no interval holds 0
    fig = differences.against(table, "baseline")
    lines = [x for ax in fig.axes for x in ax.get_lines() if x.get_linewidth() == 3.5]
    assert len(lines) == 6 and [x.get_linestyle() for x in lines].count("--") == dotted  # its name of every pattern
    marks = [x for ax in fig.axes for x in ax.get_lines() if len(x.get_xdata()) == 1]
    assert [x.get_markerfacecolor() for x in marks].count("white") == dotted
    named = {text.get_text() for text in fig.legends[0].get_texts()}
    assert (style.FEW["label"] in named) == (dotted > 0)
    known = {text.get_text() for text in differences.against(measured(), "baseline").legends[0].get_texts()}
    assert style.FEW["label"] not in known  # a table that does not say
