"""FTWA's two first stages by camera: the same people, sides and split with and without shrinking."""

import pandas as pd
import pytest

from lib.data import DataError, load_dataset
from lib.experiments import ftwa_cameras, measured
from lib.experiments.ftwa_cameras import APART, FULL, LOW, PAIR, gains, studies
from lib.experiments.scores import listed


@pytest.fixture
def few(monkeypatch, tmp_path):
    """Forty people, runs and tables of the test's own, and a ``quick`` whose numbers a test may keep."""
    monkeypatch.setenv("REID_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("COURSE_MEASURED", str(tmp_path / "measured"))
    monkeypatch.setattr(measured, "EVIDENCE", ("quick",))
    people = load_dataset("pedestrians", identities=40)
    monkeypatch.setattr(ftwa_cameras, "load_dataset", lambda name: people)


def test_only_the_shrinking_is_different(few):
    some = studies("pedestrians", "quick")
    low, full = (some[what].cells[0].protocol for what in (LOW, FULL))
    for role in ("train", "test"):
        asked, sharp = low.rows(role), full.rows(role)
        pd.testing.assert_frame_equal(
            asked[["image", "pid", "cam", "role"]].reset_index(drop=True),
            sharp[["image", "pid", "cam", "role"]].reset_index(drop=True),
        )
        assert (low.is_low(asked) == full.is_low(sharp)).all() and low.is_low(asked).any()
        assert (asked["ratio"] < 1).any() and (sharp["ratio"] == 1).all()
    assert all(set(study.rows) == set(PAIR) for study in some.values())


def test_what_is_written_is_both_gains_and_their_difference(few, tmp_path, capsys):
    ftwa_cameras.main(["--profile", "quick", "--seeds", "2"])
    assert "written: ftwa_cameras-pedestrians.csv" in capsys.readouterr().out
    found = pd.read_csv(tmp_path / "measured" / "ftwa_cameras-pedestrians.csv").set_index("name")
    assert list(found.index) == [LOW, FULL, APART] and (found["trainings"] == 2).all()
    assert found.loc[APART, "mean"] == pytest.approx(found.loc[LOW, "mean"] - found.loc[FULL, "mean"], abs=1e-6)
    again = gains(studies("pedestrians", "quick", seeds=2))
    assert listed(again)["mean"].tolist() == pytest.approx(found["mean"].tolist(), abs=1e-6)
    study = studies("pedestrians", "quick")[FULL]
    a, b = (study.results(name)[0].rank(1) for name in PAIR)
    assert study.difference(*PAIR).mean == pytest.approx(a - b)


def test_people_without_sides_are_refused(few, monkeypatch):
    """Cameras of which each has probes and gallery images: nobody is on a side."""
    monkeypatch.setitem(ftwa_cameras.PRESETS, FULL, "vr")
    with pytest.raises(DataError, match="FTWA-B"):
        studies("pedestrians", "quick")
