"""Protocols: who is where, at which ratio; and a hash that is the same everywhere."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import miniatures as mini
import numpy as np
import pandas as pd
import pytest
import torch
import training_helpers as helpers

from lib.data import (
    MARKET_VARIANTS,
    PRESETS,
    DataError,
    DataWarning,
    PersonDataset,
    degrade,
    load_dataset,
    load_protocol,
    make_protocol,
)
from lib.data.manifest import canonical, draw, fraction, pick, shuffled

HERE = Path(__file__).resolve().parent

REAL = Path(os.environ.get("REID_DATA") or HERE.parents[2] / "shared" / "data")
SYNTHETIC = [preset for preset in PRESETS if preset != "caviar"]
THIRDS = {1 / 2, 1 / 3, 1 / 4}


@pytest.fixture(scope="module")
def miniature(tmp_path_factory):
    """Loads a miniature of a public set, without the warnings that the readers' tests look at."""
    root = tmp_path_factory.mktemp("sets")

    def loader(name: str, **options):
        getattr(mini, name)(root)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            return load_dataset(name, root=root, cache=root / "cache", **options)

    return loader


def parts(protocol, subset="test"):
    return protocol.rows(subset, "probe"), protocol.rows(subset, "gallery")


# What holds for all


@pytest.mark.parametrize("preset", SYNTHETIC)
@pytest.mark.parametrize("cameras", [2, 4])
def test_what_every_preset_keeps(preset, cameras):
    people = mini.tiny(20, cameras)
    for trial in range(3):
        protocol = make_protocol(people, preset, trial=trial)
        table = protocol.table
        assert list(table.columns) == [
            *("image", "pid", "cam", "role", "subset", "ratio", "width", "height", "resolution"),
        ]
        assert not table["image"].duplicated().any()
        who = {name: set(rows["pid"]) for name, rows in table.groupby("subset")}
        assert not (who["train"] & who["val"] or who["train"] & who["test"] or who["val"] & who["test"])
        assert len(who["test"]) == 10 and len(who["val"]) == 2 and len(who["train"]) == 8
        assert set(protocol.rows("train")["role"]) == {"train"}
        for subset in ("val", "test"):
            probes, gallery = parts(protocol, subset)
            assert set(probes["pid"]) == set(gallery["pid"]) == who[subset]
        own = people.table.loc[table["image"]]
        assert (table["pid"].to_numpy() == own["pid"].to_numpy()).all()
        assert (table["width"] <= own["width"].to_numpy()).all()
        assert np.allclose(table["resolution"], table["width"] / people.widths_max)
        untouched = table["ratio"] == 1
        assert (
            table.loc[untouched, "height"] == people.table.loc[table.loc[untouched, "image"], "height"].to_numpy()
        ).all()
        assert protocol.trials == 10 and protocol.kernel == "bicubic"
        assert protocol.convention == ("market1501" if preset == "vr" else "sing")


def test_presets_share_the_identity_split():
    people = mini.tiny(30, 4)
    splits = [make_protocol(people, preset, trial=2).manifest["identities"] for preset in SYNTHETIC]
    assert all(split == splits[0] for split in splits)


def test_trials_and_seeds():
    people = mini.tiny(30, 2)
    first, second = make_protocol(people, "mlr", trial=0), make_protocol(people, "mlr", trial=1)
    assert first.manifest["identities"]["test"] != second.manifest["identities"]["test"]
    # The low-resolution set is built once and then split ten times: an image keeps its ratio.
    ratios = [protocol.table.set_index("image")["ratio"] for protocol in (first, second)]
    assert ratios[0].sort_index().equals(ratios[1].sort_index())
    other = make_protocol(people, "mlr", seed=1).table.set_index("image")["ratio"]
    assert not other.sort_index().equals(ratios[0].sort_index())
    again = make_protocol(people, "mlr", trial=1, redraw=True).table.set_index("image")["ratio"]
    assert not again.sort_index().equals(ratios[0].sort_index())


def test_the_validation_share():
    people = mini.tiny(40, 2)
    sizes = {share: make_protocol(people, "mlr", validation=share).manifest["identities"] for share in (0, 0.2, 0.5)}
    assert [len(sizes[share]["val"]) for share in (0, 0.2, 0.5)] == [0, 4, 10]
    assert sizes[0]["test"] == sizes[0.5]["test"]  # the test people do not depend on it


# The presets


def test_mlr_on_two_cameras():
    protocol = make_protocol(mini.tiny(30, 2), "mlr")
    probes, gallery = parts(protocol)
    assert set(probes["cam"]) == {"c1"} and set(gallery["cam"]) == {"c2"}
    assert set(probes["ratio"]) == THIRDS and set(gallery["ratio"]) == {1.0}
    train = protocol.rows("train")
    assert set(train.loc[train["cam"] == "c1", "ratio"]) == THIRDS
    assert set(train.loc[train["cam"] == "c2", "ratio"]) == {1.0}
    row = probes[probes["ratio"] == 1 / 3].iloc[0]
    assert row["width"] == 7  # 20 / 3 = 6.67
    assert set(make_protocol(mini.tiny(30, 2), "mlr", lr_camera="c2").rows("test", "probe")["cam"]) == {"c2"}


def test_mlr_on_more_cameras_takes_the_first_half():
    probes, gallery = parts(make_protocol(mini.tiny(12, 5), "mlr"))
    assert set(probes["cam"]) == {"c1", "c2"} and set(gallery["cam"]) == {"c3", "c4", "c5"}
    probes, gallery = parts(make_protocol(mini.tiny(12, 5), "mlr", lr_camera=("c5", "c1")))
    assert set(probes["cam"]) == {"c1", "c5"} and set(gallery["cam"]) == {"c2", "c3", "c4"}


def test_exact_thirds():
    people = mini.tiny(316, 2, 1)
    protocol = make_protocol(people, "mlr-thirds")
    counts = protocol.table["ratio"].value_counts()
    assert [counts[ratio] for ratio in (1 / 2, 1 / 3, 1 / 4)] == [105, 105, 106]  # 316 = 105 + 105 + 106
    assert counts[1.0] == 316


def test_half_of_each_person():
    protocol = make_protocol(mini.tiny(12, 3), "mlr-half")
    low = protocol.table.assign(low=protocol.table["ratio"] < 1).groupby("pid")["low"].agg(["sum", "size"])
    assert (low["sum"] == 3).all() and (low["size"] == 6).all()
    probes, gallery = parts(protocol)
    assert (probes["ratio"] < 1).all() and (gallery["ratio"] == 1).all()


def test_one_camera_at_one_ratio():
    cameras, ratios = set(), set()
    for seed in range(12):
        table = make_protocol(mini.tiny(12, 3), "mlr-one-camera", seed=seed).table
        low = table[table["ratio"] < 1]
        assert low["cam"].nunique() == low["ratio"].nunique() == 1
        assert (table.loc[table["cam"] == low["cam"].iloc[0], "ratio"] < 1).all()
        cameras |= set(low["cam"])
        ratios |= set(low["ratio"])
    assert cameras == {"c1", "c2", "c3"} and ratios == THIRDS
    table = make_protocol(mini.tiny(12, 3), "mlr-one-camera", lr_camera="per-identity").table
    assert (table[table["ratio"] < 1].groupby("pid")["cam"].nunique() == 1).all()
    assert table[table["ratio"] < 1]["cam"].nunique() > 1


def test_variable_resolution():
    people = mini.tiny(42, 2, 3, width=50)
    protocol = make_protocol(people, "vr")
    counts = protocol.table["width"].value_counts()
    assert sorted(counts.index) == list(range(12, 33))
    assert counts.max() - counts.min() <= 1  # "each takes the same portion"
    for subset, role in (("train", "train"), ("test", "probe"), ("test", "gallery")):
        assert protocol.rows(subset, role)["width"].nunique() > 5
    row = protocol.table.iloc[0]
    own = people.table.loc[row["image"]]
    assert row["height"] == int(own["height"] * row["width"] / own["width"] + 0.5)


def test_variable_resolution_never_enlarges():
    table = make_protocol(mini.tiny(42, 2, 3, width=20), "vr").table
    own = np.where(table["cam"] == "c1", 20, 19)
    assert (table["width"] <= own).all() and ((table["ratio"] == 1) == (table["width"] == own)).all()


def test_resolution_is_relative_to_the_widest_image_as_shown():
    """RIPR §3: r = width / width_max "on D", and VR's own images are at most 32 pixels wide."""
    people = mini.tiny(42, 2, 3, width=50)
    vr, narrower, mlr = (
        make_protocol(people, "vr"), make_protocol(people, "vr", widths=(10, 20)), make_protocol(people, "mlr"),
    )  # fmt: skip
    assert (vr.widest, narrower.widest, mlr.widest) == (32, 20, 50)
    for protocol, last in ((vr, 32), (narrower, 20), (mlr, 50)):
        assert protocol.table["resolution"].tolist() == [width / last for width in protocol.table["width"]]
        assert protocol.table["resolution"].min() > 0 and protocol.table["resolution"].max() <= 1
    assert sorted(set(vr.table["resolution"])) == [width / 32 for width in range(12, 33)]  # "21 resolutions"
    assert make_protocol(mini.tiny(42, 2, 3, width=20), "vr").widest == 20  # nobody is wider


def test_the_papers_example_of_resolution():
    """RIPR §3: with a widest image of 96 pixels, 128 x 48 shrunk to 64 x 24 goes from 0.5 to 0.25."""
    sizes = [(128, 48), (192, 96)] * 2
    people = PersonDataset.from_arrays(
        "example", [np.zeros((*size, 3), np.uint8) for size in sizes], pd.DataFrame({"pid": list("aabb"), "cam": "c1"})
    )
    for ratio, expected in (("1", 0.5), ("1/2", 0.25)):
        row = helpers.tiny_protocol(people, ratios=(ratio,)).table.iloc[0]
        assert row["resolution"] == expected and row["height"] == 128 * expected * 2


def test_plain_is_mlr_at_full_resolution():
    people = mini.tiny(12, 4)
    plain, mlr = make_protocol(people, "plain"), make_protocol(people, "mlr")
    assert plain.table[["image", "role", "subset"]].equals(mlr.table[["image", "role", "subset"]])
    assert (plain.table["ratio"] == 1).all() and plain.convention == "sing"


def test_embedded_people_are_split_two_to_one():
    split = make_protocol(mini.tiny(30, 4, name="pedestrians"), "mlr").manifest["identities"]
    assert (len(split["train"]) + len(split["val"]), len(split["test"])) == (20, 10)
    everyone = make_protocol(mini.tiny(30, 4, name="pedestrians-pretrain"), "plain")
    assert set(everyone.table["subset"]) == {"train", "val"}


# The public sets


def test_caviar(miniature):
    people = miniature("caviar")
    protocol = make_protocol(people, "caviar")
    assert protocol.manifest["identities"]["discarded"] == ["0007", "0008"]
    probes, gallery = parts(protocol)
    assert set(probes["cam"]) == {"far"} and set(gallery["cam"]) == {"near"} and probes["pid"].nunique() == 3
    assert (protocol.table["ratio"] == 1).all()
    assert protocol.table["resolution"].nunique() == 2  # real ones
    assert not {"0007", "0008"} & set(protocol.table["pid"])
    swapped = make_protocol(people, "caviar", lr_camera="smaller-side")
    low = swapped.table[(swapped.table["pid"] == "0005") & (swapped.table["width"] == 8)]
    assert set(low["cam"]) == {"near"} and set(low["role"]) <= {"probe", "train"}
    with pytest.raises(DataError, match='"near" and "far"'):
        make_protocol(mini.tiny(), "caviar")
    assert set(make_protocol(mini.tiny(), "caviar", lr_camera="c2").rows("test", "probe")["cam"]) == {"c2"}


def test_cuhk03_keeps_its_test_sets(miniature):
    people = miniature("cuhk03")
    for trial in range(3):
        protocol = make_protocol(people, "mlr", trial=trial)
        split = protocol.manifest["identities"]
        assert split["test"] == [f"1_{1 + trial:04d}", f"1_{2 + trial:04d}", f"2_{1 + trial:04d}"]
        assert len(split["train"]) + len(split["val"]) == 18 - 3
        low = set(protocol.table.loc[protocol.table["ratio"] < 1, "cam"])
        assert [sorted(low & {f"{pair}a", f"{pair}b"}) for pair in range(1, 6)] == [
            [cam] for cam in sorted(low)
        ]  # one of each pair, the same in every trial
        assert low == set(make_protocol(people, "mlr").table.query("ratio < 1")["cam"])
    with pytest.raises(DataError, match="3 official test sets"):
        make_protocol(people, "mlr", trial=3)


def test_sysu_draws_three_images(miniature):
    people = miniature("sysu")
    table = make_protocol(people, "mlr").table
    assert (table.groupby(["pid", "cam"]).size() == 3).all()
    assert make_protocol(people, "mlr", images_per_camera=None).table.groupby(["pid", "cam"]).size().min() == 5


def test_market_plain_is_the_sets_own(miniature):
    people = miniature("market1501")
    protocol = make_protocol(people, "plain")
    probes, gallery = parts(protocol)
    assert protocol.convention == "market1501"
    assert len(probes) == 9 and len(gallery) == 18 + 3 and "0000" in set(gallery["pid"])
    assert set(people.table.loc[probes["image"], "subset"]) == {"query"}
    # Validation people come from train, in the form of the test: one query per person and camera.
    probes, gallery = parts(protocol, "val")
    assert (probes.groupby(["pid", "cam"]).size() == 1).all() and len(probes) == 3 and len(gallery) == 3
    assert "0000" not in set(make_protocol(people, "plain", distractors=False).table["pid"])


def test_market_vr(miniature):
    protocol = make_protocol(miniature("market1501"), "vr")
    assert len(protocol.rows("test", "probe")) == 9 and protocol.convention == "market1501"
    assert (protocol.table["width"] <= 10).all()  # the miniature is narrower than 12 pixels: nothing is enlarged


@pytest.mark.parametrize("preset", ["mlr", "mlr-half", "mlr-one-camera"])
def test_market_with_a_low_resolution_side(miniature, preset):
    people = miniature("market1501")
    protocol = make_protocol(people, preset)
    probes, gallery = parts(protocol)
    assert protocol.convention == "sing" and "0000" not in set(protocol.table["pid"])
    assert (probes["ratio"] < 1).all() and (gallery["ratio"] == 1).all()
    assert set(protocol.rows("train")["pid"]) <= {"0002", "0007", "0010", "0011"}
    assert set(probes["pid"]) == set(gallery["pid"]) == {"0001", "0003", "0004"}
    other = make_protocol(people, preset, trial=1)  # the split is the set's own, so that the ratios are drawn again
    merged = protocol.table.merge(other.table, on="image")
    assert not (merged["ratio_x"] == merged["ratio_y"]).all()


def test_six_incompatible_markets(miniature):
    people = miniature("market1501")
    protocols = {name: make_protocol(people, "mlr-one-camera", **options) for name, options in MARKET_VARIANTS.items()}
    assert len(protocols) == 6 and len({protocol.sha256 for protocol in protocols.values()}) == 6
    for name, protocol in protocols.items():
        probes, gallery = parts(protocol)
        assert (probes["ratio"] < 1).all()
        if "left in the gallery" in name:
            assert (gallery["ratio"] < 1).any() and protocol.convention == "market1501"
            assert set(people.table.loc[probes["image"], "subset"]) == {"query"}
        else:
            assert (gallery["ratio"] == 1).all()
    # The lesson shows them on sets with two cameras, too.
    for options in MARKET_VARIANTS.values():
        make_protocol(mini.tiny(12, 2), "mlr-one-camera", **options)


def test_the_protocols_own_degradation():
    images = torch.randint(0, 256, (2, 3, 40, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    options = {"kernel": "bilinear", "rounding": "floor", "antialias": False, "jpeg": 90}
    protocol = make_protocol(mini.tiny(), "mlr", **options)
    assert torch.equal(protocol.degrade(images, 1 / 3), degrade(images, 1 / 3, **options))
    row = protocol.table[protocol.table["ratio"] == 1 / 3].iloc[0]
    assert row["width"] == 6  # 20 / 3 rounded down


# The manifest

PINNED = {
    "mlr": "d87164a3ce7c0e11209b45e6fbf4c1e0219f6d024c138845874c32db83fc5b18",
    "mlr-thirds": "c8749e2888c145d5fead03f39cbcc5ebdde9b9826ea3076044dd768d4a16be24",
    "mlr-half": "58807b7bdeac4e6445d3be17e665fe1d47d697e065f8215164ed4d86e045a9d7",
    "mlr-one-camera": "754c4d56d0ce8581753d778b0988663e1c4452924174a9f92fad8002dfd98ce7",
    "vr": "edfd5e9ae701a93f56e60363b66d61a81e4fa254f857d92b33f1217aace2ec16",
    "caviar": "071bef381cc429d7efbe8357d425ff1f8ee5157ab7608e11454259685186815d",
    "plain": "7e43c9297f75d5081064c43722249f4761b59c12133aea9f2b923719fe316303",
}


@pytest.mark.parametrize("preset", PINNED)
def test_the_hash_is_the_same_on_every_machine(preset):
    options = {"lr_camera": "c2"} if preset == "caviar" else {}
    assert make_protocol(mini.tiny(), preset, trial=3, seed=5, **options).sha256 == PINNED[preset]


def test_draws_are_the_same_on_every_machine():
    assert draw("ratio", 0, 1, "0007") == 6209682479701765570
    assert shuffled(["c", "a", "b", "d"], "x") == ["c", "d", "a", "b"]
    counts = np.bincount([pick([0, 1, 2], "many", i) for i in range(3000)])
    assert (abs(counts - 1000) < 100).all()


def test_fractions():
    assert [str(fraction(value)) for value in ("1/3", 1 / 3, 0.25, 0.3, 1)] == ["1/3", "1/3", "1/4", "3/10", "1"]
    by_text = make_protocol(mini.tiny(), "mlr", ratios=("1/2", "1/3"))
    assert by_text.sha256 == make_protocol(mini.tiny(), "mlr", ratios=(0.5, 1 / 3)).sha256


def test_the_manifest_is_plain_json_and_says_everything():
    protocol = make_protocol(mini.tiny(), "mlr")
    manifest = json.loads(canonical(protocol.manifest))
    assert manifest == protocol.manifest
    assert set(manifest) == {
        *("format", "set", "fingerprint", "preset", "trial", "seed", "trials", "convention", "identities"),
        *("low_resolution", "degradation", "gallery", "images"),
    }
    assert manifest["degradation"] == {"kernel": "bicubic", "rounding": "nearest", "antialias": True, "jpeg": None}
    assert set(manifest["images"]["ratio"]) == {"1", "1/2", "1/3", "1/4"}
    assert "camera(s) c1" in protocol.summary() and protocol.sha256[:12] in protocol.summary()


def test_everything_that_matters_changes_the_hash():
    people = mini.tiny()
    base = make_protocol(people, "mlr").sha256
    assert base == make_protocol(mini.tiny(), "mlr").sha256
    others = [
        make_protocol(people, "mlr", **options).sha256
        for options in (
            *({"trial": 1}, {"seed": 1}, {"kernel": "area"}, {"rounding": "floor"}, {"antialias": False}, {"jpeg": 75}),
            *({"validation": 0.3}, {"ratios": (1 / 2,)}, {"lr_camera": "c2"}, {"gallery": "all"}, {"trials": 20}),
        )
    ]
    others.append(make_protocol(mini.tiny(width=21), "mlr").sha256)
    assert len({base, *others}) == len(others) + 1


def test_saved_and_loaded(tmp_path):
    people = mini.tiny()
    protocol = make_protocol(people, "vr", trial=4)
    path = protocol.save(tmp_path / "deep" / "protocol.json")
    again = load_protocol(path, people)
    assert again.sha256 == protocol.sha256 and again.table.equals(protocol.table)
    with pytest.raises(DataError, match="other images or labels"):
        load_protocol(path, mini.tiny(width=21))
    path.write_text(path.read_text().replace('"trial":4', '"trial":5'))
    with pytest.raises(DataError, match="changed after it was saved"):
        load_protocol(path, people)
    path.write_text("{}")
    with pytest.raises(DataError, match="no saved protocol"):
        load_protocol(path, people)
    with pytest.raises(DataError, match="There is no protocol"):
        load_protocol(tmp_path / "absent.json", people)


@pytest.mark.parametrize(
    ("preset", "options", "message"),
    [
        ("mrl", {}, "Unknown preset 'mrl'"),
        ("mlr", {"ratio": (1 / 2,)}, "Unknown option.* ratio "),
        ("mlr", {"ratios": (2,)}, "ratios must lie in"),
        ("mlr", {"ratios": ()}, "ratios must lie in"),
        ("mlr", {"ratios": ("half",)}, "must be fractions"),
        ("mlr", {"kernel": "sinc"}, "kernel must be one of"),
        ("mlr", {"lr_camera": "c9"}, "no camera c9; its cameras are c1, c2"),
        ("mlr", {"lr_camera": "one-of-each-pair"}, "no camera pairs"),
        ("mlr", {"validation": 1.0}, "validation"),
        ("mlr", {"test_identities": 99}, "99 test people"),
        ("mlr", {"test_identities": 12}, "too few"),
        ("vr", {"widths": (32, 12)}, "widths"),
    ],
)
def test_what_is_refused(preset, options, message):
    with pytest.raises(DataError, match=message):
        make_protocol(mini.tiny(), preset, **options)


def test_half_of_an_official_split_is_refused(miniature):
    people = miniature("market1501")
    some = people.take(people.table.index[people.table["subset"] != "query"])
    with pytest.raises(DataError, match="gallery, train images but no query"):
        make_protocol(some, "mlr")
    train = people.take(people.table.index[people.table["subset"] == "train"])
    assert len(make_protocol(train, "mlr").manifest["identities"]["test"]) == 2  # split at random


def test_rows():
    protocol = make_protocol(mini.tiny(), "mlr")
    assert len(protocol.rows("test")) == len(protocol.rows("test", "probe")) + len(protocol.rows("test", "gallery"))
    with pytest.raises(ValueError, match="'query'"):
        protocol.rows("test", "query")


# The real sets


@pytest.mark.skipif(not (REAL / "VIPeR").is_dir(), reason="VIPeR is not here (REID_DATA)")
def test_the_real_viper(tmp_path):
    people = load_dataset("viper", REAL, tmp_path)
    protocol = make_protocol(people, "mlr")
    split = protocol.manifest["identities"]
    assert (len(split["train"]), len(split["val"]), len(split["test"])) == (253, 63, 316)
    probes, gallery = parts(protocol)
    assert len(probes) == len(gallery) == 316
    thirds = make_protocol(people, "mlr-thirds").table["ratio"].value_counts()
    assert [thirds[ratio] for ratio in (1 / 2, 1 / 3, 1 / 4)] == [210, 210, 212]


@pytest.mark.skipif(not (REAL / "CAVIARa").is_dir(), reason="CAVIAR4REID is not here (REID_DATA)")
@pytest.mark.filterwarnings("ignore::lib.data.errors.DataWarning")
def test_the_real_caviar(tmp_path):
    protocol = make_protocol(load_dataset("caviar", REAL, tmp_path), "caviar")
    split = protocol.manifest["identities"]
    assert (len(split["train"]) + len(split["val"]), len(split["test"]), len(split["discarded"])) == (25, 25, 22)
    assert len(protocol.table) == 1000
    assert protocol.table.loc[protocol.table["cam"] == "far", "resolution"].median() < 0.4
