"""What lessons 10 and 11 train: SING, its variants and what it is compared with, all from the same first weights.

The paper starts the super-resolution from SRCNN trained on ImageNet and the re-id network from Market-1501. Here both
are pre-trained on rendered people (lesson 04); what ships with the course is found, and the rest trained once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from lib.data.batches import TrainingBatches
from lib.data.canvases import Canvases
from lib.evaluation.restoration import psnr
from lib.experiments.anchors import RATIOS, Anchors
from lib.losses import pixel_mse
from lib.methods import create_method
from lib.methods.method import Method
from lib.methods.sing import Sing
from lib.training.pretrain import pretrained
from lib.training.randomness import seeded
from lib.training.weights import load_first_weights

if TYPE_CHECKING:
    from lib.data import Protocol
    from lib.training import Run

# training images that a model sees: the same for a small and for a large set
IMAGES = {"quick": 320, "course": 8_000, "paper": 120_000}


@dataclass(frozen=True)
class Recipe:
    """How this profile trains on this set; ``sing`` and ``apart`` make methods that differ in what they are told only.

    settings : arguments of every method, such as backbone and canvas. sr : where the first super-resolution is from.
    """

    profile: str
    seed: int
    progress: bool
    epochs: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    sr: Run | str | None = None

    def sing(self, ratio: float, **changes) -> Method:
        return create_method("sing", **self._settings(ratio) | changes)

    def apart(self, ratio: float, network: str | None = None, **changes) -> Method:
        """The same parts learned one after the other; "bilinear" and "bicubic" have no first weights."""
        settings = self._settings(ratio) | {"restore_epochs": max(1, self.epochs // 3)} | changes
        if network in ("bilinear", "bicubic"):
            settings |= {"network": network, "weights": {"backbone": "pedestrians"}}
        return create_method("sr-then-reid", **settings)

    def train(
        self,
        name: str,
        make: Callable[[float], Method],
        protocols: Sequence[Protocol],
        ratios: Sequence[float] = RATIOS,
    ) -> Anchors:
        how = {"profile": self.profile, "seed": self.seed, "progress": self.progress}
        return Anchors.train(name, make, protocols, ratios, **how)

    def _settings(self, ratio: float) -> dict:
        first = {"backbone": "pedestrians"} | ({"sr": self.sr} if self.sr else {})
        return {"ratio": ratio, "epochs": self.epochs, "weights": first, **self.settings}


def recipe(lesson: Any, protocol: Protocol, backbone: str | None = None) -> Recipe:
    """The recipe of a lesson (profile, seed, progress) for a protocol's set; trains what all rows start from."""
    epochs = max(1, round(IMAGES[lesson.profile] / len(protocol.rows("train"))))
    settings: dict[str, Any] = {}
    if backbone is not None:
        large = (160, 72) if backbone.startswith("dgd") else (256, 128)
        settings = {"backbone": backbone, "canvas": large if lesson.profile == "paper" else None}
    usual = Sing.defaults(lesson.profile)
    canvas = settings.get("canvas") or usual.canvas
    for network in (backbone or usual.backbone, usual.network):
        pretrained(lesson.profile, network, canvas, progress=lesson.progress)
    return Recipe(lesson.profile, lesson.seed, lesson.progress, epochs, settings, "pedestrians")


def restored(
    networks: Mapping[str, nn.Module], protocol: Protocol, canvas: tuple[int, int], rows: Sequence[int], ratio: float
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Images of the data set (``rows``) at a ratio, restored: {name: (n, H, W, 3) uint8}, {name: (n,) PSNR in dB}.

    The original comes first, then bilinear and bicubic enlargement, then each of ``networks``.
    """
    canvases = {kernel: Canvases(protocol, canvas, enlargement=kernel) for kernel in ("bilinear", "bicubic")}
    original = canvases["bicubic"].images(rows, [1.0] * len(rows)).float() / 255
    found = {name: c.images(rows, [ratio] * len(rows)).float() / 255 for name, c in canvases.items()}
    for name, network in networks.items():
        device = next((p.device for p in network.parameters()), torch.device("cpu"))
        with torch.inference_mode():
            parts = [network.eval()(part.to(device)).float().cpu() for part in found["bicubic"].split(64)]
        found[name] = torch.cat(parts)
    quality = {name: psnr(some, original).numpy() for name, some in found.items()}
    pictures = {"original": original, **found}
    as_bytes = {n: (255 * p).round().byte().permute(0, 2, 3, 1).contiguous().numpy() for n, p in pictures.items()}
    return as_bytes, quality


def classical(
    metric: str, network: str, protocols: Sequence[Protocol], recipe: Recipe, ratio: float = 1 / 3, **settings
) -> Anchors:
    """LOMO with a metric behind a super-resolution network: one model, for the blind first network has no ratio.

    settings : further arguments of ``Classical``, such as a smaller canvas.
    """
    first = None if network in ("bilinear", "bicubic") else recipe.sr
    name = network if first is None else Sing.defaults(recipe.profile).network
    weights = {"sr": first} if first else {}

    def make(ratio: float) -> Method:
        return create_method("classical", metric=metric, network=name, ratio=ratio, weights=weights, **settings)

    return recipe.train(f"{network} then {metric}", make, protocols, (ratio,))


def gradient_sizes(method: Method, protocol: Protocol, profile: str, seed: int = 0) -> dict[str, float]:
    """Gradient norms of "pixel, sum", "pixel, mean" and "identity" with respect to the restored synthetic images
    Fsr(x^h2l) of one batch, for the method's initial weights: the first step, and one of the two streams through Fsr.
    """
    rows = protocol.rows("train")
    with seeded(seed):
        method.setup(profile, rows["pid"].nunique())
        for part, source in method.first_weights().items():
            load_first_weights(method, part, source, progress=False)
        canvases = Canvases(protocol, method.canvas, enlargement=method.enlargement)
        rows = rows.assign(low=protocol.is_low(rows))
        (batch,) = next(TrainingBatches(canvases, rows, method.augmentation, seed=seed).epoch(0))
    method.train()
    wanted, labels = batch.images[batch.high], batch.labels[batch.high]
    restored = method.sr(batch.at(method.settings.ratio, batch.high)).detach().requires_grad_(True)
    terms, _ = method.identity_terms({"hr": wanted, "synthetic": restored}, {"hr": labels, "synthetic": labels})
    losses = {
        "pixel, sum": pixel_mse(restored, wanted, "sum"),
        "pixel, mean": pixel_mse(restored, wanted, "mean"),
        "identity": sum(terms.values()),
    }
    return {name: float(torch.autograd.grad(loss, restored)[0].norm()) for name, loss in losses.items()}


def true_scales(protocol: Protocol, subset: str = "test") -> np.ndarray:
    """SING Eq. 7 for every probe: the square root of its area over the mean area of the gallery images, (Q,)."""
    areas = {role: (rows := protocol.rows(subset, role))["width"] * rows["height"] for role in ("probe", "gallery")}
    return np.sqrt(areas["probe"] / areas["gallery"].mean()).to_numpy()
