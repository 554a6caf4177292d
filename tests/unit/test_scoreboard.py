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
from lib.plots import style


def test_the_published_gains_are_the_papers():
    """Each difference worked out by hand from the paper's table."""
    gains = scoreboard.published_gains().set_index("name")["gain"]
    by_hand = {
        "SING": 33.5 - 25.0,
        "FFSR + RIFE": 41.6 - 29.9,
        "FTWA": 83.2 - 46.3,
        "PS-HRNet": 91.5 - 64.7,  # of Table 2 and of Table 4
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


def test_what_the_own_study_lacks_on_a_set_is_of_the_papers_tables():
    """OSNet and AGW: level and difference of the one record that has them there."""
    at, beside = scoreboard.standings().set_index(["set", "name"]), recorded("jbim_table_4")
    for people in ("viper", "caviar"):
        assert not recorded("jbim", [people]).rank1(jbim.OSNET)
        for name in (jbim.OSNET, jbim.AGW):
            assert at.loc[(people, name), "value"] == beside.rank1(name)[people]
            apart = beside.difference(name, BASELINE, people, "mlr")
            assert at.loc[(people, name), ["mean", "low", "high"]].tolist() == apart[["mean", "low", "high"]].tolist()
    assert "OSNet" not in scoreboard.unrecorded(at.reset_index(), scoreboard.objectives())


def test_no_level_of_one_record_stands_beside_a_difference_of_another(monkeypatch):
    night, beside = recorded("jbim", ["pedestrians"]), recorded("jbim_table_4", ["pedestrians"])
    lacks = dataclasses.replace(night, differences=night.differences.head(0))
    monkeypatch.setattr(scoreboard, "recorded", lambda study, *more: beside if study == "jbim_table_4" else lacks)
    table = scoreboard.standings(["pedestrians"]).set_index("name")
    assert beside.difference("OSNet", BASELINE, "pedestrians")["trainings"] == 3
    assert table.loc["OSNet", "value"] > 0 and np.isnan(table.loc["OSNet", "mean"])


def test_a_row_without_chance_has_the_trainings_of_its_difference():
    record, table = recorded("sing", ["pedestrians"]), scoreboard.standings(["pedestrians"])
    lomo = record.rows.query("row == 'LOMO + XQDA' and metric == 'rank-1'")
    assert lomo["trainings"].tolist() == [1]  # of a descriptor that learns nothing at random
    assert record.difference("LOMO + XQDA", BASELINE, "pedestrians")["trainings"] == 3
    assert table.set_index("name").loc["LOMO + XQDA", "trainings"] == 3
    assert not any("LOMO" in one for one in scoreboard.few_trainings(table, NO_O))


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


def standing(people: str, name: str, mean: float, trainings: int = 3, value: float = 0.7) -> dict:
    """A row of the standings whose interval reaches two points to each side."""
    line = {"set": people, "name": name, "value": value, "level_low": value - 0.03, "level_high": value + 0.03}
    line |= {"map": value, "map_low": value - 0.03, "map_high": value + 0.03, "trainings": trainings, "trials": 1}
    return line | {"mean": mean, "low": mean - 0.02, "high": mean + 0.02}


GAINS = pd.DataFrame(
    {"name": ["SING", "FTWA"], "table": ["T"] * 2, "dataset": ["MLR-VIPeR", "MLR-CUHK03"], "gain": [8.0, 30.0]}
)
NO_O = scoreboard.objectives(sets=())


def test_the_finding_counts_what_has_three_trainings_on_any_set():
    rows = [
        standing("pedestrians", BASELINE, np.nan),
        standing("pedestrians", "SING", 0.045),
        standing("pedestrians", "FTWA", 0.03),
        standing("pedestrians", "AGW", 0.06),  # no gain of a paper
        standing("viper", "SING", 0.09, trainings=2),
        standing("viper", "FTWA", 0.01),
    ]
    table = pd.DataFrame(rows)
    assert scoreboard.halves(table, GAINS) == {"SING": True, "FTWA": False}
    said = scoreboard.finding(table, GAINS)
    assert "1 of 2 gains keep half of their size on embedded people" in said
    assert said.endswith(
        "above it lie only SING (+4.5 [+2.5, +6.5] of +8.0 points) and FTWA (+3.0 [+1.0, +5.0] of +30.0 points) "
        "on embedded people."
    )
    assert "below" not in said
    apart = pd.DataFrame([standing("pedestrians", "FTWA", 0.1, trainings=2), standing("pedestrians", "SING", 0.1)])
    assert scoreboard.few_trainings(table, NO_O) == ["SING on VIPeR (2 trainings)"]
    assert scoreboard.few_trainings(table, apart)[1:] == ["FTWA's O on embedded people (2 trainings)"]
    costs = pd.DataFrame({"name": [BASELINE, "SING", "FTWA"], "macs": [100, 250, 100]})
    assert scoreboard.of_cost(table, costs).endswith(
        "only SING (at 2.5 times its cost) and FTWA (at 1.0 times its cost) on embedded people"
    )
    none = table[table["low"].isna() | (table["low"] < 0) | (table["trainings"] < 3)]
    assert "above it lies none, the best is FTWA with +1.0 [-1.0, +3.0]" in scoreboard.finding(none, GAINS)
    assert scoreboard.of_cost(none, costs) == "No network lies above the plain one"


def test_the_finding_names_what_lies_below_too():
    rows = [
        standing("pedestrians", "PS-HRNet", -0.05),
        standing("pedestrians", "SING", 0.045),
        standing("pedestrians", "JBIM", -0.03),
        standing("pedestrians", "FTWA", -0.01),  # not certainly
        standing("pedestrians", "OSNet", -0.14),  # no gain of a paper
        standing("viper", "FTWA", -0.1),  # on other people
    ]
    gains = pd.concat([GAINS, GAINS.assign(name=["PS-HRNet", "JBIM"])])
    assert scoreboard.finding(pd.DataFrame(rows), gains).endswith(
        " on embedded people; below it lie JBIM (-3.0 [-5.0, -1.0] points) and PS-HRNet (-5.0 [-7.0, -3.0] points) on "
        "embedded people."
    )
    assert "the best is SING with +1.0 [-1.0, +3.0]; below it lie JBIM (" in scoreboard.finding(
        pd.DataFrame([standing("pedestrians", "SING", 0.01), rows[2]]), gains
    )


def test_what_is_not_recorded_is_said():
    rows = [
        standing("pedestrians", one.name, np.nan if one.name == BASELINE else 0.01) for one in scoreboard.CONTESTANTS
    ]
    table = pd.DataFrame([*rows, standing("viper", BASELINE, np.nan), standing("viper", "SING", 0.01, trainings=2)])
    shown = scoreboard.shown(table, "viper", GAINS, NO_O)
    assert len(shown) == len(scoreboard.CONTESTANTS) and "O(1/4, 1)" not in shown
    assert (shown.loc["OSNet", ["rank-1, %", "mAP, %", "minus the plain network"]] == "not recorded").all()
    assert shown.loc[BASELINE, "minus the plain network"] == ""
    assert shown.loc["SING", "minus the plain network"] == "+1.0 [-1.0, +3.0] (2 trainings)"
    assert shown.loc["FTWA", "in its paper"] == "+30.0 (MLR-CUHK03)"
    apart = pd.DataFrame([standing("pedestrians", "SING", 0.1, trainings=2, value=0.25)])
    cost = pd.DataFrame({"weights, M": [2.8]}, index=["SING"])
    with_cost = scoreboard.shown(table, "pedestrians", GAINS, apart, cost)
    assert with_cost.loc["SING", ["O(1/4, 1)", "weights, M"]].tolist() == [
        "0.250, +10.0 [+8.0, +12.0] % (2 trainings)", "2.8",
    ]  # fmt: skip
    assert with_cost.loc["LOMO + XQDA", ["O(1/4, 1)", "weights, M"]].tolist() == ["not recorded", ""]
    said = scoreboard.unrecorded(table, apart, ("pedestrians", "viper"))
    assert said.startswith("Not recorded: baseline, all resolutions, FFSR + RIFE, ") and said.endswith(
        " and O on VIPeR."
    )
    assert scoreboard.unrecorded(table, apart, ("pedestrians",)) == ""


def test_lesson_90_shows_the_record_of_today():
    """It reads data/measured: what it stores is stale when that changes (make publish LESSONS=90)."""
    lesson = notebooks.read(notebooks.lesson_files()["90_one_protocol"])
    table, gains = scoreboard.standings(), scoreboard.published_gains()
    (said,) = structure.answers(lesson)
    assert scoreboard.finding(table, gains) in said
    outputs = [output for cell in notebooks.code_cells(lesson) for output in cell.outputs]
    html = "".join(output.get("data", {}).get("text/html", "") for output in outputs)
    for one in table.to_dict("records"):
        if one["name"] != BASELINE:
            assert with_interval(one, unit="").strip() in html, f"{one['name']} on {one['set']}"
    apart, printed = scoreboard.objectives(), "".join(o.get("text", "") for o in outputs)
    assert scoreboard.unrecorded(table, apart) in printed
    assert scoreboard.listed(scoreboard.few_trainings(table, apart)) in printed


# ---- the pictures


def table() -> pd.DataFrame:
    rows = [
        ("pedestrians", BASELINE, 0.78, np.nan),
        ("pedestrians", "SING", 0.77, -0.01),
        ("viper", "SING", 0.35, 0.03),
    ]
    made = pd.DataFrame(rows, columns=["set", "name", "value", "mean"])
    made = made.assign(low=made["mean"] - 0.02, high=made["mean"] + 0.02)
    return made.assign(trainings=[3, 3, 2])


def test_what_is_left_of_each_gain():
    gains = pd.DataFrame({"name": ["SING", "JBIM"], "dataset": ["MLR-VIPeR"] * 2, "gain": [8.5, 20.9]})
    fig = pictures.left(table(), gains, "a finding")
    (ax,) = fig.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["SING", "JBIM (not recorded yet)"]
    points = [line.get_xdata()[0] for line in ax.get_lines() if len(line.get_xdata()) == 1]
    assert points == pytest.approx([8.5, -1.0, 3.0, 20.9])
    assert [text.get_text() for text in ax.texts] == ["MLR-VIPeR"] * 2
    assert style.FEW["label"] in {text.get_text() for text in fig.legends[0].get_texts()}


def test_two_trainings_decide_nothing_in_the_picture_of_gains():
    gains = pd.DataFrame({"name": ["SING"], "dataset": ["MLR-VIPeR"], "gain": [8.5]})
    (ax,) = pictures.left(table().assign(mean=0.05, low=0.04, high=0.06), gains).axes
    marks = {line.get_marker(): line for line in ax.get_lines() if len(line.get_xdata()) == 1}
    assert marks["o"].get_markerfacecolor() != "white" and marks["s"].get_markerfacecolor() == "white"
    bars = [line for line in ax.get_lines() if len(line.get_xdata()) == 2 and line.get_linewidth() == 3]
    assert [bar.get_linestyle() for bar in bars] == ["-", "--"]  # matplotlib's name of every pattern


def test_rank_1_against_the_cost():
    costs = pd.DataFrame({"name": [BASELINE, "SING"], "macs": [1.4e8, 1.4e8]})
    fig = pictures.against_cost(table(), costs, "a finding")
    left, right = fig.axes
    assert left.get_xscale() == "log" and left.get_title(loc="left") == "embedded people"
    one, two = (line for line in left.get_lines() if len(line.get_xdata()) == 1)
    assert np.log10(two.get_xdata()[0] / one.get_xdata()[0]) == pytest.approx(pictures.APART)  # of one cost
    assert one.get_markerfacecolor() != "white"
    (point,) = (line for line in right.get_lines() if len(line.get_xdata()) == 1)
    assert point.get_ydata()[0] == pytest.approx(35.0) and point.get_markerfacecolor() == "white"  # two trainings
    (bar,) = (line for line in left.get_lines() if len(line.get_xdata()) == 2 and line.get_linewidth() == 3)
    assert bar.get_ydata() == pytest.approx([75.0, 79.0])  # the plain network's 78 with -1 +- 2
    assert style.FEW["label"] in {text.get_text() for text in fig.legends[0].get_texts()}
    with pytest.raises(ValueError, match="no cost is known of SING"):
        pictures.against_cost(table(), costs[costs["name"] != "SING"])


def test_the_sets_have_one_name():
    costs = pd.DataFrame({"name": [BASELINE, "SING"], "macs": [1.4e8, 5e8]})
    fig = pictures.against_cost(table().replace("viper", "caviar"), costs)
    assert fig.axes[1].get_title(loc="left") == "CAVIAR4REID"


def test_above_is_the_whole_interval():
    row = {"set": "viper", "name": "SING", "mean": 0.01, "low": -0.005, "high": 0.025, "trainings": 3}
    assert scoreboard.above(pd.DataFrame([row])) == {}
    assert list(scoreboard.above(pd.DataFrame([row | {"low": 0.001}]))) == ["viper"]


def test_half_of_a_printed_gain_is_at_least_half():
    table = pd.DataFrame([{"set": "pedestrians", "name": "A", "mean": 0.5, "trainings": 3}])
    assert scoreboard.halves(table, pd.DataFrame({"name": ["A"], "gain": [100.0]})) == {"A": True}
