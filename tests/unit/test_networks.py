"""Which network learns most in equal time: who is tested, what is compared, and that the record goes on."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from lib.data import load_dataset, make_protocol
from lib.experiments import measured, networks, others
from lib.experiments.networks import Candidate
from lib.methods.baseline import Baseline
from lib.models.backbones import create_backbone
from lib.plots.findings import network_choice
from lib.training import shipped


def test_the_candidates_are_networks_and_the_course_has_one_of_them():
    assert len(set(networks.CANDIDATES)) == len(networks.CANDIDATES)
    with torch.device("meta"):
        assert all(create_backbone(candidate.network).channels for candidate in networks.CANDIDATES)
    usual = Baseline.defaults("course")
    assert Candidate(usual.backbone, usual.canvas) in networks.CANDIDATES


def test_nobody_is_tested_who_is_tested_in_another_table():
    alone, usual = networks.unseen(), make_protocol(load_dataset("pedestrians"), "mlr")
    tested = set(alone.rows("test")["pid"])
    assert len(tested) == usual.table.query("subset != 'test'")["pid"].nunique() - 1
    assert not tested & set(usual.rows("test")["pid"])


def test_equal_time_is_equal_images_times_speed(monkeypatch):
    monkeypatch.setattr(networks, "IDENTITIES", 20)
    monkeypatch.setattr(networks, "TIMED", 8)
    per_epoch = len(networks.seen(networks.TIMED).rows("train")) * networks.IDENTITIES / networks.TIMED
    assert networks.epochs_in(100, per_epoch / 10) == 10 and networks.epochs_in(100, 4 * per_epoch / 10) == 40
    assert networks.epochs_in(0.001, 1) == 1


def test_what_ships_is_shown_as_its_provenance_says():
    table = networks.first_weights().set_index(["network", "canvas"])
    assert table["embedded people"].is_monotonic_decreasing and table.notna().all(axis=None)
    usual = Baseline.defaults("course")
    about = shipped.about(shipped.find(usual.backbone, usual.canvas, "pedestrians"))
    mine = table.loc[usual.backbone, " x ".join(map(str, usual.canvas))]
    assert mine["MLR-VIPeR"] == about["reaches"]["rank-1 viper mlr"] and mine["minutes"] == about["seconds"] / 60
    assert set(table.index.get_level_values("network")).isdisjoint({"srcnn-915", "vdsr-narrow"})  # pictures, no people


def test_the_record_goes_on(monkeypatch, tmp_path):
    monkeypatch.setenv("REID_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("COURSE_MEASURED", str(tmp_path / "measured"))
    for name, value in {"RATES": (1e-3, 1e-2), "FIRST": (1e-3, 1e-2)}.items():
        monkeypatch.setattr(networks, name, value)
    few, people = networks.seen(16), load_dataset("pedestrians", identities=12)
    alone = others.tested_alone(people, set(people.table["pid"]), "mlr", "few")
    for name, value in {"seen": lambda identities: few, "unseen": lambda: alone, "epochs_in": lambda *told: 1}.items():
        monkeypatch.setattr(networks, name, value)
    small = [Candidate("bottleneck-4-1", (32, 16)), Candidate("bottleneck-4-1", (48, 24))]
    assert networks.train(small, 1, hours=0) == 2 and networks.write(small, 1) is None
    assert networks.train(small[:1], 1, hours=1) == 0
    networks.write(small, 1)
    assert networks.train(small, 1, hours=1) == 0
    table = measured.measured(networks.write(small, 1).stem.removesuffix("-pedestrians"), "pedestrians")
    assert len(table.query("metric == 'rank-1'")) == 4 and set(table["height"]) == {32, 48}
    best = networks.best(table)
    assert sorted(best["name"]) == ["bottleneck-4-1, 32 x 16", "bottleneck-4-1, 48 x 24"]
    for row in best.itertuples():
        assert row.value == table.query("metric == 'rank-1' and name == @row.name")["value"].max()
    assert best["value"].is_monotonic_decreasing


def test_rates_are_tried_until_the_best_has_worse_ones_on_both_sides():
    """On a hill every walk ends on its top, having tried its two neighbours and nothing beyond them but the start."""
    assert networks.next_rate({}) == networks.FIRST[0]
    for top in range(len(networks.RATES)):
        score = {rate: -abs(place - top) for place, rate in enumerate(networks.RATES)}
        tried = {}
        while (rate := networks.next_rate(tried)) is not None:
            assert rate not in tried
            tried[rate] = score[rate]
        assert max(tried, key=tried.get) == networks.RATES[top]
        beside = networks.RATES[max(0, top - 1) : top + 2]
        assert set(beside) <= set(tried) and len(tried) <= abs(top - 3.5) + 3.5


def test_the_title_says_where_the_choice_stands():
    best = pd.DataFrame({"name": ["a", "b", "c"], "value": [0.5, 0.48, 0.3], "low": [0.4, 0.4, 0.2],
                         "high": [0.6, 0.55, 0.4]})  # fmt: skip
    assert network_choice(best, "a") == "In equal time a learns most: 50.0 %, b 48.0 %"
    assert network_choice(best.head(1), "a") == "In equal time a learns most: 50.0 %"
    assert "b has 48.0 %, within its interval of a (50.0 %)" in network_choice(best, "b")
    assert "c has 30.0 %, behind a (50.0 %)" in network_choice(best, "c")
    with pytest.raises(ValueError, match="d was not compared"):
        network_choice(best, "d")
