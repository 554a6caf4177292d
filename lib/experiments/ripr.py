"""What lessons 20, 21 and 22 train: RIPR, its variants and what it is compared with, all from the same first weights.

The paper starts FFSR from ImageNet; of the re-id network it says "initialize". Here FFSR, every other
super-resolution network (with the MSE) and the re-id network are pre-trained on rendered people (lesson 04). Rows share
what they have in common: the step "restore" of FFSR, the step "features" of the ResNet and of RIFE are trained once and
gone on with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from lib.data.canvases import Canvases
from lib.evaluation import Result, evaluate
from lib.evaluation.features import View, device_of
from lib.evaluation.restoration import masked_psnr, psnr
from lib.methods import create_method
from lib.methods.method import Method
from lib.methods.ripr import STEPS, Ripr, gaussian_mask
from lib.methods.sing import Sing
from lib.methods.superres import RESTORE_LR
from lib.training import fit
from lib.training.pretrain import pretrained

if TYPE_CHECKING:
    from lib.data import Protocol
    from lib.training import Run

# training images that each step of each model sees, the same for a small and for a large set; in ``paper`` the paper's
# epochs decide instead
IMAGES = {
    "quick": {"restore": 160, "features": 320, "joint": 160},
    "course": {"restore": 4_000, "features": 8_000, "joint": 4_000},
}


@dataclass(frozen=True)
class Row:
    """A row of a table: one trained model per protocol (trial)."""

    name: str
    runs: Sequence[Run]
    seed: int = 0

    @property
    def method(self) -> Method:
        """That of the first trial."""
        return self.runs[0].method

    @property
    def seconds(self) -> float:
        return sum(run.seconds for run in self.runs) / len(self.runs)

    def results(
        self, at: Mapping[str, float] | None = None, test: Callable[[Method], Method] | None = None
    ) -> list[Result]:
        """One result per trial. at : replaces the protocol's ratios. test : what is made of the method to test it."""
        made = [run.method if test is None else test(run.method) for run in self.runs]
        pairs = zip(made, self.runs, strict=True)
        return [evaluate(method, run.protocol, ratios=at, seed=self.seed) for method, run in pairs]


@dataclass(frozen=True)
class Recipe:
    """How this profile trains on the protocols of one set and preset."""

    profile: str
    seed: int
    progress: bool
    protocols: Sequence[Protocol]
    backbone: str | None = None

    def epochs(self, step: str) -> int:
        if self.profile == "paper":
            return Ripr.defaults("paper").epochs[STEPS.index(step)]
        return max(1, round(IMAGES[self.profile][step] / len(self.protocols[0].rows("train"))))

    @property
    def pairs(self) -> str:
        """What FFSR learns from: the protocol's own degradation, or copies where it has none (CAVIAR4REID)."""
        return "protocol" if (self.protocols[0].table["ratio"] < 1).any() else "synthetic"

    def train(self, name: str, make: Callable[[int], Method]) -> Row:
        """``make(trial)`` gives the method of a trial."""
        how = {"profile": self.profile, "seed": self.seed, "progress": self.progress}
        return Row(name, [fit(make(t), p, **how) for t, p in enumerate(self.protocols)], self.seed)

    def recognise(self, name: str, **changes: Any) -> Row:
        """Step 2 alone, on bilinear pictures: the ResNet-50 row, with streams="rife" the RIFE row ..."""
        settings = {"network": "bilinear", "streams": "one", "backbone": self.backbone}
        settings |= {"epochs": (0, self.epochs("features"), 0), "weights": {"backbone": "pedestrians"}} | changes
        usual = Ripr.defaults(self.profile)
        pretrained(
            self.profile, settings["backbone"] or usual.backbone, settings.get("canvas") or usual.canvas,
            progress=self.progress,
        )  # fmt: skip
        return self.train(name, lambda trial: create_method("ripr", **settings))

    def restore(self, name: str, before: Row, **changes: Any) -> Row:
        """Step 1 alone: a super-resolution network from rendered people, gone on with before the fixed network of a
        row."""
        settings = self._like(before) | {"epochs": (self.epochs("restore"), 0, 0), "pairs": self.pairs} | changes
        settings.setdefault("lr", restoring_rates(settings.get("network"), self.profile))
        network = settings.get("network") or Ripr.defaults(self.profile).network
        pretrained(self.profile, network, settings["canvas"], progress=self.progress)
        return self.train(
            name, lambda t: create_method("ripr", weights={"sr": "pedestrians", **reid_of(before.runs[t])}, **settings)
        )

    def join(self, name: str, sr: Row, reid: Row, kind: str = "ripr", **changes: Any) -> Row:
        """Step 3: FFSR of one row and the re-id network of another, trained together (kind "ripr-apart": the second
        alone).
        """
        kept = ("network", "mask", "mask_width", "reduction", "ratios")
        settings = self._like(reid) | {key: getattr(sr.method.settings, key) for key in kept}
        settings |= {"epochs": (0, 0, self.epochs("joint")), "pairs": self.pairs} | changes
        return self.train(
            name, lambda t: create_method(kind, weights={"sr": sr.runs[t], **reid_of(reid.runs[t])}, **settings)
        )

    def longer(self, name: str, reid: Row) -> Row:
        """The control of ``join``: the same network trained on for as many images at the same rate, without FFSR."""
        rate, epochs = Ripr.defaults(self.profile).lr[2], self.epochs("joint")
        settings = self._like(reid) | {"network": "bilinear", "epochs": (0, epochs, 0), "lr": (rate, rate, rate)}
        return self.train(name, lambda t: create_method("ripr", weights=reid_of(reid.runs[t]), **settings))

    def sing(self, name: str = "SING", ratio: float = 1 / 3) -> Row:
        """One SING model (lesson 10) with as many training images; on VR sets as ``sing-everywhere``."""
        usual = Ripr.defaults(self.profile)
        backbone = self.backbone or usual.backbone
        for network in (backbone, Sing.defaults(self.profile).network):
            pretrained(self.profile, network, usual.canvas, progress=self.progress)
        everywhere = bool((self.protocols[0].table["ratio"] < 1).all())
        settings = {
            "ratio": ratio, "backbone": backbone, "canvas": usual.canvas, "epochs": self.epochs("features"),
            "weights": {"backbone": "pedestrians", "sr": "pedestrians"},
        }  # fmt: skip
        return self.train(name, lambda t: create_method("sing-everywhere" if everywhere else "sing", **settings))

    def _like(self, row: Row) -> dict:
        """The settings that make the re-id part of a row again."""
        kept = ("streams", "backbone", "descriptor", "canvas", "batch", "alpha", "beta")
        return {key: getattr(row.method.settings, key) for key in kept}


def reid_of(run: Run) -> dict[str, Run]:
    """The first weights of a re-identification that goes on with a run's."""
    return {"backbone": run, "head": run}


def recipe(lesson: Any, protocols: Sequence[Protocol], backbone: str | None = None) -> Recipe:
    """The recipe of a lesson (profile, seed, progress)."""
    return Recipe(lesson.profile, lesson.seed, lesson.progress, protocols, backbone)


def restoring_rates(network: str | None, profile: str) -> tuple[float, float, float] | None:
    """The rates of a short training: FFSR and VDSR add to the picture and bear ten times what SRCNN does, which has to
    carry the picture through. None, the profile's own, in ``paper``.
    """
    if profile == "paper":
        return None
    rate = RESTORE_LR if (network or "").startswith("srcnn") else 10 * RESTORE_LR
    return rate, *Ripr.defaults(profile).lr[1:]


def restoration(
    networks: Mapping[str, nn.Module], protocol: Protocol, canvas: tuple[int, int], ratios: Sequence[float]
) -> pd.DataFrame:
    """PSNR in dB of restored test images: one row per network, ratio and image: pid, whole, person, background.

    "bilinear" is what the networks are given. At ratio 1 it is the original itself, and its PSNR infinite. person and
    background: inside the set's masks and outside; where it has none, inside and outside the middle of a Gaussian.
    """
    rows = protocol.rows("test").drop_duplicates("image")
    images, canvases = rows["image"].to_numpy(), Canvases(protocol, canvas, enlargement="bilinear")
    original = canvases.images(images, [1.0] * len(images)).float() / 255
    inside = canvases.masks(images)
    inside = middle(canvas).expand(len(images), 1, *canvas) if inside is None else inside.bool()
    found = []
    for ratio in ratios:
        given = canvases.pictures(images, View(ratio).ratios(rows, protocol))
        for name, network in {"bilinear": nn.Identity(), **networks}.items():
            device = next((p.device for p in network.parameters()), torch.device("cpu"))
            with torch.inference_mode():
                parts = [network.eval()(part.to(device)).float().cpu() for part in given.split(64)]
            made = torch.cat(parts)
            quality = {"whole": psnr(made, original)}
            quality |= {"person": masked_psnr(made, original, inside)}
            quality |= {"background": masked_psnr(made, original, ~inside)}
            columns = {what: values.numpy() for what, values in quality.items()}
            found.append(pd.DataFrame({"network": name, "ratio": ratio, "pid": rows["pid"].to_numpy(), **columns}))
    return pd.concat(found, ignore_index=True)


def middle(canvas: tuple[int, int], width: float = 0.25) -> Tensor:
    """(1, 1, H, W) bool: where a Gaussian mask of this width is above one half."""
    y, x = ((torch.arange(n) + 0.5) / n for n in canvas)
    position = torch.stack(torch.meshgrid(y, x, indexing="ij"))[None]  # (1, 2, H, W)
    return gaussian_mask(position, width) > 0.5


def weights_by_resolution(
    method: Ripr, protocol: Protocol, ratios: Sequence[float] | None = None, subset: str = "test"
) -> pd.DataFrame:
    """RIFE's predicted weights: one row per image and block: ratio, resolution (r), block (from 1), low, high.

    ratios : r, as a ``View`` has it; None: each image as the protocol has it. ValueError for a method without learned
    weights.
    """
    if not getattr(method.backbone, "blocks", 0):
        raise ValueError(f"streams={method.settings.streams!r} has no learned weights")
    rows, device = protocol.rows(subset).drop_duplicates("image"), device_of(method)
    images, found = rows["image"].to_numpy(), []
    for ratio in [None] if ratios is None else ratios:
        at = View(ratio).ratios(rows, protocol)  # of the original images
        asked = at if ratio is None else np.full(len(rows), float(ratio))
        for part in np.array_split(np.arange(len(rows)), max(1, len(rows) // 128)):
            canvases = Canvases(protocol, method.canvas, device, method.enlargement)
            with torch.inference_mode():
                weights = method.describe(canvases.pictures(images[part], at[part]))[1].cpu().numpy()  # (b, T, 2)
            r = canvases.resolution(images[part], at[part])
            for block in range(weights.shape[1]):
                columns = {"ratio": asked[part], "resolution": r, "block": block + 1}
                found.append(pd.DataFrame(columns | {"low": weights[:, block, 0], "high": weights[:, block, 1]}))
    return pd.concat(found, ignore_index=True)
