"""PersonDataset and its cache: right pixels, one decoding, and no way to find half a cache."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import miniatures as mini
import numpy as np
import pandas as pd
import pytest

from lib.data import DataError, DataWarning, PersonDataset, load_dataset, load_protocol, make_protocol, store
from lib.data import pedestrians as renderer
from lib.data.labels import clean_label
from lib.data.readers import rendered
from lib.data.store import Item, Source, load, open_store

HERE = Path(__file__).resolve().parent


def arrays(count: int = 5, masks: bool = True):
    images = [mini.picture(i, height=9 + i, width=5 + i % 2) for i in range(count)]
    table = pd.DataFrame({"pid": [i // 2 for i in range(count)], "cam": [i % 2 for i in range(count)]})
    return images, table, [image[..., 0] > 100 for image in images] if masks else None


def test_images_and_masks_come_back():
    images, table, masks = arrays()
    people = PersonDataset.from_arrays("some", images, table, masks)
    assert len(people) == 5 and people.widths_max == 6 and people.has_masks
    for i in range(5):
        assert np.array_equal(people.image(i), images[i])
        assert people.mask(i).dtype == bool and np.array_equal(people.mask(i), masks[i])
    assert np.array_equal(people.image(-1), images[-1])
    assert list(people.table.columns[:6]) == ["pid", "cam", "width", "height", "subset", "file"]
    assert people.table["pid"].tolist() == ["0", "0", "1", "1", "2"]  # text, whatever came in
    assert "5 images of 3 people in 2 cameras" in repr(people)


def test_images_cannot_be_written_to():
    people = PersonDataset.from_arrays("some", *arrays())
    with pytest.raises(ValueError, match="read-only"):
        people.image(0)[0, 0, 0] = 1
    with pytest.raises(IndexError, match="no row 5"):
        people.image(5)


def test_without_masks():
    people = PersonDataset.from_arrays("some", *arrays(masks=False))
    assert people.mask(0) is None and not people.has_masks


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((4, 0, 3), np.uint8), np.zeros((4, 4, 4), np.uint8)],
)
def test_other_arrays_are_refused(image):
    with pytest.raises(DataError, match="image 0"):
        PersonDataset.from_arrays("some", [image], pd.DataFrame({"pid": [1], "cam": [1]}))


def test_tables_that_are_wrong():
    images, table, _ = arrays()
    with pytest.raises(DataError, match="cam"):
        PersonDataset.from_arrays("some", images, table.drop(columns="cam"))
    with pytest.raises(DataError, match="'test'"):
        PersonDataset.from_arrays("some", images, table.assign(subset="test"))
    with pytest.raises(DataError, match="4 images for 5 rows"):
        PersonDataset.from_arrays("some", images[:4], table)


def test_the_fingerprint_sees_pixels_and_labels_and_nothing_else():
    images, table, masks = arrays()
    first = PersonDataset.from_arrays("some", images, table, masks)
    assert first.fingerprint == PersonDataset.from_arrays("other", images, table.assign(hat="red")).fingerprint
    changed = [image.copy() for image in images]
    changed[3][0, 0, 0] ^= 1
    assert first.fingerprint != PersonDataset.from_arrays("some", changed, table).fingerprint
    for column in ("pid", "cam"):
        other = table.copy()
        other.loc[2, column] = 9
        assert first.fingerprint != PersonDataset.from_arrays("some", images, other).fingerprint
    assert first.fingerprint != PersonDataset.from_arrays("some", images, table.assign(subset="train")).fingerprint


def test_the_fingerprint_is_the_same_on_every_machine():
    assert mini.tiny().fingerprint == "856f4a9128ff429a951e6694eda366243629693d8cf50742ab0d93b9ba733de1"


def test_take():
    images, table, masks = arrays()
    people = PersonDataset.from_arrays("some", images, table, masks)
    some = people.take([3, 1])
    assert np.array_equal(some.image(0), images[3]) and np.array_equal(some.mask(1), masks[1])
    assert some.table["pid"].tolist() == ["1", "0"] and some.table.index.tolist() == [0, 1]
    assert some.fingerprint != people.fingerprint
    assert people.take([3, 1]).fingerprint == some.fingerprint != people.take([1, 3]).fingerprint


@pytest.mark.parametrize("kind", [list, np.array, pd.Series, tuple, lambda mask: pd.array(mask, dtype="boolean"), iter])
def test_take_with_truth_values(kind):
    images, table, masks = arrays()
    people = PersonDataset.from_arrays("some", images, table, masks)
    wanted = people.table["cam"] == "1"
    some = people.take(kind(wanted.tolist()))
    assert len(some) == 2 and some.table["cam"].tolist() == ["1", "1"]
    assert np.array_equal(some.image(1), images[3]) and np.array_equal(some.mask(0), masks[1])
    assert some.fingerprint == people.take([1, 3]).fingerprint == people.take(people.table.index[wanted]).fingerprint
    assert len(people.take(kind([False] * 5))) == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([True, False], "2 truth values and 0 others for 5 rows"),
        ([True] * 6, "6 truth values"),
        ([True, 2, 0, 1, 3], "1 truth values and 4 others"),
        (np.ones((5, 1), bool), "others|no number of a row|truth values"),
        (pd.array([True, None, True, False, True], dtype="boolean"), "4 truth values and 1 others"),
        (pd.Series([True] * 5, index=[4, 3, 2, 1, 0]), "belong to other rows"),
        (pd.Series([True] * 2, index=[0, 1]), "belong to other rows"),
        ([1.0, 2.0], "1.0 is no number of a row"),
        (np.array([0.0, 1.0]), "no number of a row"),
        (["0", "1"], "'0' is no number of a row"),
        ([None], "None is no number of a row"),
        ("01", "wants a list of rows"),
        (3, "wants a list of rows"),
        (np.zeros((2, 2), int), "no number of a row"),
    ],
)
def test_rows_that_take_refuses(rows, message):
    people = PersonDataset.from_arrays("some", *arrays())
    with pytest.raises(DataError, match=message):
        people.take(rows)


def test_rows_that_are_not_there():
    people = PersonDataset.from_arrays("some", *arrays())
    for rows in ([5], [-6], np.array([0, 7])):
        with pytest.raises(IndexError, match="has 5 images; there is no row"):
            people.take(rows)
    assert people.take([-1]).fingerprint == people.take([4]).fingerprint
    assert people.take(range(0)).widths_max == 0 and people.take([1], name="one").name == "one"
    for row in (True, 1.0, "1", None, np.float64(0)):
        for ask in (people.image, people.mask):
            with pytest.raises(DataError, match="no number of a row"):
                ask(row)
    assert np.array_equal(people.image(np.uint8(3)), people.image(3))


# Labels that are corrected


def stored(tmp_path: Path) -> PersonDataset:
    return load(source(), tmp_path)


def in_memory(tmp_path: Path) -> PersonDataset:
    return PersonDataset.from_arrays("slow", [mini.picture(i) for i in range(6)], stored(tmp_path).table)


def taken(tmp_path: Path) -> PersonDataset:
    return stored(tmp_path).take([5, 4, 3, 2, 1, 0])


KINDS = pytest.mark.parametrize("kind", [stored, in_memory, taken])


@KINDS
@pytest.mark.parametrize("column", ["pid", "cam", "subset"])
def test_a_corrected_label_is_another_set(tmp_path, kind, column):
    people = kind(tmp_path)
    before = people.fingerprint
    table = people.table.copy()
    table.loc[2, column] = "train"
    other = people.with_table(table)
    assert people.fingerprint == before != other.fingerprint and type(other) is type(people)
    assert other.table.loc[2, column] == "train" != people.table.loc[2, column]
    assert np.shares_memory(other.image(3), people.image(3)) and other.notes == people.notes
    people.table.loc[2, column] = "train"  # what somebody writes into the table counts just the same
    assert people.fingerprint == other.fingerprint != before
    assert people.take([1, 2]).fingerprint == other.take([1, 2]).fingerprint != kind(tmp_path).take([1, 2]).fingerprint
    assert other.with_table(kind(tmp_path).table).fingerprint == before, "corrected back"
    people.table[column] = kind(tmp_path).table[column]
    assert people.fingerprint == before
    for some in (people, other):
        assert pickle.loads(pickle.dumps(some)).fingerprint == some.fingerprint


@KINDS
def test_attributes_are_no_labels(tmp_path, kind):
    people = kind(tmp_path)
    other = people.with_table(people.table.assign(hat="red"))
    assert other.fingerprint == people.fingerprint and "hat" not in people.table
    other.table["note"] = "x"
    back = pickle.loads(pickle.dumps(other))
    assert back.fingerprint == people.fingerprint and back.table.equals(other.table)
    assert np.array_equal(back.image(5), people.image(5)) and np.array_equal(back.mask(0), people.mask(0))


def test_the_fingerprint_in_memory_is_that_of_a_set_made_with_these_labels():
    images, table, _ = arrays()
    people = PersonDataset.from_arrays("some", images, table)
    corrected = people.table.assign(pid=["0", "1", "1", "1", "2"])
    made = PersonDataset.from_arrays("some", images, corrected)
    assert people.with_table(corrected).fingerprint == made.fingerprint


@KINDS
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: setattr(table, "index", [1, 2, 3, 4, 5, 6]), "rows are no longer 0 to 5"),
        (lambda table: setattr(table, "index", list("abcdef")), "rows are no longer 0 to 5"),
        (lambda table: table.__setitem__("extra", table.pop("cam")), r"lost the column\(s\) cam"),
        (lambda table: table.insert(0, "width", table.pop("width") + 1), "column width is not that of the images"),
        (lambda table: table.insert(0, "pid", table.pop("pid").astype(int)), "pid holds 0, which is no text"),
        (lambda table: table.insert(0, "cam", [None, *table.pop("cam")[1:]]), "cam holds (None|nan), which is no text"),
    ],
)
def test_a_table_that_no_longer_describes_the_images(tmp_path, kind, change, message):
    people = kind(tmp_path)
    if kind is taken:
        people = people.take([5, 4, 3, 2, 1, 0])
    change(people.table)
    with pytest.raises(DataError, match=message + ".*people.with_table"):
        str(people.fingerprint)
    with pytest.raises(AttributeError):
        people.table = people.table.copy()


@KINDS
def test_tables_that_with_table_refuses(tmp_path, kind):
    people = kind(tmp_path)
    table = people.table
    for wrong, message in (
        (table.iloc[1:], "rows 0 to 5 in order"),
        (table.iloc[::-1], "rows 0 to 5 in order"),
        (table.drop(columns="pid"), "lacks the column"),
        (table.assign(width=table["width"] + 1), "width is not that of the images"),
        (table.assign(pid=[None] * 6), "row 0: the pid is no name of a person: it is missing"),
        (table.assign(subset="test"), "Unknown subset 'test'"),
    ):
        with pytest.raises(DataError, match=message):
            people.with_table(wrong)
    assert people.with_table(table.assign(pid=[0, 0, 1, 1, 2, 2])).table["pid"].tolist() == list("001122")


def test_a_protocol_belongs_to_the_labels_it_was_made_for(tmp_path):
    people = mini.tiny()
    before = make_protocol(people, "mlr")
    first, second = (
        people.table.index[people.table["pid"] == pid][0] for pid in before.manifest["identities"]["train"][:2]
    )
    table = people.table.copy()
    table.loc[[first, second], "pid"] = table.loc[[second, first], "pid"].tolist()
    corrected = people.with_table(table)
    path = before.save(tmp_path / "protocol.json")
    assert make_protocol(corrected, "mlr").sha256 != before.sha256 == make_protocol(people, "mlr").sha256
    people.table.loc[[first, second], "pid"] = people.table.loc[[second, first], "pid"].tolist()
    assert make_protocol(people, "mlr").sha256 == make_protocol(corrected, "mlr").sha256
    for some in (corrected, people):
        with pytest.raises(DataError, match="other images or labels"):
            load_protocol(path, some)


def test_pixels_belong_to_the_set():
    images, table, masks = arrays()
    people = PersonDataset.from_arrays("some", images, table, masks)
    flat = np.concatenate([image.ravel() for image in images])
    direct = PersonDataset("some", people.table, flat)
    before = people.fingerprint
    assert direct.fingerprint == before
    for image in images:
        image[:] = 0
    flat[:] = 0
    again = pickle.loads(pickle.dumps(people))
    for some in (people, direct, again, people.take(range(5))):
        with pytest.raises(ValueError, match="WRITEABLE"):
            some.image(0).flags.writeable = True
        assert some.image(0).any()
    assert pickle.loads(pickle.dumps(direct)).fingerprint == again.fingerprint == before


def test_masks_given_with_the_images():
    images, table, masks = arrays()
    people = PersonDataset.from_arrays("some", images, table, masks)
    others = [~mask for mask in masks]
    assert people.masks_from != PersonDataset.from_arrays("some", images, table, others).masks_from != ""
    assert people.masks_from == PersonDataset.from_arrays("some", images, table, masks).masks_from
    for wrong, message in (
        (masks[:4], "4 masks for 5 images"),
        ([*masks, masks[0]], "6 masks for 5 images"),
        ([masks[0].T, *masks[1:]], r"image 0: expected \(9, 5\) bool, got \(5, 9\)"),
        ([mask * 255 for mask in masks], "expected .* bool, got .* int64"),
    ):
        with pytest.raises(DataError, match=message):
            PersonDataset.from_arrays("some", images, table, wrong)


# Names of people and cameras


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("0001", "0001"),
        (" a b\t", "a b"),
        ("\ufeffx\u200b", "x"),
        ("e\u0301", "\u00e9"),
        (7, "7"),
        (np.int8(-3), "-3"),
        (np.uint64(2**63), str(2**63)),
        (1.0, "1"),
        (np.float32(12), "12"),
        (True, "True"),
        (np.bool_(False), "False"),
    ],
)
def test_what_is_a_name(value, label):
    assert clean_label(value) == label


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "missing"),
        (float("nan"), "missing"),
        (np.float32("nan"), "missing"),
        (pd.NA, "missing"),
        (pd.NaT, "missing"),
        ("", "empty"),
        (" \u00a0\u200b", "empty"),
        (1.5, "1.5 is no whole number"),
        (2.0**53, "no whole number below"),
        (float("inf"), "no whole number"),
        (b"a", "neither text nor a whole number"),
        ((1, 2), "neither text"),
        ("Jos\udce9", "no text in UTF-8"),
    ],
)
@pytest.mark.parametrize("column", ["pid", "cam"])
def test_what_is_none(value, message, column):
    images = arrays(3)[0]
    other = {"pid": ["a", "a", "b"], "cam": ["1", "2", "1"]}
    names = np.empty(3, object)
    names[:] = other[column]
    names[1] = value
    kind = "person" if column == "pid" else "camera"
    with pytest.raises(DataError, match=f"some, row 1: the {column} is no name of a {kind}: .*{message}") as caught:
        PersonDataset.from_arrays("some", images, pd.DataFrame(other | {column: names}))
    str(caught.value).encode()


def test_whole_numbers_that_pandas_made_floats():
    images, _, _ = arrays(4)
    table = pd.DataFrame({"pid": [1, 1, 2, 2], "cam": [1, 2, 1, 2]})
    floats = table.astype(float)
    assert floats["pid"].tolist() == [1.0, 1.0, 2.0, 2.0]
    one, other = (PersonDataset.from_arrays("some", images, some) for some in (table, floats))
    assert one.fingerprint == other.fingerprint and other.table["pid"].tolist() == ["1", "1", "2", "2"]


def test_names_that_are_almost_the_same_are_said():
    images, _, _ = arrays(4)
    with pytest.warns(DataWarning) as caught:
        people = PersonDataset.from_arrays(
            "some", images, pd.DataFrame({"pid": ["1", "1 ", "01", "-1"], "cam": ["c", "C", "c", "C"]})
        )
    said = " ".join(str(warning.message) for warning in caught)
    assert people.table["pid"].tolist() == ["1", "1", "01", "-1"]
    for part in ("taken for one: '1' = '1 '", "'01' and '1'", "'C' and 'c'"):
        assert part in said


@pytest.mark.parametrize("name", ["", "  ", None, 3, Path("x")])
def test_a_set_has_a_name(name):
    images, table, _ = arrays()
    with pytest.raises(DataError, match="name is a text"):
        PersonDataset.from_arrays(name, images, table)
    with pytest.raises(DataError, match="name is a text"):
        mini.tiny().take([0], name="")


@pytest.mark.parametrize("value", [None, 0, -4, 2.5, "wide", float("inf")])
def test_sizes_are_whole_numbers(value):
    table = pd.DataFrame({"pid": ["a"], "cam": ["b"], "width": [value], "height": [4]})
    with pytest.raises(DataError, match="column width must hold whole numbers"):
        PersonDataset("some", table, np.zeros(48, np.uint8))


def test_missing_subsets_and_files_are_empty():
    images, table, _ = arrays(3)
    people = PersonDataset.from_arrays(
        "some", images, table.assign(subset=[None, np.nan, "train"], file=[None, pd.NA, "x"])
    )
    assert people.table["subset"].tolist() == ["", "", "train"] and people.table["file"].tolist() == ["", "", "x"]
    assert [people.describe(i) for i in range(3)] == ["image 0", "image 1", "x"]
    with pytest.raises(DataError, match=r"column\(s\) pid twice"):
        PersonDataset.from_arrays("some", images, pd.concat([table, table[["pid"]]], axis=1))


# The cache


def source(count: int = 6, seconds: float = 0.0, log: Path | None = None) -> Source:
    """A set that takes its time and says when it is decoded."""

    def items():
        if log is not None:
            with open(log, "a") as file:
                file.write("decoded\n")
        for i in range(count):
            time.sleep(seconds)
            record = {
                "pid": f"{i // 2:04d}",
                "cam": "ab"[i % 2],
                "file": "",
                "note": "NA",
                "share": i / 7,
                "flag": i > 2,
                "rgb": (i, 0.1),
            }
            image = mini.picture(i)
            yield Item(record, image, image[..., 1] > 99)

    return Source("slow", {"count": count}, items, count)


def test_what_is_cached_is_what_was_decoded(tmp_path):
    first = load(source(), tmp_path)
    second = load(source(), tmp_path)
    for people in (first, second):
        assert people.table["pid"].tolist() == ["0000", "0000", "0001", "0001", "0002", "0002"]
        assert people.table["note"].tolist() == ["NA"] * 6
        assert people.table["share"].tolist() == [i / 7 for i in range(6)]
        assert people.table["flag"].dtype == bool and people.table["rgb"].iloc[2] == [2, 0.1]
        assert np.array_equal(people.image(4), mini.picture(4)) and np.array_equal(
            people.mask(4), mini.picture(4)[..., 1] > 99
        )
    table = first.table[["pid", "cam"]]
    memory = PersonDataset.from_arrays("x", [mini.picture(i) for i in range(6)], table)
    assert first.fingerprint == second.fingerprint == memory.fingerprint


def test_decoded_once_and_mapped(tmp_path):
    log = tmp_path / "log"
    for _ in range(3):
        people = load(source(log=log), tmp_path)
    assert log.read_text().count("decoded") == 1
    assert isinstance(people._pixels, np.memmap)
    assert load(source(8, log=log), tmp_path) is not None and log.read_text().count("decoded") == 2


def test_a_worker_process_maps_the_cache_itself(tmp_path):
    people = load(source(), tmp_path)
    sent = pickle.dumps(people)
    assert len(sent) < 1000
    assert np.array_equal(pickle.loads(sent).image(5), people.image(5))
    assert pickle.loads(pickle.dumps(mini.tiny())).fingerprint == mini.tiny().fingerprint


@pytest.mark.filterwarnings("ignore::lib.data.DataWarning")  # a miniature is not the whole set
def test_a_replaced_file_is_decoded_anew(tmp_path):
    folder = mini.viper(tmp_path)
    before = load_dataset("viper", tmp_path, tmp_path / "cache").fingerprint
    mini.store(folder / "cam_a" / "002_90.bmp", 77, 77)
    assert load_dataset("viper", tmp_path, tmp_path / "cache").fingerprint != before


@pytest.mark.parametrize("damage", ["pixels.bin", "meta.json", "table.json"])
def test_a_damaged_cache_is_made_again(tmp_path, damage):
    people = load(source(), tmp_path)
    before = people.fingerprint
    file = people.directory / damage
    file.write_bytes(file.read_bytes()[:-20])
    again = load(source(), tmp_path)
    assert again.fingerprint == before and np.array_equal(again.image(5), mini.picture(5))


def test_a_failed_decoding_leaves_nothing(tmp_path):
    def items():
        yield Item({"pid": "1", "cam": "a", "file": "x.png"}, mini.picture(0))
        raise DataError("x.png is broken")

    with pytest.raises(DataError, match=r"x\.png"):
        load(Source("bad", {}, items), tmp_path)
    with pytest.raises(DataError, match="no images"):
        load(Source("none", {}, lambda: iter(())), tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(DataError, match="REID_CACHE"):
        load(source(), tmp_path / "closed")


@pytest.mark.parametrize(
    "values",
    [
        ["a\rb", "a\r\nb", "\n", '"', ",", "\0"],
        ["", "nan", "NA", "None", "null", "1"],
        ["é", "\u2028", "😀", "\ud800", "\\n", " x "],
        [0.1, 1 / 3, float("inf"), -0.0, 1e-320, 2.0],
        [2**62, -1, 0, 1, 2, 3],
        [True, False, True, True, False, False],
        [[1, "a"], (2,), {"b": 3}, [], [None], np.arange(2)],
    ],
)
def test_any_attribute_comes_back(tmp_path, values):
    def items():
        for i, value in enumerate(values):
            yield Item({"pid": "1", "cam": "ab"[i % 2], "file": "", "note": value}, mini.picture(i))

    for _ in range(2):
        people = load(Source("odd", {}, items), tmp_path)
        plain = [list(value) if isinstance(value, (tuple, np.ndarray)) else value for value in values]
        assert people.table["note"].tolist() == plain
    assert pickle.loads(pickle.dumps(people)).table.equals(people.table)


def test_an_attribute_that_is_missing(tmp_path):
    def items():
        for i in range(2):
            yield Item({"pid": "1", "cam": "ab"[i], "file": "", "age": [float("nan"), 3.0][i]}, mini.picture(i))

    table = load(Source("odd", {}, items), tmp_path).table
    assert np.isnan(table["age"][0]) and table["age"][1] == 3.0


@pytest.mark.parametrize("content", ["[]", "{}", "null", "", '{"sizes": 3}', '{"sizes": {"pixels.bin": "x"}}', "\0"])
def test_a_store_whose_notes_make_no_sense(tmp_path, content):
    people = load(source(), tmp_path)
    (people.directory / "meta.json").write_text(content)
    assert load(source(), tmp_path).fingerprint == people.fingerprint


def test_a_changed_table_of_the_same_size_is_noticed(tmp_path):
    people = load(source(), tmp_path)
    file = people.directory / "table.json"
    file.write_text(file.read_text().replace('"0001"', '"0009"', 1))
    with pytest.raises(DataError, match="gone or damaged.*load_dataset again"):
        open_store(people.directory)
    assert load(source(), tmp_path).table.equals(people.table)


def test_a_file_in_the_store_s_place_is_replaced(tmp_path):
    people = load(source(), tmp_path)
    shutil.rmtree(people.directory)
    people.directory.write_text("hello")
    assert load(source(), tmp_path).fingerprint == people.fingerprint


def test_the_cache_vanishes_while_it_is_in_use(tmp_path):
    people = load(source(), tmp_path)
    sent = pickle.dumps(people)
    shutil.rmtree(tmp_path)
    assert np.array_equal(people.image(5), mini.picture(5)), "what is mapped stays"
    with pytest.raises(DataError, match="is gone or damaged.*Call load_dataset again"):
        pickle.loads(sent)
    assert load(source(), tmp_path).fingerprint == people.fingerprint
    assert np.array_equal(pickle.loads(sent).image(5), mini.picture(5))


def test_a_worker_may_stand_in_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sent = pickle.dumps(load(source(), Path("cache")))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert np.array_equal(pickle.loads(sent).image(5), mini.picture(5))


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "the disk is full: free some space"),
        (errno.EDQUOT, "your quota"),
        (errno.EROFS, "cannot be written"),
        (errno.ENOLCK, "cannot lock files"),
        (errno.EIO, "cannot be used .*Input/output error"),
    ],
)
def test_a_disk_that_fails(tmp_path, monkeypatch, number, reason):
    def fail(path):
        raise OSError(number, os.strerror(number))

    cache = tmp_path / "cache"
    with monkeypatch.context() as patch:
        patch.setattr(store, "flush", fail)
        with pytest.raises(
            DataError, match=rf"cache .*cache of decoded images: .*{reason}.*another folder with cache=…"
        ):
            load(source(), cache)
    assert [path for path in cache.iterdir() if path.is_dir()] == [], "nothing half is left"
    assert len(load(source(), cache)) == 6


def test_a_disk_without_locks(tmp_path, monkeypatch):
    def fail(self, *arguments, **keywords):
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(store.FileLock, "acquire", fail)
    with pytest.raises(DataError, match="cannot lock files, or name another folder"):
        load(source(), tmp_path)


def test_a_cache_that_is_a_file_or_too_long(tmp_path):
    (tmp_path / "file").write_text("")
    for cache, reason in ((tmp_path / "file", "a file in its place"), (tmp_path / "file" / "x", "a file in its place"),
                          (tmp_path / ("y" * 300), "path is too long")):  # fmt: skip
        with pytest.raises(DataError, match=reason):
            load(source(), cache)


def test_every_image_has_a_mask_or_none(tmp_path):
    whole = mini.picture(0)[..., 0] > 9
    for number, masks in enumerate(([whole, None], [None, whole], [whole, whole.T])):

        def items(masks=masks):
            for i, mask in enumerate(masks):
                yield Item({"pid": "1", "cam": "a", "file": f"{i}.png"}, mini.picture(i), mask)

        with pytest.raises(DataError, match=r"\.png: either every image has a mask of its own size, or none"):
            load(Source("masks", {"number": number}, items), tmp_path)


WORKER = """
import sys
sys.path[:0] = [{repository!r}, {here!r}]
from pathlib import Path
from test_dataset import source
from lib.data.store import load
print(load(source(40, {seconds}, Path({log!r})), Path({cache!r})).fingerprint)
"""


def start(tmp_path: Path, seconds: float) -> subprocess.Popen:
    code = WORKER.format(
        repository=str(HERE.parents[1]),
        here=str(HERE),
        seconds=seconds,
        log=str(tmp_path / "log"),
        cache=str(tmp_path / "cache"),
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_two_processes_at_once_decode_once(tmp_path):
    workers = [start(tmp_path, 0.03), start(tmp_path, 0.03)]
    printed = [worker.communicate(timeout=300)[0] for worker in workers]
    assert printed[0] == printed[1] != ""
    assert (tmp_path / "log").read_text().count("decoded") == 1


def test_killed_half_way(tmp_path):
    worker = start(tmp_path, 0.2)
    cache = tmp_path / "cache"
    deadline = time.monotonic() + 200
    while not list(cache.glob("slow-*.part*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.5)
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    assert list(cache.glob("slow-*.part*")), "the killed process left its half"
    people = load(source(40), cache)
    assert len(people) == 40 and np.array_equal(people.image(39), mini.picture(39))
    assert not list(cache.glob("slow-*.part*"))


# The embedded people


def test_rendered_people_are_cached_by_code_and_options(tmp_path, monkeypatch):
    def load_few(**options):
        return load_dataset("pedestrians", cache=tmp_path, identities=2, size=(32, 16), **options)

    people = load_few()
    assert len(people) == 2 * 4 * 2 and people.has_masks and people.image(0).shape == (32, 16, 3)
    assert people.mask(0).shape == (32, 16) and "body_height" in people.table and "yaw" in people.table
    meta = json.loads((people.directory / "meta.json").read_text())
    calls = []
    original = renderer.render_people
    monkeypatch.setattr(renderer, "render_people", lambda *a, **k: calls.append(k) or original(*a, **k))
    assert load_few().fingerprint == people.fingerprint and calls == []
    other = load_few(seed=1)
    assert other.fingerprint != people.fingerprint and len(calls) == 1
    monkeypatch.setattr(rendered, "renderer_code", lambda: {"lib.data.pedestrians.render.render_people": "changed"})
    newer = load_few()
    assert newer.fingerprint != people.fingerprint and len(calls) == 2
    # The renderer's code is in the fingerprint, the pixels are not: machines may round a rendered pixel differently.
    assert meta["pixels_sha256"] == json.loads((newer.directory / "meta.json").read_text())["pixels_sha256"]


def test_people_for_pretraining_are_others(tmp_path):
    small = {"size": (32, 16), "cache": tmp_path, "identities": 2}
    people = load_dataset("pedestrians", **small)
    others = load_dataset("pedestrians-pretrain", images=4, **small)
    assert len(others) == 2 * 4 and not set(people.table["pid"]) & set(others.table["pid"])
    with pytest.raises(ValueError, match="multiple"):
        load_dataset("pedestrians-pretrain", images=6, **small)
