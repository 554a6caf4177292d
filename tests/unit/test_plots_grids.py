"""Maps over two resolutions: what they draw."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from lib.plots import grids

RATIOS = (0.125, 0.25, 0.5, 1.0)


def grid(add=0.0, ratios=RATIOS) -> pd.DataFrame:
    rows = [{"probe": p, "gallery": g, "value": 0.2 + 0.4 * p + 0.1 * g + add} for p in ratios for g in ratios]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


def objective(add=0.0, ratios=RATIOS) -> pd.DataFrame:
    return grid(add, ratios).rename(columns={"probe": "r1", "gallery": "r2", "value": "normalised"})


def cells(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_objective_maps_have_a_map_per_variant_and_one_bar(count):
    tables = {f"variant {k}": objective(0.1 * k) for k in range(count)}
    fig = grids.objective_maps(tables, "a finding")
    *panels, bar = fig.axes
    assert [ax.get_title(loc="left") for ax in panels] == list(tables) and fig.get_suptitle() == "a finding"
    assert bar.get_ylabel() == "normalised O"
    assert len({ax.images[0].get_clim() for ax in panels}) == 1  # one scale
    assert all(len(ax.texts) == 16 for ax in panels)
    # the first row is the lowest r of one image; the last cell has both at full resolution
    assert cells(panels[0])[0] == "0.26" and cells(panels[0])[3] == "0.35" and cells(panels[0])[-1] == "0.70"
    assert [t.get_text() for t in panels[-1].get_xticklabels()] == ["1/8", "1/4", "1/2", "1"]


def test_numbers_stand_out_from_their_cells():
    ax = grids.objective_maps({"one": objective()}).axes[0]
    drawn = ax.images[0]
    for text in ax.texts:
        j, i = (int(k) for k in text.get_position())
        back = drawn.cmap(drawn.norm(drawn.get_array()[i, j]))[:3]
        assert abs(np.dot((0.2126, 0.7152, 0.0722), np.subtract(back, to_rgb(text.get_color())))) > 0.35


def test_maps_want_full_grids_of_the_same_resolutions():
    with pytest.raises(ValueError, match="lacks cells"):
        grids.objective_maps({"one": objective().iloc[1:]})
    with pytest.raises(ValueError, match="other resolutions"):
        grids.objective_maps({"one": objective(), "two": objective(ratios=RATIOS[:3])})
    with pytest.raises(ValueError, match="gallery"):
        grids.objective_maps({"one": objective().drop(columns="r2")})
    with pytest.raises(ValueError, match="four maps"):
        grids.objective_maps({str(k): objective() for k in range(5)})
    with pytest.raises(ValueError, match="no tables"):
        grids.objective_maps({})


def test_rank_grid_gain_is_in_points_and_centred():
    tables = {"plain": grid(), "better": grid(0.1234), "worse": grid(-0.02), "same": grid(-1e-9)}
    fig = grids.rank_grid_gain(tables, "plain", "a finding")
    *panels, bar = fig.axes
    assert [ax.get_title(loc="left") for ax in panels] == ["better", "worse", "same"] and "plain" in bar.get_ylabel()
    assert (
        set(cells(panels[0])) == {"+12.3"} and set(cells(panels[1])) == {"−2.0"} and set(cells(panels[2])) == {"+0.0"}
    )
    low, high = panels[0].images[0].get_clim()
    assert low == -high == pytest.approx(-12.34)


def test_rank_grid_gain_wants_its_baseline():
    with pytest.raises(ValueError, match="plain"):
        grids.rank_grid_gain({"one": grid(), "two": grid()}, "plain")
    with pytest.raises(ValueError, match="compare"):
        grids.rank_grid_gain({"plain": grid()}, "plain")


def test_objective_maps_show_o_itself():
    cells = [(a, b) for a in (0.25, 1.0) for b in (0.25, 1.0)]
    table = pd.DataFrame(cells, columns=["r1", "r2"]).assign(normalised=[0.04, 0.5, 0.6, 0.3])
    fig = grids.objective_maps({"ResNet": table, "RIFE": table}, "O")
    texts = {text.get_text() for ax in fig.axes for text in ax.texts}
    assert texts == {"0.04", "0.50", "0.60", "0.30"}
    with pytest.raises(ValueError, match="lacks"):
        grids.objective_maps({"ResNet": table.drop(columns="normalised")})
