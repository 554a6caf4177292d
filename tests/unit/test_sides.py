"""What SING added to the data path and to the contract: two sides, other enlargements, areas, steps that are solved."""

from __future__ import annotations

import miniatures as mini
import numpy as np
import pandas as pd
import pytest
import torch
import training_helpers as helpers
from torchvision.transforms.v2.functional import InterpolationMode
from torchvision.transforms.v2.functional import resize as peer_resize

from lib.data import PRESETS, DataError, load_dataset, make_protocol
from lib.data.augmentation import Augmentation
from lib.data.batches import Batch, TrainingBatches
from lib.data.canvases import Canvases
from lib.data.dataset import PersonDataset
from lib.data.protocol import Protocol
from lib.data.resolution import shrink
from lib.data.splits import low_side
from lib.methods import create_method
from lib.training import fit

QUIET = {"seed": 0, "progress": False, "precision": "fp32", "device": "cpu"}


def near_and_far(identities: int = 8) -> PersonDataset:
    """People like those of CAVIAR4REID: large images from near, small ones from far."""
    rng = np.random.default_rng(0)
    pictures, rows = [], []
    for person in range(identities):
        for cam, size in (("near", (40, 20)), ("far", (20, 8))):
            for _ in range(2):
                pictures.append(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
                rows.append((f"{person:03d}", cam))
    return PersonDataset.from_arrays("two-sides", pictures, pd.DataFrame(rows, columns=["pid", "cam"]))


# ---- the low-resolution side


def test_degraded_images_are_the_low_side():
    protocol = make_protocol(load_dataset("pedestrians"), "mlr")
    rows = protocol.rows("train")
    low = protocol.is_low(rows)
    assert (low == (rows["ratio"] < 1)).all() and 0.3 < low.mean() < 0.7
    assert protocol.is_low(protocol.rows("test", "probe")).all()
    assert not protocol.is_low(protocol.rows("test", "gallery")).any()


def test_where_nothing_is_degraded_the_probes_cameras_are_the_low_side():
    protocol = make_protocol(near_and_far(), "caviar")
    rows = protocol.rows("train")
    assert (rows["ratio"] == 1).all()
    assert (protocol.is_low(rows) == (rows["cam"] == "far")).all()


@pytest.mark.parametrize("side", ["smaller-side", "per-identity", "half-of-each-person", "far"])
@pytest.mark.parametrize("gallery", ["hr", "all"])
def test_where_nothing_is_degraded_who_asks_is_low(side, gallery):
    """Also where a camera is on one side for some people and on the other for others."""
    protocol = make_protocol(near_and_far(), "caviar", lr_camera=side, gallery=gallery)
    table = protocol.table
    assert (table["ratio"] == 1).all()
    low = protocol.is_low(table)
    assert low[(table["role"] == "probe").to_numpy()].all()
    if gallery == "hr":
        assert not low[(table["role"] == "gallery").to_numpy()].any()
    # The same protocol with something to degrade says by its ratios who is low.
    degraded = make_protocol(near_and_far(), "mlr", lr_camera=side, gallery=gallery).table
    assert table["image"].equals(degraded["image"]) and (low == (degraded["ratio"] < 1)).all()
    train = protocol.rows("train")
    assert protocol.sides == {"low": len(train) // 2, "high": len(train) // 2}


def test_every_image_of_vr_is_low():
    """Also those that are narrower than the width drawn for them and stay as they are."""
    protocol = make_protocol(mini.tiny(20, 2, 3, width=20), "vr")
    assert (protocol.table["ratio"] == 1).any() and (protocol.table["ratio"] < 1).any()
    assert protocol.is_low(protocol.table).all() and protocol.sides == {"low": 48, "high": 0}


@pytest.mark.parametrize("preset", PRESETS)
def test_sides_are_counted(preset):
    protocol = make_protocol(near_and_far(12), preset)
    low = protocol.is_low(protocol.rows("train"))
    assert protocol.sides == {"low": int(low.sum()), "high": int((~low).sum())}
    if preset == "vr":
        message = "SING needs training images of low and of high .* none on the high side: every image of it is low"
        with pytest.raises(DataError, match=f"{message}.*Use sing-everywhere.$"):
            protocol.check_sides("SING", "Use sing-everywhere.")
    else:
        assert min(protocol.sides.values()) > 0
        protocol.check_sides("SING")


def test_empty_sides_say_why():
    rows = [(f"{p}", cam) for p in range(8) for cam in ("c1", "c2")]
    marks = ["train"] * 8 + ["query", "gallery", "gallery", "query"] * 2
    picture = np.zeros((16, 8, 3), np.uint8)
    official = PersonDataset.from_arrays(
        "market-like", [picture] * 16, pd.DataFrame(rows, columns=["pid", "cam"]).assign(subset=marks)
    )
    protocol = make_protocol(official, "plain", validation=0)
    assert protocol.sides == {"low": 0, "high": 8} and not protocol.is_low(protocol.table).any()
    with pytest.raises(
        DataError, match="none on the low side: it degrades no image, and its probes come from the same"
    ):
        protocol.check_sides("SING")
    # All people who are trained on were seen by the low camera only.
    rows = [(f"{p}", cam) for p in range(8) for cam in (("c1", "c2") if p < 4 else ("c1",))]
    people = PersonDataset.from_arrays("alone", [picture] * len(rows), pd.DataFrame(rows, columns=["pid", "cam"]))
    with pytest.warns(UserWarning, match="4 were seen from one side only and 0 from both"):
        protocol = make_protocol(people, "mlr", test_identities=4)
    assert protocol.sides == {"low": 4, "high": 0}
    with pytest.raises(DataError, match="none on the high side: all people it trains on were seen from the other side"):
        protocol.check_sides("SING")
    nobody = make_protocol(near_and_far(), "caviar").manifest | {
        "images": {"row": [], "role": [], "subset": [], "ratio": []}
    }
    with pytest.raises(DataError, match="none on the low and none on the high side: it trains on nobody"):
        Protocol.from_manifest(near_and_far(), nobody).check_sides("SING")


def test_a_batch_says_which_of_its_images_are_low():
    protocol = make_protocol(near_and_far(), "caviar")
    rows = protocol.rows("train")
    rows = rows.assign(low=protocol.is_low(rows))
    batches = TrainingBatches(Canvases(protocol, (32, 16)), rows, Augmentation(), identities=2, images=4)
    (batch,) = next(batches.epoch(0))
    cams = protocol.dataset.table["cam"].to_numpy()[batch.rows.numpy()]
    assert (cams[batch.low] == "far").all() and (cams[batch.high] == "near").all()
    assert sorted([*batch.low.tolist(), *batch.high.tolist()]) == list(range(len(batch)))


# ---- another enlargement, and areas


def test_a_method_may_enlarge_by_another_kernel():
    people = helpers.tiny_people(size=(32, 16))
    protocol = helpers.tiny_protocol(people)
    found = Canvases(protocol, (64, 32), enlargement="bilinear").images([3], [0.5])[0]
    low = shrink(torch.tensor(people.image(3)).permute(2, 0, 1), (16, 8))
    expected = peer_resize(low, [64, 32], interpolation=InterpolationMode.BILINEAR, antialias=True)
    assert (found.int() - expected.int()).abs().max() <= 1
    assert not torch.equal(found, Canvases(protocol, (64, 32)).images([3], [0.5])[0])


def test_resolution_by_area_gives_the_r_of_eq_7():
    canvases = Canvases(make_protocol(near_and_far(), "caviar"), (32, 16))
    near, far, half = canvases.extent([0, 2, 2], [1.0, 1.0, 0.5])
    assert near == 1.0 and far / near == pytest.approx(np.sqrt(20 * 8 / (40 * 20)))
    assert canvases.resolution([2], [1.0]) == pytest.approx(8 / 20)  # RIPR's r goes by the width
    assert half == pytest.approx(0.5 * far)


@pytest.mark.parametrize("name", ["sing", "sr-then-reid", "classical"])
def test_methods_that_need_both_sides_say_so(name, tmp_path):
    """On VR everything is low; where nothing is degraded and nobody asks, nothing is."""
    small = {"canvas": (48, 40)} if name == "classical" else {"canvas": (32, 16), "backbone": "bottleneck-8-1"}
    vr, whole = make_protocol(helpers.tiny_people(size=(64, 40)), "vr"), helpers.tiny_protocol(ratios=("1",))
    for protocol, missing in ((vr, "high"), (whole, "low")):
        with pytest.raises(ValueError, match=f"has none on the {missing} side.*lr_camera"):
            fit(create_method(name, **small), protocol, runs=tmp_path, **QUIET)
    make_protocol(vr.dataset, "mlr").check_sides(name)  # the remedy


def test_a_warning_of_fit_names_the_line_that_calls_it(tmp_path):
    protocol = make_protocol(helpers.tiny_people(size=(64, 40)), "mlr")
    method = create_method("baseline", canvas=(8, 4), backbone="bottleneck-8-1", epochs=0)
    with pytest.warns(UserWarning, match="as wide as the method's canvas") as caught:
        fit(method, protocol, runs=tmp_path, **QUIET)
    assert [one.filename for one in caught] == [__file__]


# ---- steps that are solved, and classical methods


def test_a_solved_metric_is_kept_and_found_again(tmp_path):
    protocol = make_protocol(load_dataset("pedestrians"), "mlr", test_identities=580)
    settings = {"metric": "nfst", "canvas": (48, 40)}
    run = fit(create_method("classical", **settings), protocol, runs=tmp_path, **QUIET)
    again = fit(create_method("classical", **settings), protocol, runs=tmp_path, **QUIET)
    assert again.reused and not run.reused
    torch.testing.assert_close(run.method.projection.matrix, again.method.projection.matrix)
    batch = Batch(torch.rand(2, 3, 48, 40))
    torch.testing.assert_close(*(r.method.embed(batch, "gallery") for r in (run, again)))


def test_nfst_makes_one_point_of_each_training_person(tmp_path):
    """The closed-form property, through the whole data path: still images, both sides, no augmentation."""
    protocol = make_protocol(near_and_far(), "caviar")
    run = fit(create_method("classical", metric="nfst", canvas=(48, 40)), protocol, runs=tmp_path, **QUIET)
    rows = protocol.rows("train")
    canvases = Canvases(protocol, (48, 40))
    images = canvases.images(rows["image"], rows["ratio"]).float() / 255
    points = run.method.embed(Batch(images), "gallery")
    same = torch.from_numpy(rows["pid"].to_numpy()[:, None] == rows["pid"].to_numpy()[None])
    distances = torch.cdist(points, points)
    assert distances[same].max() < 1e-3 * distances[~same].min()


def test_classical_methods_say_what_is_missing():
    with pytest.raises(ValueError, match="unknown metric 'plda'; known: xqda, nfst, euclidean"):
        create_method("classical", metric="plda")
    method = create_method("classical")
    method.setup("quick", 3)
    with pytest.raises(RuntimeError, match="fit the method first"):
        method.embed(Batch(torch.rand(1, 3, 128, 48)), "probe")


def test_the_smaller_side_is_that_of_the_smaller_median():
    """One large picture makes no camera the sharp one."""
    rows = [("p", "a")] * 3 + [("p", "b")] * 3
    sizes = [(10, 10), (10, 10), (60, 60)] + [(20, 20)] * 3
    pictures = [np.full((*size, 3), i, np.uint8) for i, size in enumerate(sizes)]
    people = PersonDataset.from_arrays("own-set", pictures, pd.DataFrame(rows, columns=["pid", "cam"]))
    assert low_side(people, "smaller-side", 0, None)[0].tolist() == [True] * 3 + [False] * 3
