"""FTWA: RAFT, two encoders, weights of two streams in losses and distances, and what is measured of them."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
import training_helpers as helpers
from scipy.stats import spearmanr
from torch import nn

from lib.data import load_dataset, make_protocol
from lib.data.batches import Batch
from lib.data.canvases import Canvases
from lib.data.dataset import PersonDataset
from lib.data.protocol import Protocol
from lib.evaluation import complexity
from lib.evaluation.features import compared
from lib.experiments import ftwa, ftwa_collapse, ftwa_weights, measured, studies
from lib.experiments.study import Row, View
from lib.losses import READINGS, batch_hard_triplet, pair_shares, pixel_l1, stream_balance
from lib.methods import create_method
from lib.methods.branches import GalleryCopies, Weighed
from lib.methods.ftwa import Ftwa
from lib.methods.method import Method
from lib.methods.weighing import RULES, weighed
from lib.models.backbones import create_backbone
from lib.models.dual_stream import TwoEncoders
from lib.models.raft import Raft, RaftBlock
from lib.training import fit

SMALL = {"canvas": (32, 16), "backbone": "bottleneck-8-1"}
double = torch.float64


def built(name: str = "ftwa", identities: int = 4, profile: str = "quick", **settings) -> Method:
    torch.manual_seed(0)
    method = create_method(name, **SMALL | settings)
    method.setup(profile, identities)
    return method


def one_sided(side: str) -> Batch:
    batch = helpers.two_sided_batch()
    everyone, nobody = torch.arange(16), torch.zeros(0, dtype=torch.int64)
    batch.low, batch.high = (everyone, nobody) if side == "low" else (nobody, everyone)
    return batch


def equal_encoders(method: Method) -> Method:
    torch.manual_seed(3)
    method.backbone.load_state_dict(method.backbone.doubled(create_backbone(SMALL["backbone"]).state_dict()))
    return method


def taught(module: nn.Module) -> nn.Module:
    """No layer at zero any more."""
    torch.manual_seed(5)
    for name, p in module.named_parameters():
        if "bn" not in name:
            nn.init.normal_(p, std=0.1)
    return module


# ---- RAFT


def test_raft_has_the_size_that_was_worked_out():
    with torch.device("meta"):
        raft, narrow = Raft(2048), Raft(2048, width=64)
    cost = complexity(raft, (2048, 16, 8))
    assert cost.parameters == 2_234_048 and cost.macs == 281_051_136
    assert complexity(narrow, (2048, 16, 8)).parameters == 692_064
    assert sum(p.numel() for p in raft.blocks[0].parameters()) == 373_584
    with torch.device("meta"):
        backbone = create_backbone("resnet50")
    assert cost.parameters / sum(p.numel() for p in backbone.parameters()) == pytest.approx(0.095, abs=5e-4)


@pytest.mark.parametrize("channels", [32, 128, 256, 512])
def test_raft_is_the_identity_before_it_is_trained(channels):
    maps = torch.randn(2, channels, 5, 3)
    raft = Raft(channels)
    assert torch.equal(raft(maps), maps)
    raft(maps).square().sum().backward()
    moved = {name for name, p in raft.named_parameters() if p.grad.abs().sum() > 0}
    assert moved == {"tail.weight", "tail.bias"}  # the others follow once the last layer is not zero


def test_raft_is_what_the_figure_says():
    raft, maps = taught(Raft(32, width=4, blocks=2)), torch.randn(3, 32, 4, 2)

    def leaky(x):
        return torch.where(x > 0, x, 0.05 * x)

    def block(b, x):
        kept = []
        for conv in b.convs:
            x0 = x if not kept else rest  # noqa: F821
            y = leaky(F.conv2d(x0, conv.weight, conv.bias, padding=1))
            kept.append(y[:, :2])
            rest = y[:, 2:]  # noqa: F841
        y = torch.cat(kept, 1)
        pooled = y.mean((2, 3))
        hidden = leaky(pooled @ b.squeeze.weight[:, :, 0, 0].T + b.squeeze.bias)
        weight = torch.sigmoid(hidden @ b.excite.weight[:, :, 0, 0].T + b.excite.bias)
        return x + F.conv2d(y * weight[:, :, None, None], b.fuse.weight, b.fuse.bias)

    h = leaky(F.conv2d(maps, raft.head.weight, raft.head.bias))
    b1 = block(raft.blocks[0], h)
    b2 = block(raft.blocks[1], b1)
    y = leaky(F.conv2d(torch.cat([b1, b2], 1), raft.collect.weight, raft.collect.bias))
    y = F.conv2d(y, raft.smooth.weight, raft.smooth.bias, padding=1) + h
    torch.testing.assert_close(raft(maps), maps + F.conv2d(y, raft.tail.weight, raft.tail.bias))


def test_raft_of_a_width_or_depth_that_makes_no_sense():
    for width in (0, 3, -2):
        with pytest.raises(ValueError, match=f"even, not {width}"):
            RaftBlock(width)
    with pytest.raises(ValueError, match="at least one block"):
        Raft(64, blocks=0)
    with pytest.raises(ValueError, match="even, not 0"):
        Raft(16)


# ---- two encoders before one network


def test_both_encoders_get_the_weights_of_one_file():
    single, two = create_backbone("bottleneck-8-1"), TwoEncoders("bottleneck-8-1")
    state = two.doubled(single.state_dict())
    assert state.keys() == two.state_dict().keys()
    two.load_state_dict(state)
    images = torch.rand(3, 3, 32, 16)
    two.eval(), single.eval()
    for high, low in ((images, None), (None, images), (images[:1], images[1:]), (images, images[:0])):
        torch.testing.assert_close(two(high, low), single(images))
    own = {name: value + 1 for name, value in two.state_dict().items()}
    assert two.doubled(own) is own
    with torch.device("meta"):
        paper, plain = TwoEncoders("resnet50"), create_backbone("resnet50")
    sizes = [sum(p.numel() for p in some.parameters()) for some in (paper, plain, paper.low, paper.high)]
    assert sizes == [23_733_376, 23_508_032, 225_344, 225_344]
    with pytest.raises(ValueError, match="two streams need a residual network"):
        TwoEncoders("osnet")


def test_first_weights_of_rendered_people_fill_both_encoders(tmp_path):
    protocol = make_protocol(load_dataset("pedestrians", identities=40), "mlr")
    method = create_method("ftwa", epochs=0, weights={"backbone": "pedestrians"})
    found = fit(method, protocol, runs=tmp_path, progress=False).method.backbone
    assert helpers.same_weights(found.high, found.low)
    scratch = fit(create_method("ftwa", epochs=0), protocol, runs=tmp_path, progress=False).method.backbone
    assert not helpers.same_weights(scratch.high, scratch.low) and not helpers.same_weights(scratch.low, found.low)


# ---- Eq. 5


class Logits(nn.Module):
    """A classifier whose logits are the vectors."""

    def forward(self, vectors):
        return vectors, vectors


def eq5(ce, weights, count=2):
    """Terms of vectors whose cross-entropies are ``ce`` (B, 2) under ``weights`` (B, 2): columns high, low."""
    method = built(smoothing=0.0)
    method.heads = nn.ModuleDict({"high": Logits(), "low": Logits()})
    labels = torch.arange(len(ce)) % 2
    z = -torch.log(torch.expm1(ce))  # log(1 + exp(-z)) = ce
    zero = torch.zeros(len(ce))
    high, low = (torch.stack([torch.where(labels == k, logit, zero) for k in (0, 1)], 1) for logit in z.unbind(1))
    return method.attention_terms(high, low, labels, torch.log(weights), count)


CE = torch.tensor([[0.5, 1.5], [1.0, 2.0], [1.0, 2.0], [0.8, 0.4]], dtype=double)
AB = torch.tensor([[0.8, 0.2], [0.5, 0.5], [0.3, 0.6], [0.75, 0.25]], dtype=double)


def test_eq_5_and_its_derivatives():
    weights = AB.clone().requires_grad_()
    terms = eq5(CE, weights)
    assert terms["identity_hr"].item() == pytest.approx((0.7 + 1.5) / 2, abs=1e-6)
    assert terms["identity_lr"].item() == pytest.approx((5 / 3 + 0.7) / 2, abs=1e-6)
    loss = terms["identity_hr"] + terms["identity_lr"]
    assert loss.item() == pytest.approx(2.283333, abs=1e-6)
    (gradient,) = torch.autograd.grad(loss, weights)
    expected = [[-0.1, 0.4], [-0.25, 0.25], [-0.370370, 0.185185], [0.05, -0.15]]
    np.testing.assert_allclose(gradient, expected, atol=1e-6)
    np.testing.assert_allclose((gradient * weights.detach()).sum(1), 0, atol=1e-12)  # degree 0
    feeds = gradient[:, 0] < 0  # a rises where the high stream has the lower loss, and falls where it has not
    assert torch.equal(feeds, CE[:, 0] < CE[:, 1])


def test_the_scale_of_an_image_s_weights_changes_nothing():
    scaled = eq5(CE, AB * torch.tensor([[0.01], [1.0], [0.5], [1e-9]], dtype=double))
    for name, value in eq5(CE, AB).items():
        if name.startswith("identity"):
            torch.testing.assert_close(scaled[name], value)


def test_equal_weights_are_the_plain_average_and_all_weight_is_one_stream():
    half, high = eq5(CE, torch.full_like(AB, 0.3)), eq5(CE, torch.tensor([[1.0, 1e-300]] * 4, dtype=double))
    assert half["identity_hr"].item() == pytest.approx(CE[:2].mean().item())
    assert high["identity_lr"].item() == pytest.approx(CE[2:, 0].mean().item())


# ---- Eq. 6 and 7

LABELS = torch.tensor([0, 0, 1, 1])
H, L = (torch.tensor(v, dtype=double)[:, None] for v in ([0, 1, 2, 4], [0, 2, 1, 3]))
A, B_ = (torch.tensor(v, dtype=double) for v in ([0.9, 0.4, 0.8, 0.5], [0.1, 0.6, 0.2, 0.5]))
ON_LOW = torch.tensor([False, True, False, True])


def eq7(high, low, labels, logs, on_low, reading, margin=0.3):
    pairs = pair_shares(high, low, labels, logs, on_low, reading)
    return sum(batch_hard_triplet(v, labels, margin, w) for v, w in zip((high, low), pairs.unbind(1), strict=True))


@pytest.mark.parametrize(("reading", "expected"), [("anchor", 0.547143), ("scalar", 0.559677), ("batch", 0.567391)])
def test_eq_7_in_three_readings(reading, expected):
    logs = torch.stack([A, B_], 1).log()
    assert eq7(H, L, LABELS, logs, ON_LOW, reading).item() == pytest.approx(expected, abs=1e-6)
    assert eq7(H, L, LABELS, logs - 3.0, ON_LOW, reading).item() == pytest.approx(expected, abs=1e-6)  # any scale
    equal = torch.full((4, 2), -0.5, dtype=double)
    assert eq7(H, L, LABELS, equal, ON_LOW, reading).item() == pytest.approx(0.85, abs=1e-6)
    order = torch.tensor([2, 0, 3, 1])
    moved = eq7(H[order], L[order], LABELS[order], logs[order], ON_LOW[order], reading)
    assert moved.item() == pytest.approx(expected, abs=1e-6)


def test_the_readings_against_loops():
    torch.manual_seed(2)
    labels, on_low = torch.arange(12) % 4, torch.arange(12) < 5
    high, low = (torch.randn(12, 3, dtype=double) for _ in range(2))
    logs = F.logsigmoid(torch.randn(12, 2, dtype=double))
    a, b = logs.exp().unbind(1)
    t, w = np.zeros((12, 2)), np.zeros((12, 2))
    for k, (vectors, weight) in enumerate(((high, a), (low, b))):
        for i in range(12):
            apart = [(vectors[i] - v).norm() for v in vectors]
            p = max((j for j in range(12) if labels[j] == labels[i]), key=lambda j: apart[j])
            n = min(d for j, d in enumerate(apart) if labels[j] != labels[i])
            t[i, k], w[i, k] = max(0.0, 0.3 + apart[p] - n), weight[i] * weight[p]
    scalar = [some[on_low].mean() * some[~on_low].mean() for some in (a, b)]
    expected = {
        "anchor": np.mean((w * t).sum(1) / w.sum(1)),
        "batch": (w * t).sum() / w.sum(),
        "scalar": float((scalar[0] * t[:, 0].mean() + scalar[1] * t[:, 1].mean()) / sum(scalar)),
    }
    for reading in READINGS:
        assert eq7(high, low, labels, logs, on_low, reading).item() == pytest.approx(expected[reading], abs=1e-6)
    everyone = eq7(high, low, labels, logs, on_low & False, "scalar")  # one side only: the means are over all
    means = a.mean() ** 2, b.mean() ** 2
    expected = (means[0] * t[:, 0].mean() + means[1] * t[:, 1].mean()) / sum(means)
    assert everyone.item() == pytest.approx(float(expected), abs=1e-6)
    with pytest.raises(ValueError, match="unknown reading 'median'"):
        pair_shares(high, low, labels, logs, on_low, "median")


@pytest.mark.parametrize("reading", READINGS)
def test_weights_that_vanish_make_no_0_over_0(reading):
    """As printed, equal weights of 1e-30 give 0 / 0 in float32, and so do those of logits of -9 in fp16."""
    logits = torch.full((4, 2), -100.0).requires_grad_()
    loss = eq7(H.float(), L.float(), LABELS, F.logsigmoid(logits), ON_LOW, reading)
    loss.backward()
    assert loss.item() == pytest.approx(0.85, abs=1e-5) and logits.grad.isfinite().all()
    narrow = F.logsigmoid(torch.full((4, 2), -9.0, dtype=torch.float16))
    assert eq7(H.half(), L.half(), LABELS, narrow, ON_LOW, reading).item() == pytest.approx(0.85, abs=1e-3)


def test_one_quotient_over_the_batch_can_be_cheated():
    lost = {reading: ftwa_weights.weights_alone(reading)["loss"].to_numpy() for reading in READINGS}
    assert all(len(some) == 301 for some in lost.values())
    assert lost["batch"][0] == pytest.approx(lost["anchor"][0], abs=1e-6)
    assert lost["batch"][-1] < 0.1 * lost["batch"][0]
    assert lost["anchor"][-1] > 0.3 * lost["anchor"][0] and lost["scalar"][-1] > 0.3 * lost["scalar"][0]


def test_the_balance_of_streams():
    logs = torch.tensor([[0.2, 0.8], [0.5, 0.5]], dtype=double).log()
    by_hand = np.mean([np.log(2) + 0.2 * np.log(0.2) + 0.8 * np.log(0.8), 0.0])
    assert stream_balance(logs).item() == pytest.approx(by_hand)
    assert stream_balance(logs - 7).item() == pytest.approx(by_hand)
    losses, z = torch.tensor([0.4, 1.0], dtype=double), torch.zeros(2, dtype=double, requires_grad=True)
    optimizer = torch.optim.LBFGS([z], max_iter=100, tolerance_grad=1e-12)

    def step():
        optimizer.zero_grad()
        logs = F.logsigmoid(z)[None]
        total = (logs.softmax(1) * losses).sum() + 0.5 * stream_balance(logs)  # Eq. 5 of one image, and t = 1/2
        total.backward()
        return total

    optimizer.step(step)
    share = F.logsigmoid(z).softmax(0).detach()
    torch.testing.assert_close(share, (-losses / 0.5).softmax(0), rtol=1e-4, atol=1e-5)


def test_the_distance_between_maps():
    x, y = torch.rand(2, 3, 4, 2), torch.rand(2, 3, 4, 2)
    torch.testing.assert_close(pixel_l1(x, y), (x - y).abs().sum() / 48)
    torch.testing.assert_close(pixel_l1(x, y, "sum"), (x - y).abs().sum() / 2)
    with pytest.raises(ValueError, match="L1 of different shapes"):
        pixel_l1(x, y[:1])
    with pytest.raises(ValueError, match="'mean' or 'sum'"):
        pixel_l1(x, y, "max")


# ---- the method


def reached(method: Method, term: str) -> set[str]:
    """The parts that a term's gradient reaches, with fixed batch statistics."""
    method.eval().zero_grad()
    method.losses(helpers.two_sided_batch(), method.stages[0])[term].backward()
    there = [n for n, p in method.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    return {".".join(n.split(".")[: 2 if n.split(".")[0] in ("backbone", "heads", "evaluators") else 1]) for n in there}


ENCODERS = {"backbone.high", "backbone.low", "backbone.shared"}
CLASSIFIERS, EVALUATORS = {"heads.high", "heads.low"}, {"evaluators.high", "evaluators.low"}


def test_each_loss_reaches_the_parts_it_should():
    method = taught(built())
    assert reached(method, "identity_hr") == ENCODERS | CLASSIFIERS | EVALUATORS
    low = {"backbone.low", "backbone.shared", "transform"}
    assert reached(method, "identity_lr") == low | CLASSIFIERS | EVALUATORS
    assert reached(method, "raft") == ENCODERS | {"transform"}
    assert reached(method, "triplet") == ENCODERS | EVALUATORS | {"transform"}
    assert reached(taught(built(detached=("target",))), "raft") == low
    assert reached(taught(built(transform="identity")), "raft") == ENCODERS


def test_all_weight_on_one_stream_leaves_the_other_without_gradient():
    high, low = taught(built(attention="high")), taught(built(attention="low"))
    assert reached(high, "identity_lr") == {"backbone.low", "backbone.shared", "transform", "heads.high"}
    assert reached(low, "identity_lr") == {"backbone.low", "backbone.shared", "heads.low"}
    assert reached(high, "identity_hr") == {"backbone.high", "backbone.shared", "heads.high"}
    batch, terms = helpers.two_sided_batch(), {}
    for name in ("high", "equal", "low"):
        method = built(attention=name)
        terms[name] = method.eval().losses(batch, method.stages[0])
    for name in ("identity_hr", "identity_lr", "triplet"):
        torch.testing.assert_close(2 * terms["equal"][name], terms["high"][name] + terms["low"][name])


def test_evaluators_may_teach_the_vectors_nothing():
    batch, printed, detached = helpers.two_sided_batch(), taught(built()), taught(built(detached=("vectors",)))
    detached.load_state_dict(printed.state_dict())
    gradients = []
    for method in (printed, detached):
        method.eval().losses(batch, method.stages[0])["identity_hr"].backward()
        gradients.append({name: p.grad for name, p in method.named_parameters() if p.grad is not None})
    same = {name for name in gradients[0] if torch.equal(gradients[0][name], gradients[1][name])}
    assert {name for name in gradients[0] if name.startswith("evaluators")} <= same
    assert "backbone.high.conv1.weight" not in same


def test_weights_are_one_half_at_first_and_swa_is_the_plain_average():
    batch, (learned, equal) = helpers.two_sided_batch(), (built(), built(attention="equal"))
    equal.load_state_dict({n: v for n, v in learned.state_dict().items() if not n.startswith("evaluators")})
    terms = [m.eval().losses(batch, m.stages[0]) for m in (learned, equal)]
    assert terms[0].keys() == terms[1].keys()
    for name, value in terms[0].items():
        torch.testing.assert_close(terms[1][name], value)
    assert terms[0]["weight_high_hr"] == 0.5 == terms[0]["weight_low_lr"]


def test_equal_encoders_and_copies_that_are_not_smaller_make_one_vector():
    method, batch = equal_encoders(taught_evaluators(built())).eval(), helpers.two_sided_batch()
    batch.source = helpers.training_batch(batch.images).source  # copies are the pictures themselves
    terms = method.losses(batch, method.stages[0])
    assert terms["raft"] == 0
    high, low = method.vectors(batch, "gallery")
    torch.testing.assert_close(high, low)
    torch.testing.assert_close(method.vectors(batch, "probe")[0], low)
    method.heads["low"].load_state_dict(method.heads["high"].state_dict())
    descriptors = method.embed(batch, "gallery")
    one = descriptors[:, : (descriptors.shape[1] - 2) // 2]
    expected = torch.cdist(one.double(), one.double()).float()
    torch.testing.assert_close(method.distance(descriptors, descriptors), expected, rtol=1e-4, atol=1e-4)


def taught_evaluators(method: Ftwa) -> Ftwa:
    taught(method.evaluators)
    return method


def test_raft_s_loss_is_between_the_maps_of_a_picture_and_of_its_copy():
    method, batch = built().eval(), helpers.two_sided_batch()
    high, copies = batch.images[batch.high], batch.at(0.5, batch.high)
    b = method.backbone
    expected = (b.shared(b.high(high)) - b.shared(b.low(copies))).abs().mean()  # T is the identity still
    torch.testing.assert_close(method.losses(batch, method.stages[0])["raft"], expected)


@pytest.mark.parametrize("side", ["high", "low"])
@pytest.mark.parametrize(
    "settings", [{}, {"reading": "scalar"}, {"reading": "batch"}, {"transform": "identity"}], ids=str
)
def test_a_batch_with_one_side_empty(side, settings):
    method = built(**settings).train()
    terms = method.losses(one_sided(side), method.stages[0])
    assert all(value.isfinite() for value in terms.values())
    assert terms["identity_hr" if side == "low" else "identity_lr"] == 0 and terms["triplet"] > 0
    sum(terms.values()).backward()
    assert all(p.grad.isfinite().all() for p in method.parameters() if p.grad is not None)
    assert all(value.isfinite().all() for value in method.state_dict().values())


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ftwa", {}), ("ftwa", {"attention": "equal"}), ("ftwa", {"transform": "identity"}), ("ftwa", {"entropy": 1.0}),
        ("ftwa", {"attention": "high"}), ("ftwa", {"reading": "batch"}), ("ftwa", {"reduction": "sum", "raft": 1e-4}),
        ("ftwa-b", {}), ("ftwa-b-copies", {}),
    ],
    ids=str,
)  # fmt: skip
def test_every_variant_lowers_its_loss_on_a_fixed_batch(name, settings):
    assert helpers.learns(built(name, **settings), helpers.two_sided_batch())


def test_the_weights_of_the_terms_and_the_papers_profile():
    step = create_method("ftwa")
    with torch.device("meta"):
        step.setup("paper", 767)
    (step,) = step.stages
    logged = {f"weight_{stream}_{side}": 0.0 for stream in ("high", "low") for side in ("hr", "lr")}
    assert step.weights == {"identity_hr": 3.0, "identity_lr": 3.0, "triplet": 1.0, "raft": 0.1} | logged  # Eq. 8
    assert (step.epochs, step.lr, step.weight_decay, step.optimizer) == (120, 7e-4, 5e-4, "adam")
    assert (step.identities, step.images) == (16, 4)
    factors = [step.schedule.factor(epoch, 120) for epoch in (0, 10, 39, 40, 69, 70, 119)]
    np.testing.assert_allclose(factors, [0.01, 1, 1, 0.2, 0.2, 0.04, 0.04])
    assert built(entropy=0.5, identity=2.0).stages[0].weights["balance"] == 1.0
    assert built("ftwa-b").stages[0].weights == {"identity": 3.0, "triplet": 1.0}


def test_wrong_settings_are_refused():
    wrong = [
        ({"transform": "resnet"}, "unknown transform"), ({"attention": "none"}, "unknown attention"),
        ({"reading": "pair"}, "unknown reading"), ({"reduction": "max"}, "unknown reduction"),
        ({"schedule": "linear"}, "unknown schedule"), ({"detached": ("all",)}, "unknown part that is detached"),
        ({"ratios": (1.0,)}, "copies are smaller"), ({"ratios": ()}, "copies are smaller"),
        ({"gallery_ratio": 1.0}, "gallery_ratio in"), ({"raft": -1.0}, "not negative"),
        ({"identity": -1.0}, "not negative"),
        ({"entropy": 1.0, "attention": "equal"}, "entropy is of learned weights"),
    ]  # fmt: skip
    for settings, message in wrong:
        with pytest.raises(ValueError, match=message):
            create_method("ftwa", **settings)


# ---- how it is tested


@pytest.fixture(scope="module")
def viewed():
    """A protocol of embedded people, and its test sides as canvases show them."""
    protocol = make_protocol(load_dataset("pedestrians"), "mlr", trial=0)
    return protocol, Canvases(protocol, (32, 16))


def test_a_gallery_image_has_its_copy_for_the_low_stream_and_a_probe_is_transformed(viewed):
    protocol, canvases = viewed
    method = taught_evaluators(built()).eval()
    nn.init.normal_(method.transform.tail.weight, std=0.1)
    b, rows = method.backbone, protocol.rows("test", "gallery")["image"].to_numpy()[:5]
    batch = Batch.shown(canvases, rows, [1.0] * 5)
    third = Batch.shown(canvases, rows, [1 / 3] * 5)
    with torch.no_grad():
        sharp, small = b.shared(b.high(batch.images)), b.shared(b.low(third.images))
        gallery, probe = method.vectors(batch, "gallery"), method.vectors(third, "probe")
    for found, maps in zip((*gallery, *probe), (sharp, small, method.transform(small), small), strict=True):
        torch.testing.assert_close(found, maps.mean((2, 3)))
    for ratio in (0.0, 1.0):
        with pytest.raises(ValueError, match=r"a ratio in \(0, 1\), not"):
            GalleryCopies(method, ratio)
    half = GalleryCopies(method, 1 / 2)
    deeper = Batch.shown(canvases, rows, [1 / 2] * 5)
    C = b.channels
    torch.testing.assert_close(half.embed(batch, "gallery")[:, C : 2 * C], method.embed(deeper, "probe")[:, C : 2 * C])
    assert torch.equal(half.embed(third, "probe"), method.embed(third, "probe"))


def test_descriptors_are_two_vectors_of_length_one_and_two_log_weights(viewed):
    protocol, canvases = viewed
    method = taught_evaluators(built()).eval()
    rows = protocol.rows("test", "gallery")["image"].to_numpy()[:4]
    found, C = method.embed(Batch.shown(canvases, rows, [1.0] * 4), "gallery"), method.backbone.channels
    assert found.shape == (4, 2 * C + 2) and found.dtype == torch.float32
    high, low = found[:, :-2].chunk(2, 1)
    (
        torch.testing.assert_close(high.norm(dim=1), torch.ones(4)),
        torch.testing.assert_close(low.norm(dim=1), torch.ones(4)),
    )
    assert (found[:, -2:] < 0).all() and len(set(found[:, -1].tolist())) == 4
    assert torch.equal(method.features(found), found[:, :-2])
    assert compared(method, found.detach().numpy()).shape == (4, 2 * C)  # O compares features only
    assert compared(Weighed(method, "equal"), found.detach().numpy()).shape == (4, 2 * C)


def descriptor(h, l, a, b):  # noqa: E741
    return torch.tensor([[h, l, np.log(a), np.log(b)]])


PROBE = descriptor(0.0, 0.0, 0.5, 0.5)
GALLERY = torch.cat([descriptor(1.0, 3.0, 0.9, 0.1), descriptor(2.0, 0.5, 0.2, 0.8)])


def test_the_distance_weighs_the_streams_pair_by_pair():
    method = built()
    np.testing.assert_allclose(method.distance(PROBE, GALLERY)[0], [1.2, 0.8], atol=1e-6)
    expected = {"equal": [2.0, 1.25], "high": [1, 2], "low": [3, 0.5], "probe": [2.0, 1.25], "product": [1.2, 0.8]}
    expected["sum"] = [(1.4 * 1 + 0.6 * 3) / 2, (0.7 * 2 + 1.3 * 0.5) / 2]
    for rule in RULES:
        np.testing.assert_allclose(Weighed(method, rule).distance(PROBE, GALLERY)[0], expected[rule], atol=1e-6)
    smaller = GALLERY.clone()
    smaller[0, 2:] += np.log(0.01)  # without the denominator: 0.006, and everybody's nearest
    np.testing.assert_allclose(method.distance(PROBE, smaller)[0], [1.2, 0.8], atol=1e-6)


def test_the_distance_against_loops():
    torch.manual_seed(0)
    high, low = torch.rand(3, 4), torch.rand(3, 4)
    p, g = (F.logsigmoid(torch.randn(n, 2)) for n in (3, 4))
    found = weighed(high, low, p, g, "product")
    for i, j in itertools.product(range(3), range(4)):
        a, b = (p[i] + g[j]).exp()
        assert found[i, j].item() == pytest.approx(float((a * high[i, j] + b * low[i, j]) / (a + b)), abs=1e-6)
    with pytest.raises(ValueError, match="unknown rule 'best'"):
        weighed(high, low, p, g, "best")


def test_only_an_ftwa_can_be_weighed_otherwise():
    with pytest.raises(TypeError, match="needs a trained FTWA, not ftwa-b"):
        Weighed(built("ftwa-b"), "equal")
    with pytest.raises(ValueError, match="unknown rule"):
        Weighed(built(), "best")


def test_without_transformation_a_probe_takes_the_low_encoder_and_the_gallery_the_high_one(viewed):
    protocol, canvases = viewed
    method, rows = built("ftwa-b").eval(), protocol.rows("test", "gallery")["image"].to_numpy()[:3]
    batch, b = Batch.shown(canvases, rows, [1.0] * 3), method.backbone
    for role, encoder in (("probe", b.low), ("gallery", b.high)):
        expected = F.normalize(method.head.bn(b.shared(encoder(batch.images)).mean((2, 3))))
        torch.testing.assert_close(method.embed(batch, role), expected)


def test_what_the_two_variants_without_transformation_learn_from():
    seen, batch = {}, helpers.two_sided_batch()
    for name in ("ftwa-b", "ftwa-b-copies"):
        method = built(name)
        method.backbone.register_forward_pre_hook(lambda _, given, n=name: seen.update({n: given}))
        method.losses(batch, method.stages[0])
    for high, _ in seen.values():
        assert torch.equal(high, batch.images[batch.high])
    assert torch.equal(seen["ftwa-b"][1], batch.images[batch.low])
    both = torch.cat([batch.at(0.5, batch.high), batch.images[batch.low]])
    assert torch.equal(seen["ftwa-b-copies"][1], both)


# ---- what is measured of the weights


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    protocol = make_protocol(load_dataset("pedestrians", identities=40), "mlr")
    method = create_method("ftwa", epochs=2, backbone=SMALL["backbone"])
    return fit(method, protocol, runs=tmp_path_factory.mktemp("runs"), progress=False)


def test_weights_over_steps(run):
    table = ftwa_weights.over_steps([run, run])
    assert set(table["training"]) == {1, 2} and len(table) == 2 * 2 * 4
    one = table[(table["training"] == 2) & (table["stream"] == "low") & (table["side"] == "hr")]
    np.testing.assert_array_equal(one["weight"], run.history["weight_low_hr"])
    steps = run.history["steps"].tolist()
    assert one["step"].tolist() == [steps[0] / 2, steps[0] + steps[1] / 2]
    assert table["weight"].between(0, 1).all()


def test_what_becomes_of_the_weights(run):
    """Between the means of two epochs a straight line; all of the end as it is told elsewhere."""
    steps = run.history["steps"].to_numpy()
    middle = [steps[0] / 2, steps[0] + steps[1] / 2]
    assert middle[1] < ftwa_collapse.EARLY  # so it is the last epoch's
    found = ftwa_collapse.early([run, run])
    for stream in ("high", "low"):
        last = np.mean([run.history[f"weight_{stream}_{side}"].iloc[-1] for side in ("hr", "lr")])
        assert found[f"early_{stream}"] == pytest.approx(last)
    longer = run.history.assign(steps=steps * 100 // steps[0])  # a hundred steps lie between the middles, at 1/2
    found = ftwa_collapse.early([dataclasses.replace(run, history=longer)])
    half = np.mean([run.history[f"weight_low_{side}"].mean() for side in ("hr", "lr")])
    assert found["early_low"] == pytest.approx(half)
    table = ftwa_collapse.table({"a": [run], "b": [run, dataclasses.replace(run, seed=1)]}).set_index("row")
    ends = ftwa_weights.where_they_end({"a": [run]})
    assert table.loc["a", ends.columns].tolist() == ends.loc["a"].tolist()
    assert table["trainings"].tolist() == [1, 2] and table["early_high"].nunique() == 1


def test_the_collapse_is_written_for_a_set(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REID_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("COURSE_MEASURED", str(tmp_path / "measured"))
    monkeypatch.setattr(measured, "EVIDENCE", ("quick",))
    few = load_dataset("pedestrians", identities=40)
    monkeypatch.setattr(ftwa_collapse, "load_dataset", lambda name: few)
    ftwa_collapse.main(["--profile", "quick"])
    assert "written: ftwa_collapse-pedestrians.csv" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "measured" / "ftwa_collapse-pedestrians.csv")
    assert table["row"].tolist() == list(ftwa_collapse.ROWS)


def test_weights_by_image(run):
    table = ftwa_weights.by_image(run.method, run.protocol)
    for role in ("probe", "gallery"):
        rows = run.protocol.rows("test", role).drop_duplicates("image")
        part = table[table["role"] == role]
        assert part["image"].tolist() == rows["image"].tolist() and part["shown"].tolist() == rows["ratio"].tolist()
    np.testing.assert_allclose(table["share"], table["high"] / (table["high"] + table["low"]), rtol=1e-6)
    found = ftwa_weights.quality([run])
    probes = table[table["role"] == "probe"]
    assert found.mean == pytest.approx(spearmanr(probes["high"], probes["shown"]).statistic, abs=1e-9)
    assert found.low < found.mean < found.high and found.trainings == 1
    row = ftwa_weights.quality_claim([run])
    assert row["mean"] == found.mean and row["trainings"] == 1 and row["unit"] == "(correlation)"


def test_how_much_of_the_variance_is_between_images():
    apart = pd.DataFrame({"high": [0.9, 0.9, 0.9], "low": [0.1, 0.1, 0.1]})
    assert ftwa_weights.between_images(apart) == pytest.approx(0, abs=1e-12)
    assert np.isnan(ftwa_weights.between_images(apart.assign(low=0.9)))
    images = pd.DataFrame({"high": [0.2, 0.8], "low": [0.8, 0.2]})  # opposite, and the same on average
    assert ftwa_weights.between_images(images) == pytest.approx(1)
    mixed = pd.DataFrame({"high": [0.5, 0.9], "low": [0.1, 0.5]})
    assert ftwa_weights.between_images(mixed) == pytest.approx(0.04 / 0.08)


def test_what_a_probe_shows_is_its_width_where_nothing_is_degraded(run):
    pictures = [np.full((32, 16 - 8 * (i % 2), 3), 9 * i, dtype=np.uint8) for i in range(24)]
    table = pd.DataFrame({"pid": [f"{i // 4}" for i in range(24)], "cam": ["c1", "c2"] * 12})
    people = PersonDataset.from_arrays("widths", pictures, table)
    manifest = helpers.tiny_protocol(people, ratios=("1",)).manifest
    sides = {"role": ["probe", "gallery", "gallery", "probe"] * 6, "subset": ["test"] * 24}
    protocol = Protocol.from_manifest(people, manifest | {"images": manifest["images"] | sides})
    found = ftwa_weights.by_image(run.method, protocol)
    assert len(found) == 24 and found["shown"].tolist() == [1 - 0.5 * (i % 2) for i in found["image"]]


def test_weights_that_are_the_same_for_all_images_measure_nothing(run, monkeypatch):
    table = ftwa_weights.by_image(run.method, run.protocol).assign(high=0.7)
    monkeypatch.setattr(ftwa_weights, "by_image", lambda *_: table)
    found = ftwa_weights.quality([run])
    assert found.mean == found.low == found.high == 0


def test_the_transformation_is_less_than_a_tenth_of_the_backbone():
    row = ftwa_weights.light_claim()
    assert row["verdict"] == "reproduced" and row["mean"] == pytest.approx(2.3508032 - 2.234048)


def test_where_the_weights_of_several_rows_end(run):
    found = ftwa_weights.where_they_end({"one": [run]})
    probes = ftwa_weights.by_image(run.method, run.protocol).query("role == 'probe'")
    row = found.loc["one"]
    assert row["high"] == pytest.approx(probes["high"].mean()) and row["low"] == pytest.approx(probes["low"].mean())
    assert row["between"] == pytest.approx(ftwa_weights.between_images(probes))
    rho = ftwa_weights.quality([run])
    assert (row["rho"], row["low_rho"], row["high_rho"]) == (rho.mean, rho.low, rho.high)


def test_the_lessons_train_rows_of_the_record():
    people = load_dataset("pedestrians", identities=40)
    known = {row.name for row in studies.STUDIES["ftwa"].rows(people)}
    for rows in (ftwa.lesson_rows(), ftwa.readings()):
        names = [row.name for row in rows]
        assert len(set(names)) == len(names) and set(names) <= known
        models = {row.name for row in rows if isinstance(row, Row)}
        assert all(row.of in models for row in rows if isinstance(row, View))


def test_the_logged_weights_are_the_weights_not_their_shares():
    weights = torch.tensor([[0.9, 0.3], [0.5, 0.7], [0.2, 0.2], [0.4, 0.8]])
    method = built()
    high, low = torch.rand(2, 4, method.backbone.channels)
    terms = method.attention_terms(high, low, torch.tensor([0, 1, 0, 1]), weights.log(), 2)
    found = [float(terms[f"weight_{stream}_{end}"]) for stream in ("high", "low") for end in ("hr", "lr")]
    assert found == pytest.approx([0.7, 0.3, 0.5, 0.5])
