"""All five under one protocol: what is printed, what is measured, what it costs; and the lesson that shows it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from lib.course import notebook as notebooks
from lib.course import structure
from lib.data import load_dataset
from lib.evaluation import complexity, objective
from lib.experiments import jbim, pshrnet, pshrnet_results, scoreboard, scoreboard_objective, scoreboard_training, sing
from lib.experiments.controls import BASELINE, CONTROLS, EVERYWHERE
from lib.experiments.recorded import recorded
from lib.experiments.scores import with_interval
from lib.experiments.studies import STUDIES
from lib.experiments.study import Study, cells
from lib.methods import create_method
from lib.plots import scoreboard as pictures


def test_the_published_gains_are_the_papers():
    """Each difference worked out by hand from the paper's table."""
    gains = scoreboard.published_gains().set_index("name")["gain"]
    by_hand = {
        "SING": 33.5 - 25.0,
        "FFSR + RIFE": 41.6 - 29.9,
        "FTWA": 83.2 - 46.3,
        "PS-HRNet": 91.5 - 84.7,
        "JBIM": 49.7 - 28.8,
    }
    assert gains.to_dict() == pytest.approx(by_hand)


def test_the_standings_are_the_records():
    table = scoreboard.standings()
    at = table.set_index(["set", "name"])
    record = recorded("sing")
    assert at.loc[("pedestrians", "SING"), "value"] == record.rank1("SING", "mlr")["pedestrians"]
    apart = record.difference("SING", BASELINE, "viper", "mlr")
    assert at.loc[("viper", "SING"), ["mean", "low", "high"]].tolist() == apart[["mean", "low", "high"]].tolist()
    assert table[table["name"] == BASELINE]["mean"].isna().all()
    assert (at["value"].between(at["level_low"], at["level_high"])).all()


def test_a_record_without_the_baseline_has_no_differences_yet(monkeypatch):
    one = recorded("sing", ["viper"])
    rows = one.rows[one.rows["row"] != BASELINE]
    apart = one.differences[(one.differences["row"] != BASELINE) & (one.differences["reference"] != BASELINE)]
    night = dataclasses.replace(one, rows=rows, differences=apart)
    nothing = dataclasses.replace(one, rows=rows.head(0), differences=apart.head(0), origins={})
    monkeypatch.setattr(scoreboard, "recorded", lambda study, *more: night if study == "sing" else nothing)
    table = scoreboard.standings(["viper"]).set_index("name")
    assert "SING" in table.index and table["mean"].isna().all() and table["value"].notna().all()


def test_a_method_on_another_network_stands_beside_its_own_plain_one():
    table = scoreboard.over_own_network()
    record = recorded("pshrnet")
    for row in table.itertuples():
        preset = record.rows.query("set == @row.set and row == @row.name")["preset"].iloc[0]
        apart = record.difference(row.name, row.reference, row.set, preset)
        assert (row.mean, row.low, row.high) == (apart["mean"], apart["low"], apart["high"])
    assert ("pedestrians", "PS-HRNet", "PS-HRNet, ID") in set(zip(table["set"], table["name"], table["reference"]))


def test_the_costs_of_a_search():
    costs = scoreboard.costs("course").set_index("name")
    method = create_method("baseline")
    method.setup("course", 2)
    one = complexity(method, method.canvas, lambda m, images: m.backbone(images))
    assert costs.loc[list(CONTROLS), "macs"].tolist() == [2 * one.macs] * 2  # a probe and a gallery image
    (sing,) = (some for some in scoreboard.CONTESTANTS if some.name == "SING")
    own = pshrnet_results.costs("course").set_index("part").loc["PS-HRNet", "weights"]
    assert costs.loc["PS-HRNet", "weights"] == own  # its teacher is there in training alone
    assert sing.models == 3 and costs.loc["SING", "macs"] > 3 * 2 * one.macs  # and the super-resolution of the probe


def test_the_milliseconds_of_a_search(monkeypatch):
    two = [one for one in scoreboard.CONTESTANTS if one.name in (BASELINE, "LOMO + XQDA")]
    monkeypatch.setattr(scoreboard, "CONTESTANTS", two)
    assert list(scoreboard.times("quick")) == [BASELINE] == list(scoreboard.costs("quick")["name"])
    assert scoreboard.times("quick")[BASELINE] > 0


def test_the_objective_of_what_is_trained(tmp_path, monkeypatch):
    """As ``objective`` has it, probe against gallery; one training of each, so that the difference is their ratio."""
    monkeypatch.setenv("REID_RUNS", str(tmp_path))
    people = load_dataset("pedestrians", identities=24)
    where = cells(people, "mlr", seeds=2)
    study = Study("ripr", STUDIES["ripr"].rows(people), where, "quick", progress=False)
    for name in CONTROLS:
        study.trained(name, where[:1])
    table, runs = scoreboard_objective.objectives(people, where, "quick", resamples=50)
    table = table.set_index("name")
    assert list(table.index) == list(CONTROLS) and len(runs) == 2 and (table["trainings"] == 1).all()
    for name in CONTROLS:
        method, how = study.trained(name, where[:1]).method, {"roles": ("probe", "gallery"), "resamples": 0}
        wanted = objective(method, where[0].protocol, 1 / 4, 1.0, **how).normalised
        assert table.loc[name, "value"] == pytest.approx(wanted)
    ratio = table.loc[EVERYWHERE, "value"] / table.loc[BASELINE, "value"]
    assert table.loc[EVERYWHERE, "mean"] == pytest.approx(ratio - 1)
    assert table.loc[EVERYWHERE, "low"] < ratio - 1 < table.loc[EVERYWHERE, "high"]
    assert np.isnan(table.loc[BASELINE, "mean"])


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_minutes_of_training_are_all_runs_behind_a_method(tmp_path, monkeypatch, one_thread):
    """JBIM's three models start from three HIM and three LIM; two of SING's three were not trained here."""
    monkeypatch.setenv("REID_RUNS", str(tmp_path / "runs"))
    people = load_dataset("pedestrians", identities=40)
    where = cells(people, "mlr", seeds=2)
    study = Study("jbim", STUDIES["jbim"].rows(people), where, "quick", progress=False)
    for name in (BASELINE, jbim.HIM, jbim.LIM, jbim.JBIM):
        study.trained(name, where[:1])
    study.run(sing.SING, where[0], study.row(sing.SING).ratios[1])
    table, runs = scoreboard_training.minutes(people, where, "quick")
    table = table.set_index("name")
    assert set(table.index) == {BASELINE, sing.SING, jbim.JBIM} and len(runs) == len(study.runs) == 11
    lasted = sum(
        run.seconds for name in (jbim.HIM, jbim.LIM, jbim.JBIM) for run in study.trained(name, where[:1]).all_runs
    )
    assert table.loc[jbim.JBIM, "minutes"] == pytest.approx(lasted / 60)
    assert table.loc[jbim.JBIM, ["models", "timed", "trainings"]].tolist() == [3, 3, 1]
    one = study.run(sing.SING, where[0], study.row(sing.SING).ratios[1]).seconds
    assert table.loc[sing.SING, "minutes"] == pytest.approx(3 * one / 60)
    assert table.loc[sing.SING, ["models", "timed"]].tolist() == [3, 1]


def test_the_teacher_is_trained_too(tmp_path, monkeypatch, one_thread):
    monkeypatch.setenv("REID_RUNS", str(tmp_path / "runs"))
    people = load_dataset("pedestrians", identities=40)
    (cell,) = cells(people, "mlr")
    study = Study("pshrnet", STUDIES["pshrnet"].rows(people), [cell], "quick", progress=False)
    pupil = study.run(pshrnet.PS, cell)
    (one,) = (some for some in scoreboard.CONTESTANTS if some.name == pshrnet.PS)
    runs, there, models = scoreboard_training.behind(one, people, cell, "quick")
    assert (there, models) == (1, 1) and pupil.key in {run.key for run in runs}
    teacher = [run for run in runs if run.protocol.preset == "plain"]
    assert len(teacher) == 1 and teacher[0].seconds > 0


def test_models_that_lack_what_they_start_from_are_not_counted(tmp_path, monkeypatch, one_thread):
    """JBIM for 1/3 is there, of the other two only HIM: their seconds are not counted, and so not multiplied."""
    monkeypatch.setenv("REID_RUNS", str(tmp_path / "runs"))
    people = load_dataset("pedestrians", identities=40)
    (cell,) = cells(people, "mlr")
    study = Study("jbim", STUDIES["jbim"].rows(people), [cell], "quick", progress=False)
    (one,) = (some for some in scoreboard.CONTESTANTS if some.name == jbim.JBIM)
    ratios = study.row(jbim.JBIM).ratios
    study.run(jbim.JBIM, cell, ratios[1])
    alone = scoreboard_training.behind(one, people, cell, "quick")
    assert len(alone[0]) == 3 and alone[1:] == (1, 3)
    study.run(jbim.HIM, cell, ratios[0])
    again = scoreboard_training.behind(one, people, cell, "quick")
    assert [run.key for run in again[0]] == [run.key for run in alone[0]] and again[1:] == (1, 3)


@pytest.mark.parametrize("other", [{"device_kind": "cuda"}, {"threads": 2}, {"device": "another CPU"}])
def test_trainings_elsewhere_stand_beside_nothing(tmp_path, monkeypatch, one_thread, other):
    monkeypatch.setenv("REID_RUNS", str(tmp_path / "runs"))
    people = load_dataset("pedestrians", identities=40)
    where = cells(people, "mlr")
    study = Study("ripr", STUDIES["ripr"].rows(people), where, "quick", progress=False)
    for name in CONTROLS:
        study.trained(name)
    real = scoreboard_training.behind

    def elsewhere(one, *about):
        runs, *counts = real(one, *about)
        changed = [dataclasses.replace(run, provenance=run.provenance | other) for run in runs]
        return (changed if one.name == EVERYWHERE else runs), *counts

    assert set(scoreboard_training.minutes(people, where, "quick")[0]["name"]) == set(CONTROLS)
    monkeypatch.setattr(scoreboard_training, "behind", elsewhere)
    assert set(scoreboard_training.minutes(people, where, "quick")[0]["name"]) == {BASELINE}


def test_lesson_90_shows_the_record_of_today():
    """It reads data/measured: what it stores is stale when that changes (make publish LESSONS=90)."""
    (said,) = structure.answers(notebooks.read(notebooks.lesson_files()["90_one_protocol"]))
    for one in scoreboard.standings().to_dict("records"):
        if one["name"] in set(scoreboard.published_gains()["name"]):
            assert with_interval(pd.Series(one)) in said, f"{one['name']} on {one['set']}"


# ---- the pictures


def table() -> pd.DataFrame:
    rows = [
        ("pedestrians", BASELINE, 0.78, np.nan),
        ("pedestrians", "SING", 0.77, -0.01),
        ("viper", "SING", 0.35, 0.03),
    ]
    made = pd.DataFrame(rows, columns=["set", "name", "value", "mean"])
    made = made.assign(low=made["mean"] - 0.02, high=made["mean"] + 0.02)
    return made.assign(level_low=made["value"] - 0.03, level_high=made["value"] + 0.03)


def test_what_is_left_of_each_gain():
    gains = pd.DataFrame({"name": ["SING", "JBIM"], "dataset": ["MLR-VIPeR"] * 2, "gain": [8.5, 20.9]})
    (ax,) = pictures.left(table(), gains, "a finding").axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["SING", "JBIM (not recorded yet)"]
    points = [line.get_xdata()[0] for line in ax.get_lines() if len(line.get_xdata()) == 1]
    assert points == pytest.approx([8.5, -1.0, 3.0, 20.9])
    assert [text.get_text() for text in ax.texts] == ["MLR-VIPeR"] * 2


def test_rank_1_against_the_cost():
    costs = pd.DataFrame({"name": [BASELINE, "SING"], "macs": [1.4e8, 5.5e8]})
    left, right = pictures.against_cost(table(), costs, "a finding").axes
    assert left.get_xscale() == "log" and left.get_title(loc="left") == "embedded people"
    points = [float(line.get_ydata()[0]) for line in right.get_lines() if len(line.get_xdata()) == 1]
    assert points == pytest.approx([35.0])
    with pytest.raises(ValueError, match="no cost is known of SING"):
        pictures.against_cost(table(), costs[costs["name"] != "SING"])
