"""Every public layout is read as its owner distributes it, and what is wrong is said with the file's name."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path

import miniatures as mini
import numpy as np
import pytest
from PIL import Image

from lib.data import DataError, DataWarning, load_dataset

HERE = Path(__file__).resolve().parent

REAL = Path(os.environ.get("REID_DATA") or HERE.parents[2] / "shared" / "data")


def load(name, root, tmp_path, **options):
    return load_dataset(name, root=root, cache=tmp_path / "cache", **options)


def test_viper(tmp_path):
    mini.viper(tmp_path)
    people = load("viper", tmp_path, tmp_path)
    assert len(people) == 12 and people.table["pid"].nunique() == 6
    assert list(people.table["cam"].unique()) == ["cam_a", "cam_b"]
    assert people.table["pid"].iloc[0] == "000" and people.table["angle"].iloc[1] == 45
    assert np.array_equal(people.image(0), mini.picture(0, 0))  # BMP loses nothing
    assert load("VIPeR", mini.viper(tmp_path), tmp_path).fingerprint == people.fingerprint  # the folder itself as root


def test_caviar_decides_the_cameras_by_size(tmp_path):
    mini.caviar(tmp_path)
    with pytest.warns(DataWarning) as caught:
        people = load("caviar", tmp_path, tmp_path)
    said = "\n".join(str(warning.message) for warning in caught)
    table = people.table
    assert len(people) == 6 * 20 + 2 * 10
    assert set(table["cam"]) == {"near", "far"}
    counts = table.groupby(["pid", "cam"]).size().unstack(fill_value=0)
    assert counts.loc["0006"].to_dict() == {"far": 11, "near": 9}
    assert counts.loc["0007"].to_dict() == {"far": 0, "near": 10}
    # One camera keeps one name for everybody, also for the person who is larger in the far one.
    assert (table.loc[(table["pid"] == "0005") & (table["index"] <= 10), "cam"] == "near").all()
    assert "0005" in said and "0006010.jpg" in said and "2 of 8 people" in said


def test_caviar_with_the_blocks_exchanged(tmp_path):
    folder = mini.caviar(tmp_path)
    for path in sorted(folder.glob("*.jpg")):
        person, index = path.name[:4], int(path.name[4:7])
        if int(person) < 5:
            path.rename(folder / f"{person}{(index + 9) % 20 + 1:03d}.jpeg")
    with pytest.warns(DataWarning):
        table = load("caviar", tmp_path, tmp_path).table
    area = (table["width"] * table["height"]).groupby([table["pid"], table["cam"]]).median().unstack()
    assert (
        area.loc[["0001", "0002", "0003", "0004"], "near"] > area.loc[["0001", "0002", "0003", "0004"], "far"]
    ).all()


@pytest.mark.parametrize(("crops", "images"), [("both", 2 * (18 * 10 - 10)), ("labeled", 170), ("detected", 170)])
def test_cuhk03(tmp_path, crops, images):
    mini.cuhk03(tmp_path)
    people = load("cuhk03", tmp_path, tmp_path, crops=crops)
    table = people.table
    assert len(people) == images and table["pid"].nunique() == 18
    assert sorted(table["cam"].unique())[:3] == ["1a", "1b", "2a"]
    first = table.index[(table["pid"] == "2_0003") & (table["cam"] == "2b")][
        0
    ]  # column 5 of the third person of pair 2
    extra = 1 if crops == "detected" else 0
    assert np.array_equal(people.image(first), mini.picture(extra, 1, 2, 5, height=25, width=8 + extra))
    tested = table.groupby("pid")["testsets"].first()
    assert tested["1_0002"] == "0 1" and tested["2_0001"] == "0" and tested["3_0001"] == ""
    empties = table[(table["pid"] == "1_0001") & (table["crop"] == table["crop"].iloc[0])]
    assert len(empties) == 8


def test_cuhk03_of_another_matlab_version(tmp_path):
    path = tmp_path / "cuhk-03.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file, Platform: PCWIN64".ljust(124) + b"\x00\x01IM" + b"\0" * 400)
    with pytest.raises(DataError, match=r"cuhk-03\.mat.*v5.*-v7\.3"):
        load("cuhk03", tmp_path, tmp_path)


def test_cuhk03_truncated_foreign_or_missing(tmp_path):
    with pytest.raises(DataError, match=r"cuhk-03\.mat.*REID_DATA"):
        load("cuhk03", tmp_path, tmp_path)
    path = mini.cuhk03(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cuhk-03\.mat.*[Cc]opy it again"):
        load("cuhk03", tmp_path, tmp_path)
    path.write_bytes(b"hello")
    with pytest.raises(DataError, match="no MATLAB file"):
        load("cuhk03", tmp_path, tmp_path)
    with pytest.raises(DataError, match="crops"):
        load("cuhk03", tmp_path, tmp_path, crops="drawn")


def test_market1501(tmp_path):
    mini.market1501(tmp_path)
    people = load("market1501", tmp_path, tmp_path)
    assert people.table["subset"].value_counts().to_dict() == {"train": 24, "gallery": 18 + 3, "query": 9}
    assert "-1" not in set(people.table["pid"])
    assert (people.table["pid"] == "0000").sum() == 3  # distractors stay
    assert people.table.loc[0, ["pid", "cam", "subset"]].tolist() == ["0002", "c1", "train"]
    assert "3 junk images" in people.notes[0]


def test_dukemtmc(tmp_path):
    mini.dukemtmc(tmp_path)
    table = load("dukemtmc", tmp_path, tmp_path).table
    assert table["subset"].value_counts().to_dict() == {"train": 12, "gallery": 8, "query": 4}
    assert set(table["cam"]) == {"c2", "c8"} and table["pid"].iloc[0] == "0001"


@pytest.mark.parametrize("version", [1, 2])
def test_msmt17(tmp_path, version):
    mini.msmt17(tmp_path, version)
    table = load("msmt17", tmp_path, tmp_path).table
    assert table["subset"].value_counts().to_dict() == {"train": 12, "gallery": 6, "query": 2}
    assert set(table["cam"]) == {"c01", "c15"}
    # Person 0 of the training list and person 0 of the test list are two people.
    assert table["pid"].nunique() == 5 and {"train-0000", "test-0000"} <= set(table["pid"])
    assert (table["official"] == "val").sum() == 3


def test_msmt17_with_a_broken_list(tmp_path):
    folder = mini.msmt17(tmp_path)
    (folder / "list_query.txt").write_text("0000/0000_000_01_x_0_0.jpg\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"list_query\.txt, line 1"):
        load("msmt17", tmp_path, tmp_path)


def test_sysu(tmp_path):
    mini.sysu(tmp_path)
    people = load("sysu", tmp_path, tmp_path)
    assert len(people) == 50 and set(people.table["cam"]) == {"cam1", "cam2"}
    shutil.rmtree(tmp_path / "SYSU" / "cam2")
    with pytest.raises(DataError, match="two camera folders"):
        load("sysu", tmp_path, tmp_path)


def test_own_folder(tmp_path):
    people = load(mini.own_folder(tmp_path), None, tmp_path)
    assert people.name == "own-mine" and len(people) == 16
    assert set(people.table["pid"]) == {f"person {p}" for p in range(4)} and set(people.table["cam"]) == {
        "door",
        "hall",
    }
    assert people.widths_max == 13
    store = tmp_path / "mine" / "loose.png"
    mini.store(store, 1)
    with pytest.raises(DataError, match=r"loose\.png.*identity/camera"):
        load(tmp_path / "mine", None, tmp_path)


def test_own_folder_of_a_public_set(tmp_path):
    with pytest.raises(DataError, match=r"load_dataset\('viper'"):
        load(mini.viper(tmp_path), None, tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images"):
        load(tmp_path / "empty", None, tmp_path)


def test_own_csv(tmp_path):
    people = load(mini.own_csv(tmp_path), None, tmp_path)
    assert people.table["pid"].tolist()[:3] == ["0000", "0000", "0001"]  # text, not numbers
    assert people.table["hat"].tolist()[1:3] == ["red, round", "NA"]
    assert (people.table["subset"] == "").all()
    again = load(tmp_path / "people.csv", None, tmp_path)  # from the cache
    assert again.table.equals(people.table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,pid\na.png,1\n", "lacks the column.*cam"),
        ("file;pid;cam\na.png;1;2\n", "commas, not semicolons"),
        ("file,pid,cam,subset\na.png,1,2,test\n", "line 2: subset 'test'"),
        ("file,pid,cam\npictures/0-1.png,1,2\nabsent.png,1,1\n", r"absent\.png does not exist"),
        ("file,pid,cam\npictures/0-1.png,,2\n", "line 2: pid is empty"),
        ("file,pid,cam\npictures/0-1.png,1,2\npictures/0-1.png,1,1\n", "twice: pictures/0-1.png"),
        ("", r"people\.csv cannot be read"),
    ],
)
def test_own_csv_that_is_wrong(tmp_path, text, message):
    path = mini.own_csv(tmp_path)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        load(path, None, tmp_path)


def test_csv_from_a_spreadsheet_with_a_byte_order_mark(tmp_path):
    path = mini.own_csv(tmp_path)
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert len(load(path, None, tmp_path)) == 8


@pytest.mark.parametrize("name", ["viper", "caviar", "market1501", "dukemtmc", "msmt17", "sysu"])
def test_missing_folder_names_the_place_and_the_remedy(tmp_path, name):
    with pytest.raises(DataError, match=rf"{name} was not found below .*REID_DATA.*data/README\.md"):
        load(name, tmp_path, tmp_path)


def test_incomplete_folder_names_what_is_missing(tmp_path):
    shutil.rmtree(mini.market1501(tmp_path) / "query")
    with pytest.raises(DataError, match="lacks query"):
        load("market1501", tmp_path, tmp_path)


def test_truncated_image_is_named(tmp_path):
    mini.market1501(tmp_path)
    path = tmp_path / "Market-1501-v15.09.15" / "query" / "0003_c2s1_000001_00.jpg"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"0003_c2s1_000001_00\.jpg \(200 bytes\).*Copy it again"):
        load("market1501", tmp_path, tmp_path)
    assert not list((tmp_path / "cache").glob("*.part*"))


def test_unreadable_name_is_named(tmp_path):
    mini.store(mini.viper(tmp_path) / "cam_a" / "copy of 001.bmp", 1)
    with pytest.raises(DataError, match=r"copy of 001\.bmp.*000_45\.bmp.*Rename"):
        load("viper", tmp_path, tmp_path)


def test_duplicates_and_lonely_people_are_warned_about_each_time(tmp_path):
    folder = mini.viper(tmp_path)
    (folder / "cam_b" / "003_135.bmp").unlink()
    shutil.copy(folder / "cam_a" / "001_45.bmp", folder / "cam_a" / "001_90.bmp")
    for _ in range(2):  # decoded, then from the cache
        with pytest.warns(DataWarning) as caught:
            people = load("viper", tmp_path, tmp_path)
        said = " ".join(str(warning.message) for warning in caught)
        assert "1 of 6 people were seen by one camera only: 003" in said
        assert "cam_a/001_45.bmp = cam_a/001_90.bmp" in said
    assert len(people.notes) == 2


def test_a_sound_set_gives_no_warning(tmp_path):
    mini.viper(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(load("viper", tmp_path, tmp_path)) > 0


def test_pictures_of_other_modes_become_rgb(tmp_path):
    folder = mini.own_folder(tmp_path)
    Image.fromarray(mini.picture(1)[..., 0]).save(folder / "person 0" / "door" / "grey.png")
    Image.new("RGBA", (6, 9), (255, 0, 0, 128)).save(folder / "person 0" / "door" / "alpha.png")
    turned = Image.Exif()
    turned[0x0112] = 6  # a phone held upright
    Image.new("RGB", (12, 5)).save(folder / "person 0" / "door" / "phone.jpg", exif=turned)
    people = load(folder, None, tmp_path)
    rows = people.table.set_index("file")
    assert people.image(int(people.table.index[people.table["file"].str.endswith("alpha.png")][0])).shape == (9, 6, 3)
    assert rows.loc["person 0/door/phone.jpg", ["height", "width"]].tolist() == [12, 5]


def test_unknown_name_and_option(tmp_path):
    with pytest.raises(DataError, match="Did you mean 'viper'"):
        load("vipre", tmp_path, tmp_path)
    with pytest.raises(DataError, match="crop"):
        load("viper", mini.viper(tmp_path), tmp_path, crop="labeled")


def test_root_from_the_environment(tmp_path, monkeypatch):
    mini.viper(tmp_path / "sets")
    monkeypatch.setenv("REID_DATA", str(tmp_path / "sets"))
    monkeypatch.setenv("REID_CACHE", str(tmp_path / "elsewhere"))
    assert len(load_dataset("viper")) == 12
    assert list((tmp_path / "elsewhere").glob("viper-*"))


@pytest.mark.skipif(not (REAL / "VIPeR").is_dir(), reason="VIPeR is not here (REID_DATA)")
def test_the_real_viper(tmp_path):
    people = load("viper", REAL, tmp_path)
    table = people.table
    assert len(people) == 1264 and table["pid"].nunique() == 632
    assert set(table["width"]) == {48} and set(table["height"]) == {128}
    assert (table.groupby("pid")["cam"].nunique() == 2).all()
    assert people.notes == ()


@pytest.mark.skipif(not (REAL / "CAVIARa").is_dir(), reason="CAVIAR4REID is not here (REID_DATA)")
def test_the_real_caviar(tmp_path):
    with pytest.warns(DataWarning) as caught:
        people = load("caviar", REAL, tmp_path)
    said = "\n".join(str(warning.message) for warning in caught)
    table = people.table
    assert len(people) == 1220 and table["pid"].nunique() == 72
    assert (table["width"].min(), table["width"].max()) == (16, 75) == (16, people.widths_max)
    assert (table["height"].min(), table["height"].max()) == (39, 150)
    counts = table.groupby(["pid", "cam"]).size().unstack(fill_value=0)
    assert (counts["far"] == 0).sum() == 22 and (counts["near"] == 0).sum() == 0
    both = counts[counts["far"] > 0]
    assert len(both) == 50
    assert both[both["near"] != 10].to_dict("index") == {"0062": {"far": 11, "near": 9}}
    assert "people 0020, 0050 are larger in the far camera" in said
    assert "0062010.jpg" in said and "0050010.jpg" not in said
    assert "22 of 72 people" in said and "0029002.jpg = 0029003.jpg" in said
    area = (table["width"] * table["height"]).groupby(table["cam"]).median()
    assert area["near"] > 1.5 * area["far"]
