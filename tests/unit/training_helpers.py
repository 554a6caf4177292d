"""A tiny set of people, a protocol over it and a tiny method, for the tests of the training room."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from lib.data.augmentation import Augmentation
from lib.data.batches import Batch, ByHand
from lib.data.dataset import PersonDataset
from lib.data.protocol import FORMAT, Protocol
from lib.losses import batch_hard_triplet, cross_entropy, pixel_mse
from lib.methods import create_method
from lib.methods.method import Method
from lib.methods.stages import Constant, Cosine, Solve, Stage, Warmup
from lib.training.distributed import World
from lib.training.loop import Trainer
from lib.training.randomness import seeded


def tiny_people(
    identities: int = 12, images: int = 5, size: tuple[int, int] = (32, 16), masks: bool = True
) -> PersonDataset:
    """People that are two coloured bars each, with noise."""
    rng = np.random.default_rng(0)
    pictures, outlines, rows = [], [], []
    for person in range(identities):
        colours = rng.integers(20, 230, (2, 1, 3)).astype(np.uint8)
        for image in range(images):
            picture = np.repeat(np.repeat(colours, size[0] // 2, axis=0), size[1], axis=1).astype(np.int64)
            picture = np.clip(picture + rng.integers(-15, 16, picture.shape), 0, 255).astype(np.uint8)
            pictures.append(picture)
            outline = np.zeros(size, dtype=bool)
            outline[:, : size[1] // 2] = True
            outlines.append(outline)
            rows.append((f"{person:03d}", f"c{image % 2 + 1}"))
    return PersonDataset.from_arrays(
        "tiny", pictures, pd.DataFrame(rows, columns=["pid", "cam"]), outlines if masks else None
    )


def tiny_protocol(people: PersonDataset | None = None, ratios: tuple[str, ...] = ("1", "1/2")) -> Protocol:
    """Trains on everything, at these ratios in turn."""
    people = people or tiny_people()
    count = len(people)
    images = {"row": list(range(count)), "role": ["train"] * count, "subset": ["train"] * count}
    images["ratio"] = [ratios[i % len(ratios)] for i in range(count)]
    degradation = {"kernel": "bicubic", "rounding": "nearest", "antialias": True, "jpeg": None}
    manifest = {
        "format": FORMAT, "set": people.name, "fingerprint": people.fingerprint, "preset": "all", "trial": 0, "seed": 0,
        "trials": 1, "convention": "sing", "degradation": degradation, "images": images,
    }  # fmt: skip
    return Protocol.from_manifest(people, manifest)


def training_batch(images, labels=None, low=None, high=None, resolution=None, hr=None, lr=None, **more) -> Batch:
    """A training batch of these pictures (B, 3, H, W); hr, lr: originals and copies; more: mask, position."""
    everyone = torch.arange(len(images))
    labels = everyone if labels is None else labels
    low, high = (everyone if side is None else side for side in (low, high))
    source = ByHand(images if hr is None else hr, images if lr is None else lr, **more)
    return Batch(images, resolution, labels=labels, low=low, high=high, source=source)


def two_sided_batch(identities: int = 4, images: int = 4, size: tuple[int, int] = (32, 16)) -> Batch:
    """Images of which every second one is on the low-resolution side; their copies are pictures of their own."""
    torch.manual_seed(1)
    count = identities * images
    shown, lr = (torch.rand(count, 3, *size) for _ in range(2))
    labels = torch.arange(identities).repeat_interleave(images)
    low, high = torch.arange(0, count, 2), torch.arange(1, count, 2)
    return training_batch(shown, labels, low, high, lr=lr)


def learns(method: Method, batch: Batch, steps: int = 8) -> bool:
    """Whether the weighted loss of the first stage falls on a fixed batch, within so many steps."""
    stage, optimizer, totals = method.train().stages[0], torch.optim.Adam(method.parameters(), 1e-3), []
    for _ in range(steps):
        total = sum(stage.weights.get(name, 1.0) * value for name, value in method.losses(batch, stage).items())
        totals.append(total.item())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    return min(totals[-2:]) < totals[0]


class Tiny(Method):
    """Two stages, a restoring and a recognising part, batch statistics, dropout: all that a checkpoint must carry."""

    name = "tiny"

    @dataclass(frozen=True, kw_only=True)
    class Settings(Method.Settings):
        epochs: int = 2
        normalise: str = "batch"
        dropout: float = 0.1
        lr: float = 1e-2
        clip: float | None = None

    settings: Settings

    def build(self, num_identities: int) -> None:
        s = self.settings
        self.canvas, self.augmentation = (16, 8), Augmentation(pad=1, erase=0.5)
        self.restore = nn.Conv2d(3, 3, 3, padding=1)
        layers = [nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1)]
        layers.insert(1, nn.BatchNorm2d(8) if s.normalise == "batch" else nn.GroupNorm(2, 8))
        self.body = nn.Sequential(*layers)
        self.dropout = nn.Dropout(s.dropout)
        self.classifier = nn.Linear(16, num_identities)
        common = {"lr": s.lr, "identities": 4, "images": 2, "clip": s.clip}
        self.stages = [
            Stage("restore", s.epochs, ("restore",), optimizer="sgd", weights={"pixel": 1.0}, **common),
            Stage("joint", s.epochs, schedule=Warmup(1, then=Cosine()), lr_multipliers={"restore": 0.1}, **common),
        ]

    def described(self, images: Tensor) -> Tensor:
        return self.body(self.restore(images)).mean((2, 3))

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        terms = {"pixel": pixel_mse(self.restore(batch.original.at(batch.pick("degrade", (0.5, 0.25)))), batch.hr)}
        if stage.name == "joint":
            features = self.described(batch.images)
            terms["identity"] = cross_entropy(self.classifier(self.dropout(features)), batch.labels, 0.1)
            terms["triplet"] = batch_hard_triplet(features, batch.labels)
        return terms

    def embed(self, batch: Batch, role: str) -> Tensor:
        return self.described(batch.images)


def same_weights(a: nn.Module | dict, b: nn.Module | dict) -> bool:
    """Bit by bit."""
    a, b = (x.state_dict() if isinstance(x, nn.Module) else x for x in (a, b))
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


SMALL_NET = {"backbone": "bottleneck-4-1", "canvas": (32, 16)}
HRNET = {"canvas": (32, 16), "backbone": "hrnet-w8", "network": "srcnn-915-luma"}
# Case: a method and its settings, such that a step costs a second at most; every method of METHODS is there, and every
# loss. ``test_distributed.py`` takes one step of every stage of each, in one process and in two.
STEPS: dict[str, tuple[str, dict]] = {
    "all-resolution": ("all-resolution", SMALL_NET),
    "agw": ("agw", SMALL_NET | {"backbone": "bottleneck-16-1-nonlocal"}),
    "baseline": ("baseline", SMALL_NET),
    "classical": ("classical", {"network": "srcnn-915-luma", "restore_epochs": 1}),
    "ftwa": ("ftwa", SMALL_NET),
    "ftwa, batch": ("ftwa", {"reading": "batch", "entropy": 1.0, **SMALL_NET}),
    "ftwa, scalar": ("ftwa", {"reading": "scalar", "detached": ("target", "vectors"), **SMALL_NET}),
    "ftwa-b": ("ftwa-b", SMALL_NET),
    "ftwa-b-copies": ("ftwa-b-copies", SMALL_NET),
    "him": ("him", {"network": "srcnn-915-luma", **SMALL_NET}),
    "him-him": ("him-him", {"network": "srcnn-915-luma", **SMALL_NET}),
    "him-lim": ("him-lim", {"network": "srcnn-915-luma", **SMALL_NET}),
    "histogram": ("histogram", {}),
    "hrnet-reid": ("hrnet-reid", {"canvas": (32, 16), "sees": "either"}),
    "hrnet-reid, stripes": ("hrnet-reid", SMALL_NET | {"head": "stripes"}),
    "jbim": ("jbim", {"network": "srcnn-915-luma", "dropout": 0.0, **SMALL_NET}),
    "lim": ("lim", SMALL_NET),
    "pshrnet": ("pshrnet", HRNET | {"restore_epochs": 1}),
    "pshrnet, pooled": ("pshrnet", SMALL_NET | {"head": "pooled", "elements": (), "network": "bicubic"}),
    "pshrnet, synthetic": (
        "pshrnet",
        HRNET | {"pairs": "synthetic", "reduction": "sum", "pixel": 1e-4, "siamese": 1e-3},
    ),
    "ripr": ("ripr", {"network": "ffsr-narrow", "mask": "person", **SMALL_NET}),
    "ripr, fc": ("ripr", {"network": "ffsr-narrow", "descriptor": 8, "pairs": "synthetic", **SMALL_NET}),
    "ripr-apart": ("ripr-apart", {"network": "ffsr-narrow", **SMALL_NET}),
    "ripr-as-coded": ("ripr-as-coded", {"network": "ffsr-narrow", **SMALL_NET}),
    "sing": ("sing", {"network": "srcnn-915-luma", **SMALL_NET}),
    "sing, triplet": ("sing", {"network": "srcnn-915-luma", "triplet": 1.0, "descriptor": 8, **SMALL_NET}),
    "sing-everywhere": ("sing-everywhere", {"network": "srcnn-915-luma", **SMALL_NET}),
    "sr-then-him": ("sr-then-him", {"network": "srcnn-915-luma", "epochs": 1, **SMALL_NET}),
    "sr-then-reid": ("sr-then-reid", {"network": "srcnn-915-luma", "synthetic": True, "epochs": 1, **SMALL_NET}),
    "superres": ("superres", {"network": "srcnn-915-luma", "canvas": (32, 16)}),
    "superres, gan": ("superres", {"network": "srgan", "adversarial": 0.1, "canvas": (32, 16)}),
}
# Which of 4 people x 4 images are low: a few of some people, or (then one process sees no low image) all of two.
UNEVEN = ("1/2", "1/2", "1/2", "1", "1", "1", "1", "1/2", "1", "1", "1", "1", "1/2", "1/2", "1", "1/2")
APART = ("1/2",) * 8 + ("1",) * 8


def take_steps(case: str, ratios: tuple[str, ...], world: World, precision: str = "fp32") -> dict:
    """One optimiser step of every stage of a case, with plain gradient descent.

    Returns {"terms": the history's loss terms, a row per stage, "gradients": a list of tensors per stage, "state": all
    weights and statistics at the end}.
    """
    name, settings = STEPS[case]
    protocol = tiny_protocol(tiny_people(4, 4), ratios)
    gradients = []

    def note(optimizer, *_) -> None:
        gradients.append([p.grad.clone() for group in optimizer.param_groups for p in group["params"]])

    with seeded(0):
        method = create_method(name, **settings)
        method.setup("quick", 4)
        plain = {
            "epochs": 1, "optimizer": "sgd", "lr": 0.01, "momentum": 0.0, "weight_decay": 0.0, "schedule": Constant(),
            "identities": 4, "images": 4,
        }  # fmt: skip
        method.stages = [s if isinstance(s, Solve) else replace(s, **plain) for s in method.stages]
        hook = register_optimizer_step_pre_hook(note)
        try:
            place = Trainer(method, protocol, 0, torch.device("cpu"), precision, world).run()
        finally:
            hook.remove()
    other = ("stage", "epoch", "steps", "lr", "images_per_second", "seconds")
    terms = [{key: value for key, value in row.items() if key not in other} for row in place.history]
    assert all(row["steps"] == 1 for row in place.history)
    return {"terms": terms, "gradients": gradients, "state": {k: v.clone() for k, v in method.state_dict().items()}}


def written_down(found_again: bool = True):
    """A stand-in for ``fit`` that trains nothing, and the list of what it was given; a method on a protocol that it was
    given before is the same run, if ``found_again``."""
    calls = []

    def recorder(method, protocol, profile="quick", seed=0, **how):
        about = (method.name, method.told, protocol.sha256)
        for call in calls if found_again else ():
            if (call.method.name, call.method.told, call.protocol.sha256) == about:
                return call
        method.settings = method.settings_for(profile)
        told = {"method": method, "protocol": protocol, "profile": profile, "seed": seed}
        calls.append(SimpleNamespace(**told, directory=f"/runs/{len(calls)}"))
        return calls[-1]

    return recorder, calls
