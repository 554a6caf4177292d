"""What SING added to the data path and to the contract: two sides, other enlargements, areas, steps that are solved."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
import training_helpers as helpers
from torchvision.transforms.v2.functional import InterpolationMode
from torchvision.transforms.v2.functional import resize as peer_resize

from lib.data import load_dataset, make_protocol
from lib.data.batches import Augmentation, Canvases, TrainingBatches
from lib.data.dataset import PersonDataset
from lib.data.resolution import shrink
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


def test_a_batch_says_which_of_its_images_are_low():
    protocol = make_protocol(near_and_far(), "caviar")
    rows = protocol.rows("train")
    rows = rows.assign(low=protocol.is_low(rows))
    batches = TrainingBatches(Canvases(protocol, (32, 16)), rows, Augmentation(), identities=2, images=4)
    (batch,) = next(iter(batches))
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
    near, far = canvases.resolution(0, 1.0, "area"), canvases.resolution(2, 1.0, "area")
    assert near == 1.0 and far / near == pytest.approx(np.sqrt(20 * 8 / (40 * 20)))
    assert canvases.resolution(2, 1.0) == pytest.approx(8 / 20)  # RIPR's r goes by the width
    half = canvases.resolution(0, 0.5, "area")
    assert half == pytest.approx(0.5)
    with pytest.raises(ValueError, match="'width' or 'area'"):
        canvases.resolution(0, 1.0, "height")


# ---- steps that are solved, and classical methods


def test_a_solved_metric_is_kept_and_found_again(tmp_path):
    protocol = make_protocol(load_dataset("pedestrians"), "mlr", test_identities=280)
    settings = {"metric": "nfst", "canvas": (48, 40)}
    run = fit(create_method("classical", **settings), protocol, runs=tmp_path, **QUIET)
    again = fit(create_method("classical", **settings), protocol, runs=tmp_path, **QUIET)
    assert again.reused and not run.reused
    torch.testing.assert_close(run.method.projection.matrix, again.method.projection.matrix)
    images = torch.rand(2, 3, 48, 40)
    torch.testing.assert_close(*(r.method.embed(images, torch.ones(2), "gallery") for r in (run, again)))


def test_nfst_makes_one_point_of_each_training_person(tmp_path):
    """The closed-form property, through the whole data path: still images, both sides, no augmentation."""
    protocol = make_protocol(near_and_far(), "caviar")
    run = fit(create_method("classical", metric="nfst", canvas=(48, 40)), protocol, runs=tmp_path, **QUIET)
    rows = protocol.rows("train")
    canvases = Canvases(protocol, (48, 40))
    images = canvases.images(rows["image"], rows["ratio"]).float() / 255
    points = run.method.embed(images, torch.ones(len(rows)), "gallery")
    same = torch.from_numpy(rows["pid"].to_numpy()[:, None] == rows["pid"].to_numpy()[None])
    distances = torch.cdist(points, points)
    assert distances[same].max() < 1e-3 * distances[~same].min()


def test_classical_methods_say_what_is_missing():
    with pytest.raises(ValueError, match="unknown metric 'plda'; known: xqda, nfst, euclidean"):
        create_method("classical", metric="plda")
    method = create_method("classical")
    method.setup("quick", 3)
    with pytest.raises(RuntimeError, match="fit the method first"):
        method.embed(torch.rand(1, 3, 128, 48), torch.ones(1), "probe")
