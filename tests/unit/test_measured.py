"""data/measured: what is written is read again, with where it is from; what is no evidence or damaged is refused."""

from __future__ import annotations

import json
import re
import shutil
from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lib.definitions import definitions
from lib.experiments import measured as rooms
from lib.experiments import rejudge, verdicts
from lib.experiments.measured import (
    DamagedTable,
    KeptError,
    MeasuredError,
    announce,
    code_note,
    keep,
    measured,
    origin,
    outdated,
    record,
    table_name,
)
from lib.experiments.recorded import recorded
from lib.training.sources import Code

TABLE = pd.DataFrame({"r1": [0.125, 1.0], "curve": ["r = r", "r, 1"], "value": [1 / 3, np.nan], "pairs": [7, 12]})
START = "lib.losses.batch_hard_triplet"
CODE = Code((START,), (), definitions(START))
WHAT = {"profile": "course", "dataset": "viper", "seed": 0}


@pytest.fixture(autouse=True)
def shelf(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_MEASURED", str(tmp_path / "measured"))
    return tmp_path / "measured"


def run(name: str = "baseline-viper-plain-0123456789ab", seed: int = 0, trial: int = 0) -> SimpleNamespace:
    return SimpleNamespace(
        directory=Path(name), key="f" * 64, protocol=SimpleNamespace(sha256="a" * 64, trial=trial), seconds=12.34,
        provenance={"device": "a processor"}, seed=seed, code=CODE,
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


def test_a_table_that_knows_more_is_kept(shelf):
    """Three trainings are not replaced by one, nor one question's answer by another's; with ``replace`` they are."""
    several = TABLE.assign(trainings=[3, 1], trials=3)
    path = record("objective", several, **WHAT, preset="mlr")
    before = path.read_text()
    for fewer in ({"trainings": 2}, {"trials": 1}):
        with pytest.raises(KeptError, match=r"objective-viper.csv has 3 tr\w+, and here are [12]: ask for the same"):
            record("objective", several.assign(**fewer), **WHAT, preset="mlr")
    with pytest.raises(KeptError, match="is of the preset mlr, not vr"):
        record("objective", several, **WHAT, preset="vr")
    assert path.read_text() == before
    record("objective", several.assign(trainings=1), **WHAT, preset="mlr", replace=True)
    assert measured("objective", "viper")["trainings"].tolist() == [1, 1]
    record("objective", several.assign(trainings=4), **WHAT, preset="mlr")  # more is written


def test_a_table_of_other_code_gives_way(shelf, monkeypatch):
    record("objective", TABLE.assign(trainings=3), **WHAT, runs=[run()])
    monkeypatch.setattr(rooms, "code_note", lambda provenance: "measured with other code")
    record("objective", TABLE.assign(trainings=1), **WHAT, runs=[run()])
    assert measured("objective", "viper")["trainings"].tolist() == [1, 1]


def test_names_keep_profiles_and_data_sets_apart():
    assert table_name("objective", "viper", "course") == "objective-viper"
    assert table_name("objective", "viper", "paper") == "objective-viper-paper"
    own = table_name("objective", "some/where/My set.csv", "course")
    assert re.fullmatch(r"objective-own_My_set_[0-9a-f]{6}", own)
    assert own != table_name("objective", "else/where/My set.csv", "course")


def test_somebodys_own_folder_called_viper_is_not_viper(tmp_path):
    record("objective", TABLE, **WHAT)
    folder = tmp_path / "viper"
    with pytest.raises(MeasuredError, match=r"no measured table objective-own_viper_[0-9a-f]{6}; run"):
        measured("objective", str(folder))
    folder.mkdir()
    with pytest.raises(MeasuredError, match="no measured table objective-own_viper"):
        measured("objective", str(folder))
    record("objective", TABLE.assign(pairs=1), **WHAT | {"dataset": str(folder)})
    assert measured("objective", str(folder))["pairs"].tolist() == [1, 1]
    assert measured("objective", "VIPeR")["pairs"].tolist() == [7, 12]


# ---- the code behind a table


def test_a_table_of_todays_code_says_nothing_of_it():
    record("objective", TABLE, **WHAT, runs=[run()])
    frame = measured("objective", "viper")
    assert frame.attrs["note"] == "" and "code" not in origin(frame) and outdated() == {}
    code = frame.attrs["provenance"]["code"]
    assert code["runs"] == {"baseline-viper-plain-0123456789ab": CODE.sha256}
    assert "lib.evaluation.evaluate" not in code["starts"] and "lib.evaluation.results.evaluate" in code["starts"]


@pytest.mark.parametrize("name", ["lib.losses.pairwise_distances", "lib.evaluation.results.evaluate"])
def test_other_code_is_named(monkeypatch, name):
    record("objective", TABLE, **WHAT, runs=[run()])
    before = rooms.code_again
    monkeypatch.setattr(
        rooms, "code_again", lambda *a: {k: "0" * 16 if k == name else v for k, v in before(*a).items()}
    )
    frame = measured("objective", "viper")
    expected = rf"measured with other code \([0-9a-f]{{8}}, here [0-9a-f]{{8}}\): {name} changed$"
    assert re.search(expected, origin(frame)) and re.search(expected, frame.attrs["note"])
    assert list(outdated()) == ["objective-viper"]
    record("objective", TABLE, **WHAT, runs=[run()])  # the same numbers again, with today's code
    assert measured("objective", "viper").attrs["note"] == ""


def test_code_that_is_gone_is_named(monkeypatch):
    record("objective", TABLE, **WHAT, runs=[run()])
    frame = measured("objective", "viper")
    provenance = frame.attrs["provenance"]
    provenance["code"]["starts"].append("lib.losses.forgotten")
    assert "lib.losses has no 'forgotten' any more" in code_note(provenance)


def test_the_number_of_trainings_and_splits_is_kept():
    several = [run(f"r{seed}{trial}", seed, trial) for seed in range(3) for trial in range(2)]
    record("objective", TABLE, **WHAT, runs=several)
    frame = measured("objective", "viper")
    inputs = frame.attrs["provenance"]["inputs"]
    assert (inputs["trainings"], inputs["trials"]) == (3, 2)
    assert "2 rows, 3 trainings, 2 splits; measured" in origin(frame)
    record("objective", TABLE, **WHAT, runs=several[:1], trials=10)
    assert ", 1 training, 10 splits; measured" in origin(measured("objective", "viper"))


BEFORE_CODE_WAS_RECORDED = {
    "726476db3434", "ed9818b50a2e", "11bb38bca413", "a3713b53605e", "45c97caf6f64", "8e05335c4ee6", "6a6c3ed3cc1c",
    "424d359b1681", "bfb81894edac", "4c4c88f18705", "e9499ec0a396", "ba521012b232", "2f5e5e378799", "d584fdd198a9",
    "d65bb23a8d6e", "07c0a2f846fa",
}  # fmt: skip


def test_every_committed_table_says_what_code_measured_it(monkeypatch, capsys):
    """Each is of today's code or says that it is not; only the oldest may not know theirs. Lists those that are old."""
    monkeypatch.delenv("COURSE_MEASURED")
    tables = sorted(rooms.folder().glob("*.json"))
    old = outdated()
    with capsys.disabled():
        print(f"\n{len(old)} of {len(tables)} measured tables are not of today's code")
        for note in sorted(set(old.values())):
            print(f"  {note}: {', '.join(name for name in old if old[name] == note)}")
    for path in tables:
        provenance = json.loads(path.read_text())
        frame = pd.read_csv(path.with_suffix(".csv"))
        frame.attrs["provenance"] = provenance
        assert origin(frame).endswith(f"; {old[path.stem]}") if path.stem in old else " code" not in origin(frame)
        known = "code" in provenance
        assert known or provenance["circumstances"]["commit"].split("+")[0][:12] in BEFORE_CODE_WAS_RECORDED
        assert not known or {"trainings", "trials"} <= provenance["inputs"].keys()
        assert (provenance["rows"], provenance["columns"]) == (len(frame), list(frame.columns)), path.stem


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
    with pytest.raises(DamagedTable, match="viper.csv is not the table that its JSON describes: restore both"):
        measured("objective", "viper")
    record("objective", TABLE, **WHAT)  # measuring the same again repairs it
    assert path.read_text() == text
    path.with_suffix(".json").write_text('{"sha')
    for read in (lambda: measured("objective", "viper"), outdated):
        with pytest.raises(DamagedTable, match="objective-viper in .* is damaged.*git checkout"):
            read()
    record("objective", TABLE, **WHAT)
    assert len(measured("objective", "viper")) == 2


@pytest.mark.parametrize("half", [".csv", ".json"])
def test_half_a_table_is_not_taken_for_none(shelf, half):
    record("objective", TABLE, **WHAT).with_suffix(half).unlink()
    with pytest.raises(DamagedTable, match="objective-viper"):
        measured("objective", "viper")


def test_a_damaged_table_is_not_written_over_by_another(shelf):
    """What cannot be read may have had more trainings."""
    path = record("objective", TABLE.assign(trainings=3), **WHAT)
    path.with_suffix(".json").write_text('{"sha')
    before = path.read_text()
    with pytest.raises(KeptError, match="damaged.*restore both"):
        record("objective", TABLE.assign(trainings=1), **WHAT)
    assert path.read_text() == before
    record("objective", TABLE.assign(trainings=1), **WHAT, replace=True)
    assert measured("objective", "viper")["trainings"].tolist() == [1, 1]


def test_a_table_of_other_people_is_kept(shelf):
    """As many trainings and splits, of people who are not those of the stored splits."""
    other = run()
    other.protocol.sha256 = "b" * 64
    path = record("objective", TABLE, **WHAT, runs=[run()])
    before = path.read_text()
    with pytest.raises(KeptError, match="is of other people"):
        record("objective", TABLE.assign(pairs=8), **WHAT, runs=[other])
    assert path.read_text() == before
    record("objective", TABLE.assign(pairs=8), **WHAT, runs=[run(), other])  # with another split beside it


def test_a_fuller_search_is_kept(shelf, capsys):
    """Of two rates a run of one of them is no newer table, and the command says so in a line."""
    two = pd.DataFrame({"name": ["a", "a"], "rate": [1e-3, 2e-3], "value": [0.5, 0.6]})
    write = partial(record, "rates", **WHAT, runs=[run()], keys=("name", "rate"))
    path = write(two)
    with pytest.raises(KeptError, match=r"has 1 rows that are not here \(a, 0.002 \.\.\.\)"):
        write(two.head(1))
    with pytest.raises(SystemExit) as stopped:
        announce(ArgumentParser(), lambda: [write(two.head(1))])
    assert stopped.value.code == 1 and "error: rates-" in capsys.readouterr().err
    more = pd.concat([two, two.tail(1).assign(rate=4e-3)])
    announce(ArgumentParser(), lambda: [None, write(more)])
    assert capsys.readouterr().out == f"written: {path.name}\n" and len(pd.read_csv(path)) == 3


@pytest.mark.parametrize("end", ["rows-viper.json", "claims-viper.csv"])
def test_nobody_goes_on_without_a_damaged_table(shelf, end, capsys, monkeypatch):
    """The record, the board and what judges again say which it is; none writes anything."""
    monkeypatch.delenv("COURSE_MEASURED")
    shutil.copytree(rooms.folder(), shelf)
    monkeypatch.setenv("COURSE_MEASURED", str(shelf))
    damaged = shelf / f"sing_{end}"
    damaged.write_text(damaged.read_text()[: damaged.stat().st_size // 2])
    before = {path: path.read_bytes() for path in (*shelf.iterdir(), verdicts.PAGE)}
    with pytest.raises(DamagedTable, match="sing_"):
        recorded("sing")
    assert verdicts.main([]) == 1
    with pytest.raises(SystemExit) as left:
        rejudge.main([])
    assert left.value.code == 1
    assert capsys.readouterr().err.count(damaged.stem) >= 2
    assert {path: path.read_bytes() for path in before} == before


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
