"""The contract of a method, the baseline, the stages and the loop."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
import torch
import training_helpers as helpers
from torch import nn

from lib import bars
from lib.data.batches import Batch
from lib.data.canvases import Canvases
from lib.losses import batch_hard_triplet, cross_entropy
from lib.methods import METHODS, Constant, Cosine, Solve, Stage, Step, Warmup, create_method
from lib.methods.stages import describe
from lib.models.devices import resolve_device
from lib.training import fit
from lib.training.loop import NonFiniteLoss, Trainer
from lib.training.optim import create_optimizer, select_trainable, set_rate
from lib.training.precision import resolve_precision
from lib.training.randomness import seeded
from lib.training.weights import WeightsUnavailable, load_first_weights

CPU = torch.device("cpu")
QUIET = {"device": "cpu", "precision": "fp32", "progress": False}


def built(method=None, seed=0, identities=12):
    with seeded(seed):
        method = method or helpers.Tiny()
        method.setup("quick", identities)
    return method


# ---- schedules and stages


def test_schedules_by_hand():
    assert Constant().factor(7, 10) == 1
    step = Step((40, 70), 0.1)
    assert [step.factor(e, 120) for e in (0, 39.9, 40, 70, 119)] == pytest.approx([1, 1, 0.1, 0.01, 0.01])
    cosine = Cosine(final=0.0)
    assert [cosine.factor(e, 10) for e in (0, 5, 10)] == pytest.approx([1, 0.5, 0])
    warm = Warmup(10, then=Step((20,)), start=0.1)
    assert [warm.factor(e, 30) for e in (0, 5, 10, 20)] == pytest.approx([0.1, 0.55, 1, 0.1])


def test_stages_are_data():
    stage = Stage("s", 3, schedule=Warmup(1, then=Cosine()), lr_multipliers={"a": 0.5})
    found = describe([stage])[0]
    assert found["kind"] == "Stage" and found["schedule"]["then"]["kind"] == "Cosine"
    with pytest.raises(ValueError, match="unknown optimizer 'lion'"):
        Stage("s", 1, optimizer="lion")
    with pytest.raises(ValueError, match="at least one identity"):
        Stage("s", 1, identities=0)


def test_a_stage_trains_its_parts_and_freezes_the_rest():
    method = built()
    select_trainable(method, method.stages[0])
    learning = {n for n, p in method.named_parameters() if p.requires_grad}
    assert learning == {"restore.weight", "restore.bias"}
    assert method.restore.training and not method.body.training
    select_trainable(method, method.stages[1])
    assert all(p.requires_grad for p in method.parameters()) and method.body.training


def test_shared_weights_learn_whatever_they_are_called():
    method = built()
    method.stream = method.restore  # SING: three streams, one set of weights
    select_trainable(method, Stage("s", 1, trains=("stream",)))
    assert method.restore.weight.requires_grad and not method.classifier.weight.requires_grad


def test_a_part_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="trains 'upscale', which Tiny lacks; parts: restore, body"):
        select_trainable(built(), Stage("s", 1, trains=("upscale",)))


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_rates_by_part(kind):
    method = built()
    stage = Stage("s", 10, optimizer=kind, lr=0.1, lr_multipliers={"body": 0.5, "body.0": 1e-7}, schedule=Step((5,)))
    select_trainable(method, stage)
    optimizer = create_optimizer(method, stage)
    assert set_rate(optimizer, stage, 7.0) == pytest.approx(0.01)
    rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert rates[id(method.restore.weight)] == pytest.approx(0.01)
    assert rates[id(method.body[1].weight)] == pytest.approx(0.005)
    assert rates[id(method.body[0].weight)] == pytest.approx(1e-9)


def test_a_stage_leaves_other_parts_untouched(tmp_path):
    """Weights and batch statistics of a frozen part: bit for bit."""
    method = built()
    method.stages = method.stages[:1]
    before = {n: t.clone() for n, t in method.state_dict().items()}
    Trainer(method, helpers.tiny_protocol(), 0, CPU, "fp32").run()
    changed = {n.split(".")[0] for n, t in method.state_dict().items() if not torch.equal(t, before[n])}
    assert changed == {"restore"}


def test_what_a_method_froze_for_good_stays_frozen():
    method = built(create_method("baseline", epochs=1, canvas=(32, 16)))
    Trainer(method, helpers.tiny_protocol(), 0, CPU, "fp32").run()
    assert not method.head.bn.bias.requires_grad and (method.head.bn.bias == 0).all()
    assert method.head.classifier.weight.requires_grad


# ---- the contract


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_keeps_the_contract(name):
    method = built(create_method(name), identities=5)
    height, width = method.canvas
    torch.manual_seed(0)
    images = torch.rand(8, 3, height, width)
    ones = torch.ones(8)
    labels = torch.arange(4).repeat_interleave(2)
    low, high = torch.arange(0, 8, 2), torch.arange(1, 8, 2)
    more = {"mask": torch.ones(8, 1, height, width), "position": torch.rand(8, 2, height, width)}
    batch = helpers.training_batch(images, labels, low, high, ones, **more)
    for stage in method.stages:
        if isinstance(stage, Solve):
            with torch.no_grad():
                method.eval().solve([batch], stage)
            continue
        select_trainable(method, stage)
        terms = method.losses(batch, stage)
        assert all(isinstance(n, str) and v.shape == () and v.isfinite() for n, v in terms.items())
        assert set(stage.weights) <= terms.keys()
        sum(terms.values()).backward()
        for parameter_name, p in method.named_parameters():
            if p.requires_grad:
                assert p.grad is not None and p.grad.isfinite().all(), parameter_name
        method.zero_grad()
    method.eval()
    with torch.no_grad():
        shown = {"probe": helpers.training_batch(images[:3]), "gallery": batch}  # both have copies: some ask for them
        probes, gallery = (method.embed(some, role) for role, some in shown.items())
        assert method.features(gallery).shape[0] == 8
        distances = method.distance(probes, gallery)
    assert probes.shape == (3, gallery.shape[1]) and gallery.dtype == torch.float32
    assert distances.shape == (3, 8) and distances.isfinite().all() and (distances >= 0).all()
    describe(method.recipe())


def test_names_and_settings_that_are_not_known():
    with pytest.raises(ValueError, match="unknown method 'basline'.*did you mean 'baseline'"):
        create_method("basline")
    with pytest.raises(TypeError, match="no setting depth; known: .*backbone"):
        create_method("baseline", depth=50)
    with pytest.raises(ValueError, match="all-resolutions"):
        create_method("baseline", augmentation="everything")
    with pytest.raises(ValueError, match="'after' or 'before'"):
        create_method("baseline", feature="middle")
    with pytest.raises(ValueError, match="unknown profile 'fast'; known: quick, course, paper"):
        fit(create_method("baseline"), helpers.tiny_protocol(), profile="fast")


def test_settings_are_typed_values():
    """Each in one form, whatever it was told as: part of a run's key."""
    told = create_method("baseline", canvas=[32, 16], epochs=np.int64(2), lr=0, jitter=(0, 0, np.float32(0.5), 0))
    settings = told.settings
    assert settings.canvas == (32, 16) and type(settings.epochs) is int and settings.lr == 0.0
    assert type(settings.lr) is float and settings.jitter == (0.0, 0.0, 0.5, 0.0) and settings.margin == 0.3
    with pytest.raises(AttributeError):
        settings.epochs = 3
    for wrong, message in (
        ({"epochs": "2"}, "baseline: epochs is a whole number, not '2'"),
        ({"epochs": 2.5}, "epochs is a whole number"),
        ({"epochs": True}, "epochs is a whole number, not True"),
        ({"lr": "fast"}, "lr is a number"),
        ({"canvas": 64}, "canvas is several values, such as"),
        ({"backbone": 18}, "backbone is a text"),
        ({"weights": "imagenet"}, "weights is a dictionary"),
    ):
        with pytest.raises(TypeError, match=message):
            create_method("baseline", **wrong)
    with pytest.raises(ValueError, match="lr is a finite number"):
        create_method("baseline", lr=float("nan"))
    assert create_method("sing", descriptor=None).settings.descriptor is None


def test_what_is_told_wins_over_the_profile_and_the_profile_over_the_defaults():
    method = create_method("baseline", epochs=7, canvas=None)
    assert method.settings.epochs == 7 and method.settings.canvas == (256, 128)
    with torch.device("meta"):
        method.setup("quick", 5)
    assert method.settings.epochs == 7 and method.settings.canvas == (64, 32) and method.settings.margin == 0.3
    assert method.told == {"epochs": 7}


def test_ones_own_settings_and_ones_own_constructor_are_part_of_a_key():
    class Child(METHODS["baseline"]):
        def __init__(self, extra: int = 3):
            super().__init__(epochs=extra)

    found = Child(4).told_all
    assert found["arguments"] == {"extra": 4} and found["settings"]["epochs"] == 4
    assert Child().told_all != found


def test_a_layer_may_not_take_the_name_of_the_contract():
    with pytest.raises(AttributeError, match="'features' is a method of the contract"):
        helpers.Tiny().features = nn.Linear(2, 2)


# ---- the baseline


def test_the_baselines_sizes():
    with torch.device("meta"):
        found = {}
        for profile in ("quick", "course", "paper"):
            method = create_method("baseline")
            method.setup(profile, 100)
            found[profile] = (method.backbone.name, method.canvas, method.backbone.channels)
    assert found["paper"] == ("resnet50", (256, 128), 2048)
    assert found["quick"][1] == (64, 32) and found["course"][1] == (96, 48)


def test_the_constructor_overrides_the_profile():
    with torch.device("meta"):
        method = create_method("baseline", backbone="resnet18-half", canvas=(128, 64), epochs=7, lr=0.1, batch=(8, 2))
        method.setup("paper", 10)
    (stage,) = method.stages
    assert method.backbone.name == "resnet18-half" and method.canvas == (128, 64)
    assert (stage.epochs, stage.lr, stage.identities, stage.images) == (7, 0.1, 8, 2)
    assert method.augmentation.pad == 5  # 10 pixels of 256 rows


def test_the_baselines_losses_are_the_functions_of_its_features():
    method = built(create_method("baseline", canvas=(32, 16)), identities=4).train()
    images, labels = torch.rand(8, 3, 32, 16), torch.arange(4).repeat_interleave(2)
    terms = method.losses(Batch(images, labels=labels), method.stages[0])
    features = method.pool(method.backbone(images))
    torch.testing.assert_close(terms["triplet"], batch_hard_triplet(features, labels, 0.3))
    normal = (features - features.mean(0)) / (features.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(terms["identity"], cross_entropy(normal @ method.head.classifier.weight.T, labels, 0.1))


def test_its_descriptor_has_length_one_after_the_bnneck():
    batch = Batch(torch.rand(4, 3, 32, 16))
    after = built(create_method("baseline", canvas=(32, 16))).eval().embed(batch, "probe")
    torch.testing.assert_close(after.norm(dim=1), torch.ones(4))
    before = built(create_method("baseline", canvas=(32, 16), feature="before")).eval().embed(batch, "probe")
    assert (before.norm(dim=1) - 1).abs().max() > 0.01


def test_it_learns_and_tells_people_apart(tmp_path):
    """Loss falls, and unseen noise of the same people is matched."""
    protocol = helpers.tiny_protocol(ratios=("1",))
    run = fit(create_method("baseline", canvas=(32, 16), epochs=8, erase=0.0), protocol, runs=tmp_path, **QUIET)
    assert run.history["total"].iloc[-1] < 0.7 * run.history["total"].iloc[0]
    images = Canvases(protocol, (32, 16)).images(range(60), [1.0] * 60).float() / 255
    with torch.no_grad():
        found = run.method.embed(Batch(images), "gallery")
    distances = run.method.distance(found, found).fill_diagonal_(torch.inf)
    people = np.repeat(np.arange(12), 5)
    assert (people[distances.argmin(1)] == people).mean() > 0.6


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_fixed_batch_is_learnt(precision):
    from lib.training.precision import autocast

    method = built(create_method("baseline", canvas=(32, 16)), identities=4).train()
    images, labels = torch.rand(8, 3, 32, 16), torch.arange(4).repeat_interleave(2)
    batch = Batch(images, labels=labels)
    optimizer, totals = torch.optim.Adam(method.parameters(), 1e-3), []
    for _ in range(12):
        with autocast(precision, CPU):
            total = sum(method.losses(batch, method.stages[0]).values())
        totals.append(total.item())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert totals[-1] < 0.8 * totals[0]


# ---- the loop


def test_same_seed_same_weights_other_seed_other_weights(tmp_path):
    weights = []
    for seed, folder in [(0, "a"), (0, "b"), (1, "c")]:
        torch.rand(3)  # what the caller drew before does not matter
        run = fit(helpers.Tiny(), helpers.tiny_protocol(), seed=seed, runs=tmp_path / folder, **QUIET)
        weights.append(run.method.state_dict())
    assert helpers.same_weights(weights[0], weights[1]) and not helpers.same_weights(weights[0], weights[2])


def test_history_holds_every_stage_and_term(tmp_path):
    run = fit(helpers.Tiny(epochs=3), helpers.tiny_protocol(), runs=tmp_path, **QUIET)
    history = run.history
    assert history["stage"].tolist() == ["restore"] * 3 + ["joint"] * 3 and history["epoch"].tolist() == [1, 2, 3] * 2
    assert history["identity"].isna().tolist() == [True] * 3 + [False] * 3
    joint = history[3:]
    np.testing.assert_allclose(joint["total"], joint[["pixel", "identity", "triplet"]].sum(axis=1), rtol=1e-5)
    assert (history["images_per_second"] > 0).all() and history["lr"].iloc[-1] < history["lr"].iloc[3]
    pd.testing.assert_frame_equal(history, pd.read_csv(run.directory / "metrics.csv"))


def test_metrics_are_written_while_it_runs():
    seen = []
    method = built(helpers.Tiny(epochs=2))
    Trainer(method, helpers.tiny_protocol(), 0, CPU, "fp32", log=lambda rows: seen.append(len(rows))).run()
    assert seen == [1, 2, 3, 4]


def test_loss_weights():
    class Weighted(helpers.Tiny):
        def build(self, num_identities):
            super().build(num_identities)
            self.stages = [Stage("only", 1, weights={"pixel": 0.0, "identity": 2.0}, identities=4, images=2)]

        def losses(self, batch, stage):
            return super().losses(batch, Stage("joint", 1))

    method = built(Weighted())
    row = Trainer(method, helpers.tiny_protocol(), 0, CPU, "fp32").run().history[0]
    assert row["total"] == pytest.approx(2 * row["identity"] + row["triplet"], rel=1e-5)


def test_pieces_add_up_to_the_whole_batch():
    """Without batch statistics and mining, two pieces of half a batch give the gradient of the whole."""

    class Separable(helpers.Tiny):
        def losses(self, batch, stage):
            terms = super().losses(batch, stage)
            terms.pop("triplet", None)
            return terms

    weights = []
    for pieces in (1, 2):
        method = built(Separable(normalise="group", dropout=0.0))
        Trainer(method, helpers.tiny_protocol(), 0, CPU, "fp32", accumulate=pieces).run()
        weights.append(method.state_dict())
    for name in weights[0]:
        torch.testing.assert_close(weights[0][name], weights[1][name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_named(bad):
    class Broken(helpers.Tiny):
        def losses(self, batch, stage):
            terms = super().losses(batch, stage)
            self.calls = getattr(self, "calls", 0) + 1
            if self.calls == 19:  # second stage (8 steps an epoch, one epoch each), third step
                terms["triplet"] = terms["triplet"] * bad
            return terms

    with pytest.raises(NonFiniteLoss, match=r"tiny, stage 'joint', epoch 2, step 3: loss term 'triplet' is not finite"):
        method = built(Broken(epochs=2))
        method.stages = [Stage("restore", 1, ("restore",), identities=4, images=2), method.stages[1]]
        method.stages[1] = Stage("joint", 2, identities=4, images=2)
        Trainer(method, helpers.tiny_protocol(), 0, CPU, "fp32").run()


def test_clipping_bounds_the_gradient():
    method = built(helpers.Tiny(clip=1e-3))
    norms = []

    class Spy(torch.optim.SGD):
        def step(self, closure=None):
            norms.append(torch.stack([p.grad.norm() for g in self.param_groups for p in g["params"]]).norm().item())
            return super().step(closure)

    trainer = Trainer(method, helpers.tiny_protocol(), 0, CPU, "fp32")
    import lib.training.loop as loop

    original = loop.create_optimizer
    loop.create_optimizer = lambda m, s: Spy(
        [{"params": [p for p in m.parameters() if p.requires_grad], "multiplier": 1.0}], 0.1
    )
    try:
        trainer.run()
    finally:
        loop.create_optimizer = original
    assert max(norms) < 1.001e-3 and len(norms) == 32


def test_bf16_trains_and_keeps_weights_in_float32(tmp_path):
    run = fit(helpers.Tiny(), helpers.tiny_protocol(), runs=tmp_path, device="cpu", precision="bf16", progress=False)
    assert all(t.dtype in (torch.float32, torch.int64) for t in run.method.state_dict().values())
    assert run.history["total"].notna().all()


def test_the_progress_bar_goes_to_stderr_only(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bars, "EVERY", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    fit(helpers.Tiny(), helpers.tiny_protocol(), runs=tmp_path, device="cpu", precision="fp32", progress=True)
    captured = capsys.readouterr()
    assert captured.out == "" and "tiny · 100%" in captured.err and "images/s" in captured.err


def test_devices_and_precisions():
    assert resolve_device("cpu") == CPU
    assert resolve_precision("auto", CPU) in ("fp32", "bf16")
    with pytest.raises(ValueError, match="unknown precision 'half'"):
        resolve_precision("half", CPU)
    with pytest.raises(ValueError, match="fp16 needs a GPU"):
        resolve_precision("fp16", CPU)


# ---- first weights


def test_weights_from_a_file_a_run_and_torchvision(tmp_path):
    source = built(create_method("baseline", canvas=(32, 16)), seed=1)
    torch.save(source.backbone.state_dict(), tmp_path / "plain.pth")
    torch.save({"state_dict": {f"module.{n}": t for n, t in source.state_dict().items()}}, tmp_path / "wrapped.pth")
    run = fit(create_method("baseline", canvas=(32, 16), epochs=1), helpers.tiny_protocol(), runs=tmp_path, **QUIET)
    for path, expected in [
        (tmp_path / "plain.pth", source.backbone),
        (tmp_path / "wrapped.pth", source.backbone),
        (run.directory, run.method.backbone),
    ]:
        method = built(create_method("baseline", canvas=(32, 16)), seed=2)
        load_first_weights(method, "backbone", str(path))
        assert helpers.same_weights(method.backbone, expected)


def test_fit_starts_from_the_file(tmp_path):
    source = built(create_method("baseline", canvas=(32, 16)), seed=1)
    torch.save(source.backbone.state_dict(), tmp_path / "w.pth")
    method = create_method("baseline", canvas=(32, 16), epochs=0, weights={"backbone": tmp_path / "w.pth"})
    run = fit(method, helpers.tiny_protocol(), runs=tmp_path, **QUIET)
    assert helpers.same_weights(run.method.backbone, source.backbone)


@pytest.mark.parametrize(
    ("source", "backbone", "message"),
    [
        ("imagnet", "bottleneck-16-1", "neither 'imagenet', 'pedestrians', .* nor an existing file"),
        ("imagenet", "bottleneck-16-1", "no ImageNet weights for 'bottleneck-16-1'"),
        ("{folder}/other.pth", "bottleneck-16-1", "does not fit ResNet: .* are missing"),
        ("{folder}/wide.pth", "bottleneck-16-1", "does not fit ResNet: .* differ in shape"),
        ("{folder}/text.pth", "bottleneck-16-1", "cannot be read as weights"),
    ],
)
def test_weights_that_are_not_there_get_a_clear_sentence(tmp_path, source, backbone, message):
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "other.pth")
    torch.save(built(create_method("baseline", backbone="bottleneck-8-1")).backbone.state_dict(), tmp_path / "wide.pth")
    (tmp_path / "text.pth").write_text("hello")
    method = built(create_method("baseline", backbone=backbone, canvas=(32, 16)))
    with pytest.raises(WeightsUnavailable, match=message):
        load_first_weights(method, "backbone", source.format(folder=tmp_path))


def test_imagenet_without_a_network_says_where_to_put_the_file(monkeypatch):
    from torchvision.models import WeightsEnum

    def offline(self, *args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(WeightsEnum, "get_state_dict", offline)
    with torch.device("meta"):
        method = create_method("baseline", backbone="resnet50")
        method.setup("paper", 4)
    with pytest.raises(
        WeightsUnavailable, match=r"could not be downloaded \(no route.*resnet50-0676ba61.pth.*TORCH_HOME"
    ):
        load_first_weights(method, "backbone", "imagenet")


def test_imagenet_weights_fill_the_backbone(monkeypatch):
    import torchvision
    from torchvision.models import WeightsEnum

    theirs = torchvision.models.resnet18(weights=None).state_dict()
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda self, *a, **k: theirs)
    method = built(create_method("baseline", backbone="resnet18", canvas=(32, 16)))
    load_first_weights(method, "backbone", "imagenet")
    assert torch.equal(method.backbone.layer4[1].conv2.weight, theirs["layer4.1.conv2.weight"])


def test_a_run_of_one_method_starts_another(tmp_path):
    """The parts have the same names in all methods: a Baseline starts RIPR, both streams alike, and its head."""
    small = {"canvas": (32, 16), "backbone": "bottleneck-8-1", "batch": (4, 2)}
    first = fit(create_method("baseline", epochs=1, **small), helpers.tiny_protocol(), runs=tmp_path, **QUIET)
    weights = {"backbone": first, "head": first}
    for streams in ("one", "rife"):
        method = create_method("ripr", network="bilinear", streams=streams, epochs=(0, 0, 0), weights=weights, **small)
        run = fit(method, helpers.tiny_protocol(), runs=tmp_path, **QUIET)
        assert helpers.same_weights(run.method.head, first.method.head)
        own, theirs = run.method.backbone.state_dict(), first.method.backbone.state_dict()
        assert any(torch.equal(value, theirs["conv1.weight"]) for name, value in own.items() if "conv1.weight" in name)
    with pytest.raises(WeightsUnavailable, match="baseline has no part 'sr' for first weights; its parts are backbone"):
        fit(create_method("baseline", weights={"sr": first}, **small), helpers.tiny_protocol(), runs=tmp_path, **QUIET)


def test_the_key_of_a_run_knows_which_run_it_started_from_and_not_where_that_lies(tmp_path):
    import shutil

    def started_from(source):
        method = create_method("baseline", epochs=0, weights={"backbone": source}, **small)
        return fit(method, helpers.tiny_protocol(), runs=tmp_path, **QUIET).key

    small = {"canvas": (32, 16), "backbone": "bottleneck-8-1", "batch": (4, 2)}
    one, two = (
        fit(create_method("baseline", epochs=1, **small), helpers.tiny_protocol(), seed=s, runs=tmp_path, **QUIET)
        for s in (0, 1)
    )
    moved = shutil.copytree(one.directory, tmp_path / "elsewhere")
    assert started_from(one) == started_from(str(one.directory)) == started_from(moved) != started_from(two)


def test_pretraining_on_pedestrians_is_a_run_of_its_own(tmp_path, monkeypatch):
    """Made once, on purpose; a key knows it without making it, and a run that starts from it never makes it."""
    from dataclasses import replace

    from lib.training import pedestrians, pretrain

    rendered = pretrain.whole_set(helpers.tiny_people(identities=8, images=4))
    assert set(rendered.table["role"]) == {"train"} and len(rendered.rows("train")) == 32
    monkeypatch.setattr(pretrain, "pretraining_set", lambda profile: rendered)
    monkeypatch.setitem(pedestrians.PRETRAINING, "quick", replace(pedestrians.PRETRAINING["quick"], epochs=1))

    def started():
        weights = {"backbone": "pedestrians"}
        method = create_method("baseline", canvas=(32, 16), epochs=0, weights=weights)
        return fit(method, helpers.tiny_protocol(), runs=tmp_path, **QUIET)

    with pytest.raises(WeightsUnavailable, match=r"pretrain\('quick', 'bottleneck-16-1', \(32, 16\)\)"):
        started()
    source = pretrain.pretrain("quick", canvas=(32, 16), runs=tmp_path, device="cpu", progress=False)
    run = started()
    assert helpers.same_weights(run.method.backbone, source.method.backbone) and started().reused
    assert pretrain.pretrain("quick", canvas=(32, 16), runs=tmp_path, device="cpu", progress=False).reused
    monkeypatch.setitem(pedestrians.PRETRAINING, "quick", replace(pedestrians.PRETRAINING["quick"], epochs=2))
    with pytest.raises(
        WeightsUnavailable, match="no first weights 'pedestrians' of bottleneck-16-1 at 32 x 16"
    ):  # another plan
        started()


def test_the_key_of_a_run_renders_and_trains_nothing(monkeypatch):
    """Rendered people cost minutes; what identifies the pre-training on them is known without."""
    from lib.data import pedestrians as renderer
    from lib.training import pedestrians
    from lib.training.fit import run_key

    def nothing(*arguments, **options):
        raise AssertionError("rendered, or trained")

    monkeypatch.setattr(renderer, "render_people", nothing)
    monkeypatch.setattr(Trainer, "run", nothing)
    method = built(create_method("baseline", canvas=(32, 16), weights={"backbone": "pedestrians"}))
    keys = [run_key(method, helpers.tiny_protocol(), "quick", 0, "fp32", device=CPU)[0] for _ in range(2)]
    assert keys[0] == keys[1]
    kinds = [("quick", "pedestrians"), ("course", "pedestrians"), ("course", "pedestrians-sharp")]
    found = {pedestrians.recorded("bottleneck-16-1", (32, 16), plan, "fp32", source) for plan, source in kinds}
    assert len(found | {pedestrians.recorded("vdsr-narrow", (32, 16), "course", "fp32")}) == 4


def test_a_rate_of_zero_is_zero(tmp_path):
    """Not the profile's: nothing learns, as it was told."""
    method = create_method("baseline", backbone="bottleneck-8-1", canvas=(32, 16), epochs=2, lr=0, weight_decay=0)
    run = fit(method, helpers.tiny_protocol(), runs=tmp_path, **QUIET)
    assert run.history["lr"].tolist() == [0.0, 0.0]
    start = built(create_method("baseline", backbone="bottleneck-8-1", canvas=(32, 16)))
    assert all(torch.equal(a, b) for a, b in zip(run.method.parameters(), start.parameters(), strict=True))
