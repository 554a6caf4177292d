"""Scores of many rows as one table, differences in words, and how long a network takes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from training_helpers import tiny_people

from lib.data import make_protocol
from lib.evaluation import evaluate
from lib.evaluation.timing import milliseconds
from lib.experiments.scores import said, scores
from lib.methods import create_method


@pytest.fixture(scope="module")
def result():
    protocol = make_protocol(tiny_people(), "mlr")
    method = create_method("histogram")
    method.setup("quick", protocol.rows("train")["pid"].nunique())
    return evaluate(method, protocol)


def test_a_row_per_key_and_metric_with_the_keys_first(result):
    table = scores({("a", 0.5): [result], ("b", 1.0): result}, "name", "ratio", seed=3)
    assert list(table.columns[:4]) == ["name", "ratio", "metric", "value"]
    assert list(table.index) == list(range(len(table)))
    for name, ratio in (("a", 0.5), ("b", 1.0)):
        one = table[(table["name"] == name) & (table["ratio"] == ratio)].set_index("metric")
        assert one.loc["rank-1", "value"] == pytest.approx(result.rank(1))
        assert one["value"].between(one["low"], one["high"]).all()
    assert list(scores({"a": [result]})["name"].unique()) == ["a"]


def test_keys_and_columns_must_fit(result):
    with pytest.raises(ValueError, match=r"has 2 part\(s\), but the columns are name"):
        scores({("a", 0.5): [result]})
    with pytest.raises(ValueError, match="no results"):
        scores({})


@pytest.mark.parametrize(
    ("mean", "low", "high", "options", "words"),
    [
        (0.0321, 0.011, 0.054, {}, "+3.2 points"),
        (-0.0321, -0.054, -0.011, {"digits": 0}, "-3 points"),
        (0.02, -0.001, 0.04, {}, "undecided"),
        (0.02, 0.0, 0.04, {}, "undecided"),
        (0.02, np.nan, np.nan, {}, "undecided"),
        (-1.25, -1.5, -1.0, {"scale": 1.0, "unit": "dB", "digits": 2}, "-1.25 dB"),
        (0.001, -0.004, 0.006, {"trainings": 3}, "no effect"),  # certain, and too small to matter
        (0.003, 0.001, 0.005, {"trainings": 3}, "no effect"),  # above zero, and too small to matter
        (0.003, 0.001, 0.005, {"trainings": 2}, "+0.3 points"),
        (0.001, -0.004, 0.006, {"trainings": 2}, "undecided"),
        (0.001, -0.004, 0.006, {}, "undecided"),
        (0.001, -0.004, 0.011, {"trainings": 3}, "undecided"),
        (0.001, -0.004, 0.006, {"trainings": 3, "scale": 1.0, "unit": "dB"}, "undecided"),
    ],
)
def test_a_difference_in_words(mean, low, high, options, words):
    """Of an object, a row of a table, or a dictionary: the same."""
    options = dict(options)
    limits = {"mean": mean, "low": low, "high": high}
    limits |= {"trainings": options.pop("trainings")} if "trainings" in options else {}
    row = pd.DataFrame([limits]).loc[0]  # its .mean is a function
    assert said(SimpleNamespace(**limits), **options) == said(row, **options) == said(limits, **options) == words


def test_milliseconds_are_per_picture_of_the_fastest_batch(monkeypatch):
    clock = iter([0.0, 9.0, 10.0, 10.4, 20.0, 20.2, 30.0, 30.8])  # one to warm up, then 0.4, 0.2, 0.8 s
    monkeypatch.setattr("lib.evaluation.timing.time.perf_counter", lambda: next(clock))
    seen = []

    class Network(torch.nn.Module):
        def forward(self, images):
            seen.append((tuple(images.shape), torch.is_inference_mode_enabled()))
            return images

    assert milliseconds(Network(), (6, 3), count=4) == pytest.approx(1000 * 0.2 / 4)
    assert seen == [((4, 3, 6, 3), True)] * 4
    with pytest.raises(ValueError, match="one at least"):
        milliseconds(Network(), (6, 3), repeats=0)


def test_a_certain_loss_is_no_effect_of_nothing():
    assert said({"mean": -0.05, "low": -0.06, "high": -0.04, "trainings": 3}) == "-5.0 points"
    assert said({"mean": 0.0, "low": -0.011, "high": 0.004, "trainings": 3}) == "undecided"
