"""Protocols: who is where, at which ratio; and a hash that is the same everywhere."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import pickle
import warnings
from fractions import Fraction
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
from lib.data.canvases import Canvases
from lib.data.manifest import canonical, draw, fraction, pick, shuffled
from lib.data.options import CHECKS, OPTIONS
from lib.data.protocol import CONVENTIONS as NAMES
from lib.data.protocol import Protocol
from lib.data.splits import crowds, low_side
from lib.data.values import natural
from lib.evaluation import CONVENTIONS

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


@pytest.mark.filterwarnings("ignore::lib.data.DataWarning")  # of the miniature's sizes
def test_two_thirds_of_the_embedded_people_are_tested():
    people = mini.tiny(600, 4, name="pedestrians")
    for preset in set(PRESETS) - {"caviar"}:
        for trial in (0, 7):
            split = make_protocol(people, preset, trial=trial).manifest["identities"]
            assert [len(split[name]) for name in ("train", "val", "test")] == [160, 40, 400]


def test_those_who_are_rendered_for_pre_training_are_not_tested():
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
    with pytest.warns(DataWarning, match="no test image is degraded: the widest has 10 pixels"):
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
    # The lesson shows them on sets with two cameras, too: the last one stands for the third, and that is said.
    for options in MARKET_VARIANTS.values():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            make_protocol(mini.tiny(12, 2), "mlr-one-camera", **options)
        third = options["lr_camera"] == 2
        assert [str(one.message)[:32] for one in caught] == ["tiny has 2 cameras, none at posit"[:32]] * third


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
    with pytest.warns(DataWarning, match="every image is marked train"):
        assert len(make_protocol(train, "mlr").manifest["identities"]["test"]) == 2  # split at random


def test_rows():
    protocol = make_protocol(mini.tiny(), "mlr")
    assert len(protocol.rows("test")) == len(protocol.rows("test", "probe")) + len(protocol.rows("test", "gallery"))
    with pytest.raises(ValueError, match="'query'"):
        protocol.rows("test", "query")


# What is refused and what is converted: every argument


REFUSED = {
    "lr_camera": ("", True, 1.0, -1, None.__class__, (), [""], ("c1", 1), (0, 1), {"c1": 1}, b"c1", float("nan"), "c9"),
    "ratios": (
        *("1", "1/2", b"1", 0.5, 1, None, (), ("",), (None,), ("half",), (0,), ("0/1",), (-0.5,), (2,), (1.5,), (1,)),
        *((float("nan"),), (float("inf"),), ("inf",), ("1/0",), (True,), (0.5, "1/2"), ((0.5,),), {0.5, 0.25}),
        *(np.array([[0.5]]), {0.5: 1}),
    ),
    "rate": ("images", "", None, 1, ["image"], True),
    "widths": (32, "12", (12,), (12, 24, 32), ("12", "32"), (12.0, 32), (0, 3), (-1, 3), (32, 12), (True, 3), None),
    "kernel": ("sinc", "", None, 3, ["bicubic"], True),
    "rounding": ("up", "", None, 0, True),
    "antialias": ("False", "True", "", 0, 1, None, 1.0, [True]),
    "jpeg": (True, False, 0, -1, 96, 100, "75", 75.0, float("nan"), [75]),
    "gallery": ("lr", "", None, True, 1, ["hr"]),
    "distractors": ("yes", "False", 1, 0, "", [True]),
    "seen_once": ("drop", "", None, True, 1),
    "validation": ("0.2", float("nan"), float("inf"), -0.1, 1, 1.0, True, False, None, [0.2]),
    "test_identities": (-3, -1, 2.0, "2", True, False, float("nan"), [2], 99, 12),
    "images_per_camera": (0, -1, 1.0, "1", True, [1]),
    "redraw": ("no", "", 0, 1, 1.0, [True]),
    "convention": ("cuhk03", "", "Sing", 1, True, ["sing"]),
    "trials": (0, -1, "10", 10.0, None, True, float("nan")),
}  # fmt: skip


def test_every_option_is_checked():
    assert set(CHECKS) == set(OPTIONS) == set(REFUSED)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in REFUSED for value in REFUSED[name]])
def test_what_no_option_can_be(name, value):
    with pytest.raises(DataError) as caught:
        make_protocol(mini.tiny(), "vr" if name == "widths" else "mlr", **{name: value})
    assert name in str(caught.value) or name == "test_identities" or (name, value) == ("lr_camera", "c9")


@pytest.mark.parametrize("name", ["trial", "seed"])
@pytest.mark.parametrize("value", ["0", "", 0.0, True, None, -1, float("nan"), [0], np.array([0, 1]), np.bool_(False)])
def test_what_no_number_can_be(name, value):
    with pytest.raises(DataError, match=f"{name} must be a whole number from 0"):
        make_protocol(mini.tiny(), "mlr", **{name: value})


def test_numbers_of_numpy_are_numbers():
    plain = {
        "trial": 1, "seed": 2, "jpeg": 75, "validation": 0.5, "test_identities": 5, "images_per_camera": 2,
        "trials": 20, "antialias": False, "redraw": True, "distractors": False, "ratios": (0.5, 0.25), "kernel": "area",
        "lr_camera": 1, "rate": "camera",
    }  # fmt: skip
    numpy = {
        "trial": np.arange(3)[1], "seed": np.uint8(2), "jpeg": np.int16(75), "validation": np.float32(0.5),
        "test_identities": np.int64(5), "images_per_camera": np.int32(2), "trials": np.int64(20),
        "antialias": np.bool_(False), "redraw": np.True_, "distractors": np.array([False])[0],
        "ratios": np.array([0.5, 0.25]), "kernel": np.str_("area"), "lr_camera": np.int64(1), "rate": np.str_("camera"),
    }  # fmt: skip
    people = mini.tiny()
    made = make_protocol(people, "mlr", **numpy)
    assert made.sha256 == make_protocol(people, "mlr", **plain).sha256
    assert type(made.trial) is int and type(made.manifest["degradation"]["jpeg"]) is int
    assert (
        make_protocol(people, "vr", widths=np.array([10, 20])).sha256
        == make_protocol(people, "vr", widths=[10, 20]).sha256
    )
    cameras = [
        make_protocol(people, "mlr", lr_camera=given).sha256 for given in ("c2", ["c2"], {"c2"}, np.array(["c2"]))
    ]
    assert len(set(cameras)) == 1
    assert make_protocol(people, "mlr", ratios=[np.float64(0.5), Fraction(1, 4)]).sha256 == make_protocol(
        people, "mlr", ratios=("1/2", "1/4")
    ).sha256  # fmt: skip


@pytest.mark.parametrize(
    ("preset", "options", "message"),
    [
        ("vr", {"ratios": (0.5,)}, "vr has no use for ratios; these have: mlr, mlr-thirds, mlr-half, mlr-one-camera"),
        ("plain", {"rate": "camera"}, "plain has no use for rate"),
        ("mlr", {"widths": (12, 32)}, "mlr has no use for widths; these have: vr"),
        ("mlr", {"ratios": (1,)}, 'ratios of 1 degrade nothing; the preset "plain"'),
        (["mlr"], {}, "Unknown preset"),
        (None, {}, "Unknown preset"),
    ],
)
def test_options_that_would_change_nothing(preset, options, message):
    with pytest.raises(DataError, match=message):
        make_protocol(mini.tiny(), preset, **options)


def test_options_that_a_sets_own_split_leaves_no_room_for(miniature):
    market, cuhk = miniature("market1501"), miniature("cuhk03")
    for people in (market, cuhk):
        with pytest.raises(DataError, match="says itself who is tested"):
            make_protocol(people, "mlr", test_identities=2)
    for options in ({"lr_camera": 0}, {"gallery": "all"}, {"seen_once": "discard"}):
        with pytest.raises(DataError, match=f"{next(iter(options))} has no meaning there"):
            make_protocol(market, "plain", **options)
    with pytest.raises(DataError, match='the preset "plain" takes them as they come'):
        make_protocol(market, "caviar", lr_camera="c1")


def test_what_is_no_data_set():
    for wrong in ("viper", None, mini.tiny().table):
        with pytest.raises(DataError, match="load_dataset"):
            make_protocol(wrong, "mlr")
    with pytest.raises(DataError, match="no images"):
        make_protocol(mini.tiny().take([]), "mlr")


def test_conventions_are_known_before_training():
    assert tuple(CONVENTIONS) == NAMES  # the room of data knows their names, the room of evaluation what they are
    for name in NAMES:
        assert make_protocol(mini.tiny(), "mlr", convention=name).convention == name


# Cameras, in the order in which people count


def test_natural_order():
    names = ["c10", "c2", "c1", "cam_b", "cam_a", "2", "10", "1", "c01", "c1x2", "c1x10", "", "far"]
    assert natural(names) == ["", "1", "2", "10", "c01", "c1", "c1x2", "c1x10", "c2", "c10", "cam_a", "cam_b", "far"]
    assert natural(reversed(names)) == natural(names)


def test_twelve_cameras():
    people = mini.tiny(8, 12, 1)
    assert make_protocol(people, "mlr").manifest["low_resolution"]["side"] == "camera(s) c1, c2, c3, c4, c5, c6"
    assert set(make_protocol(people, "mlr", lr_camera=2).rows("test", "probe")["cam"]) == {"c3"}
    assert set(make_protocol(people, "mlr", lr_camera=11).rows("test", "probe")["cam"]) == {"c12"}
    side = make_protocol(people, "mlr", lr_camera=("c10", "c9", "c10")).manifest["low_resolution"]["side"]
    assert side == "camera(s) c9, c10"


def test_positions_that_surprise_are_said():
    with pytest.warns(DataWarning, match="2 cameras, none at position 5 .counted from 0.: the last, c2, is taken"):
        protocol = make_protocol(mini.tiny(), "mlr", lr_camera=5)
    assert protocol.sha256 == make_protocol(mini.tiny(), "mlr", lr_camera="c2").sha256
    people = a_set([(f"{p:04d}", cam) for p in range(8) for cam in ("1", "2")])
    with pytest.warns(DataWarning, match='counted from 0: 2. The camera of that name is lr_camera="1"'):
        assert set(make_protocol(people, "mlr", lr_camera=1).rows("test", "probe")["cam"]) == {"2"}


def test_a_pair_is_a_pair_of_cameras_in_cuhk03_only():
    attribute = [(f"{i // 2}", f"c{i % 2}") for i in range(12)]
    people = a_set(attribute, pair=[f"{i // 2}" for i in range(12)], testsets=["0"] * 12, twin=["x"] * 12)
    plain = make_protocol(people, "mlr")
    assert plain.manifest["low_resolution"]["side"] == "camera(s) c0" and len(plain.rows("test", "probe")) == 3
    assert plain.manifest["images"] == make_protocol(a_set(attribute), "mlr").manifest["images"]
    with pytest.raises(DataError, match="column pair of own-set does not say which two cameras belong together"):
        make_protocol(people, "mlr", lr_camera="one-of-each-pair")
    two = a_set(
        [(f"{p}", f"{p % 2}{cam}") for p in range(12) for cam in "ab"], pair=[f"{i // 2 % 2}" for i in range(24)]
    )
    side = make_protocol(two, "mlr", lr_camera="one-of-each-pair").manifest["low_resolution"]["side"]
    assert side.startswith("one camera of each pair: 0")


# Sets that nobody prepared


def a_set(rows, subset=None, name: str = "own-set", width: int = 16, **attributes) -> PersonDataset:
    """People of one grey each, from (identity, camera) pairs."""
    table = pd.DataFrame(rows, columns=["pid", "cam"]).assign(**attributes)
    if subset is not None:
        table["subset"] = subset
    return PersonDataset.from_arrays(
        name, [np.full((24, width, 3), i % 251, np.uint8) for i in range(len(table))], table
    )


def like_prid() -> PersonDataset:
    """PRID 2011: camera a sees 385 people, b 749; the first 200 are the same."""
    return a_set(
        [(f"{p:04d}", "a") for p in range(1, 386)]
        + [(f"{p if p <= 200 else p + 1000:04d}", "b") for p in range(1, 750)]
    )


def like_grid(distractors: str = "c2") -> PersonDataset:
    """GRID: 250 pairs, and 775 pictures of people of the second camera under one id."""
    pairs = [(f"{p:04d}", cam) for p in range(1, 251) for cam in ("c1", "c2")]
    return a_set(pairs + [("0000", distractors)] * 775)


def made(people, preset="mlr", **options):
    """A protocol, and what was said while it was made."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        protocol = make_protocol(people, preset, **options)
    return protocol, " ".join(str(one.message) for one in caught)


def counts(protocol) -> dict[str, tuple[int, int]]:
    """(people, images) by subset and role."""
    groups = protocol.table.groupby(["subset", "role"])
    return {" ".join(key): (rows["pid"].nunique(), len(rows)) for key, rows in groups}


def test_prid_trains_on_pairs_and_validates_on_a_share_of_them():
    protocol, said = made(like_prid())
    pairs = {"val probe": (20, 20), "val gallery": (20, 20), "test probe": (100, 100), "test gallery": (100, 100)}
    assert counts(protocol) == {"train train": (80 + 734, 160 + 734)} | pairs
    assert "814 people trained on, 734 were seen from one side only and 80 from both" in said
    assert 'seen_once="discard"' in said and "distractors=True" in said
    # The remedies that it names exist.
    protocol, said = made(like_prid(), seen_once="discard")
    assert counts(protocol) == {"train train": (80, 160)} | pairs and said == ""
    assert len(protocol.manifest["identities"]["discarded"]) == 734
    protocol, said = made(like_prid(), distractors=True)  # the gallery of 649 that PRID's papers search
    assert counts(protocol) == {"train train": (80 + 185, 160 + 185)} | pairs | {"test gallery": (649, 649)}
    both, said = made(like_prid(), distractors=True, seen_once="discard")
    assert counts(both) == {"train train": (80, 160)} | pairs | {"test gallery": (649, 649)} and said == ""
    assert set(both.manifest["identities"]["strangers"]) == set(both.rows("test", "gallery")["pid"]) - set(
        both.rows("test", "probe")["pid"]
    )


@pytest.mark.parametrize("options", [{}, {"distractors": True}, {"seen_once": "discard"}])
@pytest.mark.parametrize("preset", SYNTHETIC)
def test_nobody_is_in_two_subsets(preset, options):
    protocol, _ = made(like_prid(), preset, **options)
    who = {name: set(rows["pid"]) for name, rows in protocol.table.groupby("subset")}
    assert not (who["train"] & who["val"] or who["train"] & who["test"] or who["val"] & who["test"])
    assert len(who["val"]) == 20 and protocol.rows("test", "probe")["pid"].nunique() == 100


def test_where_everybody_is_seen_twice_distractors_change_nothing():
    plain = make_protocol(mini.tiny(), "mlr", distractors=False)
    with pytest.warns(DataWarning, match="distractors=True adds nobody"):
        assert make_protocol(mini.tiny(), "mlr", distractors=True).table.equals(plain.table)


def test_grid_has_no_person_0000():
    protocol, said = made(like_grid())
    assert counts(protocol)["train train"] == (100, 200) and counts(protocol)["test gallery"] == (125, 125)
    assert "person 0000 has 775 of 1275 images" in said and "distractors=True puts them into the test gallery" in said
    assert protocol.manifest["identities"]["discarded"] == ["0000"]
    protocol, said = made(like_grid(), distractors=True)
    # GRID's gallery of 900: an evaluation that draws one image of each person must not take 775 people for one.
    assert counts(protocol)["test gallery"] == (900, 900) and counts(protocol)["train train"] == (100, 200)
    assert "they are in the test gallery" in said
    protocol, said = made(like_grid("c1"), distractors=True)
    assert counts(protocol)["test gallery"] == (125, 125) and "on the low-resolution side, which lr_camera" in said


def test_an_id_that_looks_like_many_is_said():
    rows = [(f"{p:04d}", cam) for p in range(1, 41) for cam in ("c1", "c2")]
    protocol, said = made(a_set(rows + [("others", "c2")] * 60))
    assert "person others has 60 of 140 images" in said and "others" in protocol.manifest["identities"]["train"]
    assert crowds(a_set(rows + [("others", "c2")] * 3)) == (set(), set())
    assert made(mini.tiny())[1] == ""  # 0000 with as many pictures as anybody is a person


def test_junk_and_distractors_of_market_in_ones_own_list():
    rows = [("-1", f"c{i % 2}") for i in range(4)] + [("0000", f"c{i % 2}") for i in range(4)]
    rows += [(f"{p}", cam) for p in range(1, 12) for cam in ("c0", "c1")]
    protocol, said = made(a_set(rows))
    who = protocol.manifest["identities"]
    assert not {"-1", "0000"} & {*who["train"], *who["val"], *who["test"]} and who["discarded"] == ["-1", "0000"]
    assert not {"-1", "0000"} & set(protocol.table["pid"])
    assert "4 images of person -1 are left out" in said and "person 0000 has 4 of 30 images" in said
    with pytest.raises(DataError, match=r"one person is tested.* Not counted: -1 and 0000 \(-1 is nobody"):
        make_protocol(a_set(rows[:12]), "mlr")
    added, _ = made(a_set(rows), distractors=True)
    assert (
        len(added.rows("test", "gallery")) == len(protocol.rows("test", "gallery")) + 2
    )  # those of the gallery's side


def test_distractors_of_an_official_set_are_many_where_one_image_of_each_is_drawn(miniature):
    people = miniature("market1501")
    protocol = make_protocol(people, "mlr", distractors=True)
    assert protocol.convention == "sing"
    strangers = set(protocol.rows("test", "gallery")["pid"]) - set(protocol.rows("test", "probe")["pid"])
    high = ~low_side(people, None, 0, 0)[0]
    assert len(strangers) == int((high & (people.table["pid"] == "0000")).sum()) == 2
    assert "0000" in set(make_protocol(people, "plain").table["pid"])  # a full list does not care


def test_marks_of_training_alone():
    rows = [(f"{i // 2}", f"c{i % 2}") for i in range(36)]
    marks = ["train" if int(pid) in (0, 1, 2, 5, 8, 13, 17) else "" for pid, _ in rows]
    for preset in SYNTHETIC:
        protocol, _ = made(a_set(rows, marks), preset)
        who = protocol.manifest["identities"]
        assert sorted([*who["train"], *who["val"]], key=int) == ["0", "1", "2", "5", "8", "13", "17"]
        assert set(who["test"]) == {pid for pid, _ in rows} - {*who["train"], *who["val"]} and len(who["val"]) == 1
    other = make_protocol(a_set(rows, marks), "mlr", trial=1)
    assert (
        other.manifest["identities"]["test"] == who["test"]
        and other.manifest["low_resolution"]["drawn"] == "for each trial"
    )
    four = make_protocol(a_set(rows, marks), "mlr", test_identities=4).manifest["identities"]
    assert len(four["test"]) == 4 and len(four["discarded"]) == 7 and set(four["test"]) < set(who["test"])
    with pytest.raises(
        DataError, match="12 test people were asked for, 11 were seen from both sides and are not marked"
    ):
        make_protocol(a_set(rows, marks), "mlr", test_identities=12)
    with pytest.raises(DataError, match="people 0 have images that are marked train and images that are not"):
        make_protocol(a_set(rows, ["", *marks[1:]]), "mlr")


def test_an_official_split_with_gaps_is_refused():
    rows = [(f"{p}", cam) for p in range(6) for cam in ("c1", "c2")]
    marks = ["train"] * 6 + ["query", "gallery"] * 3
    assert make_protocol(a_set(rows, marks), "plain").manifest["identities"]["test"] == ["3", "4", "5"]
    with pytest.raises(
        DataError, match="1 of 12 images have no subset, the others are train, query and gallery .row 7."
    ):
        make_protocol(a_set(rows, [*marks[:7], "", *marks[8:]]), "plain")


def test_one_person_cannot_be_tested():
    with pytest.raises(DataError, match="one person is tested.*100 % whatever"):
        make_protocol(mini.tiny(3), "mlr")
    with pytest.raises(DataError, match="test_identities=2"):
        make_protocol(mini.tiny(12), "mlr", test_identities=1)
    assert len(make_protocol(mini.tiny(12), "mlr", test_identities=2).manifest["identities"]["test"]) == 2
    alone = [("1", "a"), ("1", "b"), ("2", "a"), ("2", "b"), ("3", "b"), ("4", "b")]
    with pytest.raises(DataError, match="distractors=True"):
        make_protocol(a_set(alone), "mlr")
    protocol, _ = made(a_set(alone), distractors=True)
    assert counts(protocol)["test gallery"] == (3, 3)
    assert not len(make_protocol(mini.tiny(), "mlr", test_identities=0).rows("test"))  # asked for: nobody is tested
    validation = make_protocol(mini.tiny(), "mlr").summary().splitlines()
    assert [line.endswith("one person: rank-1 is 100 % whatever is measured") for line in validation].count(True) == 1


def test_nobody_can_be_searched_for():
    rows = [(f"{p}", cam) for p in range(6) for cam in ("c1", "c2")]
    marks = ["train"] * 6 + ["query", "gallery"] * 3
    with pytest.raises(DataError, match=r"0 probes.*lr_camera=… with cameras that query images come from \(c1\)"):
        make_protocol(a_set(rows, marks), "mlr", lr_camera="c2", gallery="all")
    one = a_set([(f"{p}", "c1") for p in range(8) for _ in range(4)])
    with pytest.raises(DataError, match='no test person has any. Use convention="sing"'):
        make_protocol(one, "vr", lr_camera="half-of-each-person")
    assert (
        make_protocol(one, "vr", lr_camera="half-of-each-person", convention="sing").rows("test")["pid"].nunique() == 4
    )


@pytest.mark.parametrize("preset", [preset for preset in PRESETS if preset not in ("caviar", "mlr-half")])
def test_people_of_one_camera(preset):
    one = mini.tiny(12, 1, 3)
    with pytest.raises(DataError, match="one camera .c1., so that no camera can be the low-resolution side") as caught:
        make_protocol(one, preset)
    assert 'the preset "mlr-half"' in str(caught.value) and "per-identity" not in str(caught.value)
    assert counts(make_protocol(one, "mlr-half"))["test probe"] == (6, 6)  # one of three
    single = mini.tiny(12, 1, 1)
    with pytest.raises(DataError, match="What helps: more images of each person, or more people; a CSV whose column"):
        make_protocol(single, preset)


def test_more_images_of_everybody_would_not_help():
    with pytest.raises(DataError, match="too few to train on some and to test others. What helps: more people.$"):
        make_protocol(mini.tiny(2, 2, 2), "mlr", test_identities=2)
    with pytest.raises(DataError, match="What helps: more people, or fewer of them tested .test_identities=…..$"):
        make_protocol(mini.tiny(4, 2, 2), "mlr", test_identities=4)
    make_protocol(mini.tiny(4, 2, 2), "mlr", test_identities=2)


def test_sides_that_nobody_was_seen_from_both_of():
    people = a_set([(f"{p:04d}", f"c{2 * (p % 2) + k}") for p in range(8) for k in (0, 1)])
    with pytest.raises(
        DataError, match=r"0 of them seen from both sides \(low resolution: camera\(s\) c0, c1\)"
    ) as caught:
        make_protocol(people, "mlr")
    assert 'lr_camera="per-identity" (one camera of each person; 8' in str(caught.value)
    for remedy in ({"lr_camera": "per-identity"}, {"lr_camera": "half-of-each-person"}):
        assert counts(make_protocol(people, "mlr", **remedy))["test probe"] == (4, 4)
    with pytest.raises(DataError, match="0 of them seen from both sides"):
        make_protocol(mini.tiny(), "mlr", lr_camera=("c1", "c2"))


# Sizes that hide low resolution


def test_probes_as_wide_as_the_canvas():
    protocol = make_protocol(mini.tiny(60, 2, 2, width=128), "mlr")  # as PRID 450S: 128 pixels wide
    width = protocol.rows("test", "probe")["width"]
    for canvas in (1, 32, 33, 43, 48, 64, 65, 200):
        assert protocol.wider_than(canvas) == sum(w >= canvas for w in width) / len(width)
    assert protocol.wider_than(32) == 1 and 0.25 < protocol.wider_than(48) < 0.45 and protocol.wider_than(65) == 0
    with pytest.warns(DataWarning, match="100% of the probes of mlr on tiny are still at least 32 pixels") as caught:
        protocol.check_canvas(32)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        protocol.check_canvas(65)
        make_protocol(mini.tiny(60, 2, 2, width=128), "plain").check_canvas(32)  # promises no low resolution
        assert make_protocol(mini.tiny(), "mlr", test_identities=0).wider_than(5) == 0
    for wrong in (0, "64", 64.0, (64, 32)):
        with pytest.raises(DataError, match="canvas_width"):
            protocol.wider_than(wrong)


def test_low_resolution_that_the_sizes_undo():
    small = mini.tiny(12, 2, 2, width=8)
    protocol, said = made(small, "vr")
    assert (protocol.table["ratio"] == 1).all()
    assert "no test image is degraded: the widest has 8 pixels" in said and "widths=(12, 32)" in said
    protocol, said = made(small, "vr", widths=(3, 6))  # the remedy
    assert (protocol.table["ratio"] < 1).all() and not said
    rows = [(f"{p}", cam) for p in range(12) for cam in ("c1", "c2")]
    pictures = [np.full((24, 60 if cam == "c1" else 16, 3), i, np.uint8) for i, (_, cam) in enumerate(rows)]
    people = PersonDataset.from_arrays("sizes", pictures, pd.DataFrame(rows, columns=["pid", "cam"]))
    protocol, said = made(people, "mlr", ratios=["1/2", "1/3"])  # c1 is the low side, and shows 20 or 30 pixels
    assert "the probes are not smaller than the gallery" in said and "of the gallery 16" in said
    for remedy in ({"lr_camera": "smaller-side"}, {"lr_camera": "c2"}):
        assert not made(people, "mlr", **remedy)[1]
    assert not made(people, "plain")[1] and not made(people, "mlr", test_identities=0)[1]


@pytest.mark.parametrize("preset", ["mlr", "vr", "plain"])
def test_one_r_everywhere(preset):
    """RIPR's r in the table, of an image at any ratio, and in batches; ratio_at is the way back."""
    people = mini.tiny(24, 2, 2, width=64)
    protocol = make_protocol(people, preset)
    table = protocol.table
    assert protocol.widest == (32 if preset == "vr" else 64)
    np.testing.assert_array_equal(protocol.resolution(table["image"], table["ratio"]), table["resolution"])
    canvases = Canvases(protocol, (16, 8))
    for ratio in (1.0, 0.5, 1 / 3):
        ours = protocol.resolution(table["image"], ratio)
        assert ours.tolist() == canvases.resolution(table["image"], [ratio] * len(table)).tolist()
        assert ours.min() > 0 and ours.max() <= 1
    for r in (1.0, 0.5, 0.25):
        ratio = protocol.ratio_at(table["image"], r)
        expected = np.minimum(r, people.table.loc[table["image"], "width"] / protocol.widest)
        assert (ratio <= 1).all() and protocol.resolution(table["image"], ratio).tolist() == expected.tolist()
    for wrong in (0, 1.5, -1, float("nan"), True, "1"):
        with pytest.raises(ValueError, match="r "):
            protocol.ratio_at([0], wrong)
    assert protocol.resolution([], 1.0).shape == (0,)


# What is hashed cannot change


def test_a_manifest_cannot_be_changed():
    protocol = make_protocol(mini.tiny(), "mlr")
    before = canonical(protocol.manifest)
    m = protocol.manifest
    changes = [
        lambda: m.update(trial=5), lambda: m.__setitem__("trial", 5), lambda: m.pop("trial"), lambda: m.clear(),
        lambda: m.popitem(), lambda: m.setdefault("x", 1), lambda: m.__delitem__("trial"), lambda: m.__ior__({"a": 1}),
        lambda: m["images"]["ratio"].__setitem__(0, "1"), lambda: m["images"]["row"].append(1),
        lambda: m["images"]["row"].extend([1]), lambda: m["images"]["row"].sort(reverse=True),
        lambda: m["images"]["row"].reverse(), lambda: m["images"]["row"].pop(), lambda: m["images"]["row"].clear(),
        lambda: m["images"]["row"].insert(0, 1), lambda: m["images"]["row"].remove(0),
        lambda: m["images"]["row"].__delitem__(0), lambda: m["images"]["row"].__iadd__([1]),
        lambda: m["images"]["row"].__imul__(2), lambda: m["degradation"].update(jpeg=5),
    ]  # fmt: skip
    for change in changes:
        with pytest.raises(TypeError, match=r"was hashed and cannot be changed; copy\.deepcopy"):
            change()
    for name in ("manifest", "sha256", "dataset", "trial", "table"):
        with pytest.raises(AttributeError):
            setattr(protocol, name, None)
    assert canonical(protocol.manifest) == before
    # What the message names: a copy, and a protocol of it with a hash of its own.
    mine = copy.deepcopy(m)
    mine["images"]["ratio"][0], mine["trial"] = "1/2", 7
    other = Protocol.from_manifest(protocol.dataset, mine)
    assert other.sha256 != protocol.sha256 and other.trial == 7 and other.table.at[0, "ratio"] == 0.5
    mine["trial"] = 8  # what was given stays the giver's
    assert other.trial == 7 and other.sha256 == hashlib.sha256(canonical(other.manifest).encode()).hexdigest()


def test_a_table_is_a_copy():
    protocol = make_protocol(mini.tiny(), "mlr")
    expected = protocol.table
    for mine in (protocol.table, protocol.rows("train"), protocol.rows("test", "probe")):
        mine["ratio"] = 0.1
        mine.loc[mine.index[0], "pid"] = "x"
        mine.insert(0, "more", 1)
    assert protocol.table.equals(expected) and (protocol.rows("train")["ratio"] > 0.1).all()


def test_a_protocol_travels_to_other_processes():
    protocol = make_protocol(mini.tiny(), "vr")
    again = pickle.loads(pickle.dumps(protocol))
    assert (
        again.sha256 == protocol.sha256 and again.manifest == protocol.manifest and again.table.equals(protocol.table)
    )
    with pytest.raises(TypeError, match="cannot be changed"):
        again.manifest["trial"] = 3
    with pytest.raises(TypeError, match="cannot be changed"):
        copy.deepcopy(protocol).manifest["images"]["row"][0] = 3
    assert repr(protocol).startswith("Protocol(preset='vr', trial=0, seed=0, sha256='")


DAMAGE = (None, "", "x", 0, -1, 1.5, True, [], {}, [None], ["x"], {"a": 1}, "1/0", 10**9, [[0]])


def places(value, path=()):
    """Every place in nested dictionaries and lists; of a list its first entry only."""
    yield path
    inner = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


@pytest.mark.parametrize("preset", ["mlr", "vr"])
def test_a_damaged_manifest_with_a_fitting_hash(tmp_path, preset):
    """Every entry replaced by everything, or missing: a DataError, or a protocol that can be used."""
    people = mini.tiny(6)
    good = copy.deepcopy(make_protocol(people, preset).manifest)
    refused = 0
    for path in places(good):
        for damage in (*DAMAGE, "missing"):
            manifest = copy.deepcopy(good)
            if path:
                inside = manifest
                for key in path[:-1]:
                    inside = inside[key]
                if damage == "missing":
                    del inside[path[-1]]
                else:
                    inside[path[-1]] = damage
            else:
                manifest = damage
            file = tmp_path / "protocol.json"
            text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
            digest = hashlib.sha256(text.encode()).hexdigest()
            file.write_text(json.dumps({"manifest": manifest, "sha256": digest}))
            try:
                protocol = load_protocol(file, people)
            except DataError as error:
                refused += 1
                assert str(file) in str(error)
                continue
            protocol.summary(), protocol.sides, protocol.rows("test", "probe"), protocol.widest
            protocol.degrade(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), 0.5)
    assert refused > 350


def test_a_damaged_file(tmp_path):
    people = mini.tiny(6)
    file = make_protocol(people, "mlr").save(tmp_path / "protocol.json")
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [whole[:end] for end in range(0, len(whole) - 2, 97)]
    damaged += [
        b"",
        b"null",
        b"[]",
        b"3",
        b'"x"',
        b"{}",
        b"NaN",
        b"\xff\xfe",
        b"[" * 100_000,
        whole.decode().encode("utf-16"),
    ]
    damaged += [
        b'{"manifest":null,"sha256":null}',
        b'{"manifest":NaN,"sha256":"x"}',
        b'{"manifest":{"a":Infinity},"sha256":1}',
    ]
    for _ in range(50):
        broken = bytearray(whole)
        place = int(rng.integers(len(whole) - 1))
        broken[place] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(broken))
    for content in damaged:
        file.write_bytes(content)
        with pytest.raises(DataError, match=str(file)):
            load_protocol(file, people)
    with pytest.raises(DataError, match="cannot be read"):
        load_protocol(tmp_path, people)
    assert not list(tmp_path.glob("*.part"))


# The real sets


# The beginning of each hash, trials 0 and 1, as at commit 1802949: what was measured is found by these.
PUBLISHED = {
    "viper": {
        "mlr": "1d1e9bda4a39 f747c27f5952", "mlr-thirds": "450c97e5ad94 ae87b334f847",
        "mlr-half": "8f67b3e1f598 f87890cc6a4e", "mlr-one-camera": "a6fde7950b87 493cea8aa173",
        "vr": "6cc591d12070 ed60eb6c8d8d", "plain": "e91927f79dea 24b23fefaed4",
    },
    "caviar": {
        "mlr": "8fd089f5b6c7 62c1bfea8e24", "mlr-thirds": "a54cf0a9ecc3 9677c27f606b",
        "mlr-half": "7e5b9df05c3a 44fb6ee1171a", "mlr-one-camera": "f120955ba6d0 7bde85a556b0",
        "vr": "642549855c51 3d307908f0a7", "caviar": "9de973b8f13c 17360a238024", "plain": "a20950bff0ef 2ad5aa2034e0",
    },
}  # fmt: skip


def check_published(people) -> None:
    for preset, expected in PUBLISHED[people.name].items():
        assert " ".join(make_protocol(people, preset, trial=trial).sha256[:12] for trial in (0, 1)) == expected


@pytest.mark.skipif(not (REAL / "VIPeR").is_dir(), reason="VIPeR is not here (REID_DATA)")
def test_the_real_viper(tmp_path):
    people = load_dataset("viper", REAL, tmp_path)
    check_published(people)
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
    people = load_dataset("caviar", REAL, tmp_path)
    check_published(people)
    protocol = make_protocol(people, "caviar")
    split = protocol.manifest["identities"]
    assert (len(split["train"]) + len(split["val"]), len(split["test"]), len(split["discarded"])) == (25, 25, 22)
    assert len(protocol.table) == 1000
    assert protocol.table.loc[protocol.table["cam"] == "far", "resolution"].median() < 0.4


def test_validation_too_asks_for_nobody_who_is_not_in_its_gallery():
    rows = [(f"{person:02d}", cam) for person in range(30) for cam in "ab"]
    people = a_set(rows, ["train"] * 40 + ["query", "gallery"] * 10)
    protocol = make_protocol(people, "plain", convention="sing", validation=0.3)
    for name in ("val", "test"):
        asked, there = (set(protocol.rows(name, role)["pid"]) for role in ("probe", "gallery"))
        assert asked <= there
