"""Manifests as files for others: what is written, that it is read back, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from fractions import Fraction
from pathlib import Path

import miniatures as mini
import pandas as pd
import pytest

from lib.data import DataError, DataWarning, PersonDataset, load_dataset, load_protocol, make_protocol
from lib.data.export import check, export, here, main
from lib.data.manifest import canonical, sha256
from lib.data.protocol import read_manifests
from lib.data.readers import READERS

ROOT = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("REID_DATA") or ROOT.parent / "shared" / "data")
COMMITTED = {"viper-mlr-0-9": ("viper", "VIPeR", "mlr"), "caviar-caviar-0-9": ("caviar", "CAVIARa", "caviar")}


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """A folder with miniatures of three public sets, and what loads them."""
    root = tmp_path_factory.mktemp("sets")
    for name in ("viper", "caviar", "market1501"):
        getattr(mini, name)(root)

    def load(name: str):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            return load_dataset(name, root=root, cache=root / "cache")

    load.root = root
    return load


@pytest.fixture
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        yield


@pytest.fixture
def written(sets, tmp_path, quiet):
    """Two trials of mlr on the miniature of VIPeR, written: the CSV, the JSON."""
    return export([make_protocol(sets("viper"), "mlr", trial) for trial in (0, 1)], tmp_path)


@pytest.mark.parametrize(
    ("name", "preset", "trials"),
    [("viper", "mlr", (0, 1, 2)), ("caviar", "caviar", (3, 1)), ("market1501", "vr", (0,)), ("viper", "plain", (0,)),
     ("market1501", "mlr", (0,)), ("market1501", "plain", (0,))],
)  # fmt: skip
def test_every_image_with_split_side_and_ratio(sets, tmp_path, quiet, name, preset, trials):
    people = sets(name)
    made = [make_protocol(people, preset, trial) for trial in trials]
    table, path = export(made, tmp_path / "deep")
    text = pd.read_csv(table, dtype=str, keep_default_na=False)
    assert text["file"].tolist() == people.table["file"].tolist()
    assert text["pid"].tolist() == people.table["pid"].tolist()
    assert list(text.columns[5:]) == [f"trial_{trial}" for trial in sorted(trials)]
    for one in made:
        said = text[text[f"trial_{one.trial}"] != ""]
        rows = one.table
        assert said.index.tolist() == rows["image"].tolist()
        roles = rows["role"].where(rows["role"] == "train", rows["subset"] + " " + rows["role"])
        assert said[f"trial_{one.trial}"].tolist() == roles.tolist()
        assert (said["side"] == "low").tolist() == one.is_low(rows).tolist()
        ratio = said["ratio"].map(lambda share: float(Fraction(share)))
        assert ratio.to_numpy() == pytest.approx(rows["ratio"].to_numpy())
        assert load_protocol(path, people, trial=one.trial).sha256 == one.sha256
    unused = text[(text[text.columns[5:]] == "").all(axis=1)]
    assert (unused[["side", "ratio"]] == "").all().all()
    for where in (people, None):
        assert [sha256(manifest) for manifest in check(path, where)] == [
            one.sha256 for one in sorted(made, key=lambda one: one.trial)
        ]


def test_one_trial_needs_not_be_named(sets, tmp_path, quiet):
    people = sets("viper")
    _, one = export([make_protocol(people, "mlr", trial=4)], tmp_path)
    assert one.name == "viper-mlr-4.json" and load_protocol(one, people).trial == 4
    _, several = export([make_protocol(people, "mlr", trial, seed=2) for trial in (0, 2)], tmp_path)
    assert several.name == "viper-mlr-seed2-0_2.json"
    with pytest.raises(DataError, match="holds the trials 0, 2: say which"):
        load_protocol(several, people)
    with pytest.raises(DataError, match="holds the trials 0, 2, not 1"):
        load_protocol(several, people, trial=1)


def test_what_is_not_written(sets, tmp_path, quiet):
    viper, market = sets("viper"), sets("market1501")
    mlr = make_protocol(viper, "mlr")
    with pytest.raises(DataError, match="no protocol to write"):
        export([], tmp_path)
    with pytest.raises(DataError, match="one preset, not mlr and plain"):
        export([mlr, make_protocol(viper, "plain", trial=1)], tmp_path)
    with pytest.raises(DataError, match="one set, not"):
        export([mlr, make_protocol(market, "mlr", trial=1)], tmp_path)
    with pytest.raises(DataError, match="twice: 0, 0"):
        export([mlr, mlr], tmp_path)
    with pytest.raises(DataError, match="draws sides and ratios anew for each trial .* files of its own"):
        export([make_protocol(market, "mlr", trial) for trial in range(3)], tmp_path)
    assert not list(tmp_path.iterdir())


def rewritten(path: Path, change, rehash: bool = True) -> None:
    """The JSON with a change, its hashes made to fit: what is wrong must then be found by itself."""
    saved = json.loads(path.read_text())
    change(saved)
    if rehash:
        for one in saved["protocols"]:
            one["sha256"] = sha256(one["manifest"])
    path.write_text(canonical(saved))


def images(saved, trial=0):
    return saved["protocols"][trial]["manifest"]["images"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda saved: saved.pop("images"), "not written by lib.data.export"),
        (lambda saved: saved["images"]["pid"].pop(), "different lengths"),
        (lambda saved: saved["images"].update(pid=7), "must be a list of texts"),
        (lambda saved: saved["images"]["side"].__setitem__(0, "left"), "low, high or empty, not 'left'"),
        (lambda saved: saved["images"]["file"].__setitem__(1, saved["images"]["file"][0]), "there twice"),
        (lambda saved: saved.update(protocols=[]), "no saved protocol"),
        (lambda saved: images(saved)["row"].reverse(), "each once and in order"),
        (lambda saved: images(saved)["row"].__setitem__(-1, 99), "each once and in order"),
        (lambda saved: images(saved)["ratio"].__setitem__(0, "2"), "manifest is damaged"),
        (lambda saved: saved["protocols"][1]["manifest"].pop("identities"), "manifest is damaged"),
        (
            lambda saved: saved["protocols"][0]["manifest"]["identities"]["train"].append(
                saved["protocols"][0]["manifest"]["identities"]["test"][0]
            ),
            "people in train and in test",
        ),
        (lambda saved: saved["images"].update(pid=saved["images"]["pid"][::-1]), "that person is not"),
        (lambda saved: saved["images"]["side"].__setitem__(0, ""), "on no side"),
    ],
)
def test_what_cannot_be_is_found_without_the_images(written, change, message):
    rewritten(written[1], change)
    with pytest.raises(DataError, match=message):
        check(written[1])


def test_what_was_changed_by_hand(sets, written, quiet):
    _, path = written
    rewritten(path, lambda saved: images(saved)["ratio"].__setitem__(0, "1/5"), rehash=False)
    with pytest.raises(DataError, match="changed after it was saved"):
        check(path)
    with pytest.raises(DataError, match="changed after it was saved"):
        load_protocol(path, sets("viper"), trial=0)


def test_the_two_files_say_the_same(written):
    table, path = written
    text = table.read_text()
    table.write_bytes(text.replace("\n", "\r\n").encode())  # as git writes it on Windows
    check(path)
    first, second, *rest = text.splitlines()
    table.write_text("\n".join([first, second.replace(",low,", ",high,"), *rest]))
    with pytest.raises(DataError, match=r"does not say what viper-mlr-0-1\.json says: line 2"):
        check(path)
    table.write_text(first)
    with pytest.raises(DataError, match="its length"):
        check(path)
    table.unlink()
    with pytest.raises(DataError, match="stands beside the JSON"):
        check(path)


def test_labels_and_sides_are_compared_with_the_images(sets, written, quiet):
    people = sets("viper")
    with pytest.raises(DataError, match="other images or labels"):
        check(written[1], people.take(range(len(people) - 2)))
    for name, value in (("cam", "cam_b"), ("file", "elsewhere.bmp"), ("side", "high")):
        shutil.copy(written[1], other := written[1].with_name("other.json"))
        rewritten(other, lambda saved, name=name, value=value: saved["images"][name].__setitem__(0, value))
        with pytest.raises(DataError, match=rf"{name} is not that of viper: image 0\."):
            check(other, people)


def test_on_the_command_line(sets, tmp_path, capsys, monkeypatch, quiet):
    monkeypatch.setenv("REID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("REID_DATA", str(sets.root))
    told = ["--set", "viper", "--preset", "mlr", "--trial", "0-2,4", "--to", str(tmp_path)]
    assert main(told) == 0
    path = tmp_path / "viper-mlr-0_1_2_4.json"
    hashes = [sha256(manifest) for manifest in read_manifests(path)]
    out = capsys.readouterr().out
    assert all(digest in out for digest in hashes) and len(hashes) == 4
    assert main(["--check", str(path)]) == 0
    assert "4 trial(s) of mlr agree, with PersonDataset('viper'" in capsys.readouterr().out
    monkeypatch.setenv("REID_DATA", str(tmp_path / "nothing"))
    assert main(["--check", str(path)]) == 0
    assert "viper is not here" in capsys.readouterr().out
    assert main(told) == 1
    assert "viper was not found below" in capsys.readouterr().err
    manifest = read_manifests(path)[0] | {"set": "own-shop"}  # somebody's own: no name says where they are
    path.write_text(json.dumps({"protocols": [{"manifest": manifest, "sha256": sha256(manifest)}]}))
    main(["--check", str(path)])
    assert "'own-shop' is no set" not in capsys.readouterr().err
    assert here("own-shop", None) is None
    path.write_text(json.dumps({"protocols": [{"manifest": {}, "sha256": sha256({})}]}))
    assert main(["--check", str(path)]) == 1 and "names no set: name its people" in capsys.readouterr().err
    for text in ("{}", "[]", "7", "{", '{"protocols": [1]}'):
        path.write_text(text)
        assert main(["--check", str(path)]) == 1
        assert "no saved protocol" in capsys.readouterr().err
    for wrong in (["--set", "viper"], [*told, "--trial", "3-1"], [*told, "--trial", "all"]):
        with pytest.raises(SystemExit):
            main(wrong)


def test_a_set_that_is_here_and_damaged_is_not_taken_for_absent(sets, written, tmp_path, monkeypatch, capsys, quiet):
    monkeypatch.setenv("REID_CACHE", str(tmp_path / "cache"))
    mini.viper(tmp_path / "sets")
    shutil.rmtree(tmp_path / "sets" / "VIPeR" / "cam_b")
    assert main(["--check", str(written[1]), "--root", str(tmp_path / "sets")]) == 1
    assert "lacks cam_b" in capsys.readouterr().err


@pytest.mark.parametrize("name", [*(name for name in READERS if not name.startswith("pedestrians")), "toy", "own-shop"])
def test_a_set_that_is_not_here_is_checked_alone(sets, tmp_path, capsys, quiet, name):
    """Every public set's absence is no damage, and a name says nothing about pictures in memory or of one's own."""
    pixels = [sets("viper").image(row) for row in range(len(sets("viper")))]
    people = PersonDataset.from_arrays(name, pixels, sets("viper").table)
    _, path = export([make_protocol(people, "mlr")], tmp_path)
    assert main(["--check", str(path), "--root", str(tmp_path / "nothing")]) == 0
    assert f"alone: {name} is not here" in capsys.readouterr().out


def test_a_set_that_the_reader_names_must_be_one(written, capsys, quiet):
    assert main(["--check", str(written[1]), "--set", "vipre"]) == 1
    assert "'vipre' is no set" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMITTED)
def test_the_committed_manifests(name):
    path = ROOT / "data" / "manifests" / f"{name}.json"
    manifests = check(path)
    assert [manifest["trial"] for manifest in manifests] == list(range(10))
    assert {(manifest["set"], manifest["preset"]) for manifest in manifests} == {COMMITTED[name][::2]}


def test_the_committed_manifests_are_small():
    assert sum(path.stat().st_size for path in (ROOT / "data" / "manifests").iterdir()) < 2**20


@pytest.mark.parametrize("name", COMMITTED)
def test_the_committed_manifests_are_what_is_made_today(name, quiet):
    data, folder, preset = COMMITTED[name]
    if not (REAL / folder).is_dir():
        pytest.skip(f"{folder} is not here (REID_DATA)")
    people = load_dataset(data, root=REAL)
    manifests = check(ROOT / "data" / "manifests" / f"{name}.json", people)
    assert [sha256(manifest) for manifest in manifests] == [
        make_protocol(people, preset, trial).sha256 for trial in range(10)
    ]
