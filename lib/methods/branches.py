"""Trained methods looked at in part: one branch of JBIM or both without its fusion, a network whose gallery is shrunk,
an FTWA with other weights. Letters as in ``method``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.data.batches import Batch
from lib.methods.ensemble import AdaptiveEnsemble
from lib.methods.ftwa import Ftwa
from lib.methods.jbim import HimLim, Jbim
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


class _Jbim(Wrapped):
    """What is made of a trained ``wanted``; TypeError for another method."""

    wanted: ClassVar[type[Method]] = HimLim

    def __init__(self, method: Method):
        if not isinstance(method, self.wanted):
            raise TypeError(f"{self.name} needs a trained JBIM, not {method.name}: wrap it before anything else")
        super().__init__(method)


class Unfused(_Jbim):
    """A trained JBIM, or one of its controls, compared by HIM's and LIM's descriptors side by side: what the caption of
    JBIM's Fig. 4 says, where its §4.4 compares what the fusion puts out.
    """

    name = "jbim, not fused"

    def embed(self, batch: Batch, role: str) -> Tensor:
        return HimLim.embed(self.method, batch, role)


class Unrectified(_Jbim):
    """A trained JBIM compared by what its fusion puts out before the ReLU."""

    name = "jbim, no ReLU"
    wanted = Jbim

    def embed(self, batch: Batch, role: str) -> Tensor:
        both = torch.cat([self.method.him.describe(batch, role), self.method.lim.describe(batch, role)], 1)
        return F.normalize(self.method.ffn.bn(self.method.ffn.fc(both)))  # (B, Dh + Dl)


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
        if not 0 < ratio < 1:
            raise ValueError(f"gallery copies are made at a ratio in (0, 1), not {ratio}")
        super().__init__(method)
        self.ratio = ratio

    def embed(self, batch: Batch, role: str) -> Tensor:
        return self.method.described(*self.method.vectors(batch, role, self.ratio))


def each(method: Method, wrap: Callable[[Method], Method]) -> Method:
    """A method wrapped, or each anchor of an ensemble."""
    if isinstance(method, AdaptiveEnsemble):
        return AdaptiveEnsemble([wrap(one) for one in method.parts], method.ratios, method.sigma, method.scale)
    return wrap(method)
