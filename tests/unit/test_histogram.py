"""The colour histogram: recomputed pixel by pixel, and its place in the contract of a method."""

from __future__ import annotations

import colorsys
import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.data import PersonDataset, make_protocol
from lib.data.batches import Batch
from lib.data.colour import rgb_to_hsv
from lib.evaluation import evaluate
from lib.methods import create_method
from lib.methods.histogram import shares, stripe_histograms


def images(count=2, height=7, width=5, seed=0):
    return torch.from_numpy(np.random.RandomState(seed).randint(0, 256, (count, 3, height, width)) / 255.0)


def corner_weights(position, bins, circular):
    """The two bins around a position and their shares, by hand."""
    place = position * bins - 0.5
    if not circular:
        place = min(max(place, 0.0), bins - 1.0)
    low = int(np.floor(place))
    part = place - low
    pairs = [(low, 1 - part), (low + 1, part)]
    return [(k % bins, w) for k, w in pairs if w > 0]


def slow(image, stripes, bins, soft):
    """(3, H, W) -> (S, K), one pixel after the other."""
    counts = np.zeros((stripes, *bins))
    height, width = image.shape[1:]
    for y, x in itertools.product(range(height), range(width)):
        hsv = colorsys.rgb_to_hsv(*image[:, y, x].tolist())
        places = [((y + 0.5) / height, stripes, False), *zip(hsv, bins, (True, False, False), strict=True)]
        if soft:
            choices = [corner_weights(*place) for place in places]
        else:
            choices = [[(min(int(p * n), n - 1), 1.0)] for p, n, _ in places]
        for corner in itertools.product(*choices):
            counts[tuple(k for k, _ in corner)] += np.prod([w for _, w in corner])
    counts = counts.reshape(stripes, -1)
    return counts / (stripes * counts.sum(1, keepdims=True))


@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize(("stripes", "bins"), [(6, (8, 4, 4)), (1, (5, 1, 2)), (3, (1, 3, 1))])
def test_equals_counting_pixel_by_pixel(stripes, bins, soft):
    pictures = images()
    fast = stripe_histograms(pictures, stripes, bins, soft)
    for picture, found in zip(pictures, fast, strict=True):
        np.testing.assert_allclose(found.numpy(), slow(picture, stripes, bins, soft), atol=1e-9)


def test_hsv_is_that_of_the_standard_library():
    colours = np.array(list(itertools.product((0, 0.2, 0.7, 1), repeat=3)))
    found = rgb_to_hsv(torch.from_numpy(colours)[:, :, None, None])[:, :, 0, 0].numpy()
    np.testing.assert_allclose(found, [colorsys.rgb_to_hsv(*colour) for colour in colours], atol=1e-12)


@given(st.floats(0, 1), st.integers(1, 9), st.booleans(), st.booleans())
def test_shares_of_a_position_sum_to_one(position, bins, circular, soft):
    found = shares(torch.tensor([position], dtype=torch.float64), bins, circular, soft)
    assert found.shape == (1, bins) and (found >= 0).all()
    assert abs(float(found.sum()) - 1) < 1e-9


def test_both_ends_of_the_hue_are_neighbours():
    low, high = shares(torch.tensor([0.001, 0.999], dtype=torch.float64), 8, circular=True)
    assert (low - high).abs().max() < 0.02
    low, high = shares(torch.tensor([0.001, 0.999], dtype=torch.float64), 8)
    assert (low - high).abs().max() == 1


def test_the_descriptor_has_length_one_and_hellinger_distances():
    method = create_method("histogram", canvas=(12, 6))
    method.setup("quick", 3)
    pictures = images(3, 12, 6)
    features = method.embed(Batch(pictures), "probe")
    assert features.shape == (3, 6 * 8 * 4 * 4) and torch.isfinite(features).all()
    assert torch.allclose(features.norm(dim=1), torch.ones(3, dtype=features.dtype))
    p, q = (stripe_histograms(pictures[i : i + 1], 6, (8, 4, 4)).flatten() for i in (0, 1))
    hellinger = (1 - (p * q).sqrt().sum()).sqrt()
    assert torch.isclose((features[0] - features[1]).norm(), 2**0.5 * hellinger)


def test_black_and_white_pictures_have_a_descriptor():
    method = create_method("histogram")
    method.setup("paper", 2)
    for level in (0.0, 1.0):
        features = method.embed(Batch(torch.full((1, 3, 64, 32), level)), "gallery")
        assert torch.isfinite(features).all() and abs(float(features.norm()) - 1) < 1e-6


@pytest.mark.parametrize(
    "settings", [{"stripes": 0}, {"bins": (8, 4)}, {"bins": (8, 0, 4)}, {"stripes": 9, "canvas": (8, 8)}]
)
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValueError):
        create_method("histogram", **settings)


def test_it_is_evaluated_without_training():
    colours = np.random.RandomState(3).randint(20, 230, (12, 2, 1, 3))
    rows = pd.DataFrame([(f"{p:02}", cam) for p in range(12) for cam in ("c1", "c2")], columns=["pid", "cam"])
    noise = np.random.RandomState(4).randint(-10, 11, (24, 32, 16, 3))
    pictures = (colours.repeat(2, axis=0).repeat(16, axis=1) + noise).clip(0, 255).astype(np.uint8)
    people = PersonDataset.from_arrays("bars", list(pictures), rows)
    method = create_method("histogram", canvas=(32, 16))
    method.setup("quick", 3)
    assert method.stages == [] and method.settings.bins == (8, 4, 4)
    protocol = make_protocol(people, "plain", validation=0)
    result = evaluate(method, protocol)
    assert result.rank(1) > 0.5  # every person of this set has two colours of its own
    with pytest.raises(NotImplementedError, match="learns nothing"):
        method.losses(None, None)
