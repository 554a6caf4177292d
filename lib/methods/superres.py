"""Super-resolution as a training of its own: one recipe for every network of ``lib.models.superres``.

Each training picture is degraded to a ratio drawn from ``ratios``, enlarged to the canvas by the data path, and the
network is asked for the picture at full resolution (the pixel loss of SING Eq. 2 and JBIM Eq. 2). Letters: B pictures
in a batch, H x W the canvas.

``SuperResolved`` puts a trained network before any re-identification method: "super-resolve, then re-identify".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torchvision.models import vgg19

from lib.data.batches import Augmentation, Batch
from lib.losses import discriminator_loss, generator_loss, pixel_mse
from lib.methods.method import Method, check_profile
from lib.methods.stages import Cosine, Stage, Warmup
from lib.models.backbones import Normalise, create_backbone
from lib.models.superres import create_superres

RESTORE_LR = 2e-4  # networks that start at interpolation are thrown off it by ten times as much
CONTENT = 0.006  # weight of the content term: SRGAN §3.2 scales VGG's features, to bring their loss to the pixels' size


@dataclass(frozen=True)
class Size:
    """What a profile decides unless the constructor says otherwise."""

    canvas: tuple[int, int]
    epochs: int
    lr: float


SIZES = {
    "quick": Size((64, 32), epochs=1, lr=RESTORE_LR),
    "course": Size((96, 48), epochs=3, lr=RESTORE_LR),
    "paper": Size((256, 128), epochs=60, lr=1e-4),
}


class SuperResolution(Method):
    """See the module's docstring.

    Parameters
    ----------
    network : a name of ``create_superres``; ``options`` go to it.
    ratios : what the pictures are degraded to, 1 for pictures that are to be left as they are; a network with a fixed
        scale enlarges by 1 / the smallest of them.
    content : None, or what a perceptual term compares (SRGAN Eq. 5): "vgg19" (torchvision's ImageNet weights, needed at
        hand), or a backbone of ``create_backbone`` pre-trained on rendered people, such as "resnet18-half".
    adversarial : weight of SRGAN's adversarial term (paper: 1e-3); 0 leaves the discriminator out.
    canvas, epochs, lr : override the profile's choice (``SIZES``).
    """

    name = "superres"

    def __init__(
        self,
        network: str = "srcnn",
        ratios: tuple[float, ...] = (1 / 2, 1 / 3, 1 / 4),
        content: str | None = None,
        adversarial: float = 0.0,
        canvas: tuple[int, int] | None = None,
        epochs: int | None = None,
        lr: float | None = None,
        batch: tuple[int, int] = (16, 2),
        options: dict | None = None,
        pretrained: str | None = None,
    ):
        super().__init__()
        if not ratios or not all(0 < r <= 1 for r in ratios) or min(ratios) == 1:
            raise ValueError(f"ratios to restore from lie in (0, 1], one of them below 1, not {tuple(ratios)}")

    def setup(self, profile: str, num_identities: int) -> None:
        s, size = self.settings, SIZES[check_profile(profile)]
        self.profile, self.num_identities = profile, num_identities
        self.canvas = tuple(s["canvas"] or size.canvas)
        self.synthetic_ratios = tuple(s["ratios"])
        self.augmentation = Augmentation(flip=0.5)
        self.sr = create_network(s["network"], min(self.synthetic_ratios), s["options"])
        epochs = size.epochs if s["epochs"] is None else s["epochs"]
        trains = ("sr",)
        self.content = content_network(s["content"]) if s["content"] else None
        if s["adversarial"]:
            from lib.models.superres_deep import Discriminator

            self.discriminator = Discriminator()
            trains = ("sr", "discriminator")
        weights = {"adversarial": s["adversarial"]} if s["adversarial"] else {}
        weights |= {"content": CONTENT} if s["content"] else {}
        learns = any(p.requires_grad for p in self.sr.parameters())
        self.stages = [
            Stage(
                "restore",
                epochs=epochs,
                trains=trains,
                lr=s["lr"] or size.lr,
                weight_decay=0.0,
                schedule=Warmup(min(1.0, epochs / 10), then=Cosine()),
                weights=weights,
                identities=s["batch"][0],
                images=s["batch"][1],
                clip=1.0,
            )
        ]
        self.stages = self.stages if learns else []

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        terms, restored = restoration_terms(self.sr, batch.lr, batch.hr)
        if self.content is not None:
            with torch.no_grad():
                wanted = self.content(batch.hr)
            terms["content"] = pixel_mse(self.content(restored), wanted)
        if self.settings["adversarial"]:
            # One optimiser step for both: the generator is judged by a discriminator that gets no gradient from it, and
            # the discriminator judges pictures that carry none to the generator.
            judge = {name: p.detach() for name, p in self.discriminator.named_parameters()}
            terms["adversarial"] = generator_loss(functional_call(self.discriminator, judge, (restored,)))
            real, fake = self.discriminator(torch.cat([batch.hr, restored.detach()])).chunk(2)
            terms["discriminator"] = discriminator_loss(real, fake)
        return terms

    def restore(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) enlarged pictures -> (B, 3, H, W), both in [0, 1]."""
        return self.sr(images)

    def embed(self, images: Tensor, resolution: Tensor, role: str) -> Tensor:
        """The picture itself, (B, 3 H W): ranks by the pixels that it was trained for."""
        return (self.restore(images) if role == "probe" else images).flatten(1).float()

    def pretrained_parts(self) -> dict[str, str]:
        parts = {"sr": self.settings["pretrained"]} if self.settings["pretrained"] else {}
        if self.settings["content"]:
            parts["content"] = "imagenet" if self.settings["content"] == "vgg19" else "pedestrians"
        return parts


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


class SuperResolved(Method):
    """A trained method whose probes go through a trained super-resolution network first; the gallery does not.

    method : any method; its ``embed`` and ``distance`` are used. sr : a module (B, 3, H, W) -> (B, 3, H, W).
    """

    name = "super-resolved"

    def __init__(self, method: Method, sr: nn.Module):
        super().__init__()
        self.method, self.sr = method, sr
        self.canvas, self.stages, self.measure = method.canvas, [], method.measure
        self.name = f"{getattr(sr, 'name', 'sr')} + {method.name}"

    def embed(self, images: Tensor, resolution: Tensor, role: str) -> Tensor:
        return self.method.embed(self.sr(images) if role == "probe" else images, resolution, role)

    def distance(self, probes: Tensor, gallery: Tensor) -> Tensor:
        return self.method.distance(probes, gallery)
