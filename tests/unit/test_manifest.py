"""Orders and draws that are the same everywhere."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest

from lib.data.manifest import canonical, draw, fraction, pick, sha256, shuffled
from lib.data.values import natural


@pytest.mark.parametrize(
    "ordered",
    [
        [f"c{i}" for i in range(1, 13)],
        ["c", "c1", "c02", "c2", "c10", "c10a", "c10b", "d1"],
        ["", "0", "00", "001", "01", "1", "0002", "2", "0010", "10", "a"],
        ["1a", "1b", "2a", "10a"],  # CUHK03's cameras
        ["cam_a", "cam_b"],
        ["9" * 5000, "1" + "0" * 5000],  # more digits than Python turns into a number
    ],
)
def test_natural_order(ordered):
    for seed in range(20):
        mixed = random.Random(seed).sample(ordered, len(ordered))
        assert natural(mixed) == ordered


@pytest.mark.parametrize(
    ("value", "exact"),
    [
        ("1/3", Fraction(1, 3)),
        (1 / 3, Fraction(1, 3)),
        (np.float32(1 / 3), Fraction(1, 3)),
        (np.float64(0.25), Fraction(1, 4)),
        (np.int64(1), Fraction(1)),
        (Fraction(2, 7), Fraction(2, 7)),
        (" 0.5 ", Fraction(1, 2)),
        (0, Fraction(0)),
        ("1e-4", Fraction(1, 10_000)),
    ],
)
def test_fractions(value, exact):
    assert fraction(value) == exact and type(fraction(value).numerator) is int


@pytest.mark.parametrize("value", [float("inf"), float("nan"), "1/0", "a", "", None, (1, 2), True, np.True_, 1j, 1e-9])
def test_no_fractions(value):
    with pytest.raises(ValueError, match="is no fraction such as 1/2|too near to 0"):
        fraction(value)


def test_numpy_s_numbers_are_the_same_words():
    assert draw("a", np.int64(2)) == draw("a", 2) != draw("a", "2")
    assert canonical({"a": np.int64(2), "b": [np.uint8(1)]}) == canonical({"a": 2, "b": [1]})
    assert sha256({"trial": np.arange(3)[2]}) == sha256({"trial": 2})
    for content in ({"a": float("nan")}, {"a": np.float64("inf")}, {"a": {1, 2}}, {"a": np.zeros(2)}):
        with pytest.raises((ValueError, TypeError)):
            canonical(content)


def test_pick_and_shuffle():
    with pytest.raises(ValueError, match="nothing to pick from"):
        pick([], "a")
    keys = [f"p{i}" for i in range(50)]
    assert shuffled(keys, "x") == shuffled(reversed(keys), "x") != shuffled(keys, "y")
    assert {pick("abc", "seed", i) for i in range(50)} == set("abc")
