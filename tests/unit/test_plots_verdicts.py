"""The verdicts as pictures: what they draw."""

from __future__ import annotations

import pandas as pd
import pytest

from lib.plots import verdicts as pictures

WORDS = list(pictures.COLOURS)


def counts() -> pd.DataFrame:
    columns = [*WORDS, *(f"control: {word}" for word in WORDS)]
    rows = [[2, 1, 0, 3, 1, 1, 0, 0], [0, 0, 4, 0, 0, 0, 2, 1]]
    return pd.DataFrame(rows, index=["SING (2018)", "RIPR (2019)"], columns=columns)


def test_bars_are_as_long_as_the_counts_and_say_them():
    fig = pictures.bars(counts(), "a finding")
    (ax,) = fig.axes
    assert fig.get_suptitle() == "a finding"
    assert sum(bar.get_width() for bar in ax.patches) == 6 + 2 + 4 + 3
    assert [text.get_text() for text in ax.texts] == ["2", "1", "3", "1", "1", "4", "2", "1"]  # none for no claim
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels[0] == "SING (2018), as it compares" and labels[1] == "against the control"
    assert fig.get_figwidth() / fig.get_figheight() == pytest.approx(16 / 9)
    assert min(text.get_fontsize() for text in [*ax.texts, *ax.get_yticklabels()]) >= 12  # read when it is projected
    with pytest.raises(ValueError, match="control: undecided"):
        pictures.bars(counts().drop(columns="control: undecided"))
    with pytest.raises(ValueError, match="8 papers"):
        pictures.bars(pd.concat([counts()] * 4))


def test_sizes_has_a_dot_with_its_interval_for_every_difference():
    one = {"low": -0.01, "high": 0.02, "verdict": "undecided (1 training)", "control_low": 0.0, "control_high": 0.001}
    table = pd.DataFrame(
        [
            {"paper": "SING (2018)", "mean": 0.005, "control_mean": None, **one, "control_verdict": ""},
            {"paper": "SING (2018)", "mean": -0.004, "control_mean": 0.0, **one, "control_verdict": "no effect"},
            {"paper": "FTWA (2021)", "mean": 0.12, "control_mean": -0.17, **one, "control_verdict": "contradicted"},
        ]
    )
    fig = pictures.sizes(table, "a finding")
    above, below = ([line for line in ax.lines if line.get_marker() not in ("None", "")] for ax in fig.axes)
    edge = pictures.EDGE
    assert [line.get_ydata()[0] for line in above] == pytest.approx([-0.4, 0.5, edge])  # in rising order within a paper
    assert [line.get_marker() for line in above] == ["o", "o", "^"]
    assert [line.get_ydata()[0] for line in below] == pytest.approx([0.0, -edge])  # no dot without a control
    assert [[text.get_text() for text in ax.texts] for ax in fig.axes] == [["+12"], ["-17"]]
    spans = [tuple(line.get_ydata()) for line in fig.axes[0].lines if line.get_linewidth() == 1.2]
    assert spans == [pytest.approx((-1, 2))] * 3
    assert [label.get_text() for label in fig.axes[1].get_xticklabels()] == ["SING\n(2018)", "FTWA\n(2021)"]
    with pytest.raises(ValueError, match="control_low"):
        pictures.sizes(table.drop(columns="control_low"))


def test_shifts_counts_what_has_a_control():
    table = pd.DataFrame(
        {
            "verdict": ["reproduced", "reproduced", "undecided (1 training)", "no effect"],
            "control_verdict": ["reproduced", "no effect", "undecided (1 training)", ""],
        }
    )
    (ax,) = pictures.shifts(table, "a finding").axes
    grid = ax.images[0].get_array()
    assert grid.sum() == 3 and grid[0, 0] == 1 and grid[0, 2] == 1 and grid[3, 3] == 1
    assert [label.get_text() for label in ax.get_xticklabels()] == WORDS


def test_power_has_a_line_per_set():
    table = pd.DataFrame(
        {
            "set": ["pedestrians", "pedestrians", "viper", "viper"],
            "truth": [0.0, 0.02] * 2,
            "reproduced": [0.0, 1.0, 0.02, 0.3],
            "claims": [16, 16, 7, 7],
        }
    )
    (ax,) = pictures.power(table, "a finding").axes
    lines = {line.get_label(): line for line in ax.get_lines() if not line.get_label().startswith("_")}
    assert list(lines) == ["embedded people (16 claims)", "VIPeR (7 claims)"]
    assert lines["VIPeR (7 claims)"].get_xydata().tolist() == [[0, 2], [2, 30]]


def test_each_panel_of_sizes_rises():
    one = {"paper": "SING (2018)", "low": -0.01, "high": 0.02, "verdict": "undecided"}
    one |= {"control_low": 0.0, "control_high": 0.001, "control_verdict": "undecided"}
    both = ((0.01, 0.03), (0.02, 0.01), (0.03, 0.02))
    table = pd.DataFrame([one | {"mean": mean, "control_mean": control} for mean, control in both])
    lines = pictures.sizes(table).axes[1].lines
    heights = [line.get_ydata()[0] for line in lines if line.get_marker() not in ("None", "")]
    assert heights == pytest.approx([1.0, 2.0, 3.0])
