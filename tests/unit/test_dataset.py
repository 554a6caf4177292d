"""PersonDataset and its cache: right pixels, one decoding, and no way to find half a cache."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import miniatures as mini
import numpy as np
import pandas as pd
import pytest

from lib.data import DataError, PersonDataset, load_dataset
from lib.data import pedestrians as renderer
from lib.data.store import Item, Source, load

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


def test_a_replaced_file_is_decoded_anew(tmp_path):
    folder = mini.viper(tmp_path)
    before = load_dataset("viper", tmp_path, tmp_path / "cache").fingerprint
    mini.store(folder / "cam_a" / "002_90.bmp", 77, 77)
    assert load_dataset("viper", tmp_path, tmp_path / "cache").fingerprint != before


@pytest.mark.parametrize("damage", ["pixels.bin", "meta.json", "table.csv"])
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


def test_rendered_people_are_cached_by_version_and_options(tmp_path, monkeypatch):
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
    monkeypatch.setattr(renderer, "VERSION", "another")
    newer = load_few()
    assert newer.fingerprint != people.fingerprint and len(calls) == 2
    # The version is in the fingerprint, the pixels are not: machines may round a rendered pixel differently.
    assert meta["pixels_sha256"] == json.loads((newer.directory / "meta.json").read_text())["pixels_sha256"]


def test_people_for_pretraining_are_others(tmp_path):
    small = {"size": (32, 16), "cache": tmp_path, "identities": 2}
    people = load_dataset("pedestrians", **small)
    others = load_dataset("pedestrians-pretrain", images=4, **small)
    assert len(others) == 2 * 4 and not set(people.table["pid"]) & set(others.table["pid"])
    with pytest.raises(ValueError, match="multiple"):
        load_dataset("pedestrians-pretrain", images=6, **small)
