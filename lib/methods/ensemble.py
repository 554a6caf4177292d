"""Several models, each for one ratio, fused by how much a probe shows (SING Eq. 6-8; JBIM Eq. 17-19).

    D = sum_i w_i D_i,    w_i = exp(-(r - m_i)^2 / sigma^2),    r = sqrt(A_p / mean A_g)

D_i are the distances by the model M_i that was made for the ratio m_i; A_p and A_g are the numbers of pixels of the
probe and of the gallery images before they are enlarged. r is known on real cameras, and an oracle on degraded sets.

Letters: B images, Q probes, G gallery images, A anchors (models).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lib.data.batches import Batch
from lib.methods.method import Method
from lib.methods.wrapped import Wrapped


class AdaptiveEnsemble(Wrapped):
    """Trained models as one method; its descriptor is theirs side by side and, last, the image's extent.

    Parameters
    ----------
    anchors : trained methods on the same canvas. ratios : the m_i.
    sigma : None weighs all anchors alike, which is not in the paper.
    scale : None takes the true sizes; or a function of canvases (B, 3, H, W) to (B,), the size of each image relative
        to a high-resolution one, *estimated* from what it shows (``lib.models.sharpness``), with 1 for the gallery.
    """

    name = "ensemble"

    def __init__(
        self,
        anchors: Sequence[Method],
        ratios: Sequence[float],
        sigma: float | None = 0.5,
        scale: Callable[[Tensor], Tensor] | None = None,
    ):
        if len(anchors) != len(ratios) or not len(anchors):
            raise ValueError(
                f"{len(anchors)} models for {len(ratios)} ratios: each model has the ratio it was made for"
            )
        super().__init__(*anchors)
        self.ratios, self.sigma, self.scale = tuple(float(m) for m in ratios), _positive(sigma), scale
        self.name = f"{anchors[0].name} x {len(anchors)}"
        self.only = tuple(range(len(anchors)))

    def choose(self, only: Sequence[int], sigma: float | str | None = "as it is") -> AdaptiveEnsemble:
        """The same models with the anchors ``only`` (positions) and another sigma; descriptors stay those of all, so
        that subsets are compared without describing anything again. ValueError for anchors that are not there or are
        named twice, and for a sigma that is not positive.
        """
        only = tuple(only)
        if not only or len(set(only)) < len(only) or not set(only) <= set(range(len(self.ratios))):
            raise ValueError(f"anchors {list(only)} of {len(self.ratios)}: choose at least one of them, each once")
        other = copy.copy(self)
        other.only = only
        if sigma != "as it is":
            other.sigma = _positive(sigma)
        return other

    def embed(self, batch: Batch, role: str) -> Tensor:
        parts = [anchor.embed(batch, role).float() for anchor in self.parts]
        if len({part.shape[1] for part in parts}) > 1:
            raise ValueError(f"the models' descriptors differ in length: {[part.shape[1] for part in parts]}")
        size = batch.extent
        if self.scale is not None:
            size = self.scale(batch.images) if role == "probe" else torch.ones_like(size)
        return torch.cat([*parts, size[:, None].float()], dim=1)

    def features(self, descriptors: Tensor) -> Tensor:
        """The chosen models' features side by side; the size is none of them."""
        parts = self._split(descriptors)
        return torch.cat([self.parts[i].features(parts[i]) for i in self.only], 1)

    def weights(self, r: Tensor) -> Tensor:
        """(Q,) r -> (Q, A): Eq. 8, divided by each probe's largest weight. That changes no ranking, and a small sigma
        then does not make all weights of a probe 0.
        """
        anchors = torch.tensor(self.ratios, device=r.device, dtype=r.dtype)
        if self.sigma is None:
            return torch.ones(len(r), len(anchors), device=r.device, dtype=r.dtype)
        exponents = -((r[:, None] - anchors).square()) / self.sigma**2
        exponents[:, [i for i in range(len(anchors)) if i not in self.only]] = -torch.inf
        return torch.exp(exponents - exponents.amax(1, keepdim=True))

    def distance(self, probes: Tensor, gallery: Tensor) -> Tensor:
        """Eq. 6. ``gallery`` is the whole gallery: Eq. 7 takes the mean of its sizes."""
        r = probes[:, -1] / gallery[:, -1].square().mean().sqrt()
        weights, sides = self.weights(r), [self._split(side) for side in (probes, gallery)]
        return sum(weights[:, i, None] * self.parts[i].distance(sides[0][i], sides[1][i]) for i in self.only)

    def _split(self, descriptors: Tensor) -> tuple[Tensor, ...]:
        """(B, D) -> each model's part of it."""
        return descriptors[:, :-1].chunk(len(self.parts), 1)


def _positive(sigma: float | None) -> float | None:
    if sigma is not None and not sigma > 0:
        raise ValueError(f"sigma is positive, or None for equal weights, not {sigma}")
    return sigma
