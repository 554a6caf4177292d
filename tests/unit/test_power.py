"""How likely a verdict is where the truth is known: against drawn estimates that are judged one by one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lib.experiments import claims, power


@pytest.mark.parametrize("truth", [0.0, 0.004, 0.01, -0.02])
@pytest.mark.parametrize("half", [0.002, 0.006, 0.03])
def test_the_chances_are_those_of_drawn_estimates(truth, half):
    drawn = np.random.default_rng(0).normal(truth, half / power.Z, 4000)
    same = {"trainings": 3, "agree": True, "chance": True}
    words = [claims.verdict(SimpleNamespace(mean=m, low=m - half, high=m + half, **same), 0.01) for m in drawn]
    given = power.chances(truth, half, 0.01)
    assert list(given) == list(claims.VERDICTS) and sum(given.values()) == pytest.approx(1)
    for word, chance in given.items():
        assert words.count(word) / len(words) == pytest.approx(chance, abs=0.025)  # three errors of a share of 4,000


def test_known_chances():
    """Half an interval away from zero is 1.96 errors: a truth there is found in half of the cases, none in 2.5 %."""
    assert power.chances(0.03, 0.03, 0.01)["reproduced"] == pytest.approx(0.5)
    assert power.chances(0.0, 0.03, 0.01)["reproduced"] == pytest.approx(0.025)
    for half, negligible in ((0.0, 0.01), (0.01, 0.0), (-1.0, 0.01)):
        with pytest.raises(ValueError, match="above zero"):
            power.chances(0.0, half, negligible)


def board() -> pd.DataFrame:
    row = {"set": "viper", "unit": np.nan, "negligible": 0.01, "trainings": 3, "low": -0.01, "high": 0.05}
    row |= {"control_low": np.nan, "control_high": np.nan, "identities": 400}
    narrow = row | {"set": "pedestrians", "low": 0.001, "high": 0.009, "control_low": -0.02, "control_high": 0.02}
    return pd.DataFrame([row, narrow, narrow | {"unit": "dB"}, row | {"trainings": 1}])


def test_the_share_that_would_be_found_is_of_claims_that_can_be_decided():
    table = power.found(board(), [0.0, 0.03])
    assert table["claims"].tolist() == [1, 1, 1, 1]
    at = table.set_index(["set", "truth"])["reproduced"]
    assert at["viper", 0.03] == pytest.approx(0.5) and at["pedestrians", 0.03] == pytest.approx(1.0)
    against = power.found(board(), [0.02], control=True)
    assert against["set"].tolist() == ["pedestrians"] and against["reproduced"].iloc[0] == pytest.approx(0.5)


def test_too_few_people_never_say_no_effect():
    narrow = board().assign(low=-0.001, high=0.001)
    enough, few = (power.found(narrow.assign(identities=people), [0.0])["nothing"] for people in (301, 300))
    assert (enough > 0.99).all() and (few == 0).all()


def test_the_smallest_gain_that_is_seen():
    seen = power.visible(board())
    error = 0.03 / power.Z  # 80 %: 1.96 + 0.84 errors
    assert seen["viper"] == pytest.approx(2.8 * error, abs=0.001) and seen["pedestrians"] < 0.011
    wide = board().assign(low=-0.5, high=0.5)
    assert np.isnan(power.visible(wide)["viper"])
