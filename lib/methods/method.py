"""The contract of a method: how it trains and how it compares. Loop, data path and evaluation are everyone's.

Letters: B images in a batch, H x W the canvas, D dimensions of the descriptor, Q probes, G gallery images.

To add a method: subclass ``Method``, build the layers in ``setup`` (it also sets ``canvas`` and ``stages``), return
named loss terms from ``losses`` and descriptors from ``embed``, and enter the class in ``METHODS`` (``__init__.py``).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from torch import Tensor, nn

from lib.data.batches import Augmentation, Batch
from lib.losses import pairwise_distances
from lib.methods.stages import Solve, Stage, describe

PROFILES = ("quick", "course", "paper")


class Method(nn.Module):
    """Base class.

    Attributes
    ----------
    name : short name, part of a run's directory.
    settings : the constructor's arguments, JSON-able: part of the run's identity. Recorded by itself.
    canvas : (H, W) pixels that images are enlarged to; set by ``setup``.
    stages : the training steps in order; set by ``setup``.
    augmentation : what happens to training images.
    synthetic_ratios : when not empty, ``batch.lr`` holds each image at a ratio drawn from these.
    enlargement : the kernel that puts images on the canvas, where it is not the protocol's own.
    measure : what ``embed`` is told of an image's size, "width" (RIPR's r) or "area" (SING's Eq. 7).
    """

    name: str = "method"
    synthetic_ratios: tuple[float, ...] = ()
    augmentation: Augmentation = Augmentation()
    enlargement: str | None = None
    measure: str = "width"
    canvas: tuple[int, int]
    stages: list[Stage | Solve]
    profile: str | None = None
    num_identities: int | None = None

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = _recording(cls.__init__)

    def __init__(self):
        super().__init__()
        if not hasattr(self, "settings"):
            self.settings = {}

    def setup(self, profile: str, num_identities: int) -> None:
        """Build the layers for a profile; ``fit`` calls it under the seed. May be called again: it starts afresh."""
        raise NotImplementedError

    def losses(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        """Named scalar terms; their sum, weighted by ``stage.weights``, is minimised and each is logged."""
        raise NotImplementedError

    def solve(self, batches: Iterable[Batch], stage: Solve) -> None:
        """A ``Solve`` step: every training image once, without augmentation, in batches; the method is in evaluation
        mode and no gradient is kept.
        """
        raise NotImplementedError

    def embed(self, images: Tensor, resolution: Tensor, role: str) -> Tensor:
        """Descriptors (B, D) of canvases (B, 3, H, W) in [0, 1].

        resolution : (B,) of each image relative to the set's largest, in (0, 1], as ``measure`` says.
        role : "probe" or "gallery": several papers treat the two differently.
        """
        raise NotImplementedError

    def distance(self, probes: Tensor, gallery: Tensor) -> Tensor:
        """(Q, D), (G, D) -> (Q, G), smaller is more alike; Euclidean unless the paper says otherwise."""
        return pairwise_distances(probes, gallery)

    def pretrained_parts(self) -> dict[str, str]:
        """Where sub-modules get their first weights: {name: "imagenet" | "pedestrians" | path of a weights file}."""
        return {}

    def recipe(self) -> dict:
        """All that ``setup`` decided, as data: part of the run's identity."""
        return {
            "canvas": list(self.canvas),
            "stages": describe(self.stages),
            "augmentation": describe(self.augmentation),
            "synthetic_ratios": list(self.synthetic_ratios),
            "enlargement": self.enlargement,
        }


def _recording(init):
    """Wrap a constructor so that ``self.settings`` holds all its arguments, defaults included."""
    signature = inspect.signature(init)

    def wrapper(self, *args, **kwargs):
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        settings = {}
        for name, parameter in list(signature.parameters.items())[1:]:
            value = bound.arguments[name]
            settings |= value if parameter.kind is parameter.VAR_KEYWORD else {name: describe(value)}
        # the outermost constructor knows what the caller said; the inner ones add their defaults
        object.__setattr__(self, "settings", settings | getattr(self, "settings", {}))
        init(self, *args, **kwargs)

    wrapper.__signature__ = signature
    wrapper.__doc__ = init.__doc__
    return wrapper


def check_profile(profile: str) -> str:
    """The profile's name, or a ValueError that lists the known ones."""
    if profile not in PROFILES:
        raise ValueError(f"unknown profile {profile!r}; known: {', '.join(PROFILES)}")
    return profile
