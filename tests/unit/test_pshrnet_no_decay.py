"""PS-HRNet from first weights without decay: the rows of lesson 40, nothing but their first weights is different."""

from __future__ import annotations

from functools import partial

import pandas as pd
import pytest
import training_helpers as helpers

from lib.experiments import hrnet_branches, pshrnet, pshrnet_no_decay, pshrnet_results, recorded, studies, verdicts
from lib.experiments import study as instrument
from lib.experiments.controls import BASELINE
from lib.experiments.pshrnet_results import Inside
from lib.experiments.study import Cell, Row, Study

VARIED = ("1", "1/2", "1/3", "1/4")


@pytest.fixture
def fits(monkeypatch):
    """What ``fit`` would have been given."""
    recorder, calls = helpers.written_down()
    monkeypatch.setattr(instrument, "fit", recorder)
    return calls


@pytest.fixture(autouse=True)
def few_people(monkeypatch):
    """The pre-training of every profile on the people of ``quick``: nothing here is trained on them."""
    few = hrnet_branches.first_people("quick")
    monkeypatch.setattr(hrnet_branches, "first_people", lambda plan: few)


def on(rows, profile="quick", ratios=VARIED):
    return Study("tiny", rows, [Cell(helpers.tiny_protocol(ratios=ratios), 7)], profile, progress=False)


def usual_rows():
    resnet = Row(pshrnet.RESNET, partial(pshrnet.as_it_is, name=pshrnet.RESNET, network=pshrnet.RESNET))
    usual = [*pshrnet.rows(), *pshrnet.ablations(), resnet]
    return [row for row in usual if row.name in pshrnet_no_decay.ROWS]


@pytest.mark.parametrize("ratios", [VARIED, ("1",)])
@pytest.mark.parametrize("profile", ["quick", "course"])
def test_every_row_is_that_of_lesson_40_but_for_its_first_weights(fits, profile, ratios):
    usual, anew = on(usual_rows(), profile, ratios), on(pshrnet_no_decay.rows(), profile, ratios)
    pretrained = set()
    for name, called in pshrnet_no_decay.ROWS.items():
        method = anew.run(called, anew.cells[0]).method
        a, b = dict(usual.run(name, usual.cells[0]).method.told), dict(method.told)
        there, here = a.pop("weights"), b.pop("weights")
        assert a == b, name
        assert there.keys() == here.keys() and there["backbone"] != here["backbone"]
        assert here.get("sr") == there.get("sr")  # the super-resolution starts where it always does
        if there["backbone"] == "pedestrians":
            (first,) = (call for call in fits if call.directory == here["backbone"])
            pretrained.add(name)
            assert first.protocol.dataset.name == "pedestrians-pretrain" and first.seed == 0
            assert first.method.told["weight_decay"] == 0.0
            own = method.settings
            assert (first.method.settings.backbone, first.method.settings.canvas) == (own.backbone, own.canvas), name
    assert {pshrnet.PS, pshrnet.SR_ID, pshrnet.ID, pshrnet.ORIGINALS, BASELINE} <= pretrained


def test_the_teacher_and_the_longer_training_are_its_own(fits):
    study = on(pshrnet_no_decay.rows())
    pupil, later = (
        study.run(name, study.cells[0]).method.told["weights"]
        for name in (pshrnet_no_decay.PS, pshrnet_no_decay.TRAINED_ON)
    )
    teacher = study.run(pshrnet_no_decay.HRNET, study.cells[0])
    assert {pupil["teacher"], later["backbone"], later["head"]} == {teacher.directory}


def test_to_look_whether_a_row_is_there_pretrains_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("REID_RUNS", str(tmp_path))
    study = on(pshrnet_no_decay.rows(), "course")
    assert not any(study.is_there(name, study.cells[0]) for name in study.rows)
    assert not list(tmp_path.glob("*/checkpoints"))


def test_whether_it_pays_is_asked_of_its_own_four_networks(monkeypatch):
    asked = []
    monkeypatch.setattr(pshrnet_results, "inside", lambda study, trained, of: asked.append(of) or [])
    assert pshrnet_no_decay.judged(None, {}) == []
    (of,) = asked
    names = set(pshrnet_no_decay.ROWS.values())
    assert isinstance(of, Inside) and {*of.low, *of.high} <= names
    assert [row.name for row in of.rows] == list(of.high)
    low, high = Inside().low, Inside().high
    assert tuple(pshrnet_no_decay.ROWS[name] for name in (*low, *high)) == (*of.low, *of.high)


def test_a_claim_that_a_second_study_judges_is_a_line_of_its_own(monkeypatch):
    told = {"claim_id": "PSHR-sr", "set": "pedestrians", "preset": "mlr", "verdict": "undecided", "trainings": 3}
    empty = pd.DataFrame(columns=["set", "preset", "row", "reference", "metric", "claim_id"])
    found = recorded.Record(empty, empty, pd.DataFrame([told]), {"pedestrians": "measured"})
    nothing = recorded.Record(empty, empty, empty, {})
    monkeypatch.setattr(
        verdicts, "recorded", lambda name: found if name in ("pshrnet", "pshrnet_no_decay") else nothing
    )
    monkeypatch.setattr(verdicts, "APART", {})
    claims = verdicts.board()["claim"].tolist()
    assert len(claims) == 2 and claims[1] == f"{claims[0]}: {pshrnet_no_decay.VARIANT}"
    assert studies.STUDIES["pshrnet_no_decay"].variant == pshrnet_no_decay.VARIANT
