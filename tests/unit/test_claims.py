"""Claims as data and their verdicts."""

from __future__ import annotations

import pytest

from lib.evaluation import paired_difference
from lib.evaluation.intervals import Difference
from lib.experiments import claims
from lib.experiments.published import all_published


def difference(mean: float, low: float, high: float) -> Difference:
    return Difference("rank-1", mean, low, high, 0.95, [mean], 100)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.01, 0.05, "reproduced"),
        (-0.05, -0.01, "not reproduced"),  # the other way round
        (-0.004, 0.006, "not reproduced"),  # nothing worth the name can be there
        (0.002, 0.006, "not reproduced"),  # certain, and negligible
        (0.002, 0.02, "reproduced"),
        (-0.004, 0.03, "undecided"),
        (-0.03, 0.004, "undecided"),  # a loss might matter: nobody knows
        (float("nan"), float("nan"), "undecided"),
    ],
)
def test_verdicts(low, high, expected):
    assert claims.verdict(low, high) == expected


def test_an_interval_that_is_upside_down_is_refused():
    with pytest.raises(ValueError, match="the lower limit comes first"):
        claims.verdict(0.2, 0.1)


def test_every_claim_belongs_to_a_table_that_is_published():
    tables = set(all_published()["table"])
    drawn = {"RIPR-F4", "RIPR-F5"}  # figures whose values the paper does not print
    known = claims.claims()
    assert set(known["table"]) <= tables | drawn and len(known) >= 22
    assert claims.claims("sing").index.str.startswith("SING-").all()
    with pytest.raises(ValueError, match="no claims of 'nobody'"):
        claims.claims("nobody")


def test_a_judged_claim_carries_its_numbers():
    row = claims.judge("SING-joint", difference(0.05, 0.02, 0.08), dataset="viper")
    assert row["verdict"] == "reproduced" and row["table"] == "SING-T2" and row["dataset"] == "viper"
    shown = claims.table([row])
    assert shown["difference"].tolist() == ["+5.0 [+2.0, +8.0] points"] and shown["verdict"].tolist() == ["reproduced"]
    with pytest.raises(KeyError, match="unknown claim 'SING-jiont'; known: .*SING-joint"):
        claims.judge("SING-jiont", difference(0, 0, 0))


def test_a_difference_of_something_with_itself_is_not_reproduced(pedestrian_result):
    same = paired_difference(pedestrian_result, pedestrian_result)
    assert claims.judge("SING-joint", same)["verdict"] == "not reproduced"


@pytest.fixture(scope="module")
def pedestrian_result():
    from lib.data import load_dataset, make_protocol
    from lib.evaluation import evaluate
    from lib.methods import create_method

    method = create_method("histogram", canvas=(32, 16))
    method.setup("quick", 1)
    return evaluate(method, make_protocol(load_dataset("pedestrians"), "mlr"))
