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
