"""RIPR: its equations by loops, its three steps, what each of them trains, the wrappers, and the recipe."""

from __future__ import annotations

import math
from functools import partial
from types import SimpleNamespace

import miniatures as mini
import numpy as np
import pandas as pd
import pytest
import torch
import training_helpers as helpers
from torch import nn

from lib.data import PersonDataset, make_protocol
from lib.data.augmentation import Augmentation
from lib.data.batches import Batch, TrainingBatches
from lib.data.canvases import Canvases
from lib.data.sampling import Draws
from lib.evaluation import extract
from lib.evaluation.objective_draws import objective_draws
from lib.experiments import ripr as experiments
from lib.experiments.claims import table
from lib.experiments.published import published
from lib.experiments.study import Cell
from lib.methods import create_method
from lib.methods.method import Method
from lib.methods.ripr import Ripr, gaussian_mask
from lib.methods.ripr_code import row_mask
from lib.methods.wrapped import Given, Swapped
from lib.models.backbones import create_backbone
from lib.models.dual_stream import StreamWeight
from lib.models.heads import BNNeck, LinearHead
from lib.training import fit
from lib.training.optim import create_optimizer, select_trainable, set_rate
from lib.training.randomness import seeded

SMALL = {"canvas": (32, 16), "backbone": "bottleneck-8-1", "network": "ffsr-narrow", "batch": (4, 2)}
VARIED = ("1", "3/4", "1/2", "1/4")
QUIET = {"device": "cpu", "precision": "fp32", "progress": False}
RECOGNISE = ("backbone", "pool", "head")


def built(name: str = "ripr", identities: int = 12, seed: int = 0, profile: str = "quick", **settings) -> Ripr:
    method = create_method(name, **{**SMALL, **settings})
    with seeded(seed):
        method.setup(profile, identities)
    return method


def on_meta(profile: str = "paper", name: str = "ripr", **settings) -> Ripr:
    """Shapes and steps only: nothing is computed."""
    method = create_method(name, **settings)
    with torch.device("meta"):
        method.setup(profile, 8)
    return method


def lively(method: Ripr) -> Ripr:
    """Weights that depend on the image, batch statistics that are not 0 and 1, an FFSR that changes something."""
    torch.manual_seed(3)
    with torch.no_grad():
        for part in method.modules():
            if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
                part.running_mean.normal_(std=0.1)
                part.running_var.uniform_(0.5, 1.5)
            if isinstance(part, StreamWeight):
                part.out.weight.normal_()
                part.out.bias.normal_()
        for parameter in method.sr.parameters():
            parameter += 0.01 * torch.randn_like(parameter)
    return method.eval()


def batch_of(ratios: tuple[str, ...] = VARIED, masks: bool = True, size=(32, 16), pad: int = 2, **options) -> Batch:
    """A real batch, flipped and cropped, with synthetic images."""
    protocol = helpers.tiny_protocol(helpers.tiny_people(masks=masks), ratios)
    canvases = Canvases(protocol, size, enlargement="bilinear")
    options = {"identities": 4, "images": 2} | options
    return next(TrainingBatches(canvases, protocol.rows("train"), Augmentation(pad=pad), **options).epoch(0))[0]


def trained(method: Method, runs, protocol=None, seed: int = 0, **options):
    return fit(method, protocol or helpers.tiny_protocol(ratios=VARIED), seed=seed, runs=runs, **QUIET, **options)


def tiny(name: str = "ripr", **settings) -> Ripr:
    return create_method(name, **{**SMALL, **settings})


def changed(before: Method, after: Method) -> set[str]:
    """Parts of which anything, batch statistics included, is another bit."""
    a, b = before.state_dict(), after.state_dict()
    assert a.keys() == b.keys()
    return {name.split(".")[0] for name in a if not torch.equal(a[name], b[name])}


# ---- Eq. 4 to 9


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("streams", ["rife", "weighted"])
def test_the_losses_are_those_of_the_equations(streams, reduction):
    method, batch = lively(built(streams=streams, reduction=reduction, mask="gaussian")), batch_of()
    terms = method.losses(batch, method.stages[2])
    foreground, identity, weighting = 0.0, 0.0, 0.0
    with torch.no_grad():
        for i in range(len(batch)):
            r, label = float(batch.resolution[i]), int(batch.labels[i])
            picture = method.sr(batch.images[i : i + 1])
            errors = (picture[0] - batch.hr[i]).double()
            for y in range(32):
                for x in range(16):
                    v, u = batch.position[i, :, y, x].tolist()
                    m = math.exp(-((v - 0.5) ** 2 + (u - 0.5) ** 2) / (2 * 0.25**2))
                    foreground += sum((m * float(errors[c, y, x])) ** 2 for c in range(3))  # Eq. 5
            maps, weights = method.backbone.streams(picture)
            for low, high in weights[0].tolist():
                weighting += (low - (1 - r)) ** 2 + (high - r) ** 2  # Eq. 7, summed over the blocks (Eq. 9)
            logits = method.head(maps.mean((2, 3)))[1][0].double().tolist()
            identity += math.log(sum(math.exp(z) for z in logits)) - logits[label]  # Eq. 8
    values = len(batch) * (3 * 32 * 16 if reduction == "mean" else 1)
    assert weights.shape[1] == {"rife": 4, "weighted": 1}[streams]
    assert terms.keys() == {"foreground", "identity", "weighting"}
    assert terms["foreground"].item() == pytest.approx(foreground / values, rel=1e-4)
    assert terms["identity"].item() == pytest.approx(identity / len(batch), rel=1e-4)
    assert terms["weighting"].item() == pytest.approx(weighting / len(batch), rel=1e-4)


def test_weights_of_a_half_by_hand():
    """At the start w_L = w_H = 1/2, so Eq. 7 is 2 (r - 1/2)^2, four times."""
    method, batch = built(), batch_of()
    found = method.losses(batch, method.stages[1])["weighting"]
    assert found.item() == pytest.approx(np.mean([8 * (r - 0.5) ** 2 for r in batch.resolution.tolist()]), rel=1e-5)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.1), (0.5, 0.3), (2.0, 0.0)])
def test_what_is_minimised_is_eq_4_with_eq_9(alpha, beta, tmp_path):
    """The loop's own total, in all three steps."""
    history = trained(tiny(alpha=alpha, beta=beta, epochs=(1, 1, 1)), tmp_path).history.set_index("stage")
    steps = {name: row.dropna() for name, row in history.iterrows()}
    assert list(steps) == ["restore", "features", "joint"]
    terms = {name: set(row.index) & {"foreground", "identity", "weighting"} for name, row in steps.items()}
    assert terms["restore"] == {"foreground"} and terms["features"] == {"identity", "weighting"}
    assert terms["joint"] == {"foreground", "identity", "weighting"}
    for row in steps.values():
        reid = row.get("identity", 0) + beta * row.get("weighting", 0)
        assert row["total"] == pytest.approx(row.get("foreground", 0) + alpha * reid, rel=1e-5)


def test_alpha_and_beta_are_the_weights_of_the_stages():
    restore, features, joint = built(alpha=3.0, beta=0.2).stages
    reid = {"identity": 3.0, "weighting": pytest.approx(0.6)}
    assert (restore.weights, features.weights, joint.weights) == ({"foreground": 1.0}, reid, {"foreground": 1.0} | reid)
    assert [s.weights for s in built(streams="one", alpha=3.0).stages[1:]] == [
        {"identity": 3.0},
        {"foreground": 1.0, "identity": 3.0},
    ]


@pytest.mark.parametrize("streams", ["one", "equal", "weighted", "rife"])
def test_terms_of_each_structure(streams):
    method, batch = built(streams=streams), batch_of()
    terms = method.losses(batch, method.stages[1])
    if streams == "one":
        assert terms.keys() == {"identity"}
    else:
        assert terms.keys() == {"identity", "weighting"}
    if streams == "equal":
        assert terms["weighting"] == 0  # no block, nothing to weigh
    assert all(value.isfinite() for value in terms.values())


@pytest.mark.parametrize(
    ("step", "term", "reached"),
    [
        (0, "foreground", {"sr"}),
        (1, "identity", {"backbone", "head"}),
        (1, "weighting", {"backbone"}),
        (2, "foreground", {"sr"}),
        (2, "identity", {"sr", "backbone", "head"}),
        (2, "weighting", {"sr", "backbone"}),
    ],
)
def test_each_loss_reaches_the_parts_it_should(step, term, reached):
    method = lively(built())
    method.losses(batch_of(), method.stages[step])[term].backward()
    found = {n.split(".")[0] for n, p in method.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert found == reached


# ---- masks


def closed_form(height: int, width: int, share: float) -> np.ndarray:
    y, x = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    return np.exp(-((y[:, None] - 0.5) ** 2 + (x[None] - 0.5) ** 2) / (2 * share**2))


@pytest.mark.parametrize("share", [0.1, 0.25, 1.0])
@pytest.mark.parametrize("size", [(32, 16), (7, 5)])
def test_the_gaussian_mask_is_the_closed_form(size, share):
    y, x = (torch.arange(n) + 0.5 for n in size)
    position = torch.stack(torch.meshgrid(y / size[0], x / size[1], indexing="ij"))[None]
    found = gaussian_mask(position, share)
    assert found.shape == (1, 1, *size) and found.min() > 0 and found.max() <= 1
    np.testing.assert_allclose(found[0, 0], closed_form(*size, share), rtol=1e-5)
    if size == (7, 5):
        assert found[0, 0, 3, 2] == 1  # the middle pixel of odd sides


def test_the_mask_of_the_published_code_is_its_loop():
    """As the code computes it, row by row on 256 x 128: the column plays no part."""
    y, x = (torch.arange(256) + 0.5) / 256, (torch.arange(128) + 0.5) / 128
    found = row_mask(torch.stack(torch.meshgrid(y, x, indexing="ij"))[None])[0, 0]
    rows = [2 ** (-abs(i - 127.5) / 256) * 2 ** (-abs(i - 63.5) / 128) for i in range(256)]
    np.testing.assert_allclose(found, np.repeat(np.array(rows)[:, None], 128, 1), rtol=1e-5)
    assert found[:, 0].argmax() in (63, 64) and float(found.max()) == pytest.approx(0.84, abs=0.005)
    assert float(found[-1, 0]) == pytest.approx(0.25, abs=0.005)


def test_the_loss_of_the_published_code():
    """0.1 and 0.01 beside the identities' 1, up to a common factor; one step that trains all."""
    method = create_method("ripr-as-coded", **SMALL)
    method.setup("quick", 4)
    (stage,) = method.stages
    weights = {name: value / stage.weights["identity"] for name, value in stage.weights.items()}
    assert weights == pytest.approx({"identity": 1.0, "foreground": 0.1, "weighting": 0.01})
    assert stage.name == "joint" and set(stage.trains) == {"sr", *RECOGNISE}
    assert sum(Ripr.defaults("quick").epochs[1:]) == stage.epochs


def test_one_standard_deviation_by_hand():
    """At a quarter of the height from the middle, with a width of a quarter: exp(-1/2)."""
    found = gaussian_mask(torch.tensor([0.25, 0.5]).view(1, 2, 1, 1), 0.25)
    assert found.item() == pytest.approx(math.exp(-0.5))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("down", "right"), [(0, 0), (-3, 2), (3, -3), (1, 0)])
def test_the_mask_follows_shift_and_flip(down, right, flip):
    """The mask of the whole canvas, flipped, its border repeated, cropped: by NumPy."""
    protocol = helpers.tiny_protocol()
    source = TrainingBatches(
        Canvases(protocol, (32, 16)), protocol.rows("train"), Augmentation(pad=3), identities=4, images=2
    )
    drawn = {"shift": [(down + 3.5) / 7, (right + 3.5) / 7], "flip": [0.0 if flip else 0.9]}

    class Chosen(Draws):
        def __call__(self, name, count=1):
            return torch.tensor([drawn.get(name, [0.5] * count)] * 2)

    batch = source.make(torch.tensor([0, 7]), Chosen(0, 0, 0, 2))

    def by_hand(whole: np.ndarray) -> np.ndarray:
        whole = np.fliplr(whole) if flip else whole
        return np.pad(whole, 3, mode="edge")[3 + down : 35 + down, 3 + right : 19 + right]

    outline = np.zeros((32, 16))
    outline[:, :8] = 1
    expected = {"gaussian": closed_form(32, 16, 0.25), "person": outline, "background": 1 - outline}
    for kind, whole in expected.items():
        found = built(mask=kind).mask(batch)
        assert found.shape == (2, 1, 32, 16)
        np.testing.assert_allclose(found[:, 0], np.stack([by_hand(whole)] * 2), rtol=1e-5)


def test_the_kinds_of_mask():
    batch = batch_of()
    assert torch.equal(built(mask="none").mask(batch), torch.ones(len(batch), 1, 32, 16))
    assert torch.equal(built(mask="person").mask(batch), batch.mask)
    assert torch.equal(built(mask="background").mask(batch) + batch.mask, torch.ones_like(batch.mask))
    assert 0 < batch.mask.mean() < 1


@pytest.mark.parametrize("kind", ["person", "background"])
def test_a_set_without_masks_is_told_what_to_do(kind):
    batch = batch_of(masks=False)
    with pytest.raises(ValueError, match=rf"mask='{kind}'.*masks_from_folder.*segmented.*mask='gaussian'"):
        built(mask=kind).mask(batch)
    assert built(mask="gaussian").mask(batch).shape == (len(batch), 1, 32, 16)  # a function of the place alone


# ---- what FFSR learns from


class Recorder(nn.Module):
    """In the place of FFSR: darkens, and writes down what it was given."""

    def __init__(self):
        super().__init__()
        self.factor, self.seen = nn.Parameter(torch.tensor(0.9)), []

    def forward(self, images):
        self.seen.append(images)
        return self.factor * images


@pytest.mark.parametrize("pairs", ["protocol", "synthetic"])
@pytest.mark.parametrize("step", ["restore", "joint"])
def test_the_pairs(pairs, step):
    method, batch = built(pairs=pairs, mask="none"), batch_of()
    method.sr = Recorder()
    stage = next(s for s in method.stages if s.name == step)
    found = method.losses(batch, stage)["foreground"]
    lr = batch.original.at(batch.pick("degrade", method.settings.ratios))
    low = batch.images if pairs == "protocol" else lr
    assert not torch.equal(batch.images, lr) and not torch.equal(low, batch.hr)
    assert found.item() == pytest.approx((0.9 * low - batch.hr).double().square().mean().item(), rel=1e-5)
    if step == "joint" and pairs == "synthetic":
        expected = [batch.images, lr]
    else:
        expected = [low]  # in the joint step, too, once is enough
    assert len(method.sr.seen) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(method.sr.seen, expected, strict=True))


def test_step_two_sees_the_pictures_as_they_come():
    method, batch = built(), batch_of()
    method.sr = Recorder()
    method.losses(batch, method.stages[1])
    assert method.sr.seen == []


def test_there_are_no_grey_boxes_to_paint():
    assert built().augmentation.erase == 0


# ---- the steps


def test_three_steps_and_what_they_train():
    stages = built().stages
    assert [(s.name, s.trains) for s in stages] == [
        ("restore", ("sr",)), ("features", RECOGNISE), ("joint", ("sr", *RECOGNISE)),
    ]  # fmt: skip
    assert [s.name for s in built("ripr-apart").stages] == ["restore", "features", "joint"]
    assert built("ripr-apart").stages[2].trains == RECOGNISE


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [((0, 3, 1), ["features", "joint"]), ((2, 0, 1), ["restore", "joint"]), ((0, 0, 0), []), ((4, 0, 0), ["restore"])],
)
def test_a_step_without_epochs_is_left_out(epochs, expected):
    stages = built(epochs=epochs).stages
    assert [s.name for s in stages] == expected
    assert [s.epochs for s in stages] == [e for e in epochs if e]


@pytest.mark.parametrize("network", ["bilinear", "bicubic"])
def test_interpolation_learns_in_the_second_step_only(network):
    method = built(network=network, epochs=(2, 3, 4))
    assert [(s.name, s.epochs) for s in method.stages] == [("features", 3)]
    assert method.enlargement == network


def test_pictures_are_enlarged_bilinearly():
    assert built().enlargement == built(network="srcnn").enlargement == "bilinear"


def test_the_papers_settings():
    """§5.2: SGD, 60 epochs a step, 32 images, 0.01, 0.01 and 0.001, a tenth after 30, alpha 1, beta 0.1, 256-D."""
    method = on_meta()
    stages = method.stages
    assert [s.epochs for s in stages] == [60, 60, 60] and {s.optimizer for s in stages} == {"sgd"}
    rates = [[s.lr * s.schedule.factor(e, 60) for e in (0, 29.9, 30, 59.9)] for s in stages]
    for found, first in zip(rates, (0.01, 0.01, 0.001), strict=True):
        assert found == pytest.approx([first, first, first / 10, first / 10])
    assert {(s.identities, s.images) for s in stages} == {(8, 4)}
    assert stages[-1].weights == {"foreground": 1.0, "identity": 1.0, "weighting": 0.1}
    assert method.canvas == (256, 128) and method.enlargement == "bilinear"
    assert isinstance(method.head, LinearHead) and method.head.reduce.out_features == 256
    assert method.head.reduce.in_features == 2048 and method.backbone.name == "resnet50"
    assert method.backbone.blocks == 4
    assert all(set(s.lr_multipliers.values()) <= {1.0} for s in stages)  # one rate for all parts
    widths = [layer.out_channels for layer in (method.sr.first, *method.sr.down, *method.sr.up)]
    assert widths == [32, 64, 128, 64, 32]
    assert {f.low.hidden.out_features for f in method.backbone.fusions} == {64}
    assert {f.high.out.out_features for f in method.backbone.fusions} == {1}


def test_only_what_predicts_the_weights_has_a_rate_of_its_own():
    method = built(fusion_rate=7.0)
    stage = method.stages[1]
    select_trainable(method, stage)
    optimizer = create_optimizer(method, stage)
    rate = set_rate(optimizer, stage, 1.0)
    found = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in method.named_parameters():
        if name.startswith(("backbone.", "head.")) and parameter.requires_grad:
            assert found.pop(id(parameter)) == pytest.approx(rate * (7 if ".fusions." in name else 1)), name
    assert not found  # nothing else learns


def test_a_smaller_profile_has_its_own_head():
    assert isinstance(built().head, BNNeck)
    assert isinstance(built(descriptor=24).head, LinearHead) and built(descriptor=24).head.reduce.out_features == 24
    assert isinstance(on_meta(descriptor=0).head, BNNeck)
    with torch.no_grad():
        assert lively(built(descriptor=24)).embed(Batch(torch.rand(2, 3, 32, 16)), "probe").shape == (2, 24)


@pytest.mark.parametrize("epochs", [2, 5, 60])
def test_the_rate_falls_in_the_middle(epochs):
    stage = on_meta(epochs=(epochs,) * 3).stages[0]
    assert stage.schedule.factor(0, epochs) == 1 and stage.schedule.factor(epochs / 2, epochs) == pytest.approx(0.1)


@pytest.mark.parametrize("epochs", [1, 3])
def test_one_epoch_at_least_runs_at_the_full_rate(epochs):
    stage = on_meta(epochs=(epochs,) * 3).stages[0]
    assert stage.schedule.factor(0.99, epochs) == 1


def test_settings_that_make_no_sense():
    for settings, message in (
        ({"mask": "oval"}, "unknown mask 'oval'; known: none, gaussian, person, background"),
        ({"pairs": "both"}, "unknown pairs 'both'; known: protocol, synthetic"),
        ({"mask_width": 0.0}, "width above 0"),
        ({"alpha": -1.0}, "not negative"),
        ({"beta": -0.1}, "not negative"),
        ({"epochs": (1, 2)}, "epochs is 3 values, such as"),
        ({"lr": (0.1,)}, "lr is 3 values"),
    ):
        with pytest.raises(ValueError, match=message):
            create_method("ripr", **settings)


# ---- what is trained, bit by bit


@pytest.mark.parametrize(
    ("name", "epochs", "expected"),
    [
        ("ripr", (1, 0, 0), {"sr"}),
        ("ripr", (0, 1, 0), {"backbone", "head"}),
        ("ripr", (0, 0, 1), {"sr", "backbone", "head"}),
        ("ripr-apart", (0, 0, 1), {"backbone", "head"}),
    ],
)
def test_each_step_changes_its_parts_and_nothing_else(name, epochs, expected, tmp_path):
    run = trained(tiny(name, epochs=epochs), tmp_path)
    assert changed(built(name, epochs=epochs), run.method) == expected


def test_without_the_joint_learning_the_frozen_ffsr_still_restores():
    """The control sees FFSR's pictures, not the bilinear ones, and has no pixel loss."""
    method, batch = built("ripr-apart"), batch_of()
    method.sr = Recorder()
    stage = method.stages[2]
    select_trainable(method, stage)
    terms = method.losses(batch, stage)
    assert terms.keys() == {"identity", "weighting"} and torch.equal(method.sr.seen[0], batch.images)
    sum(terms.values()).backward()
    assert method.sr.factor.grad is None


def test_training_learns_the_weights(tmp_path):
    """Eq. 7 falls below what constant weights reach, 8 times the variance of r; all weights stay in [0, 1]."""
    protocol = helpers.tiny_protocol(ratios=("1", "1/4"))
    method = tiny(backbone="basic-8-1", epochs=(0, 16, 0), lr=(1e-3, 2e-3, 1e-3), fusion_rate=5.0, beta=1.0)
    run = trained(method, tmp_path, protocol)
    weighting = run.history["weighting"].to_numpy()
    assert weighting[-1] < 0.7 * 8 * np.var([1, 1 / 4]) and weighting[-1] < 0.7 * weighting[0]
    with torch.no_grad():
        weights = run.method.describe(batch_of(ratios=("1", "1/4"), pad=0).images)[1]
    assert weights.min() >= 0 and weights.max() <= 1


def test_same_seed_same_weights(tmp_path):
    first = trained(tiny(epochs=(1, 1, 1)), tmp_path / "a").method
    again = trained(tiny(epochs=(1, 1, 1)), tmp_path / "b").method
    other = trained(tiny(epochs=(1, 1, 1)), tmp_path / "c", seed=1).method
    assert helpers.same_weights(first, again) and not helpers.same_weights(first, other)


@pytest.mark.parametrize("stop", [2, 11, 19], ids=["restore", "features", "joint"])  # 8 steps an epoch
def test_a_resumed_run_ends_in_the_same_weights(stop, tmp_path, monkeypatch):
    whole = trained(tiny(epochs=(1, 1, 1), mask="person", pairs="synthetic"), tmp_path / "whole")
    assert whole.history["steps"].tolist() == [8, 8, 8]
    calls, losses = [], Ripr.losses

    def failing(method, batch, stage):
        calls.append(stage.name)
        if len(calls) > stop:
            raise KeyboardInterrupt
        return losses(method, batch, stage)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Ripr, "losses", failing)
        method = tiny(epochs=(1, 1, 1), mask="person", pairs="synthetic")
        trained(method, tmp_path / "stopped", checkpoint_steps=1)
    again = trained(tiny(epochs=(1, 1, 1), mask="person", pairs="synthetic"), tmp_path / "stopped")
    assert not again.reused and again.key == whole.key and again.provenance["steps"] == 24
    assert helpers.same_weights(whole.method, again.method)
    drop = ["images_per_second", "seconds"]
    pd.testing.assert_frame_equal(whole.history.drop(columns=drop), again.history.drop(columns=drop))


# ---- first weights


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """A run of all three steps."""
    return trained(tiny(epochs=(1, 1, 1)), tmp_path_factory.mktemp("earlier"), seed=5)


def reid_of(run) -> dict:
    return {"backbone": run, "head": run}


def test_a_run_is_gone_on_with(earlier, tmp_path):
    start = built(epochs=(0, 0, 0))
    reid = trained(tiny(epochs=(0, 0, 0), weights=reid_of(earlier)), tmp_path / "reid").method
    assert changed(earlier.method, reid) == {"sr"} and changed(start, reid) == {"backbone", "head"}
    sr = trained(tiny(epochs=(0, 0, 0), weights={"sr": earlier}), tmp_path / "sr").method
    assert changed(earlier.method, sr) == {"backbone", "head"} and changed(start, sr) == {"sr"}
    both = trained(tiny(epochs=(0, 0, 0), weights={"sr": earlier} | reid_of(earlier)), tmp_path / "both").method
    assert helpers.same_weights(both, earlier.method)


def test_the_re_id_part_of_a_bilinear_run_goes_behind_an_ffsr(earlier, tmp_path):
    """As the recipe does: RIFE alone, then FFSR of another run before it."""
    alone = trained(tiny(network="bilinear", epochs=(0, 1, 0)), tmp_path / "alone")
    weights = {"sr": earlier} | reid_of(alone)
    method = trained(tiny(epochs=(0, 0, 0), weights=weights), tmp_path / "joined").method
    assert helpers.same_weights(method.sr, earlier.method.sr)
    for part in ("backbone", "head"):
        assert helpers.same_weights(method.get_submodule(part), alone.method.get_submodule(part))


@pytest.mark.parametrize("streams", ["rife", "equal", "weighted"])
def test_both_streams_are_copies_of_a_plain_backbone(streams, tmp_path):
    torch.manual_seed(8)
    plain = create_backbone("bottleneck-8-1")
    torch.save(plain.state_dict(), tmp_path / "plain.pt")
    method = tiny(streams=streams, epochs=(0, 0, 0), weights={"backbone": tmp_path / "plain.pt"})
    features = trained(method, tmp_path).method.backbone
    # two copies that are averaged would get the same gradient for ever: there noise sets the second apart
    assert helpers.same_weights(features.low, features.high) == (streams != "equal")
    if streams == "rife":
        assert all(helpers.same_weights(features.low[t], plain.stages[t]) for t in range(4))
        assert all(helpers.same_weights(getattr(features.stem, p), getattr(plain, p)) for p in ("conv1", "bn1"))
    else:
        assert helpers.same_weights(features.low, plain)


# ---- description


def test_a_probe_and_a_gallery_image_of_the_same_pixels_are_the_same():
    method, images = lively(built()), torch.rand(3, 3, 32, 16)
    with torch.no_grad():
        probe, gallery = (
            method.embed(Batch(images, r * torch.ones(3)), role) for r, role in ((1.0, "probe"), (0.3, "gallery"))
        )
        restored = method.sr(images)
        assert torch.equal(probe, gallery) and not torch.allclose(restored, images, atol=1e-3)
        method.sr = nn.Identity()
        torch.testing.assert_close(method.embed(Batch(restored), "gallery"), probe)  # Eq. 3, for all
    torch.testing.assert_close(probe.norm(dim=1), torch.ones(3))  # behind the BNNeck


@pytest.mark.parametrize(("streams", "blocks"), [("rife", 4), ("weighted", 1), ("equal", 0), ("one", None)])
def test_described_with_their_weights(streams, blocks):
    method, images = lively(built(streams=streams)), torch.rand(3, 3, 32, 16)
    with torch.no_grad():
        features, weights = method.describe(images)
        assert features.shape == (3, method.backbone.channels)
        assert weights is None if blocks is None else weights.shape == (3, blocks, 2)
        if blocks:
            assert weights.min() >= 0 and weights.max() <= 1 and weights.std() > 0.01
        same, _ = method.describe(images, lambda w: w)
        torch.testing.assert_close(same, features)


def test_at_resolution_zero_the_high_stream_learns_nothing():
    """Weights where Eq. 7 wants them: w_L = 1, w_H = 0; neither loss moves the high stream (§4.2)."""
    method, batch = built(), batch_of()
    for fusion in method.backbone.fusions:
        nn.init.constant_(fusion.low.out.bias, 200.0)
        nn.init.constant_(fusion.high.out.bias, -200.0)
    batch.resolution = torch.zeros(len(batch))
    method.train()
    terms = method.losses(batch, method.stages[1])
    assert terms["weighting"] == 0
    (terms["identity"] + 0.1 * terms["weighting"]).backward()
    assert all(p.grad is None or not p.grad.any() for p in method.backbone.high.parameters())
    assert all(p.grad.any() for p in method.backbone.low.parameters())


# ---- wrappers


def embedded(method: Method, images, r):
    with torch.no_grad():
        return method.eval().embed(Batch(images, r), "probe")


@pytest.mark.parametrize("streams", ["rife", "weighted"])
def test_swapping_twice_is_the_method_itself(streams):
    method, images, r = lively(built(streams=streams)), torch.rand(3, 3, 32, 16), torch.tensor([0.2, 0.5, 1.0])
    once, plain = Swapped(method), embedded(method, images, r)
    assert not torch.allclose(embedded(once, images, r), plain, atol=1e-3)

    class Twice(Swapped):
        def weights(self, predicted, batch):
            return super().weights(super().weights(predicted, batch), batch)

    torch.testing.assert_close(embedded(Twice(method), images, r), plain)
    predicted = torch.rand(3, method.backbone.blocks, 2)
    swapped = once.weights(predicted, Batch(images, r))
    assert torch.equal(swapped[..., 0], predicted[..., 1]) and torch.equal(swapped[..., 1], predicted[..., 0])


def test_swapped_weights_are_those_of_exchanged_streams():
    """Oracle: the modules themselves exchanged, with the weights that the method predicted."""
    method, images, r = lively(built()), torch.rand(3, 3, 32, 16), torch.ones(3)
    found = embedded(Swapped(method), images, r)
    with torch.no_grad():
        predicted = method.describe(images)[1]
        method.backbone.low, method.backbone.high = method.backbone.high, method.backbone.low
        torch.testing.assert_close(method.describe(images, lambda _: predicted)[0], found)


@pytest.mark.parametrize("streams", ["rife", "weighted"])
def test_the_resolution_given_is_that_predicted(streams):
    """Where the prediction is (1 - r, r) in every block, giving r changes nothing."""
    method, images = lively(built(streams=streams)), torch.rand(3, 3, 32, 16)
    for fusion in method.backbone.fusions:
        for weight, sign in ((fusion.low, -1), (fusion.high, 1)):
            nn.init.zeros_(weight.out.weight)
            nn.init.constant_(weight.out.bias, sign * 0.8)
    r = torch.full((3,), 1 / (1 + math.exp(-0.8)))
    torch.testing.assert_close(embedded(Given(method), images, r), embedded(method, images, r))
    assert not torch.allclose(embedded(Given(method), images, r / 4), embedded(method, images, r), atol=1e-3)


def test_given_weights_are_one_minus_r_and_r():
    method, images = lively(built()), torch.rand(2, 3, 32, 16)
    found = Given(method).weights(torch.rand(2, 4, 2), Batch(images, torch.tensor([0.25, 1.0])))
    assert found.tolist() == [[[0.75, 0.25]] * 4, [[0.0, 1.0]] * 4]


def test_the_resolution_can_be_estimated():
    """From the pictures as they come, clamped to [0, 1]; the given resolution is not looked at."""
    method, images, seen = lively(built()), torch.rand(3, 3, 32, 16), []

    def estimate(pictures):
        seen.append(pictures)
        return torch.tensor([-0.5, 0.5, 1.5])

    found = embedded(Given(method, scale=estimate), images, torch.tensor([0.9, 0.9, 0.9]))
    assert len(seen) == 1 and torch.equal(seen[0], images)
    torch.testing.assert_close(found, embedded(Given(method), images, torch.tensor([0.0, 0.5, 1.0])))


@pytest.mark.parametrize("streams", ["one", "equal"])
@pytest.mark.parametrize("wrapper", [Swapped, Given])
def test_without_learned_weights_there_is_nothing_to_weigh(streams, wrapper):
    with pytest.raises(ValueError, match=f"no learned weights: streams='{streams}'"):
        wrapper(built(streams=streams))


def test_wrappers_are_tested_like_the_method():
    """Canvas and kernel of the method, r of the protocol."""
    method, protocol = lively(built()), make_protocol(mini.tiny(12, 2, 2, width=40), "vr")
    rows = protocol.rows("test", "probe")
    found = extract(Given(method), protocol, rows, role="probe")
    images = Canvases(protocol, (32, 16), enlargement="bilinear").images(rows["image"], rows["ratio"]).float() / 255
    r = torch.tensor(rows["resolution"].to_numpy(), dtype=torch.float32)
    with torch.no_grad():
        by_hand = method.describe(images, lambda w: torch.stack([1 - r, r], 1)[:, None].expand_as(w))[0]
    np.testing.assert_allclose(found, by_hand, atol=1e-5)
    assert Given(method).stages == [] and not np.allclose(found, extract(method, protocol, rows), atol=1e-3)


# ---- SING where no image has its full resolution


def test_sing_everywhere_uses_all_images_in_every_stream():
    settings = {k: v for k, v in SMALL.items() if k != "network"} | {"network": "srcnn-915-luma", "ratio": 0.5}
    method = create_method("sing-everywhere", **settings)
    with seeded(0):
        method.setup("quick", 12)
    method.eval()
    batch = batch_of(ratios=("1/2", "1/4"))
    low, high = batch.low.clone(), batch.high.clone()
    assert len(high) == 0  # everything is degraded: plain SING would have no high-resolution side
    terms = method.losses(batch, method.stages[0])
    streams = {
        "identity_hr": batch.hr,
        "identity_lr": method.sr(batch.images),
        "identity_synthetic": method.sr(batch.original.at(0.5)),
    }
    for name, pictures in streams.items():
        total = 0.0
        for picture, label in zip(pictures, batch.labels.tolist(), strict=True):
            logits = method.head(method.pool(method.backbone(picture[None])))[1][0].double().tolist()
            total += math.log(sum(math.exp(z) for z in logits)) - logits[label]
        assert terms[name].item() == pytest.approx(total / len(batch), rel=1e-4)
    errors = (method.sr(batch.original.at(0.5)) - batch.hr).double().square().sum((1, 2, 3))
    assert terms["pixel"].item() == pytest.approx(errors.mean().item(), rel=1e-4)
    assert torch.equal(batch.low, low) and torch.equal(batch.high, high)  # the caller's batch stays


def test_sing_everywhere_treats_probes_and_gallery_alike():
    method = create_method("sing-everywhere", canvas=(32, 16), backbone="bottleneck-8-1", network="srcnn-915-luma")
    with seeded(0):
        method.setup("quick", 4)
    nn.init.constant_(list(method.sr.parameters())[-1], 0.3)  # a super-resolution that brightens
    batch = Batch(torch.rand(2, 3, 32, 16))
    with torch.no_grad():
        method.eval()
        gallery = method.embed(batch, "gallery")
        assert torch.equal(gallery, method.embed(batch, "probe"))
        restored = Batch(method.sr(batch.images))
        torch.testing.assert_close(gallery, super(type(method), method).embed(restored, "gallery"))


# ---- what lessons ask of it


@pytest.mark.parametrize(("streams", "blocks"), [("rife", 4), ("weighted", 1)])
def test_weights_by_resolution(streams, blocks):
    protocol = make_protocol(mini.tiny(20, 2, 3, width=40), "vr")
    method, rows = lively(built(streams=streams)), protocol.rows("test").reset_index(drop=True)
    found = experiments.weights_by_resolution(method, protocol)
    assert list(found.columns) == ["ratio", "resolution", "block", "low", "high"]
    assert len(found) == blocks * len(rows) and set(found["block"]) == set(range(1, blocks + 1))
    images = Canvases(protocol, (32, 16), enlargement="bilinear").images(rows["image"], rows["ratio"]).float() / 255
    with torch.no_grad():
        weights = method.describe(images)[1].numpy()
    for block, part in found.groupby("block"):
        np.testing.assert_allclose(part["resolution"], rows["resolution"])  # r of the protocol
        np.testing.assert_allclose(part["ratio"], rows["ratio"])
        np.testing.assert_allclose(part[["low", "high"]], weights[:, block - 1], atol=1e-5)
    assert found["resolution"].nunique() > 5
    few = experiments.weights_by_resolution(method, protocol, people=3)
    assert len(few) == blocks * rows["pid"].isin(sorted(set(rows["pid"]))[:: rows["pid"].nunique() // 3][:3]).sum()


def test_weights_at_ratios_of_ones_own():
    """Widths of 40 and 39 pixels; width_max of VR is 32: r = 1/2 shows 16 of them, and r = 1 all that VR shows."""
    protocol, method = make_protocol(mini.tiny(12, 2, 2, width=40), "vr"), lively(built())
    found = experiments.weights_by_resolution(method, protocol, ratios=(0.5, 1.0), subset="train")
    assert len(found) == 2 * 4 * len(protocol.rows("train"))
    assert set(found.loc[found["ratio"] == 1.0, "resolution"]) == {1.0}
    assert set(found.loc[found["ratio"] == 0.5, "resolution"]) == {0.5}


def test_weights_count_an_image_once(monkeypatch):
    """Images that are probe and gallery both, in many parts."""
    picture = np.full((32, 16, 3), 90, dtype=np.uint8)
    people = PersonDataset.from_arrays(
        "many", [picture] * 300, pd.DataFrame({"pid": [f"{i // 3:03d}" for i in range(300)], "cam": ["c1"] * 300})
    )
    protocol = helpers.tiny_protocol(people, ratios=("1", "1/2"))
    doubled = SimpleNamespace(
        rows=lambda subset: pd.concat([protocol.rows("train")] * 2), dataset=people, widest=protocol.widest,
        manifest=protocol.manifest, table=protocol.table, resolution=protocol.resolution, ratio_at=protocol.ratio_at,
    )  # fmt: skip
    found = experiments.weights_by_resolution(lively(built()), doubled)
    assert len(found) == 4 * 300
    assert found.groupby("block")["resolution"].value_counts().to_dict() == {
        (block, r): 150 for block in range(1, 5) for r in (1.0, 0.5)
    }


# ---- claims beyond "this row minus that one"


class FakeStudy:
    """Untrained networks under the names of rows, in cells of one split and of several."""

    def __init__(self, cells, names):
        self.cells, self.runs = cells, {}
        for number, name in enumerate(names):
            methods = [lively(built(seed=7 * number + k)) for k in range(len(cells))]
            self.runs[name] = [
                SimpleNamespace(method=method, protocol=cell.protocol)
                for method, cell in zip(methods, cells, strict=True)
            ]
            for method, cell in zip(methods, cells, strict=True):
                with torch.no_grad():
                    list(method.sr.parameters())[-1].add_(0.02 * number)  # each is off by more than the one before
                method.trained_seed = cell.seed

    def trained(self, name, where):
        return SimpleNamespace(all_runs=[self.runs[name][self.cells.index(cell)] for cell in where])


@pytest.fixture(scope="module")
def faked():
    people = mini.tiny(20, 2, 3, width=40)
    splits = [make_protocol(people, "mlr", trial=trial) for trial in (0, 1)]
    cells = [Cell(splits[trial], seed) for seed, trial in ((0, 0), (0, 1), (1, 0), (2, 0))]
    return FakeStudy(cells, (experiments.RESNET, experiments.LONGER, *experiments.VARIANTS, experiments.APART))


def test_the_rows_of_a_lesson_are_those_of_the_record():
    made = experiments.named(experiments.FFSR, experiments.RESNET, experiments.DENSE, experiments.EQUAL)
    assert [row.name for row in made] == ["FFSR", "ResNet", "DenseNet", "two networks, equal weights"]
    with pytest.raises(KeyError, match="RIPR has no row FFSR \\(outlines\\)"):
        experiments.named(experiments.OUTLINES)
    assert experiments.named(experiments.OUTLINES, outlines=True)[0].name == experiments.OUTLINES


@pytest.mark.parametrize("table", ["1", "2", "3"])
def test_the_rows_of_the_papers_tables_are_in_them(table):
    theirs = published(f"RIPR-T{table}").query("metric == 'rank-1'")
    known = set(zip(theirs["method"], theirs["variant"].fillna(""), strict=True))
    assert set(getattr(experiments, f"TABLE_{table}").values()) <= known


def test_psnr_of_restored_pictures_by_hand(faked):
    run = faked.runs[experiments.FFSR][0]
    found = experiments.psnr_of(run.method, run.protocol)
    shown = experiments.degraded(run.protocol)
    assert (shown["ratio"] < 1).all() and not shown["image"].duplicated().any()
    canvases = Canvases(run.protocol, (32, 16), enlargement="bilinear")
    pid, values = shown["pid"].iloc[0], []
    for row in shown[shown["pid"] == pid].itertuples():
        given, wanted = (canvases.images([row.image], [r]).double() / 255 for r in (row.ratio, 1.0))
        with torch.no_grad():
            made = run.method.sr(given.float()).double().clamp(0, 1)
        values.append(-10 * math.log10(float((made - wanted).square().mean())))
    np.testing.assert_allclose(found[(shown["pid"] == pid).to_numpy()], values, atol=1e-3)
    assert found.shape == (len(shown),)


def test_a_picture_that_lost_nothing_on_its_canvas_has_no_psnr():
    """A canvas of half the pictures' size shows those at 1/2 as they are: bicubic would have infinitely many dB."""
    protocol = make_protocol(mini.tiny(12, 2, 2, width=32), "mlr", ratios=("1/2", "1/4"))
    height, width = np.asarray(protocol.dataset.image(0)).shape[:2]
    method = create_method("superres", network="bicubic", canvas=(height // 2, width // 2))
    method.setup("quick", 2)
    found, ratios = experiments.psnr_of(method, protocol), experiments.degraded(protocol)["ratio"].to_numpy()
    assert set(ratios) == {0.5, 0.25} and np.isnan(found[ratios == 0.5]).any() and not np.isinf(found).any()
    assert np.isfinite(found[ratios == 0.25]).all()


def test_where_nothing_is_degraded_the_gallery_is_halved():
    protocol = make_protocol(mini.tiny(12, 2, 2, width=40), "plain")
    shown = experiments.degraded(protocol)
    assert set(shown["ratio"]) == {0.5}
    assert set(shown["image"]) == set(protocol.rows("test", "gallery")["image"])


def test_the_difference_in_psnr_is_over_images_and_cells(faked):
    a, b = experiments.RESNET, experiments.APART
    one = experiments.psnr_difference(faked, a, b, faked.cells[:1])
    sides = [experiments.psnr_of(faked.runs[name][0].method, faked.cells[0].protocol) for name in (a, b)]
    assert one.mean == pytest.approx(float((sides[0] - sides[1]).mean()), abs=1e-5)
    assert (one.trainings, one.trials) == (1, 1) and one.low < one.mean < one.high
    every = experiments.psnr_difference(faked, a, b)
    assert (every.trainings, every.trials) == (4, 2)
    assert experiments.psnr_difference(faked, b, a).mean == pytest.approx(-every.mean)


def test_what_is_judged_follows_what_is_trained(faked, monkeypatch):
    everywhere = dict.fromkeys(faked.runs, faked.cells)
    assert experiments.judged(faked, {}) == []
    two = dict.fromkeys((experiments.APART, experiments.FFSR), faked.cells[2:])
    (row,) = experiments.judged(faked, two)
    assert (row["claim_id"], row["trainings"], row["unit"], row["negligible"]) == ("RIPR-quality", 2, "dB", 0.1)
    monkeypatch.setattr(experiments, "surfaces", partial(experiments.surfaces, grid=(0.5, 1.0), resamples=20))
    found = experiments.judged(faked, everywhere)
    assert [row["claim_id"] for row in found] == ["RIPR-level"] * 6 + ["RIPR-slope"] * 6 + ["RIPR-quality"]
    shown = table(found)
    assert (
        shown["as the paper compares"].str.contains("dB").sum() == 1
        and shown["as the paper compares"].str.contains("doublings").sum() == 6
    )


def test_the_claims_about_o(faked):
    names = (experiments.RESNET, experiments.LONGER, *experiments.VARIANTS)
    found = experiments.surfaces(faked, names, grid=(0.25, 0.5, 1.0), people=5, resamples=50)
    assert {name: len(some) for name, some in found.items()} == dict.fromkeys(
        names, 4
    )  # three of one split, and a second
    assert {some.people for part in found.values() for some in part} == {5}
    effects = experiments.levels_and_slopes(found)
    o = {name: [np.diagonal(some.points["normalised"]) for some in part] for name, part in found.items()}
    apart = [np.log(a).mean() - np.log(b).mean() for a, b in zip(o["ResNet"], o["RIFE"], strict=True)]
    by_hand = (np.mean([apart[0], apart[2], apart[3]]) + apart[1]) / 2  # the second cell is of another split
    assert effects["RIPR-level", "RIFE", "O(r, r)"].mean == pytest.approx(by_hand)
    rows = experiments.objective_claims(found)
    assert len(rows) == len({(row["claim_id"], row["variant"]) for row in rows}) == 2 * 3 * 2
    assert {(row["trainings"], row["trials"], row["negligible"]) for row in rows} == {(4, 2, 0.02)}
    control = experiments.levels_and_slopes(found, experiments.LONGER)["RIPR-level", "FFSR", "O(r, r)"]
    assert rows[0]["control_mean"] == control.mean and rows[0]["control_row"] == experiments.LONGER
    drawn = experiments.objective_effects(rows).set_index(["claim", "name"])
    level = effects["RIPR-level", "RIFE", "O(r, r)"].change()
    assert drawn.loc[("RIPR-level", "RIFE, O(r, r)"), "low"] == pytest.approx(100 * level.low)
    slope = effects["RIPR-slope", "FFSR", "O(r, 1)"]
    assert drawn.loc[("RIPR-slope", "FFSR, O(r, 1)"), "high"] == pytest.approx(100 * slope.high)
    assert len(drawn) == len(rows) and set(drawn["trainings"]) == {4}


def test_fewer_people_for_o_are_the_same_for_all(faked):
    run = faked.runs[experiments.RESNET][0]
    found = objective_draws(run.method, run.protocol, (0.5, 1.0), people=4, resamples=20)
    ids = np.sort(run.protocol.rows("test")["pid"].unique())
    assert sorted(found.ids) == sorted(ids[[0, 3, 6, 9]]) and found.people == 4
    every = objective_draws(run.method, run.protocol, (0.5, 1.0), people=1000, resamples=20)
    assert every.people == len(ids)
    with pytest.raises(ValueError, match="the number of people"):
        objective_draws(run.method, run.protocol, (0.5, 1.0), people=1, resamples=20)


def test_restoration_of_some_people():
    protocol = make_protocol(mini.tiny(20, 2, 3, width=40), "vr")
    found = experiments.restoration({}, protocol, (32, 16), (0.5,), people=4)
    ids = np.sort(protocol.rows("test")["pid"].unique())
    assert list(np.sort(found["pid"].unique())) == list(ids[[0, 3, 6, 9]])
