"""Figures about super-resolution and tables: what they draw."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lib.plots import restoring


@pytest.fixture(autouse=True)
def closed():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def test_beside_draws_measured_and_published():
    table = pd.DataFrame(
        {"label": ["a", "b"], "value": [0.3, 0.4], "low": [0.2, 0.3], "high": [0.4, 0.5], "published": [33.5, np.nan]}
    )
    fig = restoring.beside(table, "a finding")
    (ax,) = fig.axes
    drawn = [line.get_xdata()[0] for line in ax.get_lines() if line.get_marker() == "D" and len(line.get_xdata())]
    assert drawn == [33.5]  # in percent, and none where the paper has none
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"] and fig.get_suptitle() == "a finding"


def test_sweep_has_evenly_spaced_settings():
    table = pd.DataFrame(
        {"name": "sum", "setting": [0.0, 0.1, 10.0], "value": [0.1, 0.2, 0.15], "low": 0.05, "high": 0.3}
    ).assign(published=[25.0, np.nan, np.nan])
    (ax,) = restoring.sweep(table, "alpha").axes
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "0.1", "10"]
    assert list(ax.get_lines()[0].get_ydata()) == pytest.approx([10, 20, 15])


def test_psnr_against_rank_names_every_point():
    table = pd.DataFrame({"name": ["x", "y"], "psnr": [23.0, 24.0], "value": [0.3, 0.3], "low": 0.2, "high": 0.4})
    (ax,) = restoring.psnr_against_rank(table, "t").axes
    assert sorted(t.get_text() for t in ax.texts) == ["x", "y"]


def test_restored_pictures_have_their_psnr_below_them():
    pictures = {name: [np.zeros((16, 8, 3), np.uint8)] * 2 for name in ("original", "bicubic")}
    fig = restoring.restored(pictures, {"bicubic": [23.04, 25.0]}, title="t")
    texts = [t.get_text() for t in fig.texts]
    assert "23.0 dB" in texts and "25.0 dB" in texts and len(fig.axes) == 4
