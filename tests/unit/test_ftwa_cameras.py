"""FTWA's two first stages by camera: the same people, sides and split with and without shrinking."""

from unittest.mock import Mock

import pandas as pd
import pytest
import torch

from lib.data import DataError, load_dataset
from lib.experiments import ftwa_cameras, measured
from lib.experiments.ftwa_cameras import APART, FULL, GAINS, LOW, NAMES, SAME_LOSSES, gains, own_losses, studies
from lib.experiments.scores import listed
from lib.methods.ftwa import FtwaB


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
    assert all(set(study.rows) == set(NAMES) for study in some.values())


def test_what_is_written_is_both_gains_and_their_difference(few, tmp_path, capsys):
    ftwa_cameras.main(["--profile", "quick", "--seeds", "2"])
    assert "written: ftwa_cameras-pedestrians.csv" in capsys.readouterr().out
    found = pd.read_csv(tmp_path / "measured" / "ftwa_cameras-pedestrians.csv").set_index("name")
    assert list(found.index) == [*GAINS, *SAME_LOSSES] and (found["trainings"] == 2).all()
    assert found.loc[APART, "mean"] == pytest.approx(found.loc[LOW, "mean"] - found.loc[FULL, "mean"], abs=1e-6)
    again = gains(studies("pedestrians", "quick", seeds=2))
    assert listed(again)["mean"].tolist() == pytest.approx(found["mean"].tolist(), abs=1e-6)
    study = studies("pedestrians", "quick")[FULL]
    two, *one = (study.results(name)[0].rank(1) for name in NAMES)
    for line, rank in zip((GAINS[1], SAME_LOSSES[1]), one, strict=True):
        assert gains(studies("pedestrians", "quick"))[line].mean == pytest.approx(two - rank)


def test_for_adam_a_third_of_the_decay_is_three_times_the_loss():
    """``own_losses``: 3 identity + triplet with the decay, and identity + 1/3 triplet with a third of it."""
    row = own_losses()
    made = row.make(Mock(options={}, images=64, epochs=lambda images: 1), None).settings
    theirs = FtwaB.Settings()
    assert (made.triplet, made.weight_decay) == (theirs.triplet / 3, theirs.weight_decay / 3)
    assert (made.erase, made.margin, made.smoothing) == (theirs.erase, theirs.margin, theirs.smoothing)
    ends = []
    for identity, triplet, decay in ((3.0, 1.0, 0.5), (1.0, made.triplet, 0.5 / 3)):
        weight = torch.tensor([1.0, -2.0], requires_grad=True)
        optimizer = torch.optim.Adam([weight], lr=0.1, weight_decay=decay)
        for _ in range(5):
            optimizer.zero_grad()
            (identity * (weight**3).sum() + triplet * (weight - 1).square().sum()).backward()
            optimizer.step()
        ends.append(weight.detach())
    assert torch.allclose(*ends, atol=1e-6)


def test_people_without_sides_are_refused(few, monkeypatch):
    """Cameras of which each has probes and gallery images: nobody is on a side."""
    monkeypatch.setitem(ftwa_cameras.PRESETS, FULL, "vr")
    with pytest.raises(DataError, match="FTWA-B"):
        studies("pedestrians", "quick")
