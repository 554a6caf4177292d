"""Lesson 04's rows, and the budget that they show to be long enough."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lib.data import load_dataset, make_protocol
from lib.evaluation import evaluate
from lib.experiments import baseline, convergence, measured, others, ripr, superres, superres_rates
from lib.experiments.controls import BASELINE, CONTROLS, controls
from lib.experiments.levels import levels, printed_levels
from lib.experiments.record import train
from lib.experiments.recorded import Record, recorded
from lib.experiments.study import IMAGES, Bench, Study, cells
from lib.plots.curves import still_to_gain
from lib.training.pretrain import pretrained


@pytest.fixture(scope="module")
def people():
    return load_dataset("pedestrians", identities=40)


@pytest.fixture
def runs(monkeypatch, tmp_path):
    monkeypatch.setenv("REID_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("COURSE_MEASURED", str(tmp_path / "measured"))
    monkeypatch.setattr(measured, "EVIDENCE", ("quick", "course", "paper"))


def test_what_was_not_trained_here_is_a_row_like_the_others(people, runs):
    protocol = make_protocol(people, "plain")
    direct = pretrained("quick", progress=False)
    study = Study("small", baseline.rows(), cells(people, "plain"), "quick", progress=False)
    (result,) = study.results(baseline.TRANSFER)
    np.testing.assert_allclose(result.ranking.cmc, evaluate(direct, protocol).ranking.cmc, atol=1e-6)
    assert len(study.trained(baseline.TRANSFER).runs[0][0].history) == 0
    histogram = study.trained(baseline.HISTOGRAM).method
    assert study.results(baseline.HISTOGRAM)[0].rank(1) == evaluate(histogram, protocol).rank(1)
    (scratch,), (fine,) = ([run.method for run in study.trained(n).all_runs] for n in (baseline.SCRATCH, BASELINE))
    assert not scratch.settings.weights and fine.settings.weights and scratch.settings.epochs == fine.settings.epochs


def test_the_four_properties():
    values = {BASELINE: (0.8, 0.7, 0.5), baseline.SCRATCH: (0.4, 0.3, 0.2), baseline.HISTOGRAM: (0.1, 0.1, 0.1)}
    table = pd.DataFrame(
        [
            {"name": name, "ratio": ratio, "metric": "rank-1", "value": value}
            for name, some in values.items()
            for ratio, value in zip((1.0, 0.25, 0.125), some, strict=True)
        ]
    )
    found = baseline.properties(table)
    assert [round(value, 6) for value in found.values()] == [80, 10, 25, 25] and all(baseline.hold(found).values())
    for name, bad in ((baseline.LEVEL, 96), (baseline.COLOURS, 40), (baseline.LOST, 14.9), (baseline.FURTHER, 0)):
        assert [key for key, fine in baseline.hold({**found, name: bad}).items() if not fine] == [name]
    with pytest.raises(KeyError):
        baseline.properties(table[table["name"] != baseline.SCRATCH])


def test_published_rows():
    found = printed_levels("MLR-VIPeR").set_index("method")["rank-1"]
    assert found.to_dict() == {
        "ResNet-50": 29.9, "All-Resolution": 36.7, "SING": 33.5, "FFSR+RIFE": 41.6, "JBIM": 49.7,
    }  # fmt: skip
    assert printed_levels("nowhere").empty


# ---- the budget


def test_a_budget_of_its_own(people):
    where = cells(people, "plain")
    assert Study("usual", controls(), where, "course").images == IMAGES["course"]
    with pytest.raises(ValueError, match="at least one image"):
        Study("none", controls(), where, "course", images=0)
    lengths = [some.images for some in convergence.studies(people, "mlr", where).values()]
    assert lengths == [IMAGES["course"] // 4, IMAGES["course"] // 2, IMAGES["course"], 5 * IMAGES["course"] // 2]


def test_every_family_can_be_trained(people):
    names = [row.name for some in (convergence.rows(), convergence.later_rows()) for row in some]
    assert set(convergence.COMPARED) <= set(names) and len(names) == len(set(names))
    assert convergence.FAMILIES[ripr.BOTH] == convergence.FAMILIES[convergence.JBIM] == pytest.approx(2 / 3)
    some = convergence.studies(people, "mlr", cells(people, "mlr"), papers="later")[1.0]
    assert set(convergence.LATER) <= set(some.rows) and not set(convergence.EARLIER) & set(some.rows)


def test_the_record_of_convergence_goes_on(people, runs, monkeypatch):
    rows = [*controls(), *[row for row in convergence.rows() if row.name == baseline.SCRATCH]]
    monkeypatch.setattr(convergence, "rows", lambda: rows)
    monkeypatch.setattr(others, "FURTHER", 12)
    pretrained("quick", progress=False)

    def again():
        return convergence.studies(people, "mlr", cells(people, "mlr", seeds=2), "quick")

    assert convergence.write(people, "mlr", again(), "quick") == []
    monkeypatch.setattr(convergence, "rows", lambda: rows[:1])
    assert train([*again().values()], hours=1) == 0
    monkeypatch.setattr(convergence, "rows", lambda: rows)
    some = again()
    written = convergence.write(people, "mlr", some, "quick")
    assert [path.stem for path in written] == [f"{n}-pedestrians" for n in ("convergence", "convergence_gains")]
    assert convergence.order(some, some, convergence.Asked(None)).empty  # the baseline has nobody beside it yet
    table = measured.measured("convergence", "pedestrians", "quick")
    budget = table.attrs["provenance"]["inputs"]["budget"]
    ends = convergence.drawn(table, budget)
    assert set(ends["people"]) == {"12 further people"}
    assert set(table.query("when == 'on the way'")["people"]) <= {convergence.VALIDATION}
    assert budget == IMAGES["quick"] and set(ends["name"]) == {BASELINE} and set(ends["trainings"]) == {2}
    assert list(ends["images"]) == [budget // 4, budget // 2, budget, 5 * budget // 2]
    (gain,) = measured.measured("convergence_gains", "pedestrians", "quick").to_dict("records")
    assert 100 * gain["mean"] == pytest.approx(still_to_gain(ends, budget)[BASELINE], abs=1e-3)
    assert gain["low"] <= gain["mean"] <= gain["high"]  # of few people, who may all be found by both

    monkeypatch.setattr(convergence, "later_rows", lambda: rows[:1])
    later = convergence.studies(people, "mlr", cells(people, "mlr", seeds=2), "quick", papers="later")
    written = convergence.write(people, "mlr", later, "quick", papers="later")
    assert written[0].stem == "convergence_later-pedestrians"
    both = convergence.recorded("convergence", "pedestrians")
    longer, usual = some[convergence.LONGER], some[1.0]
    alone = convergence.gains(some, convergence.Asked(None))  # as for a set of which there are no more people
    wanted = [np.mean([r.rank(1) for r in study.results(BASELINE, subset="val")]) for study in (longer, usual)]
    assert alone["mean"].tolist() == [pytest.approx(wanted[0] - wanted[1])]
    assert set(alone["people"]) == {convergence.VALIDATION}
    assert train([some[1.0], longer], hours=1) == 0
    beside = convergence.order(some, some, convergence.Asked(None)).set_index(["name", "images"])
    assert set(beside.index) == {(n, s.images) for n in (rows[1].name, baseline.SCRATCH) for s in (usual, longer)}
    for (name, images), row in beside.iterrows():
        study = {usual.images: usual, longer.images: longer}[images]
        (one, control) = ([r.rank(1) for r in study.results(n, subset="val")] for n in (name, BASELINE))
        assert row["mean"] == pytest.approx(np.mean(one) - np.mean(control)) and row["trainings"] == 2
    assert len(both) == 2 * len(table) and len(both.attrs["origins"]) == 2
    with pytest.raises(measured.MeasuredError, match="no measured table convergence-viper"):
        convergence.recorded("convergence", "viper")


def test_further_people_are_not_among_those_that_there_are(people, monkeypatch):
    monkeypatch.setattr(others, "FURTHER", 12)
    found = others.further(people, "mlr")
    assert set(found.table["pid"]).isdisjoint(people.table["pid"])
    assert found.rows("test")["pid"].nunique() == 12 and set(found.table["cam"]) == set(people.table["cam"])
    assert found.rows("val").empty and found.preset == "mlr"
    assert others.further(people.take(np.arange(len(people)), name="viper"), "mlr") is None


def test_what_the_loop_logged_lies_on_the_way(people, runs, monkeypatch):
    class Run:
        history = pd.DataFrame({"score": [0.2, np.nan, 0.6]})

    class Some:
        def __init__(self, images):
            self.images = images

        def trained(self, name, where):
            return type("Trained", (), {"all_runs": [Run, Run]})

    monkeypatch.setattr(convergence, "trained", lambda study: {ripr.BOTH: [None], BASELINE: [None]})
    found = convergence.way({1.0: Some(900)}).set_index(["name", "images"])
    assert found.loc[(ripr.BOTH, 700), "value"] == 0.2 and found.loc[(ripr.BOTH, 900), "value"] == 0.6
    assert found.loc[(BASELINE, 300), "trainings"] == 2 and (BASELINE, 600) not in found.index


def test_a_family_without_the_longer_training_is_not_drawn():
    table = pd.DataFrame(
        [(CONTROLS[0], n, "end") for n in (25, 100, 250)] + [(CONTROLS[1], n, "end") for n in (25, 100)]
        + [(CONTROLS[0], 30, "on the way"), (baseline.SCRATCH, 250, "end")],
        columns=["name", "images", "when"],
    )  # fmt: skip
    assert list(convergence.drawn(table, 100)["images"]) == [25, 100, 250]
    assert convergence.drawn(table.head(0), 100).empty


@pytest.mark.parametrize("tables", [("rows",), ("rows", "differences")])
def test_a_study_without_claims_or_of_one_row_is_recorded_all_the_same(runs, tables):
    for what in tables:
        frame = pd.DataFrame({"row": ["a"], "preset": "mlr", "identities": 316})
        measured.record(f"baseline_{what}", frame, profile="quick", dataset="viper", seed=0)
    found = recorded("baseline", ("viper", "caviar"), "quick")
    assert list(found.origins) == ["viper"] and found.claims.empty and len(found.rows) == 1
    assert found.differences.empty is ("differences" not in tables)
    assert tables != ("rows",) or found.against("a", ["b"]).empty


def test_the_record_stands_beside_the_papers():
    rows = pd.DataFrame(
        {
            "set": ["viper", "viper", "viper"], "preset": ["mlr", "plain", "mlr"], "row": [BASELINE] * 3,
            "metric": ["rank-1", "rank-1", "mAP"], "value": [0.4, 0.5, 0.6], "low": 0.35, "high": 0.45, "trainings": 9,
        }
    )  # fmt: skip
    table = levels(Record(rows, rows.head(0), rows.head(0), {"viper": "measured"}))
    assert set(table["protocol"]) == {"MLR-VIPeR", "CAVIAR"}
    (mine,) = table[table["network"] == BASELINE].to_dict("records")
    assert mine == {
        "protocol": "MLR-VIPeR",
        "network": BASELINE,
        "from": "here, 9 trainings",
        "rank-1": "40.0 [35.0, 45.0]",
    }
    assert "33.5" in set(table.loc[table["network"] == "SING", "rank-1"])
    empty = Record(pd.DataFrame(), pd.DataFrame(), pd.DataFrame(), {})
    assert BASELINE not in set(levels(empty)["network"]) and len(levels(empty))


def test_every_super_resolution_sees_its_share_of_the_budget_at_its_rate(people):
    study = Study("pictures", superres.rows("course", 1 / 4), cells(people, "plain"), "course", progress=False)
    bench, lr = Bench(study, study.cells[0]), {}
    for name, row in study.rows.items():
        method = row.make(bench, None)
        s = method.settings_for("course")
        lr[name] = s.lr
        assert (s.network, s.ratios, s.canvas) == (name, (1 / 4,), (96, 48)) and not s.weights
        assert s.epochs == bench.epochs(superres.SHARE * IMAGES["course"])
    searched = superres_rates.best(measured.measured("rates_superres", "pedestrians")).set_index("name")["rate"]
    assert lr == {name: searched[name] for name in lr}
    (content,) = {superres.restorer(bench, None, "srgan-narrow", 1 / 4).settings.content}
    assert content == "resnet18-half"
