"""The verdicts of Table 11: which networks validation people choose, and what is set against what."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from lib.data.options import PRESETS
from lib.evaluation import Result, paired_difference, rank_distances
from lib.experiments import jbim_tables
from lib.experiments.jbim import HIM, JBIM, NETWORKS, ONE_OF, preset_of
from lib.experiments.published import published
from lib.experiments.recorded import TARGETS
from lib.experiments.studies import STUDIES

PEOPLE = 80
HIM_ROWS = [ONE_OF[HIM], *(f"{HIM} ({name})" for name in NETWORKS)]
JBIM_ROWS = [ONE_OF[JBIM], *(f"{JBIM} ({name})" for name in NETWORKS)]
# share of probes found at rank 1: on validation people, on test people. The choice is made by the first alone
SHARES = dict(zip(HIM_ROWS, [(0.70, 0.75), (0.80, 0.70), (0.60, 0.60), (0.65, 0.40)], strict=True))
SHARES |= dict(zip(JBIM_ROWS, [(0.70, 0.70), (0.65, 0.75), (0.75, 0.80), (0.72, 0.90)], strict=True))


def _result(share: float, training: int) -> Result:
    """One picture of each person on either side; the first ``share`` of the people are found at rank 1."""
    ids = np.arange(PEOPLE)
    distances = np.ones((PEOPLE, PEOPLE))
    np.fill_diagonal(distances, 2.0)
    found = round(share * PEOPLE)
    distances[ids[:found], ids[:found]] = 0.0
    ranking = rank_distances(distances, ids, ids, np.zeros(PEOPLE, int), np.ones(PEOPLE, int))
    return Result(ranking, "0" * 64, trial=0, training=training)


@pytest.fixture
def study():
    def results(name, where, subset="test"):
        return [_result(SHARES[name][subset == "test"], cell) for cell in where]

    def difference(a, b, where, **how):
        return paired_difference(results(a, where, **how), results(b, where, **how))

    return SimpleNamespace(results=results, difference=difference, cells=[0, 1, 2])


def test_the_spread_is_of_the_networks_that_validation_people_call_best_and_worst(study):
    effect = jbim_tables.sr_effect(study, HIM_ROWS, JBIM_ROWS, study.cells)
    assert effect.mean == pytest.approx((0.70 - 0.60) - (0.80 - 0.75)) and effect.trainings == 3
    assert SHARES[ONE_OF[HIM]][1] - 0.40 != pytest.approx(0.10)  # what test people would have chosen


def test_the_smallest_gain_over_all_networks_is_judged(study):
    trained = dict.fromkeys(SHARES, study.cells)
    some, less = jbim_tables.networks(study, trained)
    vdsr, least = next(iter(NETWORKS)), JBIM_ROWS[1]  # by validation people -15 points, +5 on test people
    assert some["claim_id"] == "JBIM-any-sr" and some["control_row"] == f"{HIM} ({vdsr})"
    assert some["mean"] == pytest.approx(SHARES[least][1] - SHARES[HIM_ROWS[1]][1])
    assert less["claim_id"] == "JBIM-sr-matters-less" and less["mean"] == pytest.approx(0.05)


def test_what_is_not_trained_is_not_judged(study):
    trained = dict.fromkeys(SHARES, study.cells)
    last = JBIM_ROWS[-1]
    without = {name: where for name, where in trained.items() if name != last}
    assert [row["claim_id"] for row in jbim_tables.networks(study, without)] == ["JBIM-any-sr"]
    one = (*HIM_ROWS[:2], *JBIM_ROWS[:2])  # a second network is missing
    assert jbim_tables.networks(study, dict.fromkeys(one, study.cells)) == []


def test_each_set_has_the_protocol_that_the_paper_prints():
    printed = set(published("JBIM-T5")["dataset"])
    for people in ("viper", "caviar", "cuhk03", "sysu", "market1501"):
        assert TARGETS[preset_of(people), people] in printed and preset_of(people) in PRESETS
        for study in ("jbim", "jbim_sweeps", "jbim_table_4", "jbim_table_11"):
            assert STUDIES[study].presets(people) == (preset_of(people),)
    assert preset_of("market1501") == "mlr-half" and preset_of("pedestrians") == "mlr"
