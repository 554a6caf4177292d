"""JBIM: its two modules, what joins them, and what they are compared with."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import training_helpers as helpers

from lib.data import load_dataset, make_protocol
from lib.data.batches import Batch, TrainingBatches
from lib.data.canvases import Canvases
from lib.evaluation import complexity, evaluate
from lib.experiments import jbim, jbim_fusion, jbim_ratios, rates
from lib.experiments import study as instrument
from lib.methods import create_method
from lib.methods.branches import Branch, GalleryShrunk, Unfused, Unrectified, each
from lib.methods.ensemble import AdaptiveEnsemble
from lib.methods.method import Method
from lib.models.heads import FusionHead, ReducedPool
from lib.training import fit

SMALL = {"canvas": (32, 16), "backbone": "bottleneck-8-1", "network": "srcnn-915-luma"}
ANCHORS = (1 / 2, 1 / 3, 1 / 4)


def built(name: str = "jbim", identities: int = 4, profile: str = "quick", **settings) -> Method:
    torch.manual_seed(0)
    told = SMALL | settings
    if name in ("lim", "all-resolution"):
        told.pop("network")
    method = create_method(name, **told)
    method.setup(profile, identities)
    return method


def reached(method: Method, term: str, parts: int = 1) -> set[str]:
    """The parts that a term's gradient reaches, with fixed batch statistics: those of a batch are common to all streams
    of a module, and pass a little of everything on.
    """
    method.eval().zero_grad()
    method.losses(helpers.two_sided_batch(), method.stages[0])[term].backward()
    there = [n for n, p in method.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    return {".".join(name.split(".")[:parts]) for name in there}


# ---- Eq. 2 to 11


def by_hand(module, pictures, labels):
    """Eq. 5 of each stream: ({stream: softmax loss}, the triplet over all streams), by loops over single pictures."""
    logits, features, everyone, losses = [], [], [], {}
    for name, some in pictures.items():
        total = 0.0
        for picture, label in zip(some, labels[name], strict=True):
            feature = module.pool(module.backbone(picture[None]))
            _, logits = module.head(feature)
            total -= F.log_softmax(logits[0], 0)[label]
            features.append(feature[0])
            everyone.append(int(label))
        losses[name] = total / len(some)
    return losses, hardest(features, everyone)


def hardest(features, labels, margin=0.3):
    total = 0.0
    for i, (f, label) in enumerate(zip(features, labels, strict=True)):
        apart = [(f - g).norm() for g in features]
        same = [d for j, d in enumerate(apart) if labels[j] == label and j != i]
        others = [d for j, d in enumerate(apart) if labels[j] != label]
        total += max(0.0, margin + max(same) - min(others))
    return total / len(features)


def test_the_losses_are_those_of_the_equations():
    method, batch = (
        built().eval(),
        helpers.two_sided_batch(),
    )  # fixed batch statistics: each picture can be computed by itself
    terms = method.losses(batch, method.stages[0])
    him, lim, high, low = method.him, method.lim, batch.high, batch.low
    copies = batch.at(0.5, high)
    sides = {"hr": batch.labels[high], "synthetic": batch.labels[high], "lr": batch.labels[low]}
    sharp = {"hr": batch.images[high], "lr": him.sr(batch.images[low]), "synthetic": him.sr(copies)}
    losses, triplet = by_hand(him, sharp, sides)
    expected = {f"him_identity_{name}": value for name, value in losses.items()} | {"him_triplet": triplet}
    errors = [(him.sr(copy[None])[0] - batch.images[i]).square().sum() for copy, i in zip(copies, high, strict=True)]
    expected["him_pixel"] = sum(errors) / len(errors)  # Eq. 2
    losses, triplet = by_hand(lim, {"lr": batch.images[low], "synthetic": copies}, sides)
    expected |= {f"lim_identity_{name}": value for name, value in losses.items()} | {"lim_triplet": triplet}

    def described(module, pictures):
        return module.head.bn(module.pool(module.backbone(pictures)))

    pairs = {  # Eq. 9, 10: HIM's of the copies is not there
        "lr": (described(him, sharp["lr"]), described(lim, batch.images[low])),
        "hr": (described(him, sharp["hr"]), described(lim, copies)),
    }
    fused = {name: torch.stack([method.ffn.fuse(a[None], b[None])[0] for a, b in zip(*pair, strict=True)])
             for name, pair in pairs.items()}  # fmt: skip
    for name, some in fused.items():
        logits = method.ffn.classifier(some)
        expected[f"fusion_{name}"] = -logits.log_softmax(1)[range(len(some)), sides[name]].mean()
    expected["fusion_triplet"] = hardest([*fused["lr"], *fused["hr"]], [*sides["lr"].tolist(), *sides["hr"].tolist()])
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-4, atol=1e-4, msg=name)


def test_the_weights_of_the_terms():
    """Eq. 11; the triplet of a module is a mean over its streams' union, and counts once for each stream."""
    weights = built(alpha=10.0, beta=2.0).stages[0].weights
    assert weights == {
        "him_pixel": 10.0, "him_triplet": 3.0, "lim_triplet": 2.0, "fusion_lr": 2.0, "fusion_hr": 2.0,
        "fusion_triplet": 4.0,
    }  # fmt: skip
    assert built("him", synthetic=False).stages[0].weights == {"triplet": 2.0}
    assert built("him", triplet=0.0).stages[0].weights == {"pixel": 1.0}
    assert built("him-lim").stages[0].weights == {"him_pixel": 1.0, "him_triplet": 3.0, "lim_triplet": 2.0}
    (step,) = built("jbim", sr_rate=0.2, fusion_rate=7.0).stages
    assert step.lr_multipliers == {"him.sr": 0.2, "ffn": 7.0} and step.trains == ("him", "lim", "ffn")


def test_him_without_a_triplet_is_sing():
    batch, him, sing = helpers.two_sided_batch(), built("him", triplet=0.0), built("sing", descriptor=0)
    sing.load_state_dict(him.state_dict())
    for mode in (True, False):
        ours, theirs = (m.train(mode).losses(batch, m.stages[0]) for m in (him, sing))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    ("term", "parts"),
    [
        ("him_pixel", {"him.sr"}),
        ("him_identity_hr", {"him.backbone", "him.head"}),
        ("him_identity_lr", {"him.sr", "him.backbone", "him.head"}),
        ("him_identity_synthetic", {"him.sr", "him.backbone", "him.head"}),
        ("lim_identity_lr", {"lim.backbone", "lim.head"}),
        ("lim_identity_synthetic", {"lim.backbone", "lim.head"}),
        ("lim_triplet", {"lim.backbone"}),
    ],
)
def test_each_loss_reaches_the_parts_it_should(term, parts):
    assert reached(built(), term, 2) == parts


def test_the_fusion_teaches_both_modules_and_the_sharp_side_not_the_super_resolution():
    networks = {"him.backbone", "him.head", "lim.backbone", "lim.head"}
    fusion = {"ffn.fc", "ffn.bn", "ffn.classifier"}
    assert reached(built(), "fusion_lr", 2) == networks | fusion | {"him.sr"}
    assert reached(built(), "fusion_hr", 2) == networks | fusion


def test_in_training_the_batch_statistics_couple_the_streams():
    """Said in the lesson: the sharp side shares its statistics with what the super-resolution made."""
    method = built().train()
    method.losses(helpers.two_sided_batch(), method.stages[0])["him_identity_hr"].backward()
    assert any(p.grad.abs().sum() > 0 for p in method.him.sr.parameters() if p.grad is not None)


def test_without_synthetic_images_lim_keeps_its_copies():
    """Eq. 10 needs the low-resolution copy of a sharp image; only HIM loses a stream, and the pixel loss (Table 7)."""
    method = built(synthetic=False)
    terms = set(method.losses(helpers.two_sided_batch(), method.stages[0]))
    assert not {"him_pixel", "him_identity_synthetic"} & terms and "lim_identity_synthetic" in terms
    assert method.stages[0].weights["him_triplet"] == 2.0


def test_a_side_without_images_counts_nothing():
    method, batch = built().train(), helpers.two_sided_batch()
    batch.low, batch.high = batch.low[:0], torch.arange(16)
    terms = method.losses(batch, method.stages[0])
    assert terms["fusion_lr"] == 0 == terms["lim_identity_lr"] and all(value.isfinite() for value in terms.values())


def test_all_resolution_learns_from_the_sharp_side_at_every_ratio():
    method, protocol = built("all-resolution", 12), helpers.tiny_protocol()
    assert method.stages[0].weights == {"triplet": 2.0}
    shown = set()
    rows = protocol.rows("train").assign(low=lambda t: protocol.is_low(t))
    for (batch,) in TrainingBatches(Canvases(protocol, (32, 16)), rows, method.augmentation, seed=0).epoch(0):
        shown |= {round(float(r), 3) for r in batch.pick("resolution", (1.0, *ANCHORS))}
        assert set(method.losses(batch, method.stages[0])) == {"identity_hr", "identity_lr", "triplet"}
    assert shown == {1.0, 0.5, 0.333, 0.25}


@pytest.mark.parametrize(
    "settings",
    [{}, {"synthetic": False}, {"triplet": 0.0}, {"descriptor": 24}, {"network": "drcn-narrow"}, {"beta": 1.0}],
    ids=str,
)
def test_every_variant_lowers_its_loss_on_a_fixed_batch(settings):
    assert helpers.learns(built(**settings), helpers.two_sided_batch())


# ---- the fusion network


def test_the_fusion_keeps_the_length_and_its_weights_are_counted():
    for n, count in {256: 263_680, 512: 1_051_648, 1024: 4_200_448}.items():  # (2n)^2 + 2n + 4n
        with torch.device("meta"):
            head = FusionHead(n, n, 10)
        kept = [p for name, p in head.named_parameters() if not name.startswith("classifier")]
        assert sum(p.numel() for p in kept) == count and head.fc.out_features == 2 * n


def test_the_fusion_is_what_the_equations_say():
    torch.manual_seed(0)
    head, high, low = FusionHead(3, 2, 4).eval(), torch.randn(5, 3), torch.randn(5, 2)
    head.bn.running_mean.normal_()
    head.bn.running_var.uniform_(0.5, 2.0)
    fused, logits = head(high, low)
    for i in range(5):
        joined = torch.cat([high[i], low[i]])
        x = torch.stack([head.fc.weight[k] @ joined + head.fc.bias[k] for k in range(5)])  # Eq. 12
        x = (x - head.bn.running_mean) / (head.bn.running_var + head.bn.eps).sqrt()  # Eq. 13
        expected = (x * head.bn.weight + head.bn.bias).clamp(min=0)  # Eq. 14
        torch.testing.assert_close(fused[i], expected)
        torch.testing.assert_close(logits[i], head.classifier(expected))
    assert (fused >= 0).all() and not torch.allclose(fused[:, :2], head(high.flip(1), low)[0][:, :2])


def test_dropout_is_no_noise_of_distances():
    torch.manual_seed(0)
    head, high, low = FusionHead(8, 8, 4, dropout=0.5).train(), torch.randn(6, 8), torch.randn(6, 8)
    (one, logits), (same, others) = head(high, low), head(high, low)
    assert torch.equal(one, same) and not torch.equal(logits, others)


def test_the_gradient_of_a_concatenation_is_that_of_its_parts():
    high, low, v = torch.randn(3, requires_grad=True), torch.randn(2, requires_grad=True), torch.randn(5)
    (torch.cat([high, low]) @ v).backward()
    assert torch.equal(high.grad, v[:3]) and torch.equal(low.grad, v[3:])  # Eq. 15, 16


# ---- counts, in the paper's size


def test_the_papers_size():
    with torch.device("meta"):
        method = create_method("jbim")
        method.setup("paper", 1367)
    own = {name: p.numel() for name, p in method.named_parameters() if p.requires_grad or name.endswith("bn.bias")}
    classifiers = sum(count for name, count in own.items() if "classifier" in name)
    assert classifiers == 512 * 1367 + 512 * 1367 + 1024 * 1367 + 1367
    assert sum(own.values()) - classifiers == 50_176_065
    assert sum(own.values()) / 1e6 == pytest.approx(52.96, abs=0.03)  # Table 2 prints 52.96 M
    assert isinstance(method.him.pool, ReducedPool) and method.ffn.fc.in_features == 1024
    sr, net = complexity(method.him.sr, (256, 128)), complexity(method.him.backbone, (256, 128))
    assert sr.macs == 263_192_576 and net.macs == 4_053_270_528
    step = method.stages[0]
    assert step.epochs == 60 and step.lr == pytest.approx(method.him.settings.lr) == pytest.approx(3.5e-5)
    assert create_method("him").settings.epochs == 120 and create_method("him").settings.lr == 3.5e-4


# ---- how it is tested


@pytest.fixture(scope="module")
def viewed():
    """A protocol of embedded people, and its test sides as canvases show them."""
    protocol = make_protocol(load_dataset("pedestrians"), "mlr", trial=0)
    return protocol, Canvases(protocol, (32, 16))


def test_a_gallery_image_goes_through_lim_as_its_own_copy_at_m(viewed):
    protocol, canvases = viewed
    lim, rows = built("lim", ratio=1 / 3).eval(), protocol.rows("test", "gallery")["image"].to_numpy()[:6]
    gallery = lim.embed(Batch.shown(canvases, rows, [1.0] * 6), "gallery")
    assert torch.equal(gallery, lim.embed(Batch.shown(canvases, rows, [1 / 3] * 6), "probe"))
    deeper = lim.embed(Batch.shown(canvases, rows, [1 / 2] * 6), "gallery")  # m of what it shows
    assert torch.equal(deeper, lim.embed(Batch.shown(canvases, rows, [1 / 6] * 6), "probe"))
    assert not torch.allclose(gallery, lim.embed(Batch.shown(canvases, rows, [1.0] * 6), "probe"))


def test_a_gallery_image_does_not_go_through_the_super_resolution(viewed):
    protocol, canvases = viewed
    method, rows = built().eval(), protocol.rows("test", "gallery")["image"].to_numpy()[:4]
    batch = Batch.shown(canvases, rows, [1.0] * 4)
    before = {role: method.embed(batch, role) for role in ("probe", "gallery")}
    torch.nn.init.constant_(list(method.him.sr.parameters())[-1], 0.3)
    assert torch.equal(method.embed(batch, "gallery"), before["gallery"])
    assert not torch.allclose(method.embed(batch, "probe"), before["probe"])


def test_the_descriptor_is_the_fusions_and_has_length_one(viewed):
    protocol, canvases = viewed
    method, rows = built().eval(), protocol.rows("test", "gallery")["image"].to_numpy()[:4]
    batch = Batch.shown(canvases, rows, [1.0] * 4)
    him, lim = method.him, method.lim
    high = him.head.bn(him.pool(him.backbone(batch.images)))
    low = lim.head.bn(lim.pool(lim.backbone(batch.at(0.5))))
    torch.testing.assert_close(method.embed(batch, "gallery"), F.normalize(method.ffn(high, low)[0]))
    apart = built("him-lim").eval()
    apart.load_state_dict({n: p for n, p in method.state_dict().items() if not n.startswith("ffn")})
    found = apart.embed(batch, "gallery")
    expected = [F.normalize(high), F.normalize(low)]
    distances = sum(torch.cdist(part, part).square() for part in expected)  # d^2 = d_h^2 + d_l^2
    torch.testing.assert_close(2 * torch.cdist(found, found).square(), distances, rtol=1e-3, atol=1e-4)


def test_all_resolution_compares_pictures_as_they_come(viewed):
    protocol, canvases = viewed
    method, rows = built("all-resolution").eval(), protocol.rows("test", "gallery")["image"].to_numpy()[:4]
    batch = Batch.shown(canvases, rows, [1.0] * 4)
    assert torch.equal(method.embed(batch, "gallery"), method.embed(batch, "probe"))


def test_the_ensemble_weighs_its_anchors_nearly_alike_at_the_papers_sigma():
    """sigma 0.5 (§6.2): the adaptive weights are almost equal ones."""
    ensemble = AdaptiveEnsemble([built(ratio=m) for m in ANCHORS], ANCHORS, sigma=0.5)
    found = ensemble.weights(torch.tensor(ANCHORS)).numpy()
    np.testing.assert_allclose(found, [[1, 0.895, 0.779], [0.895, 1, 0.973], [0.779, 0.973, 1]], atol=5e-4)


# ---- three steps


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """{what: its run}: HIM, LIM, and the joint steps from them."""
    protocol, folder = helpers.tiny_protocol(), tmp_path_factory.mktemp("runs")

    def train(name, seed=0, **settings):
        told = SMALL | {"epochs": 1, "ratio": 1 / 2} | settings
        if name == "lim":
            told.pop("network")
        return fit(create_method(name, **told), protocol, seed=seed, runs=folder, progress=False)

    him, lim = train("him"), train("lim")
    first = {"him": him, "lim": lim}
    made = {name: train(name, weights=first) for name in ("him-lim", "jbim")}
    made["start"] = train("jbim", weights=first, epochs=0)
    made["apart"] = train("him-lim", weights=first, epochs=0)
    made["other start"] = train("jbim", weights=first, epochs=0, seed=1)
    made["sequential"] = train("sr-then-him", restore_epochs=1)
    beside = {"him": made["sequential"], "lim": lim}
    made["sequential, beside"] = train("him-lim", weights=beside, epochs=0)
    made["sequential, trained on"] = train("him-lim", weights=beside)
    return first | made


@pytest.mark.parametrize("name", ["start", "apart", "sequential, beside"])
def test_the_third_step_starts_bit_equal_from_the_two_runs(runs, name):
    found = runs[name].method.state_dict()
    him = runs["sequential" if "sequential" in name else "him"]
    for part, run in {"him": him, "lim": runs["lim"]}.items():
        state = run.method.state_dict()
        assert all(torch.equal(found[f"{part}.{key}"], value) for key, value in state.items())


def test_two_seeds_differ_in_the_fusion_only(runs):
    one, other = (runs[name].method.state_dict() for name in ("start", "other start"))
    differ = {name for name in one if not torch.equal(one[name], other[name])}
    assert differ and all(name.startswith("ffn.") for name in differ)


def test_without_the_fusion_him_and_lim_go_on_as_they_would_alone(runs):
    """Nothing connects them: LIM's weights after the control do not depend on what HIM is."""
    assert not [n for n in runs["him-lim"].method.state_dict() if n.startswith("ffn")]
    before, after = (runs[name].method.state_dict() for name in ("apart", "him-lim"))
    assert any(not torch.equal(before[n], after[n]) for n in before if n.startswith("lim.backbone"))
    beside = runs["sequential, trained on"].method.state_dict()  # another HIM
    assert all(torch.equal(beside[n], after[n]) for n in after if n.startswith("lim."))
    assert any(not torch.equal(beside[n], after[n]) for n in after if n.startswith("him.backbone"))
    joint = runs["jbim"].method.state_dict()
    assert any(not torch.equal(joint[n], after[n]) for n in after if n.startswith("lim.backbone"))
    assert any(not torch.equal(joint[n], after[n]) for n in after if n.startswith("him.backbone"))


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="beta.*him-lim"):
        create_method("jbim", beta=0.0)
    for name, settings in itertools.product(("him", "lim", "jbim"), ({"ratio": 1.0}, {"alpha": -1.0})):
        with pytest.raises(ValueError):
            create_method(name, **settings)


# ---- in part


def test_a_branch_is_the_part_alone_also_in_an_ensemble(viewed):
    protocol, canvases = viewed
    model, rows = built(ratio=1 / 3).eval(), protocol.rows("test", "gallery")["image"].to_numpy()[:4]
    batch = Batch.shown(canvases, rows, [1.0] * 4)
    assert torch.equal(Branch(model, "lim").embed(batch, "gallery"), model.lim.embed(batch, "gallery"))
    ensemble = AdaptiveEnsemble([model, model], (1 / 2, 1 / 3), sigma=0.2)
    parts = each(ensemble, partial(Branch, part="him"))
    assert parts.ratios == ensemble.ratios and parts.sigma == 0.2
    torch.testing.assert_close(parts.embed(batch, "probe")[:, :-1].chunk(2, 1)[1], model.him.embed(batch, "probe"))
    with pytest.raises(ValueError, match="no part 'ffn' that describes"):
        Branch(model, "ffn")


def test_without_its_fusion_jbim_is_two_descriptors_side_by_side(viewed):
    protocol, canvases = viewed
    model, rows = built(ratio=1 / 3).eval(), protocol.rows("test", "gallery")["image"].to_numpy()[:4]
    batch = Batch.shown(canvases, rows, [1.0] * 4)
    side_by_side = torch.cat([model.him.embed(batch, "gallery"), model.lim.embed(batch, "gallery")], 1) / 2**0.5
    torch.testing.assert_close(Unfused(model).embed(batch, "gallery"), side_by_side)
    linear, fused = Unrectified(model).embed(batch, "gallery"), model.embed(batch, "gallery")
    assert (linear < 0).any() and not (fused < 0).any()
    torch.testing.assert_close(F.normalize(linear.clamp(min=0)), fused)
    with pytest.raises(TypeError, match="trained JBIM, not all-resolution"):
        Unfused(built("all-resolution"))
    with pytest.raises(TypeError, match="trained JBIM, not him-lim"):
        Unrectified(built("him-lim"))


def test_a_shrunk_gallery_shows_what_a_probe_at_that_ratio_shows(viewed):
    protocol, canvases = viewed
    method, rows = built("all-resolution").eval(), protocol.rows("test", "gallery")["image"].to_numpy()[:4]
    shrunk = GalleryShrunk(method, 1 / 3)
    whole, third = (Batch.shown(canvases, rows, [ratio] * 4) for ratio in (1.0, 1 / 3))
    assert torch.equal(shrunk.embed(whole, "gallery"), method.embed(third, "gallery"))
    assert torch.equal(shrunk.embed(whole, "probe"), method.embed(whole, "probe"))


# ---- what the fusion does, to whom


@pytest.fixture(scope="module")
def one_model(tmp_path_factory):
    """Lesson 30's rows on some of the embedded people, trained for an instant."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REID_RUNS", str(tmp_path_factory.mktemp("runs")))
        patch.setitem(instrument.IMAGES, "quick", 64)
        where = instrument.cells(load_dataset("pedestrians", identities=40), "mlr")
        yield instrument.Study("JBIM", jbim.one_model(), where, "quick", progress=False)


def test_the_fusion_is_asked_of_people_trained_on_and_of_as_many_new_ones(one_model):
    protocol = one_model.cells[0].protocol
    asked = jbim_fusion.trained_on_and_new(protocol)
    tested = {whom: set(some.rows("test")["pid"]) for whom, some in asked.items()}
    assert tested[jbim_fusion.TRAINED_ON] < set(protocol.rows("train")["pid"])
    assert tested[jbim_fusion.NEW] < set(protocol.rows("test")["pid"])
    assert len({len(pids) for pids in tested.values()}) == 1
    assert {some.preset for some in asked.values()} == {"mlr"}
    with pytest.raises(ValueError, match="needs three people of pedestrians.*not 2"):
        jbim_fusion.tested_alone(protocol.dataset, ["1", "2"], protocol.preset, "few")


def test_the_steps_of_the_fusion_add_up(one_model):
    table = jbim_fusion.steps(one_model)
    assert list(table.columns[:3]) == ["set", "name", "minus"] and len(table) == 2 * 5
    for _, some in table.groupby("set"):
        means = some.set_index(["name", "minus"])["mean"]
        first, linear, fused = jbim_fusion.STEPS
        control = jbim_fusion.CONTROL
        added = means[first, control] + means[linear, first] + means[fused, linear]
        assert means[fused, control] == pytest.approx(added)
    new = jbim_fusion.trained_on_and_new(one_model.cells[0].protocol)[jbim_fusion.NEW]
    pair = (
        evaluate(one_model.trained(name).method, new).rank(1) for name in (jbim_fusion.STEPS[-1], jbim_fusion.CONTROL)
    )
    fused, control = pair
    told = table[(table["set"] == jbim_fusion.NEW) & (table["minus"] == jbim_fusion.CONTROL)].set_index("name")
    assert told.loc[jbim_fusion.STEPS[-1], "mean"] == pytest.approx(fused - control)
    assert told["control"].iloc[0] == pytest.approx(control)


def test_rates_of_the_fusion_are_searched_on_validation_people(one_model):
    search = rates.SEARCHES["jbim"]
    made = instrument.Study("rates", search.study_rows((0.5, 2.0)), one_model.cells, "quick", progress=False)
    assert [made.trained(rates.called(rates.FUSION, rate)).method.settings.fusion_rate for rate in (0.5, 2)] == [0.5, 2]
    table = rates.table(rates.found(made, search, (0.5, 2.0)))
    for rate in (0.5, 2.0):
        (result,) = made.results(rates.called(rates.FUSION, rate), subset="val")
        assert table.loc[rates.FUSION, rate] == result.rank(1)
    assert table.loc[rates.FUSION, "best"] in (0.5, 2.0)


# ---- the ratio of training, the ratio of testing


@pytest.fixture(scope="module")
def ratios(tmp_path_factory):
    """Table 14 on some of the embedded people, trained for an instant."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REID_RUNS", str(tmp_path_factory.mktemp("runs")))
        patch.setitem(instrument.IMAGES, "quick", 64)
        some = jbim_ratios.studies(load_dataset("pedestrians", identities=40), profile="quick")
        assert jbim_ratios.common(some) == []  # nothing was trained yet
        for study in some.values():
            study.trained(jbim.JBIM)
        yield some


def test_every_network_of_table_14_is_tested_on_the_same_probes(ratios):
    assert jbim_ratios.common(ratios) == [0]
    found = jbim_ratios.tested(ratios)
    assert set(found) == set(itertools.product([*jbim_ratios.SINGLE, jbim_ratios.MIXED], jbim_ratios.TESTS))
    assert len({results[0].protocol_sha256 for results in found.values()}) == 1
    for name, ratio in jbim_ratios.SINGLE.items():
        (run,) = ratios[name].trained(jbim.JBIM).runs[0]
        low = run.protocol.rows("train")
        assert run.method.settings.ratio == ratio
        assert set(low.loc[run.protocol.is_low(low), "ratio"].round(6)) == {round(ratio, 6)}
        mixed, single = found[name, jbim_ratios.MIXED][0], [found[name, test][0] for test in jbim_ratios.SINGLE]
        shown = mixed.ranking.probe_values("rank-1")
        at = ratios[jbim_ratios.MIXED].cells[0].protocol.rows("test", "probe")["ratio"].to_numpy()
        for test, result in zip(jbim_ratios.SINGLE.values(), single, strict=True):  # a mixture of its parts
            same = np.isclose(at, test)
            np.testing.assert_allclose(shown[same], result.ranking.probe_values("rank-1")[same], atol=1e-6)


def test_the_claims_about_ratios(ratios):
    found = jbim_ratios.tested(ratios)
    rows = jbim_ratios.judged(ratios, found, dataset="pedestrians")
    assert [row["claim_id"] for row in rows] == ["JBIM-ratio-test", *["JBIM-ratio-match", "JBIM-ratio-mixed"] * 3]
    mixed = rows[2]
    assert mixed["variant"] == "tested at 1/2" and mixed["verdict"].startswith("undecided")
    expected = found[jbim_ratios.MIXED, "1/2"][0].rank(1) - found["1/2", "1/2"][0].rank(1)
    assert mixed["mean"] == pytest.approx(expected, abs=1e-6)
