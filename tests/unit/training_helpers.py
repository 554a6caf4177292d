"""A tiny set of people, a protocol over it and a tiny method, for the tests of the training room."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from lib.data.batches import Augmentation, Batch
from lib.data.dataset import PersonDataset
from lib.data.protocol import FORMAT, Protocol
from lib.losses import batch_hard_triplet, cross_entropy, pixel_mse
from lib.methods.method import Method
from lib.methods.stages import Cosine, Stage, Warmup


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


class Tiny(Method):
    """Two stages, a restoring and a recognising part, batch statistics, dropout: all that a checkpoint must carry."""

    name = "tiny"
    synthetic_ratios = (0.5, 0.25)

    def __init__(
        self,
        epochs: int = 2,
        normalise: str = "batch",
        dropout: float = 0.1,
        lr: float = 1e-2,
        clip: float | None = None,
    ):
        super().__init__()

    def setup(self, profile: str, num_identities: int) -> None:
        s = self.settings
        self.canvas, self.augmentation = (16, 8), Augmentation(pad=1, erase=0.5)
        self.restore = nn.Conv2d(3, 3, 3, padding=1)
        layers = [nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1)]
        layers.insert(1, nn.BatchNorm2d(8) if s["normalise"] == "batch" else nn.GroupNorm(2, 8))
        self.body = nn.Sequential(*layers)
        self.dropout = nn.Dropout(s["dropout"])
        self.classifier = nn.Linear(16, num_identities)
        common = {"lr": s["lr"], "identities": 4, "images": 2, "clip": s["clip"]}
        self.stages = [
            Stage("restore", s["epochs"], ("restore",), optimizer="sgd", weights={"pixel": 1.0}, **common),
            Stage("joint", s["epochs"], schedule=Warmup(1, then=Cosine()), lr_multipliers={"restore": 0.1}, **common),
        ]

    def features(self, images: Tensor) -> Tensor:
        return self.body(self.restore(images)).mean((2, 3))

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        terms = {"pixel": pixel_mse(self.restore(batch.lr), batch.hr)}
        if stage.name == "joint":
            features = self.features(batch.images)
            terms["identity"] = cross_entropy(self.classifier(self.dropout(features)), batch.labels, 0.1)
            terms["triplet"] = batch_hard_triplet(features, batch.labels)
        return terms

    def embed(self, images: Tensor, resolution: Tensor, role: str) -> Tensor:
        return self.features(images)


def same_weights(a: nn.Module | dict, b: nn.Module | dict) -> bool:
    """Bit by bit."""
    a, b = (x.state_dict() if isinstance(x, nn.Module) else x for x in (a, b))
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
