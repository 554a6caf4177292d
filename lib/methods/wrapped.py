"""One base for methods that are made of trained methods: it forwards what it does not change.

Letters: B images in a batch, H x W the canvas.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from lib.data.batches import Batch
from lib.methods.method import Method
from lib.methods.ripr import Ripr
from lib.models.dual_stream import TwoStreams, swapped


class Wrapped(Method):
    """Trained methods as one. Canvas, enlargement, profile and what it was trained on are those of its ``parts``; its
    descriptors, features and distances are the first part's, unless a subclass says otherwise.

    ValueError where the parts do not look at the same pictures: different canvases or enlargements. It is tested, not
    trained: ``fit`` gives a TypeError.
    """

    name = "wrapped"

    def __init__(self, *methods: Method):
        super().__init__()
        if not methods:
            raise ValueError(f"{self.name} wraps at least one method")
        if len({tuple(part.canvas) for part in methods}) > 1:
            raise ValueError(f"the models have different canvases: {[tuple(part.canvas) for part in methods]}")
        if len({getattr(part, "enlargement", None) for part in methods}) > 1:
            raise ValueError("the models enlarge their images by different kernels")
        self.parts = nn.ModuleList(methods)
        self.stages = []

    def setup(self, profile: str, num_identities: int) -> None:
        raise TypeError(f"{self.name} is made of trained methods: fit those, then wrap what came out")

    @property
    def method(self) -> Method:
        """The first part, or the only one."""
        return self.parts[0]

    @property
    def canvas(self) -> tuple[int, int]:
        return tuple(self.method.canvas)

    @property
    def enlargement(self) -> str | None:
        return getattr(self.method, "enlargement", None)

    @property
    def profile(self) -> str | None:
        return self.method.profile

    @property
    def num_identities(self) -> int | None:
        return self.method.num_identities

    @property
    def trained_on(self) -> tuple[str, frozenset[str]] | None:
        """Of all parts together; None where one of them was not trained, or they saw different data sets."""
        trained = [part.trained_on for part in self.parts if getattr(part, "stages", []) or part.trained_on]
        if not trained or None in trained or len({fingerprint for fingerprint, _ in trained}) > 1:
            return None
        return trained[0][0], frozenset().union(*(people for _, people in trained))

    @property
    def trained_seed(self) -> int | tuple[int, ...] | None:
        """The seed of its parts, several where they differ, in order; None where no part has one."""
        seeds: set[int] = set()
        for part in self.parts:
            seed = getattr(part, "trained_seed", None)
            seeds |= set(seed) if isinstance(seed, tuple) else set() if seed is None else {seed}
        return tuple(sorted(seeds)) if len(seeds) > 1 else next(iter(seeds), None)

    def embed(self, batch: Batch, role: str) -> Tensor:
        return self.method.embed(batch, role)

    def features(self, descriptors: Tensor) -> Tensor:
        return self.method.features(descriptors)

    def distance(self, probes: Tensor, gallery: Tensor) -> Tensor:
        return self.method.distance(probes, gallery)


class SuperResolved(Wrapped):
    """A trained method whose probes go through a trained super-resolution network first; the gallery does not.

    sr : a module (B, 3, H, W) -> (B, 3, H, W).
    """

    name = "super-resolved"

    def __init__(self, method: Method, sr: nn.Module):
        super().__init__(method)
        self.sr = sr
        self.name = f"{getattr(sr, 'name', 'sr')} + {method.name}"

    def embed(self, batch: Batch, role: str) -> Tensor:
        return self.method.embed(batch.through(self.sr) if role == "probe" else batch, role)


class Beside(Wrapped):
    """Methods that look at the same pictures, which are made once for all of them: its descriptors are theirs, one
    after the other.
    """

    name = "beside"
    widths: tuple[int, ...] = ()

    def embed(self, batch: Batch, role: str) -> Tensor:
        described = [part.embed(batch, role).float() for part in self.parts]
        self.widths = tuple(part.shape[1] for part in described)
        return torch.cat(described, 1)

    def split(self, descriptors: np.ndarray) -> list[np.ndarray]:
        """(N, D) as ``extract`` gives them -> each method's own. ValueError where nothing was described yet."""
        if sum(self.widths) != descriptors.shape[1]:
            raise ValueError(f"descriptors of {descriptors.shape[1]} numbers, these methods have {self.widths}")
        return np.split(descriptors, np.cumsum(self.widths)[:-1], axis=1)


class Reweighted(Wrapped):
    """A trained RIPR whose streams are weighted in another way when it is tested.

    TypeError for another method, ValueError for a RIPR that learned no weights.
    """

    def __init__(self, method: Ripr):
        if not isinstance(method, Ripr):
            raise TypeError(f"{self.name} needs a trained RIPR, not {method.name}: wrap it before anything else")
        super().__init__(method)
        if not isinstance(method.backbone, TwoStreams) or not method.backbone.blocks:
            raise ValueError(f"this {method.name} has no learned weights: streams={method.settings.streams!r}")

    def weights(self, predicted: Tensor, batch: Batch) -> Tensor:
        """(B, T, 2) weights from the predicted ones (B, T, 2) and the batch."""
        raise NotImplementedError(f"{type(self).__name__} defines no weights()")

    def embed(self, batch: Batch, role: str) -> Tensor:
        return self.method.describe(batch.images, lambda predicted: self.weights(predicted, batch))[0]


class Swapped(Reweighted):
    """The low stream gets the high one's weight and the reverse: what is lost shows how much the streams differ."""

    name = "ripr, streams swapped"

    def weights(self, predicted: Tensor, batch: Batch) -> Tensor:
        return swapped(predicted)


class Given(Reweighted):
    """The weights that Eq. 7 asks for, (1 - r, r), with the r that is given, or that ``scale`` estimates.

    scale : (B, 3, H, W) -> (B,), such as ``lib.models.sharpness.Sharpness``; clamped to [0, 1].
    """

    name = "ripr, resolution given"

    def __init__(self, method: Ripr, scale: Callable[[Tensor], Tensor] | None = None):
        super().__init__(method)
        self.scale = scale

    def weights(self, predicted: Tensor, batch: Batch) -> Tensor:
        r = batch.resolution if self.scale is None else self.scale(batch.images).to(predicted)
        r = r.clamp(0, 1)[:, None].expand(predicted.shape[:2])  # (B, T)
        return torch.stack([1 - r, r], 2).to(predicted)
