"""RIPR: resolution-invariant person re-identification (Mao, Zhang, Yang; IJCAI 2019).

Two modules. FFSR sharpens every picture, whatever its resolution, and RIFE describes it with two streams, one for low
and one for high resolution:

    I^r' = M_FFSR(I^r),   f = M_RIFE(I^r')                                                       (Eq. 3)
    L = L_FFSR + alpha L_RIFE                                                                    (Eq. 4)
    L_FFSR = |M . (I^r' - I^h)|^2,   M a mask that is large on the person                        (Eq. 5)
    m_t = w_t^L m_t^L + w_t^H m_t^H   after each of the T blocks                                 (Eq. 6)
    L_t^R = (w_t^L - (1 - r))^2 + (w_t^H - r)^2,   r the width over the largest width            (Eq. 7)
    L_RIFE = CrossEntropy(FC(f), identity) + beta sum_t L_t^R                                    (Eq. 8, 9)

Three steps of training (§5.2): FFSR for the pictures ("restore"), RIFE for the identities on pictures as they come
("features"; where it ends is the RIFE row of Table 3), both together ("joint"). Probes and gallery images are treated
alike, and all are put on the canvas by bilinear interpolation, the baseline of Tables 1 and 2. Letters: B images in a
batch, H x W the canvas, T blocks, D dimensions, N identities.

What Tables 1 to 3 compare are settings: another super-resolution network or mask, one network or two instead of RIFE.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.data.batches import Augmentation, Batch
from lib.losses import cross_entropy, foreground_loss, resolution_weighting
from lib.methods.method import Method, check_profile
from lib.methods.stages import Cosine, Stage, Step, Warmup
from lib.methods.superres import create_network
from lib.models.dual_stream import TwoStreams, create_features, swapped
from lib.models.heads import BNNeck, GlobalPool, LinearHead

STEPS = ("restore", "features", "joint")
MASKS = ("none", "gaussian", "person", "background")
PAIRS = ("protocol", "synthetic")


@dataclass(frozen=True)
class Size:
    """What a profile decides unless the constructor says otherwise; three values are of the three steps."""

    network: str
    backbone: str
    canvas: tuple[int, int]
    epochs: tuple[int, int, int]
    lr: tuple[float, float, float]
    fusion_rate: float
    descriptor: int
    optimizer: str
    batch: tuple[int, int]
    pad: int  # pixels of the random shift


SIZES = {
    "quick": Size(
        "ffsr-narrow", "bottleneck-16-1", (64, 32), (1, 2, 1), (2e-4, 1e-3, 2e-4), 20.0, 0, "adamw", (16, 4), pad=2
    ),
    "course": Size(
        "ffsr-narrow", "resnet18-half", (96, 48), (5, 10, 5), (2e-4, 5e-4, 2e-4), 20.0, 0, "adamw", (16, 4), pad=4
    ),
    # §5.2; 384 x 128 there except on VR-Market1501
    "paper": Size(
        "ffsr", "resnet50", (256, 128), (60, 60, 60), (0.01, 0.01, 0.001), 1.0, 256, "sgd", (8, 4), pad=10
    ),
}  # fmt: skip


class Ripr(Method):
    """See the module's docstring.

    Parameters
    ----------
    network : a name of ``create_superres``; "bilinear" (or "bicubic", which is then also how pictures are enlarged)
        learns nothing, and leaves the first and the third step out (the RIFE row of Table 3). backbone : of
        ``create_backbone``. None: the profile's (``SIZES``).
    streams : "rife", or what Table 2 compares it with: "one" network, two with "equal" weights, two "weighted" by
        Eq. 6.
    mask : M of Eq. 5: "none" (all ones: the AE row of Table 1), "gaussian", "person" (the set's masks), or, wrong on
        purpose, "background". mask_width : standard deviation of the Gaussian as a share of height and of width.
    alpha, beta : of Eq. 4 and 9. reduction : "mean" over a picture's values, or "sum", as Eq. 5 is printed.
    pairs : what FFSR learns from: "protocol", the image as the protocol degrades it and as it was before (§3); or
        "synthetic", copies at ``ratios``, for sets that are low in resolution as they come.
    epochs, lr : of the three steps; a step without epochs is left out.
    fusion_rate : factor on the learning rate of the layers that predict the streams' weights, which begin from nothing
        while the streams are trained already.
    descriptor : dimensions D of the fully connected layer, or 0 for pooled features behind a BNNeck, as the other
        methods of this course have them in ``course``.
    pretrained : first weights of the backbone, both streams alike. pretrained_sr : of the super-resolution network, a
        file or run directory. pretrained_reid : a run of this method, whose features and head are gone on with.
    """

    name = "ripr"
    joint_parts: tuple[str, ...] = ("sr",)  # what the third step trains beside the re-identification

    def __init__(
        self,
        network: str | None = None,
        streams: str = "rife",
        backbone: str | None = None,
        mask: str = "gaussian",
        mask_width: float = 0.25,
        alpha: float = 1.0,
        beta: float = 0.1,
        reduction: str = "mean",
        pairs: str = "protocol",
        ratios: tuple[float, ...] = (1.0, 1 / 2, 1 / 3, 1 / 4),
        canvas: tuple[int, int] | None = None,
        epochs: tuple[int, int, int] | None = None,
        lr: tuple[float, float, float] | None = None,
        fusion_rate: float | None = None,
        descriptor: int | None = None,
        batch: tuple[int, int] | None = None,
        weight_decay: float | None = None,
        pretrained: str | None = None,
        pretrained_sr: str | None = None,
        pretrained_reid: str | None = None,
    ):
        super().__init__()
        for what, value, known in (("mask", mask, MASKS), ("pairs", pairs, PAIRS)):
            if value not in known:
                raise ValueError(f"unknown {what} {value!r}; known: {', '.join(known)}")
        if mask_width <= 0:
            raise ValueError(f"the Gaussian mask needs a width above 0, not {mask_width}")
        if min(alpha, beta) < 0:
            raise ValueError(f"alpha and beta, the weights of losses, are not negative: {alpha}, {beta}")
        for what, values in (("epochs", epochs), ("lr", lr)):
            if values is not None and len(values) != len(STEPS):
                raise ValueError(f"{what} has one value for each of the steps {', '.join(STEPS)}, not {values!r}")

    def setup(self, profile: str, num_identities: int) -> None:
        s, size = self.settings, SIZES[check_profile(profile)]
        self.profile, self.num_identities = profile, num_identities
        self.canvas = tuple(s["canvas"] or size.canvas)
        self.synthetic_ratios = tuple(s["ratios"]) if s["pairs"] == "synthetic" else ()
        # no erasing: the pixel loss would ask the super-resolution network to paint grey boxes
        self.augmentation = Augmentation(pad=round(size.pad * self.canvas[0] / size.canvas[0]))
        name = s["network"] or size.network
        self.enlargement = "bicubic" if name == "bicubic" else "bilinear"
        self.sr = create_network(name, min(s["ratios"]))
        self.features = create_features(s["backbone"] or size.backbone, s["streams"])
        self.pool = GlobalPool()
        channels, dimensions = self.features.channels, size.descriptor if s["descriptor"] is None else s["descriptor"]
        self.head = LinearHead(channels, dimensions, num_identities) if dimensions else BNNeck(channels, num_identities)
        self.stages = self._steps(size)

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        if stage.name == "restore":
            return self.restoration_terms(batch)
        if stage.name == "features":
            return self.identity_terms(batch.images, batch)
        pictures = self.sr(batch.images)
        if "sr" not in stage.trains:
            return self.identity_terms(pictures, batch)
        given = pictures if self.settings["pairs"] == "protocol" else None
        return self.restoration_terms(batch, given) | self.identity_terms(pictures, batch)

    def restoration_terms(self, batch: Batch, pictures: Tensor | None = None) -> dict[str, Tensor]:
        """Eq. 5; ``pictures``: what FFSR made of ``batch.images``, where that is known."""
        if pictures is None:
            pictures = self.sr(batch.images if self.settings["pairs"] == "protocol" else batch.lr)
        return {"foreground": foreground_loss(pictures, batch.hr, self.mask(batch), self.settings["reduction"])}

    def identity_terms(self, pictures: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Eq. 8, and Eq. 7 summed over the blocks where there is one."""
        maps, weights = self._maps(pictures)
        _, logits = self.head(self.pool(maps))
        terms = {"identity": cross_entropy(logits, batch.labels)}
        if weights is not None:
            terms["weighting"] = resolution_weighting(weights, batch.resolution)
        return terms

    def mask(self, batch: Batch) -> Tensor:
        """M of Eq. 5, (B, 1, H, W) in [0, 1], with the flip and crop of the images."""
        kind = self.settings["mask"]
        if kind == "none":
            return torch.ones_like(batch.images[:, :1])
        if kind == "gaussian":
            return gaussian_mask(batch.position, self.settings["mask_width"])
        if batch.mask is None:
            raise ValueError(
                f"mask={kind!r} needs the people's outlines, and this set has none: give them with "
                "lib.data.masks.masks_from_folder or lib.experiments.segmented, or use mask='gaussian'"
            )
        return batch.mask if kind == "person" else 1 - batch.mask

    def describe(self, images: Tensor, rule: Callable[[Tensor], Tensor] | None = None) -> tuple[Tensor, Tensor | None]:
        """(B, 3, H, W) -> descriptors (B, D) and the weights (B, T, 2) they were fused with (None: one stream).

        rule : makes other weights (B, T, 2) of the predicted ones, where there are some: the network describes the
        images as it is, and then once more with what the rule made of its weights in all blocks.
        """
        pictures = self.sr(images)
        maps, weights = self._maps(pictures)
        if rule is not None and weights is not None and weights.shape[1]:
            maps, weights = self.features.streams(pictures, rule(weights))
        features = self.pool(maps).float()
        if isinstance(self.head, BNNeck):
            return F.normalize(self.head.bn(features)), weights
        return self.head.reduce(features).float(), weights

    def embed(self, images: Tensor, resolution: Tensor, role: str) -> Tensor:
        return self.describe(images)[0]

    def pretrained_parts(self) -> dict[str, str]:
        s = self.settings
        parts = {"features": s["pretrained_reid"] or s["pretrained"], "head": s["pretrained_reid"]}
        parts["sr"] = s["pretrained_sr"]
        return {part: source for part, source in parts.items() if source}

    def _maps(self, pictures: Tensor) -> tuple[Tensor, Tensor | None]:
        if isinstance(self.features, TwoStreams):
            return self.features.streams(pictures)
        return self.features(pictures), None

    def _steps(self, size: Size) -> list[Stage]:
        s = self.settings
        alpha, beta = s["alpha"], s["beta"]
        recognise = ("features", "pool", "head")
        trains = {"restore": ("sr",), "features": recognise, "joint": (*self.joint_parts, *recognise)}
        weights = {"identity": alpha, "weighting": alpha * beta, "foreground": 1.0}
        learns = any(p.requires_grad for p in self.sr.parameters())
        steps = zip(STEPS, s["epochs"] or size.epochs, s["lr"] or size.lr, strict=True)
        batch = s["batch"] or size.batch
        decay = {"sgd": 5e-4, "adamw": 0.01}[size.optimizer] if s["weight_decay"] is None else s["weight_decay"]
        return [
            Stage(
                name,
                epochs=epochs,
                trains=trains[name],
                optimizer=size.optimizer,
                lr=lr,
                weight_decay=0.0 if name == "restore" else decay,
                # paper: a tenth after half of the epochs; a short training does better with a cosine
                schedule=Step((max(1, epochs // 2),))
                if self.profile == "paper"
                else Warmup(epochs / 12, then=Cosine()),
                weights={term: weights[term] for term in self._terms(name)},
                lr_multipliers={"features.fusions": size.fusion_rate if s["fusion_rate"] is None else s["fusion_rate"]},
                identities=batch[0],
                images=batch[1],
            )
            for name, epochs, lr in steps
            if epochs and (learns or name == "features")
        ]

    def _terms(self, step: str) -> list[str]:
        """The loss terms of a step."""
        restores = step == "restore" or (step == "joint" and "sr" in self.joint_parts)
        recognises = [] if step == "restore" else ["identity"]
        weighs = ["weighting"] if recognises and isinstance(self.features, TwoStreams) else []
        return ["foreground"] * restores + recognises + weighs


class RiprApart(Ripr):
    """RIPR without the joint learning: the third step goes on with the re-identification behind a frozen FFSR.

    The control that Table 1 lacks: its rows with joint learning have also had longer training, on FFSR's pictures.
    """

    name = "ripr-apart"
    joint_parts = ()


def gaussian_mask(position: Tensor, width: float) -> Tensor:
    """M = exp(-((y - 1/2)^2 + (x - 1/2)^2) / (2 width^2)), 1 in the middle of the canvas (RIPR §4.1, Fig. 3).

    position (B, 2, H, W): y and x as shares of the canvas' height and width. Returns (B, 1, H, W) in (0, 1].
    """
    return torch.exp(-((position - 0.5) / width).square().sum(1, keepdim=True) / 2)


class Reweighted(Method):
    """A trained RIPR whose streams are weighted in another way when it is tested."""

    def __init__(self, method: Ripr):
        super().__init__()
        if not isinstance(method.features, TwoStreams) or not method.features.blocks:
            raise ValueError(f"this {method.name} has no learned weights: streams={method.settings['streams']!r}")
        self.method, self.canvas, self.stages, self.enlargement = method, method.canvas, [], method.enlargement

    def weights(self, predicted: Tensor, images: Tensor, resolution: Tensor) -> Tensor:
        """(B, T, 2) weights from the predicted ones (B, T, 2), the images (B, 3, H, W) and the given r (B,)."""
        raise NotImplementedError

    def embed(self, images: Tensor, resolution: Tensor, role: str) -> Tensor:
        return self.method.describe(images, lambda predicted: self.weights(predicted, images, resolution))[0]


class Swapped(Reweighted):
    """The low stream gets the high one's weight and the reverse: what is lost shows how much the streams differ."""

    name = "ripr, streams swapped"

    def weights(self, predicted: Tensor, images: Tensor, resolution: Tensor) -> Tensor:
        return swapped(predicted)


class Given(Reweighted):
    """The weights that Eq. 7 asks for, (1 - r, r), with the r that is given, or that ``scale`` estimates.

    scale : (B, 3, H, W) -> (B,), such as ``lib.models.sharpness.Sharpness``; clamped to [0, 1].
    """

    name = "ripr, resolution given"

    def __init__(self, method: Ripr, scale: Callable[[Tensor], Tensor] | None = None):
        super().__init__(method)
        self.scale = scale

    def weights(self, predicted: Tensor, images: Tensor, resolution: Tensor) -> Tensor:
        r = resolution if self.scale is None else self.scale(images).to(predicted)
        r = r.clamp(0, 1)[:, None].expand(predicted.shape[:2])  # (B, T)
        return torch.stack([1 - r, r], 2).to(predicted)
