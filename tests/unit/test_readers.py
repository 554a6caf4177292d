"""Every public layout is read as its owner distributes it, and what is wrong is said with the file's name."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
import warnings
from pathlib import Path

import miniatures as mini
import numpy as np
import pytest
from PIL import Image

from lib.data import DataError, DataWarning, load_dataset, make_protocol
from lib.data.load import place
from lib.data.readers import READERS, counts, files

HERE = Path(__file__).resolve().parent

REAL = Path(os.environ.get("REID_DATA") or HERE.parents[2] / "shared" / "data")


@pytest.fixture
def counted():
    """Asked for by a test that wants a miniature to be told from the whole set."""


@pytest.fixture(autouse=True)
def _miniatures_are_whole(request, monkeypatch):
    """A miniature lacks nearly all of its set, and says nothing else than the set would."""
    if "counted" not in request.fixturenames:
        monkeypatch.setattr(counts, "PUBLISHED", {})


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


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("val", lambda lines, train: train, r"list_val\.txt, line 1: 0000/.* is in list_train\.txt, line 1, already"),
        ("gallery", lambda lines, train: lines * 2, r"list_gallery\.txt, line 7: .* is in list_gallery\.txt, line 1,"),
        ("query", lambda lines, train: [*lines, f"./{lines[0]}"], r"list_query\.txt, line 3: \./0000/.*line 1,"),
        ("train", lambda lines, train: [*lines, lines[2][:-1] + "7"], r"list_train\.txt, line 10: .*Restore the li"),
    ],
)
def test_msmt17_whose_lists_name_a_picture_twice(tmp_path, name, change, message):
    folder = mini.msmt17(tmp_path)
    lists = {part: (folder / f"list_{part}.txt").read_text().splitlines() for part in (name, "train")}
    (folder / f"list_{name}.txt").write_text("\n".join(change(lists[name], lists["train"])), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        load("msmt17", tmp_path, tmp_path)


def test_one_file_does_not_differ_from_itself():
    assert files.same_but_ending(["a.jpg", "a.jpg", "b.png"]) == []
    assert "a.jpg and a.png" in files.same_but_ending(["a.jpg", "a.jpg", "a.png"])[0]


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
    with pytest.warns(DataWarning, match="alpha.png"):
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


# Public sets that are not whole, or lie elsewhere

PUBLIC = ("viper", "caviar", "cuhk03", "market1501", "dukemtmc", "msmt17", "sysu")


def said_of(name, root, tmp_path) -> str:
    """What is said when a set is loaded, a warning a line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load(name, root, tmp_path)
    return "\n".join(str(warning.message) for warning in caught)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("viper", "6 of 632 people, 12 of 1,264 images. Unpack"),
        ("caviar", "8 of 72 people, 140 of 1,220 images. Unpack"),
        ("cuhk03", "18 of 1,467 people. Unpack"),
        ("market1501", "24 of 12,936 train images, 9 of 3,368 query images, 21 of 15,913 gallery images. Unpack"),
        ("dukemtmc", "12 of 16,522 train images, 4 of 2,228 query images, 8 of 17,661 gallery images. Unpack"),
        (
            "msmt17",
            "5 of 4,101 people, 12 of 32,621 train images, 2 of 11,659 query images, 6 of 82,161",
        ),
        ("sysu", "5 of 502 people, 50 of 24,446 images. Unpack"),
    ],
)
def test_a_part_of_a_set_is_not_taken_for_it(tmp_path, counted, name, message):
    getattr(mini, name)(tmp_path)
    for _ in range(2):  # decoded, then from the cache
        assert f"{name}: not what its owner distributes: {message}" in said_of(name, tmp_path, tmp_path)


def test_every_public_set_is_counted(counted):
    assert counts.PUBLISHED.keys() == set(PUBLIC) == {name for name in READERS if not name.startswith("pedestrians")}


@pytest.fixture
def as_now(monkeypatch, counted):
    """Counts of the miniatures as they are made, as if these were what their owners distribute."""
    whole = {
        "viper": {"people": 6, "images": 12},
        "market1501": {"train images": 24, "query images": 9, "gallery images": 21},
        "msmt17": {"people": 5, "train images": 12, "query images": 2, "gallery images": 6},
        "cuhk03": {"people": 18},
    }
    monkeypatch.setattr(counts, "PUBLISHED", whole)


def test_one_picture_more_or_less_is_said(tmp_path, as_now):
    folder = mini.viper(tmp_path)
    assert said_of("viper", tmp_path, tmp_path) == ""
    mini.store(folder / "cam_a" / "001_90.bmp", 77)
    assert "distributes: 13 of 12 images. Unpack" in said_of("viper", tmp_path, tmp_path)
    for path in folder.rglob("001_*"):
        path.unlink()
    assert "distributes: 5 of 6 people, 10 of 12 images. Unpack" in said_of("viper", tmp_path, tmp_path)


def test_an_empty_part_is_said(tmp_path, as_now):
    for path in (mini.market1501(tmp_path) / "query").glob("*.jpg"):
        path.unlink()
    assert "distributes: 0 of 9 query images. Unpack" in said_of("market1501", tmp_path, tmp_path)
    folder = mini.msmt17(tmp_path)
    for name in ("query", "gallery"):
        (folder / f"list_{name}.txt").write_text("")
    said = said_of("msmt17", tmp_path, tmp_path)
    assert "distributes: 3 of 5 people, 0 of 2 query images, 0 of 6 gallery images" in said


def test_a_cut_cuhk03_is_said(tmp_path, as_now):
    mini.cuhk03(tmp_path)
    assert said_of("cuhk03", tmp_path, tmp_path) == ""
    mini.cuhk03(tmp_path, people=(6, 4, 3, 3, 1))
    assert "distributes: 17 of 18 people" in said_of("cuhk03", tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("viper", "loose.bmp"),
        ("viper", "cam_a/sub/000_45.bmp"),
        ("caviar", "sub/0001001.jpg"),
        ("market1501", "0002_c1s1_000451_03.jpg"),
        ("market1501", "query/sub/0001_c1s1_000001_00.jpg"),
        ("dukemtmc", "bounding_box_test/a/b/0005_c2_f0046985.jpg"),
        ("sysu", "loose.jpg"),
        ("sysu", "cam1/0000.jpg"),
        ("sysu", "cam2/0001/sub/0.png"),
    ],
)
def test_pictures_of_another_level_are_named(tmp_path, name, place):
    folder = getattr(mini, name)(tmp_path)
    before = said_of(name, tmp_path, tmp_path)
    assert "lie elsewhere" not in before
    mini.store(folder / place, 99)  # the pixels are in the cache already
    (folder / place).with_name(".hidden.jpg").write_bytes(b"x")
    said = said_of(name, tmp_path, tmp_path)
    assert f"lie elsewhere in it: {place}. Move them" in said and said.count("\n") == before.count("\n") + bool(before)
    (folder / place).unlink()
    assert said_of(name, tmp_path, tmp_path) == before


def test_a_camera_without_folders_of_people_is_named(tmp_path):
    folder = mini.sysu(tmp_path, images=1)
    for path in sorted((folder / "cam2").rglob("*.jpg")):
        path.rename(folder / "cam2" / f"{path.parent.name}.jpg")
    assert "lie elsewhere in it: cam2/0000.jpg, cam2/0001.jpg" in said_of("sysu", tmp_path, tmp_path)


def test_other_folders_of_market1501_are_its_own(tmp_path):
    mini.store(mini.market1501(tmp_path) / "gt_bbox" / "0001_c1s1_001051_00.jpg", 1)
    assert said_of("market1501", tmp_path, tmp_path) == ""


@pytest.mark.parametrize("name", PUBLIC)
def test_a_folder_more_around_a_set(tmp_path, name):
    """What "extract all" makes: the archive's folder in one that is called like the archive."""
    where = getattr(mini, name)(tmp_path / "plain")
    folder = where.parent if where.is_file() else where
    shutil.copytree(folder, tmp_path / "nested" / folder.name / folder.name)
    found = set()
    for root in (tmp_path / "plain", tmp_path / "nested", tmp_path / "nested" / folder.name):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            found.add(load(name, root, tmp_path).fingerprint)
    assert len(found) == 1


def test_viper_as_its_archive_is_called(tmp_path):
    shutil.move(mini.viper(tmp_path / "unpacked"), tmp_path / "VIPeR.v1.0" / "VIPeR")
    assert len(load("viper", tmp_path, tmp_path)) == 12


@pytest.mark.parametrize("ending", [".JPG", ".Jpeg", ".png"])
def test_caviar_in_other_endings(tmp_path, ending):
    folder = mini.caviar(tmp_path)
    for path in sorted(folder.glob("*.jpg")):
        Image.open(path).save(path.with_suffix(ending)) if ending == ".png" else path.rename(path.with_suffix(ending))
        path.unlink(missing_ok=True)
    assert "2 of 8 people are in one camera only" in said_of("caviar", tmp_path, tmp_path)


# Own folders and lists that are not what they seem


def people_in(root: Path, pattern: str, firsts, seconds, name: str = "mine", suffix: str = ".png") -> Path:
    """A folder of pictures at ``pattern``, for example "{first}/{second}/0"; all pictures differ."""
    for i, first in enumerate(firsts):
        for j, second in enumerate(seconds):
            mini.store(root / name / (pattern.format(first=first, second=second) + suffix), i, j)
    return root / name


PEOPLE, CAMERAS = ("0001", "0002", "0003"), ("c1", "c2")


@pytest.mark.parametrize(
    ("firsts", "seconds"),
    [
        (tuple(f"cam{c}" for c in range(6)), tuple(f"{p:04d}" for p in range(12))),  # H11
        (("c1", "c2", "c3"), ("ann", "bob")),  # more cameras than people: their names tell
        (("Camera_1", "Camera_2"), PEOPLE),
        (("door", "hall"), PEOPLE),  # names that say nothing: more of the second than of the first
    ],
)
def test_camera_before_identity_is_asked_about(tmp_path, firsts, seconds):
    folder = people_in(tmp_path, "{first}/{second}/0", firsts, seconds)
    with pytest.raises(DataError, match=r"camera/identity.*layout='camera/identity'.*layout='identity/camera'"):
        load(folder, None, tmp_path)
    people = load(folder, None, tmp_path, layout="camera/identity")
    assert set(people.table["pid"]) == set(seconds) and set(people.table["cam"]) == set(firsts)
    assert set(load(folder, None, tmp_path, layout="identity/camera").table["pid"]) == set(firsts)


def test_both_layouts_give_the_same_set(tmp_path):
    one = people_in(tmp_path, "{first}/{second}/0", PEOPLE, CAMERAS, "one")
    other = tmp_path / "other"
    for path in one.rglob("*.png"):
        person, camera, name = path.relative_to(one).parts
        (other / camera / person).mkdir(parents=True)
        shutil.copy(path, other / camera / person / name)
    swapped = load(other, None, tmp_path, layout="camera/identity")
    assert swapped.fingerprint == load(one, None, tmp_path).fingerprint
    with pytest.raises(DataError, match="layout='cam'.*'identity/camera' or 'camera/identity'"):
        load(one, None, tmp_path, layout="cam")


@pytest.mark.parametrize(
    ("firsts", "seconds", "message"),
    [
        (("query", "gallery", "train"), PEOPLE, "gallery, query, train are called like the parts of a set.*CSV"),
        (("Train", "Test"), PEOPLE, "Test, Train are called like the parts.*subset"),
        (PEOPLE, ("train", "test"), "test, train are called like the parts"),
        (("train",), PEOPLE, "train are called like the parts"),
        (("PRID", "GRID", "iLIDS"), ("images",), "3 people .* in one camera, 'images'.*CSV"),
        (("bounding_box_train", "bounding_box_test", "query"), ("a",), "parts of a set"),
    ],
)
def test_folders_of_another_order_are_refused(tmp_path, firsts, seconds, message):
    with pytest.raises(DataError, match=message):
        load(people_in(tmp_path, "{first}/{second}/0", firsts, seconds), None, tmp_path)


def test_folders_of_another_depth_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"not in the layout .*identity/camera.* \(6 of 6 pictures\).*CSV"):
        load(people_in(tmp_path, "{first}/{second}", PEOPLE, CAMERAS, "flat"), None, tmp_path)
    with pytest.raises(DataError, match=r"\(6 of 6 pictures\)"):
        load(people_in(tmp_path, "{first}/{second}/walk/0", PEOPLE, CAMERAS, "deep"), None, tmp_path)


def test_a_folder_of_sets_is_refused(tmp_path):
    mini.viper(tmp_path / "sets")
    mini.market1501(tmp_path / "sets")
    with pytest.raises(DataError, match=r"folder of data sets \(Market-1501-v15.09.15, VIPeR\)"):
        load(tmp_path / "sets", None, tmp_path)


@pytest.mark.parametrize("cameras", [("c1",), ("c1", "c2", "c10", "c11"), ("door", "hall"), ("near", "far")])
def test_folders_whose_cameras_are_called_so_are_read(tmp_path, cameras):
    folder = people_in(tmp_path, "{first}/{second}/0", PEOPLE, cameras)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        assert set(load(folder, None, tmp_path).table["cam"]) == set(cameras)


def test_another_set_is_not_offered_as_viper(tmp_path):
    for cam in ("cam_a", "cam_b"):
        for p in range(4):
            mini.store(tmp_path / "PRID_450S" / cam / f"{p:04d}_1.png", p, ord(cam[-1]))
    with pytest.raises(DataError, match="not called like viper.*rename the folder to VIPeR"):
        load("viper", tmp_path / "PRID_450S", tmp_path)
    with pytest.raises(DataError, match="not in the layout") as caught:
        load(tmp_path / "PRID_450S", None, tmp_path)
    assert "viper" not in str(caught.value)


def test_market_and_duke_are_not_taken_for_each_other(tmp_path):
    with pytest.raises(DataError, match="DukeMTMC-reID holds .*not called like market1501"):
        load("market1501", mini.dukemtmc(tmp_path), tmp_path)
    (tmp_path / "DukeMTMC-reID").rename(tmp_path / "Market-1501")
    with pytest.raises(DataError, match=r"market1501: cannot read the name of .*_f0.*expected one like 0002_c1s1"):
        load("market1501", tmp_path, tmp_path)
    mini.market1501(tmp_path / "other").rename(tmp_path / "dukemtmc")
    with pytest.raises(DataError, match=r"dukemtmc: cannot read the name of .*expected one like 0005_c2_f"):
        load("dukemtmc", tmp_path, tmp_path)
    with pytest.raises(DataError, match=r"load_dataset\('dukemtmc'"):
        load(mini.dukemtmc(tmp_path / "third"), None, tmp_path)


def test_an_own_folder_with_a_public_name_keeps_a_name_of_its_own(tmp_path, monkeypatch):
    folder = people_in(tmp_path, "{first}/{second}/0", PEOPLE, CAMERAS, "viper")
    assert load(folder, None, tmp_path).name == "own-viper"
    monkeypatch.chdir(tmp_path)
    assert load("./viper", None, tmp_path).name == load(Path("viper"), None, tmp_path).name == "own-viper"


def test_every_ending_that_pillow_reads_counts(tmp_path):
    folder = people_in(tmp_path, "{first}/{second}/0", PEOPLE, CAMERAS)
    for path in folder.rglob("c2/*.png"):
        Image.open(path).save(path.with_suffix(".gif"))
        Image.open(path).save(path.with_suffix(".TGA"))
        path.unlink()
    with pytest.warns(DataWarning, match="differ in their ending only: 0001/c2/0.TGA and 0001/c2/0.gif") as caught:
        people = load(folder, None, tmp_path)
    assert len(caught) == 1
    assert people.table["file"].str[-3:].value_counts().to_dict() == {"png": 3, "gif": 3, "TGA": 3}


def test_other_files_are_named(tmp_path):
    folder = people_in(tmp_path, "{first}/{second}/0", PEOPLE, CAMERAS)
    (folder / "0001/c1/b.heic").write_bytes(b"x")
    (folder / "0002/c1/c").write_bytes(b"x")
    (folder / "0003/c2/b.jpg").mkdir()
    for quiet in ("README", "people.txt", "0001/c1/boxes.json", "Thumbs.db", "0001/.DS_Store", "0001/c1/._0.png"):
        (folder / quiet).write_bytes(b"x")
    with pytest.warns(DataWarning, match="left out, .*: 0001/c1/b.heic, 0002/c1/c, 0003/c2/b.jpg/. Convert") as caught:
        assert len(load(folder, None, tmp_path)) == 6
    assert len(caught) == 1
    for path in folder.rglob("*.png"):
        path.rename(path.with_suffix(".heic"))
    with pytest.raises(DataError, match="holds no images.*left out.*: 0001/c1/0.heic"):
        load(folder, None, tmp_path)


def test_other_files_in_public_sets_are_named(tmp_path):
    (mini.viper(tmp_path) / "cam_a" / "000_45.raw").write_bytes(b"x")
    with pytest.warns(DataWarning, match="left out.*cam_a/000_45.raw"):
        load("viper", tmp_path, tmp_path)


@pytest.mark.parametrize("place", ["", "0001/", "0001/c1/"])
@pytest.mark.parametrize("name", [".ipynb_checkpoints", "__MACOSX", "@eaDir", ".git/objects"])
def test_what_programs_leave_behind_is_passed_over(tmp_path, place, name):
    folder = people_in(tmp_path, "{first}/{second}/0", PEOPLE, CAMERAS)
    before = load(folder, None, tmp_path).fingerprint
    mini.store(folder / place / name / "0-checkpoint.png", 9)
    assert load(folder, None, tmp_path).fingerprint == before


def test_people_whose_names_begin_with_underscores(tmp_path):
    folder = people_in(tmp_path, "{first}/{second}/0", ("__ann", "bob"), CAMERAS)
    assert set(load(folder, None, tmp_path).table["pid"]) == {"__ann", "bob"}


def test_links(tmp_path):
    folder = people_in(tmp_path, "{first}/{second}/0", PEOPLE, CAMERAS)
    (folder / "0004").symlink_to(people_in(tmp_path, "{first}/{second}/0", ("x",), CAMERAS, "elsewhere") / "x")
    (folder / "0001" / "c1" / "up").symlink_to(folder)  # a circle, without pictures in the layout
    with pytest.raises(DataError, match="not in the layout"):
        load(folder, None, tmp_path)
    (folder / "0001" / "c1" / "up").unlink()
    with pytest.warns(DataWarning, match="same bytes"):
        assert load(folder, None, tmp_path).table["pid"].nunique() == 4
    (folder / "0001" / "c1" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(DataError, match=r"gone\.png: a link to a missing file"):
        load(folder, None, tmp_path)
    (mini.viper(tmp_path) / "cam_a" / "009_45.bmp").symlink_to(tmp_path / "nowhere.bmp")
    with pytest.raises(DataError, match=r"009_45\.bmp: a link to a missing file"):
        load("viper", tmp_path, tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_names_that_are_not_utf8(tmp_path):
    folder = people_in(tmp_path, "{first}/{second}/0", PEOPLE, CAMERAS)
    moved = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))  # the way there may be called anything
    shutil.copytree(folder, moved)
    people = load(moved, None, tmp_path)
    assert people.fingerprint == load(folder, None, tmp_path).fingerprint and people.name.isprintable()
    os.makedirs(os.fsencode(folder) + b"/Jos\xe9/c1")
    with pytest.raises(DataError, match=r"Jos.*not in UTF-8 \(its bytes are b'Jos\\xe9'\)\. Rename it") as caught:
        load(folder, None, tmp_path)
    str(caught.value).encode()  # can be printed


@pytest.mark.parametrize("name", ["y" * 240, "é" * 120, "a[1]*", "O'Brien $HOME {x}", "two  blanks", "new\nline", "…"])
def test_folders_may_be_called_anything(tmp_path, name):
    folder = people_in(tmp_path, "{first}/{second}/0", PEOPLE, CAMERAS, name)
    people = load(folder, None, tmp_path)
    assert len(people) == 6 and len(people.name.encode()) <= 100 and people.name.startswith("own-")
    stale = people.directory.with_name(f"{people.directory.name}.part1")
    stale.mkdir()
    (people.directory / "meta.json").write_text("[]")
    again = load(folder, None, tmp_path)
    assert again.fingerprint == people.fingerprint and not stale.exists()


# Identities and cameras that are almost the same


def write_csv(root: Path, text: str, pictures: int = 12) -> Path:
    for i in range(pictures):
        mini.store(root / f"{i}.png", i)
    (root / "list.csv").write_text(text, encoding="utf-8", newline="")
    return root / "list.csv"


def csv_of(pids, cams=None, header: str = "file,pid,cam", more: str = "") -> str:
    cams = cams or [f"c{i % 2}" for i in range(len(pids))]
    return header + "\n" + "".join(f"{i}.png,{pid},{cams[i]}{more}\n" for i, pid in enumerate(pids))


def test_blanks_around_names_do_not_count(tmp_path):
    pids = [f"{i // 2:04d}" for i in range(12)]
    pids[0], pids[3], pids[4] = "0000 ", "\u00a00001", "0002\u200b"
    cams = [f"c{i % 2}" + " " * (i % 3) for i in range(12)]
    with pytest.warns(DataWarning) as caught:
        table = load(write_csv(tmp_path, csv_of(pids, cams)), None, tmp_path).table
    assert table["pid"].nunique() == 6 and set(table["cam"]) == {"c0", "c1"}
    said = [str(warning.message) for warning in caught]
    assert any("people spelled in several ways were taken for one: '0000' = '0000 '" in text for text in said)
    assert any("cameras spelled in several ways" in text for text in said) and len(said) == 2


def test_unicode_forms_are_one_name(tmp_path):
    forms = [unicodedata.normalize(form, "José") for form in ("NFC", "NFD")]
    assert forms[0] != forms[1]
    folder = people_in(tmp_path, "{first}/{second}/0", ("0001", "0002"), CAMERAS)
    for form, cam in zip(forms, CAMERAS, strict=True):
        mini.store(folder / form / cam / "0.png", 7, ord(cam[-1]))
    with pytest.warns(DataWarning, match="people spelled in several ways"):
        people = load(folder, None, tmp_path)
    assert people.table["pid"].nunique() == 3 and (people.table["pid"] == forms[0]).sum() == 2
    # A list written on one machine finds the files that another named.
    text = "file,pid,cam\n" + "".join(f"mine/{form}/{cam}/0.png,1,{cam}\n" for form in forms for cam in CAMERAS)
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="lists a file twice"):
        load(tmp_path / "list.csv", None, tmp_path)
    text = f"file,pid,cam\nmine/{forms[1]}/c1/0.png,1,c1\nmine/{forms[0]}/c2/0.png,1,c2\n"
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    assert len(load(tmp_path / "list.csv", None, tmp_path)) == 2


@pytest.mark.parametrize(
    ("one", "other"), [("1", "0001"), ("Ann", "ann"), ("p-1", "p_01"), ("１", "1"), ("a 7", "a  07"), ("1a", "01A")]
)
def test_names_that_are_almost_the_same_are_warned_about(tmp_path, one, other):
    pids = [one, one, other, other, "x", "x"]
    with pytest.warns(DataWarning, match="differ in zeros, capitals or blanks only: .* and ") as caught:
        table = load(write_csv(tmp_path, csv_of(pids)), None, tmp_path).table
    assert table["pid"].nunique() == 3 and len(caught) == 1


@pytest.mark.parametrize(("one", "other"), [("1", "10"), ("100", "1"), ("-1a", "1a"), ("1_2", "12"), ("0", "00a")])
def test_names_that_are_different_are_not(tmp_path, one, other):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        people = load(write_csv(tmp_path, csv_of([one, one, other, other])), None, tmp_path)
    assert people.table["pid"].nunique() == 2


def test_junk_and_strangers_are_said(tmp_path):
    """What they are is decided by the protocol; who reads them in learns what they look like."""

    def said(pids, more: str = "", header: str = "file,pid,cam"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            people = load(write_csv(tmp_path, csv_of(pids, header=header, more=more), len(pids)), None, tmp_path)
        assert len(people) == len(pids)
        return [str(warning.message) for warning in caught if "Market-1501" in str(warning.message)]

    usual = [f"{i // 2:04d}" for i in range(8)]
    assert said(usual) == []  # 0000 with two pictures is a person like others
    (one,) = said(["-1"] * 4 + usual)
    assert "4 pictures have the identity -1, which in Market-1501 is nobody" in one and "another name" in one
    strangers = "the identity 0000 has 7 of 13 pictures, nobody else more than 3"
    both = said(["0000"] * 7 + ["-1", "0001", "0001", "0002", "0002", "0002"])
    assert "1 pictures have the identity -1" in both[0] and strangers in both[1]
    assert said(["0000"] * 7 + ["0001"] * 3 + ["0002"] * 3) == []  # somebody who came by often
    (crowd,) = said(["0"] * 10 + ["1", "1"])
    assert "identity 0 has 10 of 12" in crowd and "all strangers in the gallery" in crowd


# Lists


def test_further_columns_are_attributes(tmp_path):
    text = "file,pid,cam,pair,testsets,twin,width\n" + "".join(
        f"{i}.png,{i // 2},c{i % 2},{i},0,9,7\n" for i in range(12)
    )
    with pytest.warns(DataWarning, match="the list's width is not kept: .*Rename the column"):
        people = load(write_csv(tmp_path, text), None, tmp_path)
    assert people.table["pair"].tolist() == [str(i) for i in range(12)]
    assert set(people.table["width"]) == {10}, "the pictures say how large they are"


def test_commas_at_the_ends_of_lines(tmp_path):
    pids = [i // 2 for i in range(12)]
    plain = load(write_csv(tmp_path, csv_of(pids)), None, tmp_path)
    for text in (csv_of(pids, more=","), csv_of(pids, more=",,", header="file,pid,cam,"), csv_of(pids) + "\n,,\n \n"):
        people = load(write_csv(tmp_path, text), None, tmp_path)
        assert people.table.equals(plain.table) and people.fingerprint == plain.fingerprint


@pytest.mark.parametrize("note", ["a\rb", "a\r\nb", "a\nb", 'a"b', "a,b", "\ta", "é…", "nan", "", "\\N", "a\0b"])
def test_any_text_comes_back(tmp_path, note):
    quoted = '"' + note.replace('"', '""') + '"'
    text = "file,pid,cam,note\n" + "".join(f"{i}.png,{i // 2},c{i % 2},{quoted}\n" for i in range(4))
    path = write_csv(tmp_path, text)
    for _ in range(2):  # decoded, then from the cache
        assert load(path, None, tmp_path).table["note"].tolist() == [note.lstrip(" ")] * 4


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_endings(tmp_path, ending):
    path = write_csv(tmp_path, csv_of([0, 0, 1, 1]).replace("\n", ending))
    assert load(path, None, tmp_path).table["cam"].tolist() == ["c0", "c1", "c0", "c1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,pid,cam\n0.png,1,c1\n1.png,1\n", r"list\.csv, line 3: 2 fields .* names 3: file, pid, cam"),
        ("file,pid,cam\n0.png,1,c1\n\n1.png,1,c2,blue\n", r"list\.csv, line 4: 4 fields"),
        ('file,pid,cam,note\n0.png,1,c1,"a\nb"\n1.png,1\n', r"list\.csv, line 4: 2 fields"),
        ("file,pid,cam,pid\n0.png,1,c1,2\n", r"column\(s\) pid twice"),
        ("file,pid,,cam\n0.png,1,,c1\n", "column 3 has no name"),
        ("file,pid,cam\n", "no rows below its first line"),
        ("file\tpid\tcam\n0.png\t1\tc1\n", "commas, not tabs"),
        ('file,pid,cam\n"0.png"x,1,c1\n', "cannot be read as CSV"),
        ("file,pid,cam\n0.png,1,c1\n./0.png,1,c2\n", r"twice: 0\.png \(line 2\) = \./0\.png \(line 3\)"),
        ("file,pid,cam\n0.png,1,c1\n{here}/0.png,2,c2\n", r"twice: 0\.png \(line 2\) = /.*/0\.png \(line 3\)"),
        ("file,pid,cam\n1.png,1,c1\n0.png,1,c1\n../{name}/0.png,2,c2\n", r"0\.png \(line 3\) = \.\./.*\(line 4"),
        ("file,pid,cam\n0.png, ,c1\n", "line 2: pid is empty"),
        ("file,pid,cam\n0.png,1,\u00a0\n", "line 2: cam is empty"),
        ("file,pid,cam\nlist.csv/0.png,1,c1\n", "does not exist"),
        ("file,pid,cam\na\0.png,1,c1\n", "cannot be read: embedded null byte"),
        ("file,pid,cam\n.,1,c1\n", "cannot be read: Is a directory"),
        ("file,pid,cam\n" + "x" * 300 + ".png,1,c1\n", "cannot be read: File name too long"),
    ],
)
def test_lists_that_are_wrong(tmp_path, text, message):
    text = text.replace("{here}", str(tmp_path)).replace("{name}", tmp_path.name)
    with pytest.raises(DataError, match=message):
        load(write_csv(tmp_path, text), None, tmp_path)


def test_a_file_twice_in_a_list_that_is_named_from_here(tmp_path, monkeypatch):
    write_csv(tmp_path, f"file,pid,cam\n0.png,1,c1\n{tmp_path}/0.png,2,c2\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="twice"):
        load("list.csv", None, tmp_path)


def test_a_list_in_another_encoding(tmp_path):
    path = write_csv(tmp_path, csv_of([0, 0]))
    for encoding in ("utf-16", "latin-1"):
        path.write_text(csv_of(["José", "José"]), encoding=encoding)
        with pytest.raises(DataError, match=r"list\.csv cannot be read as CSV in UTF-8"):
            load(path, None, tmp_path)


# Pictures that are strange


def test_what_was_done_to_pictures_is_said_each_time(tmp_path):
    folder = people_in(tmp_path, "{first}/{second}/0", PEOPLE, CAMERAS)
    for person in PEOPLE[:2]:
        Image.new("RGBA", (6, 9), (255, 0, 0, int(person))).save(folder / person / "c1" / "alpha.png")
    for _ in range(2):
        with pytest.warns(DataWarning, match=r"2 picture\(s\) have transparent parts.* 0001/c1/alpha.png, 0002/c1/al"):
            load(folder, None, tmp_path)


def test_films_in_a_set_are_named(tmp_path):
    folder = people_in(tmp_path, "{first}/{second}/0", PEOPLE, CAMERAS)
    frames = [Image.fromarray(mini.picture(i)) for i in range(3)]
    frames[0].save(folder / "0001" / "c1" / "walk.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"0001/c1/walk\.gif holds 3 pictures \(GIF\)"):
        load(folder, None, tmp_path)


def test_people_of_one_camera_and_what_can_be_done(tmp_path):
    folder = people_in(tmp_path, "{first}/{second}/0", PEOPLE, CAMERAS)
    for i in range(3):
        mini.store(folder / "0004" / "c2" / f"{i}.png", 4, i)
    mini.store(folder / "0005" / "c1" / "0.png", 5)
    with pytest.warns(DataWarning) as caught:
        people = load(folder, None, tmp_path)
    (said,) = (str(warning.message) for warning in caught)
    assert "2 of 5 people were seen by one camera only: 0004, 0005" in said
    assert 'make_protocol(people, "mlr-half")' in said and "(1 of these people have two or more)" in said
    assert "CSV with the column subset" in said
    half = make_protocol(people.take(people.table["pid"] != "0005"), "mlr-half")  # the remedy exists
    assert "0004" in {pid for some in half.manifest["identities"].values() for pid in some}


def test_people_of_one_camera_and_one_image_each(tmp_path):
    pids = [f"{i // 2}" for i in range(8)] + [f"{i}" for i in range(8, 12)]  # as PRID 2011
    with pytest.warns(DataWarning, match="4 of 8 people were seen by one camera only") as caught:
        load(write_csv(tmp_path, csv_of(pids)), None, tmp_path)
    (said,) = (str(warning.message) for warning in caught)
    assert "mlr-half" not in said and said.endswith("A CSV with the column subset says who is trained on.")


def test_distractors_of_one_camera_are_said_once(tmp_path):
    pids = ["1", "1", "2", "2", *["0000"] * 8]  # as GRID
    cams = ["c0", "c1", "c0", "c1", *["c1"] * 8]
    with pytest.warns(DataWarning, match="stands for all strangers") as caught:
        load(write_csv(tmp_path, csv_of(pids, cams)), None, tmp_path)
    assert len(caught) == 1


def test_csv_from_windows(tmp_path):
    folder = people_in(tmp_path, "{first}/{second}/0", PEOPLE, CAMERAS)
    rows = [f"{first}\\{second}\\0.png,{first},{second}" for first in PEOPLE for second in CAMERAS]
    (folder / "list.csv").write_text("file,pid,cam\n" + "\n".join(rows), encoding="utf-8")
    assert len(load(folder / "list.csv", None, tmp_path)) == 6
    (folder / "list.csv").write_text("File,PID,Cam\n" + "\n".join(rows), encoding="utf-8")
    with pytest.raises(DataError, match="it has File, PID, Cam. Write these names in small letters"):
        load(folder / "list.csv", None, tmp_path)
    (folder / "list.csv").write_text("file,pid,cam\n0.png,José,c1", encoding="latin1")
    with pytest.raises(DataError, match="cannot be read as CSV in UTF-8: .*invalid.*Save it again"):
        load(folder / "list.csv", None, tmp_path)


# Arguments


@pytest.mark.parametrize("name", ["", " ", None, 3, ["viper"]])
def test_no_name_at_all(tmp_path, name):
    with pytest.raises(DataError, match="wants the name of a set, a folder or a CSV file"):
        load_dataset(name, cache=tmp_path)


@pytest.mark.parametrize("argument", ["root", "cache"])
@pytest.mark.parametrize("value", ["", " ", 0, False])
def test_folders_that_are_none(tmp_path, argument, value):
    with pytest.raises(DataError, match=f"{argument}={value!r} is no folder"):
        load_dataset("viper", **{argument: value})


def test_options_of_a_reader_are_named(tmp_path):
    with pytest.raises(DataError, match="crop.*Its options: crops"):
        load("cuhk03", tmp_path, tmp_path, crop="labeled")
    with pytest.raises(DataError, match="folder.*Its options: layout"):
        load(people_in(tmp_path, "{first}/{second}/0", PEOPLE, CAMERAS), None, tmp_path, folder="x")
    with pytest.raises(DataError, match="Its options: none"):
        load("viper", tmp_path, tmp_path, layout="identity/camera")


def test_an_empty_variable_is_one_that_is_not_set(tmp_path, monkeypatch):
    monkeypatch.setenv("REID_DATA", "")
    monkeypatch.setenv("REID_CACHE", "")
    assert place("root", None, "REID_DATA", tmp_path) == tmp_path


# The sets themselves, where they are


@pytest.mark.skipif(not (REAL / "VIPeR").is_dir(), reason="VIPeR is not here (REID_DATA)")
def test_the_real_viper(tmp_path, counted):
    people = load("viper", REAL, tmp_path)
    table = people.table
    assert len(people) == 1264 and table["pid"].nunique() == 632
    assert set(table["width"]) == {48} and set(table["height"]) == {128}
    assert (table.groupby("pid")["cam"].nunique() == 2).all()
    assert people.notes == ()
    assert people.fingerprint == "1f5cee784f6eb590b5b1e456a61b621e39389549bc0746700d9b700c4e04723f"


@pytest.mark.skipif(not (REAL / "CAVIARa").is_dir(), reason="CAVIAR4REID is not here (REID_DATA)")
def test_the_real_caviar(tmp_path, counted):
    with pytest.warns(DataWarning) as caught:
        people = load("caviar", REAL, tmp_path)
    said = "\n".join(str(warning.message) for warning in caught)
    table = people.table
    assert people.fingerprint == "a38939cf47c792f81f9e3b4db82e0115b8d48e340e31e91ab280f09d23439e02"
    assert len(people) == 1220 and table["pid"].nunique() == 72
    assert (table["width"].min(), table["width"].max()) == (16, 75) == (16, people.widths_max)
    assert (table["height"].min(), table["height"].max()) == (39, 150)
    counts = table.groupby(["pid", "cam"]).size().unstack(fill_value=0)
    assert (counts["far"] == 0).sum() == 22 and (counts["near"] == 0).sum() == 0
    both = counts[counts["far"] > 0]
    assert len(both) == 50
    assert both[both["near"] != 10].to_dict("index") == {"0062": {"far": 11, "near": 9}}
    assert "people 0020, 0050 are larger in the far camera" in said and "its owner distributes" not in said
    assert "0062010.jpg" in said and "0050010.jpg" not in said
    assert "22 of 72 people" in said and "0029002.jpg = 0029003.jpg" in said
    area = (table["width"] * table["height"]).groupby(table["cam"]).median()
    assert area["near"] > 1.5 * area["far"]
