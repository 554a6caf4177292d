"""Whether HIM and LIM look at different places, beside two HIM that differ in their seed."""

import numpy as np
import pandas as pd
import pytest

from lib.data import load_dataset
from lib.evaluation.comparison import mean_difference
from lib.evaluation.maps import match_maps, matched
from lib.experiments import jbim_maps, measured
from lib.experiments.jbim_maps import AGAIN, APART, NEGLIGIBLE, ONE_HIM, ONE_LIM, claim, correlations, looks


@pytest.fixture
def few(monkeypatch, tmp_path):
    """Forty people, runs and tables of the test's own, and a ``quick`` whose numbers a test may keep."""
    monkeypatch.setenv("REID_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("COURSE_MEASURED", str(tmp_path / "measured"))
    monkeypatch.setattr(measured, "EVIDENCE", ("quick",))
    people = load_dataset("pedestrians", identities=40)
    monkeypatch.setattr(jbim_maps, "load_dataset", lambda name: people)
    return people


def test_two_him_differ_in_their_seed_alone(few):
    some = looks(few, seeds=2, profile="quick")
    assert list(some) == [ONE_HIM, ONE_LIM, AGAIN]
    first, again = (some[name].study.cells for name in (ONE_HIM, AGAIN))
    assert [cell.protocol.sha256 for cell in first] == [cell.protocol.sha256 for cell in again]
    assert not {cell.seed for cell in first} & {cell.seed for cell in again}
    assert some[ONE_HIM].row == some[AGAIN].row and some[ONE_HIM].row != some[ONE_LIM].row


def test_what_is_written_is_both_correlations_and_their_difference(few, tmp_path, capsys):
    jbim_maps.main(["--profile", "quick", "--seeds", "2"])
    assert "written: jbim_maps-pedestrians.csv" in capsys.readouterr().out
    found = pd.read_csv(tmp_path / "measured" / "jbim_maps-pedestrians.csv").set_index("name")
    assert list(found.index) == [ONE_LIM, AGAIN, APART] and (found["trainings"] == 2).all()
    assert found.loc[APART, "mean"] == pytest.approx(found.loc[AGAIN, "mean"] - found.loc[ONE_LIM, "mean"], abs=1e-6)
    judged = pd.read_csv(tmp_path / "measured" / "jbim_maps_claims-pedestrians.csv").iloc[0]
    assert judged["claim_id"] == "JBIM-maps" and judged["mean"] == pytest.approx(found.loc[APART, "mean"], abs=1e-6)

    # a picture by numpy alone
    some = looks(few, seeds=2, profile="quick")
    values, shown = correlations(some)
    protocol = some[ONE_HIM].study.cells[0].protocol
    probes, matches = matched(protocol)
    him, lim = (match_maps(some[name].runs()[0].method, protocol, probes, matches) for name in (ONE_HIM, ONE_LIM))
    assert values[ONE_LIM][0][3] == pytest.approx(np.corrcoef(him[3].ravel(), lim[3].ravel())[0, 1])
    assert shown[0].tolist() == probes["pid"].tolist()


def test_a_network_beside_itself_looks_at_the_same_places(few):
    some = looks(few, profile="quick")
    values, _ = correlations(some | {ONE_LIM: some[ONE_HIM], AGAIN: some[ONE_HIM]})
    assert np.allclose(values[ONE_LIM][0], 1) and np.allclose(values[AGAIN][0], 1)


@pytest.mark.parametrize(
    ("again", "low", "word"), [(0.9, 0.6, "reproduced"), (0.9, 0.9, "no effect"), (0.6, 0.9, "contradicted")]
)
def test_the_words(again, low, word):
    """Three trainings with 60 people each; two HIM share ``again``, HIM and LIM ``low``."""
    rng = np.random.default_rng(0)
    values = [again - low + 0.01 * rng.standard_normal(120) for _ in range(3)]
    people = [np.arange(120) // 2] * 3
    apart = mean_difference(values, people, [(0, 0), (0, 1), (0, 2)], "correlation of maps")
    assert claim(apart)["verdict"] == word and claim(apart)["negligible"] == NEGLIGIBLE
