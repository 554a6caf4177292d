"""data/measured: what is written is read again, with where it is from; what is no evidence or damaged is refused."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lib.experiments import measured as rooms
from lib.experiments.measured import MeasuredError, keep, measured, origin, record, table_name

TABLE = pd.DataFrame({"r1": [0.125, 1.0], "curve": ["r = r", "r, 1"], "value": [1 / 3, np.nan], "pairs": [7, 12]})
WHAT = {"profile": "course", "dataset": "viper", "seed": 0}


@pytest.fixture(autouse=True)
def shelf(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_MEASURED", str(tmp_path / "measured"))
    return tmp_path / "measured"


def run(name: str = "baseline-viper-plain-0123456789ab") -> SimpleNamespace:
    return SimpleNamespace(
        directory=Path(name), key="f" * 64, protocol=SimpleNamespace(sha256="a" * 64), seconds=12.34,
        provenance={"device": "a processor"},
    )  # fmt: skip


def test_a_table_comes_back_with_its_provenance(shelf):
    path = record("objective", TABLE, **WHAT, runs=[run()], grid=(0.125, 1.0))
    assert path == shelf / "objective-viper.csv"
    found = measured("objective", "viper")
    pd.testing.assert_frame_equal(found, TABLE.assign(value=[0.333333, np.nan]), check_dtype=True)
    inputs, how = (found.attrs["provenance"][key] for key in ("inputs", "circumstances"))
    assert inputs["runs"] == {"baseline-viper-plain-0123456789ab": "f" * 64}
    assert inputs["protocols"] == ["a" * 64] and inputs["grid"] == [0.125, 1.0] and inputs["seed"] == 0
    assert {"device", "torch", "python", "numpy", "pandas", "date", "commit", "trained_on"} <= how.keys()
    assert how["training_seconds"] == 12.3
    assert "objective on viper: profile course, seed 0, 2 rows" in origin(found)


def test_the_same_numbers_from_the_same_inputs_write_nothing(shelf):
    path = record("objective", TABLE, **WHAT)
    before = path.with_suffix(".json").read_text().replace('"date": "2', '"date": "1')
    path.with_suffix(".json").write_text(before)
    record("objective", TABLE, **WHAT)
    assert path.with_suffix(".json").read_text() == before
    record("objective", TABLE, **{**WHAT, "seed": 1})
    assert json.loads(path.with_suffix(".json").read_text())["inputs"]["seed"] == 1
    record("objective", TABLE.assign(pairs=8), **WHAT)
    assert measured("objective", "viper")["pairs"].tolist() == [8, 8]
    assert sorted(p.name for p in shelf.iterdir()) == ["objective-viper.csv", "objective-viper.json"]


def test_names_keep_profiles_and_data_sets_apart():
    assert table_name("objective", "viper", "course") == "objective-viper"
    assert table_name("objective", "viper", "paper") == "objective-viper-paper"
    assert table_name("objective", "some/where/My set.csv", "course") == "objective-My_set"


def test_quick_is_no_evidence(shelf):
    with pytest.raises(ValueError, match="no evidence"):
        record("objective", TABLE, profile="quick", dataset="viper", seed=0)
    with pytest.raises(ValueError, match="no evidence"):
        measured("objective", "viper", "quick")
    lesson = SimpleNamespace(name="03_objective", profile="quick", dataset="viper", seed=0, canonical=True)
    assert keep(lesson, "objective", TABLE).startswith("not kept")
    assert not shelf.exists()


def test_a_lesson_keeps_only_what_its_own_parameters_gave(shelf):
    lesson = SimpleNamespace(name="03_objective", profile="course", dataset="viper", seed=3, canonical=False)
    assert "parameters were changed" in keep(lesson, "objective", TABLE)
    assert not shelf.exists()
    lesson.canonical = True
    assert keep(lesson, "objective", TABLE, [run()], trials=2) == "kept as objective-viper.csv: 2 rows"
    inputs = measured("objective", "viper").attrs["provenance"]["inputs"]
    assert (inputs["lesson"], inputs["seed"], inputs["trials"]) == ("03_objective", 3, 2)


@pytest.mark.parametrize("frame", [TABLE.iloc[:0], pd.DataFrame([[1, 2]])])
def test_no_empty_and_no_nameless_tables(frame):
    with pytest.raises(ValueError, match="every column has a name"):
        record("objective", frame, **WHAT)


def test_what_is_not_there_says_how_to_make_it():
    record("objective", TABLE, **WHAT)
    with pytest.raises(MeasuredError, match=r"did you mean objective-viper\?.*-p profile course -p dataset vipers"):
        measured("objective", "vipers")


def test_a_changed_or_damaged_table_is_refused(shelf):
    path = record("objective", TABLE, **WHAT)
    text = path.read_text()
    path.write_text(text.replace("12", "13"))
    with pytest.raises(MeasuredError, match="not the table that its JSON describes"):
        measured("objective", "viper")
    record("objective", TABLE, **WHAT)  # measuring again repairs it
    assert path.read_text() == text
    path.with_suffix(".json").write_text('{"sha')
    with pytest.raises(MeasuredError, match="damaged"):
        measured("objective", "viper")
    record("objective", TABLE, **WHAT)
    assert len(measured("objective", "viper")) == 2


def test_a_killed_write_leaves_the_old_table(shelf, monkeypatch):
    path = record("objective", TABLE, **WHAT)
    before = path.read_text()
    monkeypatch.setattr(Path, "write_text", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        record("objective", TABLE.assign(pairs=1), **WHAT)
    monkeypatch.undo()
    assert path.read_text() == before and len(list(shelf.iterdir())) == 2


def test_the_commit_is_a_hash_or_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr(rooms, "REPOSITORY", tmp_path)
    assert rooms.commit() == "unknown"
