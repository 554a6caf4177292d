"""Verdicts where the training is longer: as many times the budget for every row, and both lengths side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lib.data import load_dataset
from lib.experiments import longer, ripr, sing, studies, verdicts
from lib.experiments.controls import BASELINE, CONTROLS
from lib.experiments.recorded import Record, recorded
from lib.experiments.scores import with_interval
from lib.experiments.study import IMAGES, Bench, Row, cells

NAN = float("nan")
NO_CONTROL = {"control_mean": NAN, "control_low": NAN, "control_high": NAN, "control_verdict": NAN}
SETTLED = {"mean": 0.03, "low": 0.02, "high": 0.04, "trainings": 3, "trials": 1, "agree": True, "identities": 400}


@pytest.fixture(scope="module")
def long():
    people = load_dataset("pedestrians", identities=40)
    return studies.study("longer", people, "mlr", cells(people, "mlr"), "course", progress=False)


def record(apart=(), judged=()):
    """A record of the embedded people: differences (row, reference, mean, low, high) and judged claims."""
    at = {"set": "pedestrians", "preset": "mlr"}
    ends = ["row", "reference", "mean", "low", "high"]
    tables = [pd.DataFrame([SETTLED | at | dict(zip(ends, one, strict=True)) for one in apart])]
    tables.append(pd.DataFrame([SETTLED | at | one for one in judged]))
    tables = [table if len(table) else pd.DataFrame(columns=["set", "preset", "row", "reference"]) for table in tables]
    return Record(tables[0].head(0), *tables, {"pedestrians": "today"})


def test_every_row_has_as_many_times_the_budget(long):
    usual = studies.study("sing", long.cells[0].protocol.dataset, "mlr", long.cells, "course", progress=False)
    assert long.images == longer.LENGTH * IMAGES["course"] == longer.LENGTH * usual.images
    assert [name for name, plan in studies.STUDIES.items() if plan.length != 1] == ["longer"]
    for name in (sing.BILINEAR, sing.ONE_APART, sing.ONE_MODEL, sing.NO_COPIES):
        row = long.rows[name]
        long_one, usual_one = (row.make(Bench(study, long.cells[0]), sing.ONE) for study in (long, usual))
        assert long_one.told["epochs"] == pytest.approx(longer.LENGTH * usual_one.told["epochs"], abs=1.5)


def test_every_claim_has_its_rows_and_every_row_a_claim(long):
    for one in longer.COMPARISONS:
        assert one.rows <= set(long.rows), one.claim
    asked = {name for one in longer.COMPARISONS for name in one.rows}
    started_from = {"ResNet", "FFSR, no joint learning", "RIFE", "HRNet-ReID", *CONTROLS}  # and what all stand beside
    assert set(CONTROLS) <= set(long.rows)
    assert {name for name, row in long.rows.items() if isinstance(row, Row)} <= asked | started_from


def test_both_lengths_of_the_same_two_rows():
    claim = {"claim_id": "SING-joint", "claim": "learned together", "verdict": "no effect"} | NO_CONTROL
    of_long = record(judged=[claim | {"mean": 0.001, "low": -0.004, "high": 0.006}, claim | {"claim_id": "JBIM-joint"}])
    # the record has the two rows the other way round; the second record does not count, and no usual one has JBIM's
    usual = [
        record([(longer.JBIM, longer.HIM, 0.5, 0.4, 0.6)]),
        record([(sing.ONE_APART, sing.ONE_MODEL, 0.02, 0.011, 0.03)]),
        record([(sing.ONE_MODEL, sing.ONE_APART, 0.5, 0.4, 0.6)]),
    ]
    row, alone = longer.both(usual, of_long).to_dict("records")
    assert (row["mean"], row["low"], row["high"]) == (-0.02, -0.03, -0.011) and row["verdict"] == "contradicted"
    assert (row["long_mean"], row["long_verdict"]) == (0.001, "no effect")
    assert (alone["claim_id"], alone["verdict"], alone["long_verdict"]) == ("JBIM-joint", "", "no effect")
    shown = longer.shown(pd.DataFrame([row, alone]))
    assert shown.loc[0].tolist()[1:] == [
        "embedded people, 3 trainings", "-2.0 [-3.0, -1.1] points", "contradicted", "+0.1 [-0.4, +0.6] points",
        "no effect", "", "",
    ]  # fmt: skip
    assert shown.loc[1].tolist()[2:] == ["-", "-", "+3.0 [+2.0, +4.0] points", "no effect", "", ""]
    assert longer.both(usual, record()).empty and (longer.both([], of_long)["verdict"] == "").all()


def test_what_stands_at_the_longer_training_alone_changes_no_verdict():
    table = pd.DataFrame(
        {"verdict": ["reproduced", "no effect", ""], "long_verdict": ["undecided (x)"] + ["no effect"] * 2}
    )
    assert longer.finding(table.head(2)).endswith("times as long, 1 of 2 verdicts change.")
    assert longer.finding(table).endswith("1 of 2 verdicts change; 1 more claim was asked at that length alone.")
    assert longer.finding(pd.concat([table, table.tail(1)])).endswith(
        "; 2 more claims were asked at that length alone."
    )


def test_the_plain_rows_at_that_length_are_told_from_the_record():
    record = recorded("longer", ["pedestrians"])
    told = longer.plain(record)
    plain = [(row, BASELINE) for row in (ripr.RESNET, sing.BILINEAR, sing.ONE_MODEL, ripr.BOTH, longer.JBIM)]
    for row, other in (*plain, (ripr.BOTH, ripr.RESNET)):
        assert with_interval(record.difference(row, other, "pedestrians")) in told


def test_a_difference_at_length_stands_in_brackets():
    record = recorded("longer", ["pedestrians"])
    apart = with_interval(record.difference(ripr.BOTH, BASELINE, "pedestrians"))
    assert longer.at_length(record, "pedestrians", ripr.BOTH, BASELINE) == f" (trained 2.5 times as long: {apart})"
    assert longer.at_length(record, "viper", ripr.BOTH, BASELINE) == ""


def test_the_page_says_what_a_longer_training_changes():
    at = {"claim": "learned together", "set": "pedestrians", "mean": 0.02, "low": 0.01, "high": 0.03, "trainings": 3}
    at |= {"long_trainings": 3, "long_control_verdict": "no effect"} | dict.fromkeys(("long_mean", "long_low"), 0.0)
    at |= dict.fromkeys(("long_control_mean", "long_control_low", "long_control_high"), 0.001)
    rows = [
        at | {"long_high": 0.005, "verdict": "reproduced", "long_verdict": "no effect"},
        at | {"long_high": 0.05, "verdict": "undecided (trainings disagree)", "long_verdict": "undecided"},
    ]
    text = verdicts.page(verdicts.board().head(0), pd.DataFrame(rows))
    assert "## 2.5 times as long" in text and "1 of 2 verdicts change" in text
    assert "| learned together | embedded people, 3 trainings | +2.0 [" in text
    assert "| +2.0 [+1.0, +3.0] points | reproduced | +0.0 [+0.0, +0.5] points | no effect | +0.1 [" in text
    assert "times as long" not in verdicts.page(verdicts.board().head(0), pd.DataFrame(rows).head(0))


def test_what_was_trained_longer_is_not_on_the_board():
    assert "longer" not in verdicts.usual() and {"sing", "ripr", "jbim", "pshrnet", "ftwa"} <= set(verdicts.usual())
    table = verdicts.lengths()
    assert np.isin(table["claim_id"], [one.claim for one in longer.COMPARISONS]).all()
    assert table["claim_id"].tolist() == recorded("longer").claims["claim_id"].tolist()  # none is left out


def test_two_lengths_of_the_same_difference_stand_side_by_side():
    usual, long = (recorded(study, ["pedestrians"]) for study in ("ripr", "longer"))
    pairs = [(ripr.BOTH, ripr.RIFE), (ripr.BOTH, "baseline"), (ripr.BOTH, "nobody")]
    table = longer.apart(usual, long, pairs, "pedestrians")
    assert table.index.tolist() == [f"{a} minus {b}" for a, b in pairs] and (table.iloc[2] == "-").all()
    for record, column in ((usual, "with the budget"), (long, "trained longer")):
        found = record.difference(*pairs[0], "pedestrians")
        assert table[column].iloc[0] == f"{with_interval(found)}, 3 trainings"
