"""Activation maps over people: what the figure draws."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from lib.plots.activation import COVER, FINE, activation_maps, overlay
from lib.plots.style import BLUE, VERMILION


@pytest.fixture(autouse=True)
def closed():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def picture(seed: int = 0, height: int = 96, width: int = 48) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def some_maps(count: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {"HIM": rng.normal(0.5, 1, (count, 6, 3)), "HIM + LIM": rng.normal(0.5, 1, (count, 6, 3))}


def pixels(ax) -> np.ndarray:
    return np.asarray(ax.images[0].get_array())


def test_a_row_has_the_picture_its_match_and_a_map_of_each_network():
    pictures, matches, maps = [picture(k) for k in range(3)], [picture(9 + k) for k in range(3)], some_maps()
    fig = activation_maps(pictures, maps, ["1/4", "1/3", "1/2"], matches, title="a finding")
    *shown, _ = fig.axes  # the last is the bar
    assert len(shown) == 3 * 4
    for row in range(3):
        np.testing.assert_array_equal(pixels(shown[4 * row]), pictures[row])
        np.testing.assert_array_equal(pixels(shown[4 * row + 1]), matches[row])
    texts = [text.get_text() for text in fig.texts]
    assert {"a finding", "picture", "match", "HIM", "HIM\n+\nLIM", "1/4"} <= set(texts)
    means = [f"{np.mean(maps[name][row]):.2f}" for row in range(3) for name in maps]
    assert [text for text in texts if text in means] == means  # below each map, from the first row on
    assert any(
        "6 x 3 blocks" in text and "its mean, which is the similarity" in text.replace("\n", " ") for text in texts
    )
    seams = [len(c.get_segments()) for ax in shown for c in ax.collections]
    assert seams == [5, 2] * 6 and not shown[0].collections
    assert len(activation_maps(pictures, maps).axes) == 3 * 3 + 1  # without matches


def test_the_scale_is_one_symmetric_and_says_where_it_ends():
    """The same value has the same colour in every network's map."""
    grey = np.full((96, 48, 3), 128, np.uint8)
    one, two = np.full((6, 3), 0.5), np.full((6, 3), 1.0)
    two[0, 0], two[5, 2] = 0.5, -1.0
    *shown, bar = activation_maps([grey], {"HIM": [one], "LIM": [two]}).axes
    him, lim = pixels(shown[1]), pixels(shown[2])
    assert (him == him[0, 0]).all() and (lim[:48, :48] == him[0, 0]).all() and (lim[48, 0] != him[0, 0]).any()
    assert [tick.get_text() for tick in bar.get_yticklabels()] == ["−1\nagainst", "0", "+1\nfor"]
    assert list(bar.get_yticks()) == [-1, 0, 1] and bar.get_ylim() == (-1, 1)
    ramp = pixels(bar)[:, 0]
    np.testing.assert_allclose(ramp[len(ramp) // 2], 1)  # 0: nothing on white
    for end, colour in ((0, BLUE), (-1, VERMILION)):
        np.testing.assert_allclose(ramp[end], (1 - COVER) + COVER * np.array(to_rgb(colour)))
    maps = some_maps()  # one block that stands out does not take the others' colours
    maps["HIM"][0, 0, 0] = 50
    bar = activation_maps([picture(k) for k in range(3)], maps).axes[-1]
    end = np.percentile(np.abs(list(maps.values())), 95)
    assert bar.get_ylim() == (-end, end) and end < 4
    names = [tick.get_text() for tick in bar.get_yticklabels()]
    assert names == [f"≤ −{end:.2g}\nagainst", "0", f"≥ +{end:.2g}\nfor"]


def test_an_overlay_is_the_picture_in_grey_under_blocks():
    image = picture(0, 24, 12)
    times = FINE // 24
    grey = 255 * (0.3 + 0.7 * (image @ np.array([0.299, 0.587, 0.114])) / 255)
    grey = np.repeat(np.repeat(grey, times, 0), times, 1)[..., None]
    assert overlay(image, np.zeros((6, 3))).shape == (FINE, 12 * times, 3)
    assert np.abs(overlay(image, np.zeros((6, 3))) - grey).max() <= 0.5 + 1e-9
    shares = np.zeros((6, 3))
    shares[1, 2], shares[4, 0], shares[5, 1] = 0.5, -1, 7
    found = overlay(image, shares).astype(float)
    for (y, x), cover, colour in (((1, 2), COVER / 2, VERMILION), ((4, 0), COVER, BLUE), ((5, 1), COVER, VERMILION)):
        block = np.s_[40 * y : 40 * (y + 1), 40 * x : 40 * (x + 1)]
        expected = (1 - cover) * grey[block] + cover * 255 * np.array(to_rgb(colour))
        assert np.abs(found[block] - expected).max() <= 0.5 + 1e-9
    untouched = np.s_[: 40 * 1]
    assert np.abs(found[untouched] - grey[untouched]).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("size", [(128, 64), (97, 31), (50, 20)])
def test_blocks_fill_pictures_whose_sides_they_do_not_divide(size):
    """As many colours as blocks, each in one rectangle."""
    image = np.full((*size, 3), 255, np.uint8)
    shares = np.linspace(0.05, 1, 18).reshape(6, 3)
    found = overlay(image, shares)
    colours, where = np.unique(found.reshape(-1, 3), axis=0, return_inverse=True)
    assert len(colours) == 18
    where = where.reshape(found.shape[:2])
    for number in range(18):
        ys, xs = np.nonzero(where == number)
        assert len(ys) == (np.ptp(ys) + 1) * (np.ptp(xs) + 1)


def test_real_people_stay_small_and_nothing_is_cut_off():
    fig = activation_maps([picture(k) for k in range(3)], some_maps(), matches=[picture(k) for k in range(3)])
    *shown, bar = fig.axes
    assert max(ax.get_position().height * fig.get_figheight() for ax in shown) <= 0.8 + 1e-9
    fig.draw_without_rendering()
    room = fig.bbox.padded(1)
    for text in (*fig.texts, *bar.get_yticklabels()):
        box = text.get_window_extent()
        assert room.x0 <= box.x0 and box.x1 <= room.x1 and room.y0 <= box.y0 and box.y1 <= room.y1, text.get_text()
    assert bar.get_position().x0 > max(ax.get_position().x1 for ax in shown)


def test_what_does_not_fit_together_is_refused():
    pictures, maps = [picture(k) for k in range(3)], some_maps()
    with pytest.raises(ValueError, match="2 pictures, maps: 3 of HIM, 3 of HIM"):
        activation_maps(pictures[:2], maps)
    with pytest.raises(ValueError, match="and 1 matches: one for each"):
        activation_maps(pictures, maps, matches=pictures[:1])
    with pytest.raises(ValueError, match="maps: none"):
        activation_maps(pictures, {})
    with pytest.raises(ValueError, match=r"sizes \[\(4, 2\), \(6, 3\)\]"):
        activation_maps(pictures, maps | {"LIM": np.ones((3, 4, 2))})
    few = np.zeros((3, 6, 3))
    few[0, 0, 0] = 2
    assert activation_maps(pictures, {"LIM": few}).axes[-1].get_ylim() == (-2, 2)
    for value in (0.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="nothing to draw"):
            activation_maps(pictures, {"LIM": np.full((3, 6, 3), value)})
