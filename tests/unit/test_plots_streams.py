"""Figures about two streams: what they draw."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from lib.plots import streams

RATIOS = (0.125, 0.25, 0.5, 1.0)


def weights(blocks=4) -> pd.DataFrame:
    rows = [
        {"block": f"block {b}", "stream": s, "r": r, "mean": 0.1 + 0.8 * (r if s == "high" else 1 - r)}
        for b, s, r in itertools.product(range(1, blocks + 1), ("low", "high"), RATIOS)
    ]
    return pd.DataFrame(rows).assign(low=lambda t: t["mean"] - 0.1, high=lambda t: t["mean"] + 0.1)


def test_stream_weights_stand_beside_their_targets():
    table = weights()
    fig = streams.stream_weights(table, "a finding")
    assert fig.get_suptitle() == "a finding" and len(fig.axes) == 4
    assert [ax.get_title(loc="left") for ax in fig.axes] == [f"block {b}" for b in range(1, 5)]
    for ax in fig.axes:
        dashed = [line for line in ax.get_lines() if line.get_linestyle() == "--"]
        for line, target in zip(dashed, (lambda r: 1 - r, lambda r: r), strict=True):  # over all of the axis
            np.testing.assert_allclose(line.get_ydata(), target(np.asarray(line.get_xdata())))
            assert (min(line.get_xdata()), max(line.get_xdata())) == pytest.approx((0.125, 1.0))
        low = next(line for line in ax.get_lines() if line.get_label() == "low-resolution stream")
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


# ---- FTWA's weights


def over_steps(trainings=2) -> pd.DataFrame:
    found = itertools.product(range(1, trainings + 1), ("high", "low"), ("hr", "lr"), (10, 30, 50))
    table = pd.DataFrame(found, columns=["training", "stream", "side", "step"])
    sign = np.where(table["stream"] == "high", 1, -1)
    return table.assign(weight=0.5 + sign * table["step"] / (100 + 10 * table["training"]))


def test_weights_over_steps_are_a_line_per_training_and_stream():
    fig = streams.weights_over_steps(over_steps(), "a finding")
    assert fig.get_suptitle() == "a finding"
    assert [ax.get_title(loc="left") for ax in fig.axes] == list(streams.SIDES.values())
    for ax in fig.axes:
        drawn = [line for line in ax.get_lines() if line.get_label().endswith("stream")]
        assert len(drawn) == 4 and len({line.get_color() for line in drawn}) == 2
        assert all(list(line.get_xdata()) == [10, 30, 50] for line in drawn)
        assert drawn[-1].get_ydata()[-1] == pytest.approx(
            0.5 + (-1 if "low" in drawn[-1].get_label() else 1) * 50 / 120
        )
    assert len(fig.legends[0].get_texts()) == 2
    one = over_steps()
    assert len(streams.weights_over_steps(one[one["side"] == "lr"]).axes) == 1


def test_weights_over_steps_want_names_that_are_known():
    for wrong, message in (({"stream": "middle"}, "high or low|low or high"), ({"side": "left"}, "hr or lr")):
        with pytest.raises(ValueError, match=message):
            streams.weights_over_steps(over_steps().assign(**wrong))
    with pytest.raises(ValueError, match="weight"):
        streams.weights_over_steps(over_steps().drop(columns="weight"))


def test_weights_alone_are_a_line_per_reading():
    table = pd.DataFrame({"reading": np.repeat(["anchor", "batch"], 3), "step": [0, 1, 2] * 2})
    table["loss"] = [2, 1.5, 1, 2, 1, 0]
    (ax,) = streams.weights_alone(table, "a finding").axes
    lines = {line.get_label(): line.get_ydata().tolist() for line in ax.get_lines()}
    assert lines == {"anchor by anchor (ours)": [2, 1.5, 1], "one quotient over the batch": [2, 1, 0]}
    with pytest.raises(ValueError, match="anchor, scalar, batch, not pair"):
        streams.weights_alone(table.assign(reading="pair"))


def test_weights_by_image_show_every_image_and_the_means():
    shown = np.tile([0.25, 1 / 3, 0.5], 5)
    table = pd.DataFrame({"shown": shown, "high": shown, "low": 1 - shown + np.tile([0.1, 0, -0.1], 5)})
    (ax,) = streams.weights_by_image(table, "a finding").axes
    assert [len(dots.get_offsets()) for dots in ax.collections] == [15, 15]
    means = {line.get_label(): line for line in ax.get_lines()}
    high, low = means["high-resolution stream"], means["low-resolution stream"]
    np.testing.assert_allclose(high.get_xdata(), [0.25, 1 / 3, 0.5])
    np.testing.assert_allclose(high.get_ydata(), [0.25, 1 / 3, 0.5])
    np.testing.assert_allclose(low.get_ydata(), [0.85, 2 / 3, 0.4])
    with pytest.raises(ValueError, match="shown"):
        streams.weights_by_image(table.drop(columns="shown"))


def test_weights_of_images_of_many_sizes_are_grouped():
    shown = np.linspace(0.2, 1, 80)
    (ax,) = streams.weights_by_image(pd.DataFrame({"shown": shown, "high": shown, "low": 0.5})).axes
    high = next(line for line in ax.get_lines() if line.get_label() == "high-resolution stream")
    assert len(high.get_xdata()) == 8
    np.testing.assert_allclose(high.get_ydata(), shown.reshape(8, 10).mean(1))
    offsets = ax.collections[0].get_offsets()
    np.testing.assert_allclose(offsets[:, 0], shown)  # nothing is moved apart
