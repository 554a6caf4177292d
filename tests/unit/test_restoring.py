"""The search of the super-resolutions' rates: it goes on where it was, and what it says is what its pictures say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import training_helpers as helpers

from lib.experiments import measured, restoring, ship
from lib.training.pedestrians import SR_RATIOS
from lib.training.pretrain import whole_set


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A search of seconds: few people on a small canvas, three rates."""
    monkeypatch.setenv("REID_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("COURSE_MEASURED", str(tmp_path / "measured"))
    people = helpers.tiny_people(identities=8, images=4)
    monkeypatch.setattr(restoring, "load_dataset", lambda *a, **k: people)
    monkeypatch.setattr(restoring, "whole_set", whole_set)
    monkeypatch.setattr(ship, "COURSE", (32, 16))
    for name, value in {"RATES": (1e-3, 1e-2, 1e-1), "FIRST": (1e-3, 1e-2)}.items():
        monkeypatch.setattr(restoring, name, value)


def test_every_network_that_ships_is_searched():
    assert set(restoring.networks()) == {s.network for s in ship.SHIPMENTS} - {
        "resnet18-half", "bottleneck-16-1", "densenet-narrow", "osnet-0.25", "hrnet-w12", "hrnet-w8"
    }  # fmt: skip
    assert set(restoring.FIRST) < set(restoring.RATES) and list(restoring.RATES) == sorted(restoring.RATES)


def test_the_search_goes_on_and_writes_what_is_there(small):
    assert restoring.write(["srcnn-915"]) is None
    assert restoring.train(["srcnn-915"], hours=0) == 1 and restoring.write(["srcnn-915"]) is None
    assert restoring.train(["srcnn-915", "vdsr-narrow"], hours=1) == 0
    restoring.write(["srcnn-915", "vdsr-narrow"])
    table = measured.measured("rates_superres", "pedestrians")
    assert set(table["name"]) == {"srcnn-915", "vdsr-narrow"} and set(table["rate"]) <= set(restoring.RATES)
    for (name, rate), rows in table.groupby(["name", "rate"]):
        method = restoring.trained(name, rate).method
        assert method.settings.ratios == SR_RATIOS and method.settings.lr == rate
        found = ship.restorations(method)
        for row in rows.itertuples():
            (ratio,) = {r for _, r in found if abs(r - row.ratio) < 1e-3}
            restored, bicubic = found["restored", ratio], found["bicubic", ratio]
            assert row.value == pytest.approx(np.mean(restored), rel=1e-5)
            assert row.gain == pytest.approx(np.mean(restored) - np.mean(bicubic), abs=1e-4)


def test_the_best_rate_is_of_the_mean_over_ratios():
    rows = [("a", 1e-3, 0.5, 30.0), ("a", 1e-3, 0.25, 20.0), ("a", 1e-2, 0.5, 28.0), ("a", 1e-2, 0.25, 23.0)]
    rows += [("b", 1e-3, 0.5, 40.0), ("b", 1e-3, 0.25, 20.0)]
    table = pd.DataFrame(rows, columns=["name", "rate", "ratio", "value"]).assign(gain=1.0)
    best = restoring.best(table)
    assert list(zip(best["name"], best["rate"], best["value"], strict=True)) == [("b", 1e-3, 30.0), ("a", 1e-2, 25.5)]
