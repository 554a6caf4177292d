"""Claims as data and their verdicts."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from lib.course.lesson import _style
from lib.evaluation import Effect, mean_difference, paired_difference
from lib.evaluation.intervals import Difference, Training
from lib.experiments import claims
from lib.experiments.published import all_published
from lib.experiments.scores import said

NAN = float("nan")


def difference(mean: float, low: float, high: float, values=None, chance=True, people=400) -> Difference:
    """With three trainings that agree, unless ``values`` says otherwise."""
    values = [mean] * 3 if values is None else values
    trainings = tuple(Training(0, seed, value) for seed, value in enumerate(values))
    return Difference("rank-1", mean, low, high, 0.95, trainings, people, chance)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.01, 0.05, "reproduced"),
        (-0.05, -0.01, "contradicted"),  # the other way round
        (-0.004, 0.006, "no effect"),  # nothing worth the name can be there
        (0.002, 0.006, "no effect"),  # certain, and negligible
        (-0.006, -0.002, "no effect"),
        (0.002, 0.02, "reproduced"),
        (-0.004, 0.03, "undecided"),
        (-0.03, 0.004, "undecided"),  # a loss might matter: nobody knows
        (NAN, NAN, "undecided"),
    ],
)
def test_four_words(low, high, expected):
    middle = (low + high) / 2
    assert claims.verdict(difference(middle, low, high, [middle] * 3)) == expected
    one = claims.verdict(difference(middle, low, high, [middle]))
    assert one == ("undecided" if expected == "undecided" else "undecided (1 training)")


def test_a_verdict_needs_three_trainings_that_agree():
    assert claims.verdict(difference(0.03, 0.01, 0.05, [0.02, 0.04])) == "undecided (2 trainings)"
    assert claims.verdict(difference(0.03, 0.01, 0.05, [0.05, 0.05, -0.01])) == "undecided (trainings disagree)"
    assert claims.verdict(difference(0.03, 0.01, 0.05, [0.05, 0.04, 0.0])) == "undecided (trainings disagree)"
    assert claims.verdict(difference(0.0, -0.005, 0.005, [0.001, 0.001, -0.002])) == "no effect"  # signs of nothing
    # nothing is drawn: one is all there is
    assert claims.verdict(difference(0.03, 0.01, 0.05, [0.03], chance=False)) == "reproduced"


@pytest.mark.parametrize(("people", "decides"), [(25, False), (300, False), (301, True), (400, True)])
def test_nothing_seen_among_few_people_is_no_certainty(people, decides):
    """Of one in fifty who would gain, 25 people show none in 60 % of cases: no gain is not seen to be small there."""
    nothing = difference(0.0, 0.0, 0.0, people=people)
    assert claims.verdict(nothing) == ("no effect" if decides else f"undecided ({people} people)")
    assert claims.counts([{"dataset": "few", "verdict": claims.verdict(nothing)}])["undecided"].item() == (not decides)
    assert said(nothing) == ("no effect" if decides else "undecided")
    assert claims.verdict(difference(0.03, 0.01, 0.05, people=people)) == "reproduced"  # what is seen is seen
    dB = Difference("PSNR", 0.0, -0.01, 0.01, 0.95, nothing.per_training, people)  # a mean, not a count of few
    assert claims.verdict(dB, 0.1) == "no effect"


def test_people_alone_decide_nothing():
    """An objective and a PSNR of one training are as little evidence as one rank-1."""
    effect = Effect(0.3, 0.2, 0.4, 0.95, 100, (0.3,))
    assert claims.verdict(effect, 0.02) == "undecided (1 training)"
    values, people = np.linspace(0.5, 1.0, 40), np.arange(40) // 2
    one = mean_difference([values], [people], [(0, 0)], "PSNR")
    assert one.low > 0 and claims.verdict(one, 0.1) == "undecided (1 training)"
    three = mean_difference(
        [values + 0.01 * seed for seed in range(3)], [people] * 3, [(0, seed) for seed in range(3)], "PSNR"
    )
    assert claims.verdict(three, 0.1) == "reproduced" and three.mean == pytest.approx(0.76)


def test_limits_and_thresholds_make_sense():
    with pytest.raises(ValueError, match="the lower limit comes first"):
        claims.verdict(difference(0.1, 0.2, 0.1))
    with pytest.raises(ValueError, match="a threshold above zero, not 0"):
        claims.verdict(difference(0.1, 0.1, 0.2), 0)


def test_every_claim_belongs_to_a_table_that_is_published():
    tables = set(all_published()["table"])
    drawn = {"RIPR-F4", "RIPR-F5", "JBIM-F5", "JBIM-F9"}  # figures whose values the paper does not print
    known = claims.claims()
    told = {name for name in known["table"] if re.fullmatch(r"(FTWA|PSHR) §[\dIV.]+", name)}  # where no table has it
    assert set(known["table"]) - told <= tables | drawn and len(known) >= 50 and len(told) == 3
    assert claims.claims("sing").index.str.startswith("SING-").all()
    with pytest.raises(ValueError, match="no claims of 'nobody'"):
        claims.claims("nobody")


def test_a_judged_claim_carries_its_numbers_and_those_against_the_control():
    control = difference(-0.03, -0.05, -0.01)
    row = claims.judge("SING-joint", difference(0.05, 0.02, 0.08), control=control, dataset="viper")
    assert row["verdict"] == "reproduced" and row["table"] == "SING-T2" and row["dataset"] == "viper"
    assert (row["control_mean"], row["control_verdict"]) == (-0.03, "contradicted")
    assert (row["trainings"], row["trials"], row["negligible"]) == (3, 1, 0.01)
    shown = claims.table([row]).loc[0]
    assert shown["as the paper compares"] == "+5.0 [+2.0, +8.0] points" and shown["verdict"] == "reproduced"
    assert shown["against the control"] == "-3.0 [-5.0, -1.0] points"
    assert shown["verdict against it"] == "contradicted" and shown["no effect within"] == "1 point"
    with pytest.raises(KeyError, match="unknown claim 'SING-jiont'; known: .*SING-joint"):
        claims.judge("SING-jiont", difference(0, 0, 0))


def test_no_number_hides_in_the_rounding():
    decibels = claims.judge("SING-psnr-lower", difference(0.04, 0.02, 0.06), 0.1)
    shown = claims.table([decibels], scale=1.0, unit="dB").loc[0]
    assert shown["as the paper compares"] == "+0.04 [+0.02, +0.06] dB" and shown["verdict"] == "no effect"
    assert shown["no effect within"] == "0.1 dB" and shown["against the control"] == "" == shown["verdict against it"]
    slope = claims.judge("RIPR-slope", difference(0.0133, 0.0073, 0.0190), 0.02)
    shown = claims.table([slope], scale=1.0, unit="doublings").loc[0]
    assert shown["as the paper compares"] == "+0.013 [+0.007, +0.019] doublings" and shown["verdict"] == "no effect"


def test_verdicts_are_counted_by_data_set(tmp_path):
    rows = [
        claims.judge("SING-joint", difference(0.05, 0.02, 0.08), control=difference(0, -0.1, 0.1), dataset="viper"),
        claims.judge("SING-alpha-zero", difference(0.05, 0.02, 0.08, [0.05]), dataset="viper"),
        claims.judge("SING-anchors", difference(0.0, -0.02, 0.02), dataset="viper"),
        claims.judge("SING-joint", difference(-0.05, -0.08, -0.02), dataset="pedestrians"),
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "rows.csv", index=False)  # where "" comes back as NaN
    for same in (rows, pd.DataFrame(rows), pd.read_csv(tmp_path / "rows.csv")):
        found = claims.counts(same)
        assert list(found.columns) == ["reproduced", "contradicted", "no effect", "undecided"]
        assert found.loc["viper"].tolist() == [1, 0, 0, 2] and found.loc["pedestrians"].tolist() == [0, 1, 0, 0]
        assert claims.counts(same, "control_verdict").loc["viper"].tolist() == [0, 0, 0, 1]
    with pytest.raises(ValueError, match="'not reproduced' is no verdict; there are reproduced, contradicted"):
        claims.counts([{"dataset": "viper", "verdict": "not reproduced"}])


def test_a_lesson_shows_a_claim_to_its_end():
    with pd.option_context("display.max_colwidth", 50):
        _style()
        rows = [claims.judge(claim, difference(0.05, 0.02, 0.08)) for claim in claims.claims().index]
        text = claims.table(rows)
        for claim in text["claim"]:
            assert claim in text.to_html() and claim in text._repr_html_()


def test_a_difference_of_something_with_itself_is_no_effect(pedestrian_result):
    same = paired_difference(pedestrian_result, pedestrian_result)
    assert claims.judge("SING-joint", same)["verdict"] == "no effect"  # a histogram is drawn from no seed


@pytest.fixture(scope="module")
def pedestrian_result():
    from lib.data import load_dataset, make_protocol
    from lib.evaluation import evaluate
    from lib.methods import create_method

    method = create_method("histogram", canvas=(32, 16))
    method.setup("quick", 1)
    return evaluate(method, make_protocol(load_dataset("pedestrians"), "mlr"))


def test_a_control_is_judged_by_the_claims_own_threshold():
    apart = difference(0.003, 0.002, 0.004)
    row = claims.judge("SING-joint", apart, 0.001, control=apart)
    assert row["verdict"] == row["control_verdict"] == "reproduced"


def test_an_interval_that_ends_at_the_threshold_is_not_within_it():
    assert claims.verdict(difference(0.006, 0.002, 0.01)) == "reproduced"
    assert claims.verdict(difference(-0.006, -0.01, -0.002)) == "contradicted"
    assert claims.verdict(difference(0.0, -0.01, 0.005)) == "undecided"
