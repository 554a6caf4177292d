"""Trained methods looked at in part: one branch of JBIM, a network whose gallery is shrunk, an FTWA with other weights.
Letters as in ``method``.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from lib.data.batches import Batch
from lib.methods.ensemble import AdaptiveEnsemble
from lib.methods.ftwa import Ftwa
from lib.methods.method import Method
from lib.methods.weighing import known_rule
from lib.methods.wrapped import Wrapped


class Branch(Wrapped):
    """A part of a method that is a method itself, such as "him" of JBIM, tested alone.

    ValueError for a part that describes nothing.
    """

    name = "branch"

    def __init__(self, method: Method, part: str):
        super().__init__(method)
        self.branch = getattr(method, part, None)
        if not isinstance(self.branch, Method):
            raise ValueError(f"{method.name} has no part {part!r} that describes pictures by itself")
        self.name = f"{method.name}, {part}"

    def embed(self, batch: Batch, role: str) -> Tensor:
        return self.branch.embed(batch, role)


class GalleryShrunk(Wrapped):
    """A method that is shown the gallery shrunk by m: no more of a gallery image than of a probe at m.

    What LIM does with its gallery, done to another network: whether that alone is the gain.
    """

    name = "gallery shrunk"

    def __init__(self, method: Method, ratio: float):
        super().__init__(method)
        self.ratio = ratio
        self.name = f"{method.name}, gallery shrunk"

    def embed(self, batch: Batch, role: str) -> Tensor:
        shown = batch if role == "probe" else replace(batch, images=batch.at(self.ratio))
        return self.method.embed(shown, role)


class Weighed(Wrapped):
    """A trained FTWA whose streams are weighed by another rule of ``weighing.RULES`` when searching; descriptors stay.

    rule : "product" (as it is), "probe" (its weights alone), "sum" of the two images' weights, "equal", or the "high"
    or the "low" stream alone. ValueError for another, TypeError for another method.
    """

    name = "ftwa, weighed"

    def __init__(self, method: Ftwa, rule: str):
        if not isinstance(method, Ftwa):
            raise TypeError(f"{self.name} needs a trained FTWA, not {method.name}: wrap it before anything else")
        super().__init__(method)
        self.rule = known_rule(rule)

    def distance(self, probes: Tensor, gallery: Tensor) -> Tensor:
        return self.method.weighed_distance(probes, gallery, self.rule)


class GalleryCopies(Wrapped):
    """A trained FTWA whose gallery's copies are shrunk to another ratio in (0, 1) when searching."""

    name = "ftwa, gallery copies"

    def __init__(self, method: Ftwa, ratio: float):
        super().__init__(method)
        self.ratio = ratio

    def embed(self, batch: Batch, role: str) -> Tensor:
        return self.method.described(*self.method.vectors(batch, role, self.ratio))


def branch(method: Method, part: str) -> Method:
    """``Branch`` of a method, or of each anchor of an ensemble."""
    if isinstance(method, AdaptiveEnsemble):
        parts = [Branch(one, part) for one in method.parts]
        return AdaptiveEnsemble(parts, method.ratios, method.sigma, method.scale)
    return Branch(method, part)
