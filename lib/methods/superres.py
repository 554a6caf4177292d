"""Super-resolution as a training of its own: one recipe for every network of ``lib.models.superres``.

Each training picture is degraded to a ratio drawn from ``ratios``, enlarged to the canvas by the data path, and the
network is asked for the picture at full resolution (the pixel loss of SING Eq. 2 and JBIM Eq. 2). Letters: B pictures
in a batch, H x W the canvas.

``restore_stage`` is the step that trains such a network, wherever one is trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torchvision.models import vgg19

from lib.data.augmentation import Augmentation
from lib.data.batches import Batch
from lib.losses import discriminator_loss, generator_loss, pixel_mse
from lib.methods.method import Method
from lib.methods.stages import Cosine, Stage, Warmup
from lib.models.backbones import Normalise, create_backbone
from lib.models.superres import create_superres
from lib.models.superres_deep import Discriminator

RESTORE_LR = 2e-4  # networks that start at interpolation are thrown off it by ten times as much
CONTENT = 0.006  # weight of the content term: SRGAN §3.2 scales VGG's features, to bring their loss to the pixels' size


class SuperResolution(Method):
    """See the module's docstring."""

    name = "superres"

    @dataclass(frozen=True, kw_only=True)
    class Settings(Method.Settings):
        """network : a name of ``create_superres``; ``options`` go to it.

        ratios : what the pictures are degraded to, 1 for pictures that are to be left as they are; a network with a
            fixed scale enlarges by 1 / the smallest of them.
        content : None, or what a perceptual term compares (SRGAN Eq. 5): "vgg19" (torchvision's ImageNet weights,
            needed at hand), or a backbone of ``create_backbone`` pre-trained on rendered people ("resnet18-half").
        adversarial : weight of SRGAN's adversarial term (paper: 1e-3); 0 leaves the discriminator out.
        """

        network: str = "srcnn"
        ratios: tuple[float, ...] = (1 / 2, 1 / 3, 1 / 4)
        content: str | None = None
        adversarial: float = 0.0
        canvas: tuple[int, int] = (256, 128)
        epochs: int = 60
        lr: float = 1e-4
        batch: tuple[int, int] = (16, 2)
        options: dict[str, Any] | None = None

        def __post_init__(self):
            if not self.ratios or not all(0 < r <= 1 for r in self.ratios) or min(self.ratios) == 1:
                raise ValueError(f"ratios to restore from lie in (0, 1], one of them below 1, not {self.ratios}")

    PROFILES: ClassVar = {
        "quick": {"canvas": (64, 32), "epochs": 1, "lr": RESTORE_LR},
        "course": {"canvas": (96, 48), "epochs": 3, "lr": RESTORE_LR},
    }
    settings: Settings

    def build(self, num_identities: int) -> None:
        s = self.settings
        self.canvas = s.canvas
        self.augmentation = Augmentation(flip=0.5)
        self.sr = create_network(s.network, min(s.ratios), s.options)
        self.content = content_network(s.content) if s.content else None
        trains, weights = ("sr",), {"content": CONTENT} if s.content else {}
        if s.adversarial:
            self.discriminator = Discriminator()
            trains, weights = ("sr", "discriminator"), weights | {"adversarial": s.adversarial}
        learns = any(p.requires_grad for p in self.sr.parameters())
        self.stages = [restore_stage(s.epochs, s.lr, s.batch, trains, weights=weights)] if learns else []

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        high = batch.original
        terms, restored = restoration_terms(self.sr, high.at(batch.pick("degrade", self.settings.ratios)), high.images)
        if self.content is not None:
            with torch.no_grad():
                wanted = self.content(high.images)
            terms["content"] = pixel_mse(self.content(restored), wanted)
        if self.settings.adversarial:
            # One optimiser step for both: the generator is judged by a discriminator that gets no gradient from it, and
            # the discriminator judges pictures that carry none to the generator.
            judge = {name: p.detach() for name, p in self.discriminator.named_parameters()}
            terms["adversarial"] = generator_loss(functional_call(self.discriminator, judge, (restored,)))
            real, fake = self.discriminator(torch.cat([high.images, restored.detach()])).chunk(2)
            terms["discriminator"] = discriminator_loss(real, fake)
        return terms

    def first_weights(self) -> dict[str, str]:
        s = self.settings
        judge = {"content": "imagenet" if s.content == "vgg19" else "pedestrians"} if s.content else {}
        return judge | super().first_weights()

    def restore(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) enlarged pictures -> (B, 3, H, W), both in [0, 1]."""
        return self.sr(images)

    def embed(self, batch: Batch, role: str) -> Tensor:
        """The picture itself, (B, 3 H W): ranks by the pixels that it was trained for."""
        return (self.restore(batch.images) if role == "probe" else batch.images).flatten(1).float()


def restore_stage(
    epochs: int, lr: float, batch: tuple[int, int], trains: tuple[str, ...] = ("sr",), **changes: Any
) -> Stage:
    """The step that trains a super-resolution network for pixels: Adam without decay, a short warm-up, a cosine.

    The gradient is clipped: where the pixel loss is a sum (SING Eq. 2) it has the size of 10^4 pixels. ``changes`` are
    other fields of ``Stage``.
    """
    recipe = {
        "optimizer": "adam", "weight_decay": 0.0, "clip": 1.0,
        "schedule": Warmup(min(1.0, epochs / 10), then=Cosine()),
    }  # fmt: skip
    return Stage(
        "restore", epochs=epochs, trains=trains, lr=lr, identities=batch[0], images=batch[1], **recipe | changes
    )


def restoring_rate(network: str) -> float:
    """The rate of a short ``restore_stage``: networks that add to the picture (FFSR, VDSR) bear ten times what SRCNN
    does, which has to carry the picture through.
    """
    return RESTORE_LR if network.startswith("srcnn") else 10 * RESTORE_LR


def create_network(name: str, ratio: float, options: dict | None = None) -> nn.Module:
    """``create_superres``; a network that works on the small picture gets the scale that belongs to ``ratio``."""
    options = dict(options or {})
    if name.partition("-")[0] in ("fsrcnn", "rcan", "srgan"):
        options.setdefault("scale", max(2, min(4, round(1 / ratio))))
    return create_superres(name, **options)


def restoration_terms(sr: nn.Module, low: Tensor, high: Tensor, reduction: str = "mean") -> tuple[dict, Tensor]:
    """({"pixel": (), and "recursions" for DRCN}, the restored pictures (B, 3, H, W)): ``low`` against ``high``."""
    if not hasattr(sr, "predictions"):
        restored = sr(low)
        return {"pixel": pixel_mse(restored, high, reduction)}, restored
    pictures, restored = sr.predictions(low)  # DRCN: every recursion is asked for the picture (Kim et al., Eq. 6)
    every = torch.stack([pixel_mse(picture, high, reduction) for picture in pictures]).mean()
    return {"pixel": pixel_mse(restored, high, reduction), "recursions": every}, restored


def content_network(name: str) -> nn.Module:
    """What compares pictures by their features: VGG19 up to its last convolution (SRGAN's "VGG54"), or a backbone."""
    if name != "vgg19":
        return create_backbone(name)
    layers = vgg19(weights=None).features[:35]  # 5_4: the fourth convolution before the fifth pooling

    class Features(nn.Module):
        def __init__(self):
            super().__init__()
            self.name, self.normalise, self.features = "vgg19", Normalise(), layers

        def forward(self, images: Tensor) -> Tensor:
            return self.features(self.normalise(images))

    return Features()
