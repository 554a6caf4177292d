"""Models for several ratios, trained, fused and asked again without another forward pass; the recipes of SING."""

from __future__ import annotations

import types

import numpy as np
import pytest
import torch

from lib.data import load_dataset, make_protocol
from lib.evaluation import evaluate, extract
from lib.experiments.anchors import Anchors
from lib.experiments.sing import gradient_sizes, restored, true_scales
from lib.methods import create_method
from lib.methods.ensemble import AdaptiveEnsemble
from lib.models.superres import create_superres

TINY = {"canvas": (48, 24), "backbone": "bottleneck-8-1", "epochs": 1, "batch": (8, 4)}


@pytest.fixture(scope="module")
def protocol():
    return make_protocol(load_dataset("pedestrians", identities=40), "mlr")


@pytest.fixture(scope="module")
def anchors(protocol, tmp_path_factory):
    def make(ratio):
        return create_method("sing", ratio=ratio, **TINY)

    runs = tmp_path_factory.mktemp("runs")
    return Anchors.train("SING", make, [protocol], (1 / 2, 1 / 4), profile="quick", seed=0, progress=False, runs=runs)


def test_every_subset_is_what_evaluate_says_of_it(anchors, protocol):
    models = [run.method for run in anchors.runs[0]]
    (both,) = anchors.results(sigma=0.3)
    expected = evaluate(AdaptiveEnsemble(models, (1 / 2, 1 / 4), 0.3), protocol)
    np.testing.assert_allclose(both.ranking.cmc, expected.ranking.cmc, atol=1e-6)
    (one,) = anchors.results(only=[1])
    np.testing.assert_allclose(one.rank(5), evaluate(models[1], protocol).rank(5), atol=0.01)  # ties in float32
    assert one.protocol_sha256 == protocol.sha256


def test_the_scales_of_an_ensemble_are_those_of_eq_7(anchors, protocol):
    ensemble = anchors.ensemble()
    p, g = (extract(ensemble, protocol, protocol.rows("test", role), role=role) for role in ("probe", "gallery"))
    np.testing.assert_allclose(p[:, -1] / np.sqrt(np.square(g[:, -1]).mean()), true_scales(protocol), rtol=1e-5)


def test_images_are_described_once(anchors, monkeypatch):
    (before,) = anchors.results(only=[0], sigma=None)
    monkeypatch.setattr("lib.experiments.anchors.extract", lambda *a: pytest.fail("described again"))
    (again,) = anchors.results(only=[0], sigma=None)
    np.testing.assert_array_equal(again.ranking.cmc, before.ranking.cmc)
    with pytest.raises(pytest.fail.Exception, match="described again"):  # other ratios are other pictures
        anchors.results(at={"probe": 0.2, "gallery": 1.0})


def test_sizes_estimated_by_several_functions_are_kept_apart(anchors, monkeypatch):
    """Each of them made and forgotten: the next may lie at its address."""
    monkeypatch.setattr(anchors, "_features", {})
    found = [
        float(anchors._described(0, "test", None, lambda x, v=v: torch.full((len(x),), v))["probe"][0, -1])
        for v in (0.5, 0.25, 0.33, 0.9)
    ]
    np.testing.assert_allclose(found, (0.5, 0.25, 0.33, 0.9), rtol=1e-6)


def test_sigma_is_chosen_on_validation_people(anchors, monkeypatch):
    seen = []
    results = Anchors.results

    def spied(self, *arguments, **options):
        seen.append(options["subset"])
        return results(self, *arguments, **options)

    monkeypatch.setattr(Anchors, "results", spied)
    assert anchors.choose_sigma((0.1, None)) in (0.1, None)
    assert set(seen) == {"val"}


def test_restored_pictures_and_their_quality(protocol):
    rows = protocol.rows("test", "gallery")["image"].to_numpy()[:6]
    pictures, quality = restored({"same": create_superres("bicubic")}, protocol, (48, 24), rows, 1 / 4)
    assert list(pictures) == ["original", "bilinear", "bicubic", "same"] and pictures["same"].shape == (6, 48, 24, 3)
    np.testing.assert_array_equal(pictures["same"], pictures["bicubic"])
    difference = pictures["bicubic"].astype(float) - pictures["original"]
    by_hand = 10 * np.log10(255**2 / np.square(difference).mean((1, 2, 3)))
    np.testing.assert_allclose(quality["bicubic"], by_hand, rtol=1e-4)


def test_the_two_readings_of_the_pixel_loss_pull_in_the_ratio_of_their_scales(protocol):
    pull = gradient_sizes(create_method("sing", ratio=1 / 3, **TINY), protocol, "quick")
    assert pull["pixel, sum"] / pull["pixel, mean"] == pytest.approx(3 * 48 * 24, rel=1e-3)
    assert 0 < pull["identity"] < np.inf


def test_recipes_differ_in_what_they_are_told(protocol):
    from lib.experiments.sing import Recipe

    how = Recipe("quick", 0, False, 2, {"backbone": "bottleneck-8-1"}, types.SimpleNamespace(directory="somewhere"))
    sing, apart, plain = how.sing(1 / 3, alpha=0.0), how.apart(1 / 3), how.apart(1 / 2, "bicubic")
    assert sing.settings.alpha == 0 and sing.settings.weights == {"backbone": "pedestrians", "sr": "somewhere"}
    assert (apart.settings.backbone, apart.settings.epochs) == ("bottleneck-8-1", 2)
    assert apart.settings.weights == sing.settings.weights
    assert plain.settings.network == "bicubic" and plain.settings.weights == {"backbone": "pedestrians"}
    with torch.device("meta"):
        plain.setup("quick", 4)
    assert [stage.name for stage in plain.stages] == ["re-id"]
