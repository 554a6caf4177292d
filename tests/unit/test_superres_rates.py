"""The search of the super-resolutions' rates: it goes on where it was, and what it says is what its pictures say."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import training_helpers as helpers

from lib.experiments import measured, ship, superres, superres_rates
from lib.plots import findings, restoring
from lib.training import shipped
from lib.training.pedestrians import SR_RATIOS, rate_of
from lib.training.pretrain import whole_set


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A search of seconds: few people on a small canvas, three rates."""
    monkeypatch.setenv("REID_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("COURSE_MEASURED", str(tmp_path / "measured"))
    people = helpers.tiny_people(identities=8, images=4)
    monkeypatch.setattr(superres_rates, "load_dataset", lambda *a, **k: people)
    monkeypatch.setattr(superres_rates, "whole_set", whole_set)
    monkeypatch.setattr(ship, "COURSE", (32, 16))
    for name, value in {"RATES": (1e-3, 1e-2, 1e-1), "FIRST": (1e-3, 1e-2)}.items():
        monkeypatch.setattr(superres_rates, name, value)


def test_every_network_that_ships_is_searched():
    assert set(superres_rates.networks()) == {s.network for s in ship.SHIPMENTS} - {
        "resnet18-half", "bottleneck-16-1", "densenet-narrow", "osnet-0.25", "hrnet-w12", "hrnet-w8"
    }  # fmt: skip
    assert set(superres_rates.FIRST) < set(superres_rates.RATES) and list(superres_rates.RATES) == sorted(
        superres_rates.RATES
    )


def test_lesson_05_trains_at_the_rates_that_the_record_found():
    """The code's rates are those of ``data/measured``: the best there, and the shipped one's beside it."""
    best = superres_rates.best(measured.measured("rates_superres", "pedestrians")).set_index("name")["rate"]
    assert set(best.index) == set(superres_rates.networks())
    for name, rate in best.items():
        assert rate_of(name).best == rate
        assert shipped.about(shipped.find(name, ship.COURSE, "pedestrians"))["rate"] == rate_of(name).value
        bench = SimpleNamespace(profile="course", images=100, epochs=lambda images: 1)
        assert superres.restorer(bench, None, name, 0.25).settings.lr == rate


def test_the_search_goes_on_and_writes_what_is_there(small):
    assert superres_rates.write(["srcnn-915"]) is None
    assert superres_rates.train(["srcnn-915"], hours=0) == 1 and superres_rates.write(["srcnn-915"]) is None
    assert superres_rates.train(["srcnn-915", "vdsr-narrow"], hours=1) == 0
    superres_rates.write(["srcnn-915", "vdsr-narrow"])
    table = measured.measured("rates_superres", "pedestrians")
    assert set(table["name"]) == {"srcnn-915", "vdsr-narrow"} and set(table["rate"]) <= set(superres_rates.RATES)
    for (name, rate), rows in table.groupby(["name", "rate"]):
        method = superres_rates.trained(name, rate).method
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
    best = superres_rates.best(table)
    assert list(zip(best["name"], best["rate"], best["value"], strict=True)) == [("b", 1e-3, 30.0), ("a", 1e-2, 25.5)]


def test_the_figure_says_what_a_rate_is_worth():
    table = pd.DataFrame(
        {"name": ["vdsr-narrow"] * 2 + ["fsrcnn"] * 3, "rate": [2e-4, 2e-3, 2e-4, 2e-3, 2e-2]}
        | {"gain": [0.5, 0.9, -4.0, -2.5, -3.0], "value": 0.0, "ratio": 0.5}
    )
    title = findings.rates(superres_rates.means(table))
    assert (
        title == "A learning rate is worth up to 1.5 dB (FSRCNN); at the best of the rates 1 of 2 networks pass bicubic"
    )
    fig = restoring.rates(superres_rates.means(table), table.iloc[[1, 3]], title)
    assert len(fig.axes) == 2  # VDSR passes bicubic, FSRCNN does not
    lines = [line for ax in fig.axes for line in ax.get_lines()]
    marked = {tuple(line.get_xydata()[0]) for line in lines if len(line.get_xdata()) == 1}
    assert marked == {(2e-3, 0.9), (2e-3, -2.5)}
