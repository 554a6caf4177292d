"""PS-HRNet: its losses by loops, who learns from which, the frozen teacher, and how it is tested."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import training_helpers as helpers
from torch import Tensor

from lib.data.batches import Batch, TrainingBatches
from lib.data.canvases import Canvases
from lib.losses import pixel_l1
from lib.methods import Cosine, Step, Warmup, create_method
from lib.methods.hrnet_reid import HrnetReid
from lib.methods.method import Method
from lib.methods.pshrnet import AUTHORS, ELEMENTS, PsHrnet
from lib.training import fit
from lib.training.optim import create_optimizer, select_trainable

SMALL = {"canvas": (32, 16), "backbone": "hrnet-w8", "descriptor": 12}
QUIET = {"device": "cpu", "precision": "fp32", "progress": False}
ALL = [some for size in range(1, 7) for some in itertools.combinations(ELEMENTS, size)]


def built(name: str = "pshrnet", identities: int = 4, profile: str = "quick", **settings) -> Method:
    torch.manual_seed(0)
    method = create_method(name, **SMALL | settings)
    method.setup(profile, identities)
    return method


def lively(method: PsHrnet) -> PsHrnet:
    """In evaluation mode; the super-resolution does something, batch statistics and scales are no fresh ones."""
    torch.manual_seed(2)
    for name, value in method.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_(0, 0.2)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
    if method.restores:
        torch.nn.init.normal_(method.sr.layers[-1].weight, std=0.05)
    return method.eval()


def a_batch(sharp: bool = False) -> Batch:
    """Sixteen pictures of four people, and what they were before."""
    torch.manual_seed(1)
    low, high, copies = torch.rand(3, 16, 3, 32, 16)
    return helpers.training_batch(high if sharp else low, torch.arange(4).repeat_interleave(4), hr=high, lr=copies)


def stage_of(method: PsHrnet, name: str):
    return next(stage for stage in method.stages if stage.name == name)


# ---- Eq. 5 to 12


def hardest(features: Tensor, labels: list[int], margin: float) -> float:
    rows, total = features.double().tolist(), 0.0
    for i, row in enumerate(rows):
        apart = [math.dist(row, other) for other in rows]
        farthest = max(d for d, label in zip(apart, labels, strict=True) if label == labels[i])
        nearest = min(d for d, label in zip(apart, labels, strict=True) if label != labels[i])
        total += max(0.0, margin + farthest - nearest)
    return total / len(rows)


def smoothed(logits: Tensor, labels: list[int], eps: float) -> float:
    total = 0.0
    for row, label in zip(logits.double().tolist(), labels, strict=True):
        norm = math.log(sum(math.exp(z) for z in row))
        n = len(row)
        q = [eps / n + (1 - eps) * (k == label) for k in range(n)]
        assert q[label] == pytest.approx(1 - (n - 1) / n * eps)  # Eq. 9
        total -= sum(one * (z - norm) for one, z in zip(q, row, strict=True))
    return total / len(labels)


def distance(a: Tensor, b: Tensor, reduction: str) -> float:
    errors = [abs(x - y) for x, y in zip(a.flatten().tolist(), b.flatten().tolist(), strict=True)]
    return sum(errors) / (len(errors) if reduction == "mean" else len(a))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("pairs", ["protocol", "synthetic"])
def test_the_losses_are_those_of_the_equations(pairs, reduction):
    method, batch = lively(built(pairs=pairs, reduction=reduction)), a_batch()
    labels, low = batch.labels.tolist(), batch.images if pairs == "protocol" else batch.at(0.5)
    with torch.no_grad():
        terms = method.losses(batch, stage_of(method, "joint"))
        restored = method.sr(low)
        pupil = method.head(method.backbone.maps(restored))
        teacher = method.teacher.head(method.teacher.backbone.maps(batch.hr))
    expected = {
        "pixel": distance(restored, batch.hr, reduction),
        "identity": smoothed(pupil.logits[0], labels, 0.1),
        "triplet": sum(hardest(one, labels, 0.1) for one in pupil.sequences) / 5,
        "siamese": sum(
            distance(a, b, reduction)
            for a, b in (
                (pupil.sequences[0], teacher.sequences[0]),
                (pupil.sequences[3], teacher.sequences[3]),
                (pupil.sequences[4], teacher.sequences[4]),
                (pupil.logits[0], teacher.logits[0]),
            )
        ),
    }
    assert len(pupil.sequences) == 5 and terms.keys() == expected.keys()
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value, rel=1e-4), name


def test_the_teachers_step_is_hrnet_reids():
    method, batch = lively(built()), a_batch()
    alone = built("hrnet-reid", sees="high").eval()
    alone.load_state_dict(method.teacher.state_dict())
    with torch.no_grad():
        ours, theirs = method.losses(batch, stage_of(method, "high")), alone.losses(batch, alone.stages[0])
    assert ours == theirs and ours.keys() == {"identity", "triplet"}
    assert stage_of(method, "high").weights == alone.stages[0].weights


def test_the_weights_of_the_terms():
    """Eq. 10, 12: the triplet is a mean over five sequences, and counts five times 0.2."""
    method = built()
    assert stage_of(method, "high").weights == {"identity": 1.15, "triplet": 1.0}
    assert stage_of(method, "joint").weights == {"identity": 1.15, "triplet": 1.0, "pixel": 0.5, "siamese": 0.5}
    assert stage_of(built(network="bicubic"), "joint").weights.keys() == {"identity", "triplet", "siamese"}
    assert stage_of(built(elements=()), "joint").weights.keys() == {"identity", "triplet", "pixel"}
    assert built("hrnet-reid", triplet=0.0).stages[0].weights == {"identity": 1.15}
    assert built("hrnet-reid", backbone="bottleneck-4-1", head="stripes").stages[0].weights == {"identity": 1.15}


def test_every_subset_of_the_elements_is_the_sum_of_its_own():
    """63 subsets that are not empty; the paper says 84."""
    batch, method = a_batch(), lively(built(elements=ELEMENTS))
    with torch.no_grad():
        found, wanted = method.describe(method.sr(batch.images)), method.teacher.describe(batch.hr)
        each = {name: pixel_l1(found.elements[name], wanted.elements[name]) for name in ELEMENTS}
        assert len(ALL) == 63 == len({frozenset(some) for some in ALL})
        for some in ALL:
            method.settings = type(method.settings)(**SMALL, elements=some)
            term = method.siamese_terms(found, batch.hr)["siamese"]
            torch.testing.assert_close(term, sum(each[name] for name in some))
        for some in (("seq5", "logits"), ELEMENTS):
            assert built(elements=some).losses(batch, stage_of(method, "joint"))["siamese"] > 0


def test_a_teacher_equal_to_the_pupil_asks_for_nothing():
    """In evaluation mode. In training the pupil has batch statistics of its own, and dropout: that is why the teacher
    is frozen in evaluation mode, and why the loss never ends at 0."""
    method, batch = lively(built(network="bicubic", elements=ELEMENTS, dropout=0.5)), a_batch(sharp=True)
    for part in ("backbone", "head"):
        getattr(method.teacher, part).load_state_dict(getattr(method, part).state_dict())
    stage = stage_of(method, "joint")
    with torch.no_grad():
        assert method.losses(batch, stage)["siamese"] == 0
        assert pixel_l1(method.sr(batch.images), batch.hr) == 0
        select_trainable(method, stage)
        assert method.losses(batch, stage)["siamese"] > 0


# ---- who learns from what


@pytest.mark.parametrize(
    ("stage", "term", "parts"),
    [
        ("high", "identity", {"teacher.backbone", "teacher.head"}),
        ("high", "triplet", {"teacher.backbone"}),
        ("joint", "pixel", {"sr"}),
        ("joint", "identity", {"sr", "backbone", "head"}),
        ("joint", "triplet", {"sr", "backbone"}),
        ("joint", "siamese", {"sr", "backbone", "head"}),
        ("restore", "pixel", {"sr"}),
    ],
)
def test_each_loss_reaches_the_parts_it_should(stage, term, parts):
    method = lively(built(restore_epochs=1))
    method.requires_grad_(True)  # nobody is reached because nobody may be
    method.losses(a_batch(), stage_of(method, stage))[term].backward()
    found = {n for n, p in method.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert {".".join(n.split(".")[: 2 if n.startswith("teacher") else 1]) for n in found} == parts


def test_the_teacher_is_in_evaluation_mode_while_the_pupil_learns():
    method = built()
    select_trainable(method, stage_of(method, "joint"))
    assert not any(part.training for part in method.teacher.modules())
    assert all(part.training for name in ("sr", "backbone", "head") for part in getattr(method, name).modules())
    optimizer = create_optimizer(method, stage_of(method, "joint"))
    rates = {id(p): group["multiplier"] for group in optimizer.param_groups for p in group["params"]}
    assert not {id(p) for p in method.teacher.parameters()} & rates.keys()
    assert {rates[id(p)] for p in method.sr.parameters()} == {0.1}
    assert {rates[id(p)] for p in (*method.backbone.parameters(), *method.head.parameters())} == {1.0}


@pytest.mark.parametrize(
    "settings",
    [{}, {"elements": ()}, {"network": "bicubic"}, {"pairs": "synthetic"}, {"head": "pooled", "elements": ("seq1",)}],
    ids=str,
)
def test_every_variant_lowers_its_loss_on_a_fixed_batch(settings):
    method = built(**settings)
    method.stages = [stage_of(method, "joint")]
    assert helpers.learns(method, a_batch())


def test_what_hrnet_reid_is_compared_with_learns_too():
    for settings in ({"head": "stripes"}, {"head": "pooled"}, {"pooling": "max"}, {"pooling": "average"}):
        plain = {} if "pooling" in settings else {"backbone": "bottleneck-4-1"}
        assert helpers.learns(built("hrnet-reid", **settings, **plain), a_batch())


# ---- two phases


def changed(before: Method, after: Method) -> set[str]:
    """Parts of which anything, batch statistics included, is another bit."""
    a, b = before.state_dict(), after.state_dict()
    assert a.keys() == b.keys()
    return {name.split(".")[0] for name in a if not torch.equal(a[name], b[name])}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """{what: its run}: the teacher, and what goes on from it."""
    protocol, folder = helpers.tiny_protocol(), tmp_path_factory.mktemp("runs")

    def train(name, **settings):
        return fit(create_method(name, **SMALL | {"epochs": 1} | settings), protocol, runs=folder, **QUIET)

    teacher = train("hrnet-reid", sees="high")
    weights = {"weights": {"teacher": teacher}}
    return {
        "teacher": teacher,
        "start": train("pshrnet", epochs=0, **weights),
        "whole": train("pshrnet", **weights),
        "solo": train("pshrnet", epochs=0, restore_epochs=1, **weights),
        "alone": train("pshrnet", teacher_epochs=2),
        "from the teacher": train(
            "pshrnet", epochs=0, weights={"teacher": teacher, "backbone": teacher, "head": teacher}
        ),
    }


def test_after_the_second_phase_the_teacher_is_bit_equal(runs):
    first = runs["teacher"].method.state_dict()
    for name in ("start", "whole", "solo"):
        assert helpers.same_weights(runs[name].method.teacher.state_dict(), first), name
    assert any("running_mean" in name for name in first)
    assert changed(runs["start"].method, runs["whole"].method) == {"sr", "backbone", "head"}
    assert changed(runs["start"].method, runs["solo"].method) == {"sr"}


def test_the_steps_are_what_was_asked_for(runs):
    steps = {name: [stage.name for stage in run.method.stages] for name, run in runs.items()}
    assert steps["whole"] == ["joint"] and steps["solo"] == ["restore"] and steps["start"] == []
    assert steps["alone"] == ["high", "joint"]
    assert runs["alone"].history["stage"].tolist() == ["high", "high", "joint"]
    assert [s.name for s in built(restore_epochs=1).stages] == ["high", "restore", "joint"]
    assert [s.name for s in built(network="bicubic", restore_epochs=1).stages] == ["high", "joint"]
    assert [s.name for s in built(network="bicubic", elements=()).stages] == ["joint"]
    assert not hasattr(built(elements=()), "teacher")


def test_a_pupil_may_start_where_the_teacher_ended(runs):
    method = runs["from the teacher"].method
    for part in ("backbone", "head"):
        assert helpers.same_weights(getattr(method, part), getattr(method.teacher, part))
    start = runs["start"].method
    assert not helpers.same_weights(start.backbone, start.teacher.backbone)


def test_the_teacher_sees_what_a_plain_protocol_shows(tmp_path):
    """Originals of a degraded protocol are the pictures of one that degrades nothing: the same weights come out."""
    told = SMALL | {"epochs": 1}
    degraded, sharp = helpers.tiny_protocol(), helpers.tiny_protocol(ratios=("1",))
    one = fit(create_method("hrnet-reid", sees="high", **told), degraded, runs=tmp_path, **QUIET)
    other = fit(create_method("hrnet-reid", **told), sharp, runs=tmp_path, **QUIET)
    assert helpers.same_weights(one.method, other.method)


# ---- what is seen


def test_what_a_network_learns_from():
    batch = a_batch()
    either = built("hrnet-reid", sees="either").seen(batch)
    assert torch.equal(either[::2], batch.images[::2]) and torch.equal(either[1::2], batch.hr[1::2])
    assert torch.equal(built("hrnet-reid").seen(batch), batch.images)
    assert torch.equal(built("hrnet-reid", sees="high").seen(batch), batch.hr)
    assert torch.equal(built("hrnet-reid", pairs="synthetic").seen(batch), batch.at(0.5))


def test_copies_come_at_every_ratio_of_the_original():
    method, protocol = built(pairs="synthetic", identities=12), helpers.tiny_protocol()
    rows = protocol.rows("train")
    source = TrainingBatches(Canvases(protocol, (32, 16)), rows, method.augmentation, 4, 4)
    (batch,) = next(source.epoch(0))
    low, high = method.shown(batch), batch.hr
    ratios = batch.pick("degrade", method.settings.ratios)
    assert torch.equal(low, batch.original.at(ratios))
    assert torch.equal(low[ratios == 1], high[ratios == 1]) and not torch.allclose(low, high)


# ---- how it is tested


def test_the_descriptor_is_the_sum_over_the_mirror_image():
    method, images = lively(built()), torch.rand(5, 3, 32, 16)
    with torch.no_grad():
        found = method.embed(Batch(images), "probe")
        parts = [method.head(method.backbone.maps(method.sr(some))).descriptor for some in (images, images.flip(3))]
        torch.testing.assert_close(found, torch.nn.functional.normalize(parts[0] + parts[1]))
        assert torch.equal(found, method.embed(Batch(images.flip(3)), "gallery"))
        assert torch.equal(found, method.embed(Batch(images), "gallery"))  # the gallery is restored, too
        torch.nn.init.constant_(method.sr.layers[-1].weight, 0.05)
        assert not torch.allclose(found, method.embed(Batch(images), "gallery"))
    torch.testing.assert_close(found.norm(dim=1), torch.ones(5))
    assert found.shape == (5, 1536 + 12)


def test_without_a_super_resolution_it_is_hrnet_reid():
    method, alone, images = lively(built(network="bicubic")), built("hrnet-reid").eval(), torch.rand(3, 3, 32, 16)
    for part in ("backbone", "head"):
        getattr(alone, part).load_state_dict(getattr(method, part).state_dict())
    with torch.no_grad():
        assert torch.equal(method.embed(Batch(images), "probe"), alone.embed(Batch(images), "probe"))


def test_pcb_describes_by_its_stripes():
    method, images = (
        built("hrnet-reid", backbone="resnet18-half", head="stripes", canvas=(96, 48)),
        torch.rand(2, 3, 96, 48),
    )
    method.eval()
    with torch.no_grad():
        maps = [method.backbone(some) for some in (images, images.flip(3))]
        assert maps[0].shape[2:] == (6, 3)  # six rows, six stripes
        stripes = sum(one.mean(3).transpose(1, 2).flatten(1) for one in maps)
        torch.testing.assert_close(method.embed(Batch(images), "probe"), torch.nn.functional.normalize(stripes))


# ---- the paper's values, the code's, and what makes no sense


def test_the_papers_size_and_recipe():
    with torch.device("meta"):
        method = create_method("pshrnet")
        method.setup("paper", 751)
        found = method.embed(Batch(torch.empty(2, 3, 256, 128)), "probe")
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in method.named_children()}
    network = 30_881_856 + 3_146_240 + 1_024 + 513 * 751
    assert count["sr"] == 677_448 and count["teacher"] == network == count["backbone"] + count["head"]
    assert found.shape == (2, 6656) and found.shape[1] / 6144 == pytest.approx(1.0833, abs=1e-4)
    high, joint = method.stages
    assert (high.epochs, joint.epochs) == (70, 70) and joint.trains == ("sr", "backbone", "head")
    for step in (high, joint):
        assert (step.optimizer, step.lr, step.weight_decay, step.identities, step.images) == ("sgd", 8.5e-3, 5e-4, 4, 6)
        assert step.schedule == Warmup(5, Step((30, 60)), start=0.035)
    assert joint.lr_multipliers == {"sr": 0.1} and method.augmentation.pad == 10 and method.augmentation.erase == 0
    s = method.settings
    assert s.margin == 0.1 and s.smoothing == 0.1 and s.elements == ("seq1", "seq4", "seq5", "logits")
    assert (s.cross_entropy, s.triplet, s.pixel, s.siamese) == (1.15, 0.2, 0.5, 0.5)


def test_the_codes_values_are_arguments():
    method = built(**AUTHORS)
    step = stage_of(method, "joint")
    assert method.settings.margin == 0.3 == method.teacher.settings.margin and (step.identities, step.images) == (6, 4)
    assert step.lr_multipliers == {"sr": 1.0} and method.settings.elements == ELEMENTS
    assert step.weights["pixel"] == pytest.approx(2.2125)
    std = torch.tensor([0.229, 0.224, 0.225])
    assert (1 / std).mean().item() / 2 == pytest.approx(step.weights["pixel"], rel=1e-3)


def test_short_profiles():
    for profile, network in (("quick", "hrnet-w8"), ("course", "hrnet-w12")):
        s = PsHrnet.defaults(profile)
        assert s.backbone == network == HrnetReid.defaults(profile).backbone and s.network == "vdsr-ca-narrow"
        assert s.optimizer == "adamw" and s.dropout == 0 and s.margin == 0.1
    method = create_method("pshrnet")
    method.setup("course", 4)
    assert stage_of(method, "joint").schedule.then == Cosine()
    assert method.head.bn.num_features * 12 == sum(
        c * g**2 for c, g in zip((48, 96, 192, 384), (4, 2, 2, 1), strict=True)
    )


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("pshrnet", {"elements": ("seq6",)}, "elements of the head 'sequences' are some of seq1"),
        ("pshrnet", {"elements": ("seq1", "seq1")}, "each once"),
        ("pshrnet", {"head": "pooled"}, "elements of the head 'pooled' are some of seq1, logits"),
        ("pshrnet", {"head": "stripes", "elements": ("seq1",)}, "'stripes' are some of logits"),
        ("pshrnet", {"pixel": -1.0}, "not negative"),
        ("pshrnet", {"reduction": "max"}, "reduction"),
        ("pshrnet", {"sees": "high"}, "the pupil sees what is low"),
        ("hrnet-reid", {"pairs": "both"}, "unknown pairs 'both'"),
        ("hrnet-reid", {"sees": "everything"}, "unknown sees"),
        ("hrnet-reid", {"head": "fc"}, "unknown head 'fc'; known: sequences, pooled, stripes"),
        ("hrnet-reid", {"pooling": "gem"}, "unknown pooling"),
        ("hrnet-reid", {"triplet": -0.2}, "not negative"),
        ("hrnet-reid", {"ratios": (0.5, 0.0)}, "ratios of copies"),
        ("hrnet-reid", {"backbone": "resnet18-half"}, "'resnet18-half' has no branches of four resolutions"),
    ],
    ids=str,
)  # fmt: skip
def test_what_makes_no_sense_is_refused(name, wrong, message):
    with pytest.raises(ValueError, match=message), torch.device("meta"):
        create_method(name, **wrong).setup("quick", 3)


def test_each_loss_has_its_own_weight():
    method = create_method("pshrnet", pixel=0.3, siamese=0.7)
    method.setup("quick", 4)
    assert [method.stages[-1].weights[name] for name in ("pixel", "siamese")] == [0.3, 0.7]
