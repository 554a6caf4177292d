"""SING, what it is compared with, and the fusion of several models."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import training_helpers as helpers

from lib.data.batches import Batch
from lib.evaluation import evaluate, objective
from lib.methods import create_method
from lib.methods.ensemble import AdaptiveEnsemble
from lib.methods.method import Method
from lib.training import fit
from lib.training.optim import select_trainable

SMALL = {"canvas": (32, 16), "backbone": "bottleneck-8-1", "network": "srcnn-915-luma"}


def built(name: str = "sing", identities: int = 4, **settings) -> Method:
    torch.manual_seed(0)
    method = create_method(name, **{**SMALL, **settings})
    method.setup("quick", identities)
    return method


# ---- Eq. 2 to 5


def test_the_losses_are_those_of_the_equations():
    method, batch = built(), helpers.two_sided_batch()
    method.eval()  # fixed batch statistics: a stream can be computed by itself
    terms = method.losses(batch, method.stages[0])

    def classified(images, positions, restore):
        total = 0.0
        for image, position in zip(images, positions, strict=True):
            picture = method.sr(image[None]) if restore else image[None]
            _, logits = method.head(method.pool(method.backbone(picture)))
            total -= F.log_softmax(logits[0], 0)[batch.labels[position]]
        return total / len(positions)

    expected = {
        "identity_hr": classified(batch.images[batch.high], batch.high, restore=False),
        "identity_synthetic": classified(batch.at(0.5, batch.high), batch.high, restore=True),
        "identity_lr": classified(batch.images[batch.low], batch.low, restore=True),
    }
    errors = [(method.sr(batch.at(0.5)[i][None])[0] - batch.images[i]).square().sum() for i in batch.high]
    expected["pixel"] = sum(errors) / len(errors)  # Frobenius norm, mean over the images
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-4, atol=1e-4)


def test_the_mean_reading_of_the_pixel_loss_is_the_sum_over_the_values_of_a_picture():
    batch = helpers.two_sided_batch()
    total, mean = (built(reduction=r).losses(batch, built().stages[0])["pixel"] for r in ("sum", "mean"))
    torch.testing.assert_close(total / (3 * 32 * 16), mean)


@pytest.mark.parametrize(
    ("term", "reached"),
    [
        ("pixel", {"sr"}),
        ("identity_hr", {"backbone", "head"}),
        ("identity_synthetic", {"sr", "backbone", "head"}),
        ("identity_lr", {"sr", "backbone", "head"}),
    ],
)
def test_each_loss_reaches_the_parts_it_should(term, reached):
    """With fixed batch statistics: those of a batch are common to all streams, and pass a little of everything on."""
    method = built().eval()
    method.losses(helpers.two_sided_batch(), method.stages[0])[term].backward()
    found = {n.split(".")[0] for n, p in method.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert found == reached


def test_without_synthetic_images_there_is_no_pixel_loss():
    method = built(synthetic=False)
    assert method.losses(helpers.two_sided_batch(), method.stages[0]).keys() == {"identity_hr", "identity_lr"}
    assert "pixel" not in method.stages[0].weights


def test_alpha_is_the_weight_of_the_pixel_loss_alone():
    assert built(alpha=3.0).stages[0].weights == {"pixel": 3.0}
    assert built(alpha=3.0, network="drcn-narrow").stages[0].weights == {"pixel": 3.0, "recursions": 3.0}


def test_a_batch_without_a_low_resolution_side_counts_nothing_there():
    method, batch = built(), helpers.two_sided_batch()
    batch.low, batch.high = batch.low[:0], torch.arange(16)
    terms = method.losses(batch, method.stages[0])
    assert terms["identity_lr"] == 0 and all(value.isfinite() for value in terms.values())


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"synthetic": False},
        {"alpha": 0.0},
        {"reduction": "mean"},
        {"backbone": "dgd-quarter"},
        {"network": "drcn-narrow"},
        {"network": "fsrcnn", "ratio": 1 / 3},
        {"triplet": 1.0, "smoothing": 0.1},
        {"descriptor": 32},
    ],
    ids=str,
)
def test_every_variant_lowers_its_loss_on_a_fixed_batch(settings):
    assert helpers.learns(built(**settings), helpers.two_sided_batch())


# ---- deployment


def test_a_probe_goes_through_super_resolution_and_a_gallery_image_does_not():
    method, images = built().eval(), torch.rand(2, 3, 32, 16)
    torch.nn.init.constant_(list(method.sr.parameters())[-1], 0.3)  # a super-resolution that brightens
    probe, gallery = method.embed(Batch(images), "probe"), method.embed(Batch(images), "gallery")
    assert not torch.allclose(probe, gallery)
    torch.testing.assert_close(probe, method.embed(Batch(method.sr(images)), "gallery"))


def test_dgd_has_the_papers_descriptor():
    method = built(backbone="dgd-quarter").eval()
    assert method.embed(Batch(torch.rand(2, 3, 32, 16)), "gallery").shape == (2, 256)


# ---- learned one after the other


def test_sr_then_reid_learns_its_parts_apart():
    method, batch = built("sr-then-reid"), helpers.two_sided_batch()
    reached = []
    for stage in method.stages:
        select_trainable(method, stage)
        method.zero_grad()
        sum(method.losses(batch, stage).values()).backward()
        reached.append({n.split(".")[0] for n, p in method.named_parameters() if p.grad is not None})
    assert [stage.name for stage in method.stages] == ["restore", "re-id"]
    assert reached == [{"sr"}, {"backbone", "head"}]


def test_interpolation_has_nothing_to_restore_and_bilinear_enlarges_by_itself():
    assert [stage.name for stage in built("sr-then-reid", network="bicubic").stages] == ["re-id"]
    assert built("sr-then-reid", network="bilinear").enlargement == "bilinear"
    assert built("sr-then-reid", network="bicubic").enlargement is None


def test_with_its_own_synthetic_images_only_the_joint_learning_differs():
    apart = built("sr-then-reid", synthetic=True)
    assert apart.losses(helpers.two_sided_batch(), apart.stages[-1]).keys() == {
        "identity_hr", "identity_lr", "identity_synthetic",
    }  # fmt: skip


def test_a_fit_runs_from_end_to_end(tmp_path):
    protocol = helpers.tiny_protocol()
    for name in ("sing", "sr-then-reid"):
        method = create_method(name, **SMALL, epochs=1, batch=(4, 4))
        run = fit(method, protocol, seed=0, runs=tmp_path, progress=False, precision="fp32", device="cpu")
        assert np.isfinite(run.history["total"]).all()
        again = create_method(name, **SMALL, epochs=1, batch=(4, 4))
        assert fit(again, protocol, seed=0, runs=tmp_path, progress=False, precision="fp32", device="cpu").reused


# ---- fusion, Eq. 6 to 8


class Fixed(Method):
    """Its descriptor is the mean colour times a factor."""

    def __init__(self, factor: float = 1.0):
        super().__init__()
        self.factor, self.canvas = factor, (32, 16)

    def embed(self, batch, role):
        return self.factor * batch.images.mean((2, 3))


def test_the_weights_are_those_computed_by_hand():
    ensemble = AdaptiveEnsemble([Fixed(), Fixed(), Fixed()], (1 / 2, 1 / 3, 1 / 4), sigma=0.5)
    weights = ensemble.weights(torch.tensor([0.25, 1.0], dtype=torch.float64))
    by_hand = torch.tensor(
        [[math.exp(-(0.25**2) / 0.25), math.exp(-((1 / 12) ** 2) / 0.25), 1.0],
         [math.exp(-1.0), math.exp(-((2 / 3) ** 2) / 0.25), math.exp(-(0.75**2) / 0.25)]], dtype=torch.float64
    )  # fmt: skip
    torch.testing.assert_close(weights, by_hand / by_hand.amax(1, keepdim=True))
    tiny = AdaptiveEnsemble([Fixed(), Fixed()], (1 / 2, 1 / 4), sigma=0.01).weights(torch.tensor([1.0]))
    assert tiny.max() == 1  # the nearest anchor stays, however far it is


def test_fused_distances_are_the_weighted_sums_of_the_models():
    torch.manual_seed(0)
    anchors, ratios = [Fixed(1.0), Fixed(3.0)], (1 / 2, 1 / 4)
    ensemble = AdaptiveEnsemble(anchors, ratios, sigma=0.3)
    probes, gallery = torch.rand(3, 3, 32, 16), torch.rand(4, 3, 32, 16)
    p_sizes, g_sizes = torch.tensor([0.2, 0.4, 0.9]), torch.tensor([0.8, 1.0, 0.9, 0.7])
    sides = ensemble.embed(Batch(probes, p_sizes), "probe"), ensemble.embed(Batch(gallery, g_sizes), "gallery")
    found = ensemble.distance(*sides)
    mean_area = float(np.mean([float(g) ** 2 for g in g_sizes]))  # sizes are square roots of areas
    for q in range(3):
        r = math.sqrt(float(p_sizes[q]) ** 2 / mean_area)
        weights = [math.exp(-((r - m) ** 2) / 0.3**2) for m in ratios]
        for g in range(4):
            apart = [float((a.embed(Batch(probes), "")[q] - a.embed(Batch(gallery), "")[g]).norm()) for a in anchors]
            expected = sum(w * d for w, d in zip(weights, apart, strict=True)) / max(weights)
            assert math.isclose(float(found[q, g]), expected, abs_tol=1e-3)


def test_a_subset_of_the_anchors_is_the_ensemble_of_the_subset():
    torch.manual_seed(0)
    anchors, ratios = [Fixed(1.0), Fixed(3.0), Fixed(7.0)], (1 / 2, 1 / 3, 1 / 4)
    images, sizes = torch.rand(4, 3, 32, 16), torch.tensor([0.2, 0.4, 0.9, 1.0])
    three = AdaptiveEnsemble(anchors, ratios, sigma=0.3)
    two = AdaptiveEnsemble(anchors[1:], ratios[1:], sigma=0.3)
    features, fewer = (model.embed(Batch(images, sizes), "probe") for model in (three, two))
    torch.testing.assert_close(three.choose([1, 2]).distance(features, features), two.distance(fewer, fewer))
    assert three.only == (0, 1, 2)  # the ensemble itself stays as it was


def test_equal_models_rank_as_one_does_and_evaluate_takes_an_ensemble():
    from lib.data import load_dataset, make_protocol

    protocol = make_protocol(load_dataset("pedestrians"), "mlr")
    method = create_method("histogram", canvas=(32, 16))
    method.setup("quick", 1)
    alone = evaluate(method, protocol)
    three = evaluate(AdaptiveEnsemble([method] * 3, (1 / 2, 1 / 3, 1 / 4)), protocol)
    assert abs(alone.rank(1) - three.rank(1)) < 0.005  # float32 sums break a few ties
    ensemble = AdaptiveEnsemble([method], (1 / 2,))  # its descriptor has a column more, which O must not see
    one, other = (objective(some, protocol, 1 / 4, 1.0, resamples=0).normalised for some in (method, ensemble))
    assert one == pytest.approx(other, rel=1e-6)


def test_o_refuses_a_distance_of_its_own_whose_features_nobody_knows():
    from lib.data import load_dataset, make_protocol

    class Own(Fixed):
        def distance(self, probes, gallery):
            return -probes @ gallery.T

    with pytest.raises(TypeError, match=r"say in features\(descriptors\) what the objective O compares"):
        objective(Own(), make_protocol(load_dataset("pedestrians"), "mlr"), 1 / 4, 1.0, resamples=0)


def test_an_ensemble_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="2 models for 1 ratios"):
        AdaptiveEnsemble([Fixed(), Fixed()], (0.5,))
    with pytest.raises(ValueError, match="sigma is positive"):
        AdaptiveEnsemble([Fixed()], (0.5,), sigma=0.0)
    with pytest.raises(ValueError, match=r"anchors \[2\] of 2"):
        AdaptiveEnsemble([Fixed(), Fixed()], (0.5, 0.25)).choose([2])
    with pytest.raises(ValueError, match=r"m lies in \(0, 1\)"):
        create_method("sing", ratio=2.0)


def test_the_rate_falls_after_half_and_three_quarters_as_in_the_paper():
    method = create_method("sing", weights={})
    with torch.device("meta"):
        method.setup("paper", 316)
    factors = [method.stages[0].schedule.factor(epoch, 60) for epoch in (5, 29, 30, 44, 45, 59)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
