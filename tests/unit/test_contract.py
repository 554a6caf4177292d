"""The contract of a method as a paper to come would use it: settings, methods inside methods, others' weights."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np
import pandas as pd
import pytest
import torch
import training_helpers as helpers
from torch import Tensor, nn

from lib.data import make_protocol
from lib.data.augmentation import Augmentation
from lib.data.batches import Batch, TrainingBatches
from lib.data.canvases import Canvases
from lib.data.dataset import PersonDataset
from lib.evaluation import evaluate
from lib.evaluation.features import compared
from lib.evaluation.results import TrainedOnTheTested
from lib.losses import cross_entropy
from lib.methods import Stage, create_method
from lib.methods.baseline import Baseline
from lib.methods.ensemble import AdaptiveEnsemble
from lib.methods.method import Method
from lib.methods.work import work_of
from lib.methods.wrapped import SuperResolved, Swapped
from lib.models.backbones import create_backbone
from lib.models.heads import GlobalPool
from lib.training import fit
from lib.training.weights import WeightsUnavailable, load_first_weights

QUIET = {"device": "cpu", "precision": "fp32", "progress": False}
SMALL = {"backbone": "bottleneck-4-1", "canvas": (32, 16), "epochs": 1, "batch": (4, 2)}


class Network(nn.Module):
    """A network of one's own made of a backbone and a classifier."""

    def __init__(self, num_identities: int):
        super().__init__()
        self.backbone, self.pool = create_backbone("bottleneck-4-1"), GlobalPool()
        self.classifier = nn.Linear(self.backbone.channels, num_identities)

    def forward(self, images: Tensor) -> Tensor:
        return self.pool(self.backbone(images))


class Taught(Method):
    """A method with parts of names of its own: a frozen teacher, a student, and a whole method."""

    name = "taught"

    def build(self, num_identities: int) -> None:
        self.canvas = (32, 16)
        self.teacher, self.student = Network(num_identities), Network(num_identities)
        self.inner = Baseline(**SMALL)
        self.inner.setup(self.profile, num_identities)
        self.stages = [Stage("learn", 1, trains=("student",), identities=4, images=2)]

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        with torch.no_grad():
            wanted = self.teacher(batch.hr)
        found = self.student(batch.images)
        identity = cross_entropy(self.student.classifier(found), batch.labels)
        return {"alike": (found - wanted).square().mean(), "identity": identity}

    def embed(self, batch: Batch, role: str) -> Tensor:
        return self.student(batch.images)


class Own(Method):
    """With a distance of its own; ``Said`` says its features."""

    name = "own"
    canvas = (32, 16)

    def embed(self, batch: Batch, role: str) -> Tensor:
        return batch.images.mean((2, 3))

    def distance(self, probes: Tensor, gallery: Tensor) -> Tensor:
        return torch.cdist(probes[:, :2], gallery[:, :2])


class Said(Own):
    def features(self, descriptors: Tensor) -> Tensor:
        return descriptors[:, :2]


# ---- settings


@dataclass(frozen=True, kw_only=True)
class Sizes(Method.Settings):
    sides: tuple[tuple[int, int], ...] = ()
    must: float
    rate: Optional[float] = 0.5  # noqa: UP045
    terms: dict[str, float] | None = None
    word: int | str = "auto"


class Sized(Method):
    name = "sized"
    Settings = Sizes

    def build(self, num_identities: int) -> None:
        self.canvas, self.stages = (8, 4), []


def test_settings_of_any_type_are_converted_or_refused():
    told = Sized(must=np.int64(1), sides=[(1, np.int64(2)), [3.0, 4]], rate=None, terms={"a": np.float64(2)}, word=3)
    assert told.settings == Sizes(must=1.0, sides=((1, 2), (3, 4)), rate=None, terms={"a": 2.0}, word=3)
    told.setup("quick", 2)  # a setting without a default is one that has to be told
    assert told.settings.must == 1.0
    for wrong, error, message in (
        ({}, TypeError, "must"),
        ({"must": "x"}, TypeError, "sized: must is a number, not 'x'"),
        ({"must": 1, "sides": ((1, 2, 3),)}, ValueError, "sides is 2 values, not "),
        ({"must": 1, "rate": "x"}, TypeError, "rate is a number"),
        ({"must": 1, "terms": 3}, TypeError, "terms is a dictionary, not 3"),
    ):
        with pytest.raises(error, match=message):
            Sized(**wrong)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("baseline", {"canvas": (64,)}), ("baseline", {"canvas": (64, 32, 3)}), ("baseline", {"batch": (16,)}),
        ("baseline", {"batch": (0, 4)}), ("baseline", {"jitter": (0.1,)}), ("baseline", {"canvas": (0, 32)}),
        ("baseline", {"epochs": -1}), ("baseline", {"erase": 2.0}), ("baseline", {"shift": -1.0}),
        ("sing", {"reduction": "median"}), ("ripr", {"reduction": "median"}), ("ripr", {"schedule": "linear"}),
    ],
    ids=str,
)  # fmt: skip
def test_values_that_make_no_sense_are_refused_before_anything_is_trained(name, wrong):
    with pytest.raises(ValueError, match=r"\w+"), torch.device("meta"):
        create_method(name, **wrong).setup("quick", 3)


def test_settings_written_in_a_notebook_are_typed_too():
    """Without annotations from __future__ a field's type is a class, not a text."""
    space: dict = {"__name__": __name__}
    exec(
        compile(
            "from dataclasses import dataclass\nfrom lib.methods.method import Method\n"
            "class Cell(Method):\n    @dataclass(frozen=True, kw_only=True)\n    class Settings(Method.Settings):\n"
            "        n: int = 3\n",
            "cell", "exec", dont_inherit=True,
        ),
        space,
    )  # fmt: skip
    assert space["Cell"](n=np.int64(2)).told == {"n": 2}
    with pytest.raises(TypeError, match="n is a whole number, not '2'"):
        space["Cell"](n="2")


def test_settings_that_are_no_settings_are_refused_where_they_are_written():
    for base in (object, Method.Settings):  # not inherited; the decorator forgotten
        with pytest.raises(TypeError, match="Settings has to be a dataclass made from the base's"):
            type("Wrong", (Method,), {"Settings": type("Settings", (base,), {})})


def test_profiles_name_what_there_is():
    for said, message in (({"quik": {"lr": 1.0}}, "no quik. The profiles"), ({"quick": {"rate": 1}}, "no quick: rate")):
        with pytest.raises(TypeError, match=f"PROFILES says.*{message}"):
            type("Wrong", (Baseline,), {"PROFILES": said})


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (lambda total: total, "losses.batch, stage. returns"),
        (lambda total: {"a": total[None]}, "a tensor of one number"),
        (lambda total: {"a": total.detach()}, "none of the loss terms .a. depends on what the stage trains: all parts"),
        (lambda total: {"identity": total}, "weights of triplet, but the loss terms are identity"),
    ],
)
def test_losses_that_cannot_be_weighted_are_refused(terms, message, tmp_path):
    class Wrong(Baseline):
        def losses(self, batch, stage):
            return terms(sum(super().losses(batch, stage).values()))

    method = Wrong(canvas=(32, 16), backbone="bottleneck-8-1", epochs=1)
    with pytest.raises((TypeError, ValueError), match=message):
        fit(method, helpers.tiny_protocol(), runs=tmp_path, device="cpu", progress=False)


def test_a_build_that_forgets_canvas_or_stages_is_told_so():
    for done, message in (({}, "sets canvas"), ({"canvas": (8, 4)}, "sets stages")):
        kind = type("Half", (Method,), {"build": lambda self, n, done=done: vars(self).update(done)})
        with pytest.raises(ValueError, match=message):
            kind().setup("quick", 2)


def test_an_editor_sees_the_arguments_that_a_method_takes():
    class Child(Baseline):
        def __init__(self, extra: int = 3, **more):
            super().__init__(**more)

    class Grandchild(Child):
        pass

    assert list(inspect.signature(Baseline).parameters)[:2] == ["weights", "backbone"]
    assert list(inspect.signature(Swapped).parameters) == ["method"]
    assert list(inspect.signature(AdaptiveEnsemble).parameters)[:2] == ["anchors", "ratios"]
    assert (
        list(inspect.signature(Child).parameters) == list(inspect.signature(Grandchild).parameters) == ["extra", "more"]
    )


# ---- first weights


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    return fit(Baseline(**SMALL), helpers.tiny_protocol(), runs=tmp_path_factory.mktemp("runs"), **QUIET)


def filled(weights: dict) -> Taught:
    method = Taught(weights=weights)
    method.setup("quick", 12)
    for part, source in method.first_weights().items():
        load_first_weights(method, part, source, progress=False)
    return method


def test_a_part_may_be_called_otherwise_in_the_run_that_it_comes_from(baseline):
    theirs = baseline.method
    method = filled({"teacher.backbone": (baseline, "backbone"), "inner": baseline})
    assert helpers.same_weights(method.teacher.backbone, theirs.backbone)
    assert helpers.same_weights(method.inner, theirs) and not helpers.same_weights(method.student, method.teacher)
    as_text = filled({"teacher.backbone": f"{baseline.directory}::backbone"})
    assert helpers.same_weights(as_text.teacher.backbone, theirs.backbone)
    for weights, message in (
        ({"teacher.backbone": baseline}, r"whose parts are backbone, head\) does not fit ResNet"),
        ({"teacher.backbone": (baseline, "trunk")}, "have no part 'trunk'; their parts are backbone, head"),
    ):
        with pytest.raises(WeightsUnavailable, match=message):
            filled(weights)
    for wrong in (None, 3, (baseline, 3), (baseline, "a", "b")):
        with pytest.raises(TypeError, match=r"taught: weights\['teacher'\] is a run, its directory"):
            Taught(weights={"teacher": wrong})


def test_which_part_of_a_source_it_is_belongs_to_the_key(baseline, tmp_path):
    keys = set()
    for source in (baseline, (baseline, "backbone")):
        run = fit(Baseline(**SMALL, weights={"backbone": source}), baseline.protocol, runs=tmp_path, **QUIET)
        keys.add(run.key)
    assert len(keys) == 2


def test_a_part_that_learns_nothing_takes_no_weights(baseline, tmp_path):
    with pytest.raises(WeightsUnavailable, match="'pool' of baseline learns nothing"):
        fit(Baseline(**SMALL, weights={"pool": baseline}), baseline.protocol, runs=tmp_path, **QUIET)


def test_a_flipped_bit_of_the_run_that_weights_come_from_is_found(baseline, tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("run.json", "weights.pt"):
        (folder / name).write_bytes((baseline.directory / name).read_bytes())
    content = torch.load(folder / "weights.pt", weights_only=True)
    content["weights"]["backbone.conv1.weight"][0, 0, 0, 0] += 1e-3
    torch.save(content, folder / "weights.pt")
    with pytest.raises(WeightsUnavailable, match=re.escape(str(folder)) + ".*train that run again"):
        fit(Baseline(**SMALL, weights={"backbone": folder}), baseline.protocol, runs=tmp_path, **QUIET)


class WithOwnConstructor(Baseline):
    def __init__(self, extra: int = 1, **more):
        super().__init__(**more)


def test_ones_own_constructor_may_pass_first_weights_on(baseline, tmp_path):
    """They count by what they are and not by where they lie."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("run.json", "weights.pt"):
        (elsewhere / name).write_bytes((baseline.directory / name).read_bytes())
    keys = set()
    for source in (baseline, baseline.directory, elsewhere):
        method = WithOwnConstructor(2, **SMALL, weights={"backbone": source})
        assert method.arguments["extra"] == 2 and "weights" not in method.arguments
        keys.add(fit(method, baseline.protocol, runs=tmp_path, **QUIET).key)
    assert len(keys) == 1

    class LossWeights(Method):
        def __init__(self, weights=(1, 2)):
            super().__init__()

    assert LossWeights((1, 3)).arguments == {"weights": [1, 3]}


def test_people_behind_the_first_weights_count_as_trained_on(tmp_path):
    """A model for one trial that starts from another trial's model has seen people whom it is tested on."""
    people = helpers.tiny_people(16, 6)
    first, second = (make_protocol(people, "mlr", trial=trial) for trial in (0, 1))
    source = fit(Baseline(**SMALL), first, runs=tmp_path, **QUIET)
    method = Baseline(**SMALL, weights={"backbone": source})
    for _ in range(2):  # trained, and found again
        run = fit(method, second, runs=tmp_path, **QUIET)
        own = set(second.rows("train")["pid"]) | set(first.rows("train")["pid"])
        assert run.method.trained_on == (people.fingerprint, frozenset(own)) and run.method.trained_seed == 0
        with pytest.warns(TrainedOnTheTested):
            evaluate(run.method, second)
    assert run.reused
    third = fit(Baseline(**SMALL, weights={"head": run}), second, runs=tmp_path, **QUIET)  # and those behind these
    assert third.method.trained_on == run.method.trained_on


# ---- what wraps methods


def test_a_distance_of_ones_own_has_to_say_its_features_also_inside_others():
    descriptors = np.arange(12, dtype=np.float32).reshape(4, 3)
    for method in (Own(), SuperResolved(Own(), nn.Identity())):
        with pytest.raises(TypeError, match="own compares descriptors by a distance of its own"):
            compared(method, descriptors)
    with pytest.raises(TypeError, match="own compares descriptors by a distance of its own"):
        compared(AdaptiveEnsemble([Own(), Own()], (0.5, 0.25)), np.zeros((4, 7), np.float32))
    assert np.array_equal(compared(SuperResolved(Said(), nn.Identity()), descriptors), descriptors[:, :2])
    both = AdaptiveEnsemble([Said(), Said()], (0.5, 0.25))
    assert compared(SuperResolved(both, nn.Identity()), np.zeros((4, 7), np.float32)).shape == (4, 4)


def test_wrappers_of_methods_that_were_never_fitted(tmp_path):
    both = AdaptiveEnsemble([Own(), Own()], (0.5, 0.25))
    assert both.trained_on is None and SuperResolved(both, nn.Identity()).trained_on is None
    with pytest.raises(TypeError, match="made of trained methods: fit those"):
        fit(both, helpers.tiny_protocol(), runs=tmp_path, **QUIET)
    with pytest.raises(TypeError, match="needs a trained RIPR, not own"):
        Swapped(Own())
    for only, sigma in (((), 0.5), ((0, 0), 0.5), ((2,), 0.5), ((0,), 0), ((0,), -1.0)):
        with pytest.raises(ValueError, match="each once|sigma is positive"):
            both.choose(only, sigma)


def test_a_head_with_a_name_is_no_network_and_a_network_inside_another_is_one():
    plain, method = Baseline(**SMALL), Taught()
    for some in (plain, method):
        some.setup("quick", 12)
    one = work_of(plain)
    plain.head.name = "bnneck"
    assert one > 0 and work_of(plain) == one and work_of(method) == 3 * one


def test_no_method_loses_its_weights_to_a_device_without_numbers(baseline, tmp_path):
    with pytest.raises(ValueError, match="unknown device 'meta'"):
        evaluate(baseline.method, make_protocol(helpers.tiny_people(), "mlr"), device="meta")
    assert {p.device.type for p in baseline.method.parameters()} == {"cpu"}
    with pytest.raises(ValueError, match="unknown device 'meta'"):
        fit(Baseline(**SMALL), baseline.protocol, device="meta", runs=tmp_path)


# ---- batches


def a_batch(**augmentation) -> tuple[TrainingBatches, Batch]:
    """Of people some of whom come half as wide as the others."""
    rng, pids = np.random.default_rng(0), [f"{i // 4}" for i in range(24)]
    pictures = [rng.integers(0, 256, (32, 16 - 8 * (i % 2), 3), dtype=np.uint8) for i in range(24)]
    people = PersonDataset.from_arrays("widths", pictures, pd.DataFrame({"pid": pids, "cam": ["c1", "c2"] * 12}))
    protocol = helpers.tiny_protocol(people, ratios=("1", "1", "1/2", "1/2"))
    source = TrainingBatches(Canvases(protocol, (32, 16)), protocol.rows("train"), Augmentation(**augmentation), 4, 4)
    return source, next(source.epoch(0))[0]


def test_originals_say_what_they_show():
    """An image narrower than the widest is not at r = 1 because nothing was taken from it."""
    source, batch = a_batch(ratios=(1.0, 0.5))
    original, ones = batch.original, np.ones(len(batch))
    for name, expected in (
        ("resolution", source.canvases.resolution(batch.rows, ones)),
        ("extent", source.canvases.extent(batch.rows, ones)),
        ("ratio", ones),
    ):
        torch.testing.assert_close(getattr(original, name), torch.from_numpy(expected).float())
    for name in ("labels", "cams", "rows", "low", "high"):
        assert torch.equal(getattr(original, name), getattr(batch, name))
    assert set(original.resolution.tolist()) == {0.5, 1.0} and 0.25 in batch.resolution.tolist()


def test_what_a_batch_keeps_may_be_asked_for_in_inference_mode_first():
    """A frozen teacher may look at ``hr`` before the student, who wants a gradient, does."""
    _, batch = a_batch(pad=1)
    with torch.inference_mode():
        batch.hr, batch.position, batch.at(0.5)
    net = nn.Conv2d(3, 1, 3)
    net(batch.hr).sum().backward()
    net(batch.images * batch.position[:, :1]).sum().backward()
    net(batch.at(0.5)).sum().backward()
    assert net.weight.grad is not None


def test_some_pictures_by_any_kind_of_index():
    source, batch = a_batch(pad=1)
    shown = Batch.shown(source.canvases, [0, 1, 2, 3], [1, 0.5, 1, 0.5])
    for some in (batch, shown):
        whole, mask = some.at(0.5), torch.zeros(len(some), dtype=torch.bool)
        mask[[0, 2]] = True
        for of in (torch.tensor([0, 2]), [0, 2], np.array([0, 2]), mask):
            assert torch.equal(some.at(0.5, of), whole[[0, 2]]) and torch.equal(some.at(1, of), some.images[[0, 2]])
        for ratio in (0.5, 1.0, []):
            assert some.at(ratio, torch.zeros(0, dtype=torch.int64)).shape == (0, 3, 32, 16)
    with pytest.raises(ValueError, match="nothing to pick 'degrade' from"):
        batch.pick("degrade", ())


def test_through_a_network_a_batch_keeps_what_is_known_of_it():
    _, batch = a_batch()
    half = batch.through(lambda images: images / 2)
    assert torch.equal(half.images, batch.images / 2) and torch.equal(half.at(0.5), batch.at(0.5) / 2)
    for name in ("labels", "cams", "low", "high", "ratio", "resolution", "extent", "rows"):
        assert torch.equal(getattr(half, name), getattr(batch, name))
    with pytest.raises(ValueError, match="ask the batch that it was made from"):
        half.hr


# ---- streams of a method inside another


def test_sing_gives_its_streams_descriptors_beside_its_terms():
    """What a second network's descriptors are fused with (JBIM Eq. 9, 10): behind the BNNeck, one pass for all."""
    method = create_method("sing", network="srcnn-915-luma", backbone="bottleneck-4-1", canvas=(32, 16))
    method.setup("quick", 3)
    images = torch.rand(6, 3, 32, 16, generator=torch.Generator().manual_seed(0))
    batch = helpers.training_batch(images, torch.arange(6) % 3, torch.tensor([0, 1]), torch.tensor([2, 3, 4, 5]))
    method.eval()
    terms, descriptors = method.learn(batch)
    assert terms.keys() == method.losses(batch, method.stages[0]).keys()
    assert {name: len(some) for name, some in descriptors.items()} == {"hr": 4, "lr": 2, "synthetic": 4}
    by_hand = method.head.bn(method.pool(method.backbone(method.sr(images[:2]))))
    torch.testing.assert_close(descriptors["lr"], by_hand)


# ---- several processes


class Idle(helpers.Tiny):
    """One stage, and a part that no term reaches (equal weights in the place of learned ones)."""

    name = "idle"

    def build(self, num_identities: int) -> None:
        super().build(num_identities)
        self.stages, self.idle = self.stages[1:], nn.Linear(2, 1)


def test_a_part_that_no_term_reaches_does_not_stop_two_processes(tmp_path, monkeypatch):
    here = Path(__file__).resolve().parent
    monkeypatch.setenv("PYTHONPATH", f"{here}:{here.parents[1]}")
    run = fit(Idle(epochs=1, dropout=0.0), helpers.tiny_protocol(), runs=tmp_path, processes=2, **QUIET)
    assert run.method.idle.weight.shape == (1, 2) and len(run.history) == 1
