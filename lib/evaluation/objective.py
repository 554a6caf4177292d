"""The objective O(r1, r2) of RIPR Eq. 2: how hard people are to tell apart at two resolutions, before any ranking.

    O(r1, r2) = D_sim(r1, r2) / D_dif(r1, r2)
    D_sim = sum over pairs (i, i') of the same person of |f(image i at r1) - f(image i' at r2)|^2, D_dif over the others

The smaller, the better. Three remarks that the paper leaves to its reader:

- The *sums* grow with the number of pairs, so O compares resolutions on one set of images but not one set with another:
  with ten times as many people there are a hundred times as many pairs of different persons and O is ten times smaller.
  ``normalised`` is the ratio of the *mean* distances, which does not depend on the numbers of pairs.
- Eq. 2 takes all pairs. Where everybody has one image a camera, pairs of one person lie across cameras and half of the
  others within one, so that what differs between cameras counts for the first alone: a histogram that finds people 8
  times as often as chance has a ``normalised`` of 1.38 on PRID 2011. So here both kinds of pair are taken *across*
  cameras (``pairs="across cameras"``), and an uninformative descriptor has ``normalised`` = 1; ``pairs="all"`` is the
  paper's own, which has that only where both kinds of pair are spread alike over the cameras. A descriptor that moves
  one person's images further apart than strangers' lies above 1 in either.
- Image i at r1 and the same image i at r2 is a pair of the same person, but of one photograph: it says how far
  degradation moves a feature, not whether a person is found again. It is left out unless ``include_same_image``.
- At r1 = r2 (and equal roles), (i, i') and (i', i) are one pair and count once; an image is no pair with itself.

Everything is computed in one pass in closed form (``pair_sums.py``), with no matrix of pairs. Intervals draw identities
again, with all their images (``intervals.py``); also in closed form. Drawing with replacement loses a share 1 / C of
the pairs of different people (two copies of one person are no such pair); the raw ratio is corrected for it.

Letters: N images, C identities, D feature dimensions, R views.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from lib.evaluation.features import BATCH_SIZE, View, compared, stream
from lib.evaluation.intervals import identity_weights, percentile_interval
from lib.evaluation.pair_sums import PairSums, PairSumsAcross, PairTotals
from lib.evaluation.people import as_array, as_labels, some_of

if TYPE_CHECKING:
    from lib.data import Protocol
    from lib.methods import Method

RESAMPLES = 1000
SLICE = 4096
PAIRS = ("across cameras", "all")
Sums = PairSums | PairSumsAcross


@dataclass(frozen=True)
class Objective:
    """O of Eq. 2 with its interval; ``normalised`` is the ratio of means. d_sim, d_dif: the raw sums.

    r1, r2 are NaN where the objective was computed from features. pairs: "across cameras" or "all". Limits are NaN
    where no bootstrap was asked for.
    """

    r1: float
    r2: float
    value: float
    low: float
    high: float
    normalised: float
    normalised_low: float
    normalised_high: float
    d_sim: float
    d_dif: float
    sim_pairs: int
    dif_pairs: int
    images: int
    identities: int
    level: float
    protocol_sha256: str = ""
    pairs: str = "all"

    def summary(self) -> str:
        where = "" if np.isnan(self.r1) else f"({self.r1:g}, {self.r2:g})"
        raw = f"O{where} = {self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"
        ratio = f"ratio of means {self.normalised:.3f} [{self.normalised_low:.3f}, {self.normalised_high:.3f}]"
        return f"{raw}; {ratio}; {self.images} images of {self.identities} people"

    def to_row(self) -> dict:
        """All fields as a flat dictionary, for a table."""
        return asdict(self)


def objective(
    method: Method,
    protocol: Protocol,
    r1: float,
    r2: float,
    subset: str = "test",
    roles: tuple[str, str] = ("probe", "probe"),
    reference: str = "image",
    pairs: str = "across cameras",
    **options,
) -> Objective:
    """O(r1, r2) of a method over all images of a protocol's ``subset``, each degraded to r1 and to r2.

    The protocol gives the people and the kernel; its own ratios are replaced. roles: as what ``embed`` sees the image
    at r1 and at r2 (some methods treat probes and gallery differently). reference: r relative to each "image", or to
    the "widest" image of the set (RIPR's definition; the same where all images have one size). pairs: "across cameras",
    or "all" as RIPR Eq. 2 is printed.
    options: unit_length, include_same_image, resamples, level, seed, device, batch_size as in ``objective_surface``.
    """
    views = [View(r1, roles[0], reference), View(r2, roles[1], reference)]
    return _objectives(method, protocol, subset, views, [(0, 1)], pairs, **options)[0]


def objective_surface(
    method: Method,
    protocol: Protocol,
    grid: Sequence[float],
    subset: str = "test",
    roles: tuple[str, str] = ("probe", "probe"),
    reference: str = "image",
    pairs: str = "across cameras",
    unit_length: bool = False,
    include_same_image: bool = False,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
    device: torch.device | str | None = None,
    batch_size: int = BATCH_SIZE,
) -> pd.DataFrame:
    """O(r1, r2) for all r1 and r2 in ``grid``: one row per cell, with the fields of ``Objective`` as columns.

    RIPR Fig. 2 (a) is the rows with r1 = r2, (b) those with r2 = 1. Features are extracted once per resolution (and
    role). pairs: "across cameras", or "all" as RIPR Eq. 2 is printed. unit_length: divide features by their length
    first, which compares directions as a cosine does. resamples: 0 leaves the intervals out. All cells share their
    resamples, so that differences between cells are comparable.
    """
    grid = [float(r) for r in grid]
    if not grid:
        raise ValueError("the grid of resolutions is empty")
    views = [View(r, role, reference) for role in roles for r in grid]
    cells = [(i, len(grid) + j) for i in range(len(grid)) for j in range(len(grid))]
    found = _objectives(
        method, protocol, subset, views, cells, pairs,
        unit_length=unit_length, include_same_image=include_same_image, resamples=resamples, level=level, seed=seed,
        device=device, batch_size=batch_size,
    )  # fmt: skip
    return pd.DataFrame([o.to_row() for o in found])


def objective_from_features(
    features_1,
    features_2,
    ids,
    unit_length: bool = False,
    include_same_image: bool = False,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
    cams=None,
) -> Objective:
    """O from features (N, D) of the same N images at two resolutions, in the same order; NumPy or torch.

    features_2: None (or the very same array) where r1 = r2. ids (N,): identities. cams (N,): cameras, for pairs across
    them; None for all pairs, as RIPR Eq. 2 is printed. ValueError where shapes do not fit, a feature is not finite,
    there is one identity only, or no identity has a pair.
    """
    same = features_2 is None or features_2 is features_1
    views = [features_1] if same else [features_1, features_2]
    sums, _ = sums_of_features(views, ids, cams, unit_length, include_same_image)
    cell = (0, 0) if same else (0, 1)
    return _cells(sums, [cell], [(np.nan, np.nan)], resamples, level, seed, "")[0]


def _unit(features: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(features.astype(np.float64), axis=-1, keepdims=True)
    return np.divide(features, length, out=np.zeros(features.shape), where=length > 0)


def _objectives(
    method, protocol, subset, views, cells, pairs, unit_length=False, include_same_image=False, resamples=RESAMPLES,
    level=0.95, seed=0, device=None, batch_size=BATCH_SIZE,
) -> list[Objective]:  # fmt: skip
    sums, place, _ = sums_of_method(
        method, protocol, subset, views, pairs, unit_length, include_same_image, device, batch_size
    )
    resolutions = [(views[i].ratio, views[j].ratio) for i, j in cells]
    cells = [(place[i], place[j]) for i, j in cells]
    return _cells(sums, cells, resolutions, resamples, level, seed, protocol.sha256)


def sums_of_method(
    method: Method,
    protocol: Protocol,
    subset: str,
    views: Sequence[View],
    pairs: str = "across cameras",
    unit_length: bool = False,
    include_same_image: bool = False,
    device: torch.device | str | None = None,
    batch_size: int = BATCH_SIZE,
    people: int | None = None,
) -> tuple[Sums, list[int], tuple]:
    """The sums over all images of ``subset``, the place of each of ``views`` in them, the identities (C) in order.

    Equal views have one place. people: at most so many, at equal steps through their names; None for all. ValueError
    where the subset has no images, for unknown ``pairs``, for ``include_same_image`` across cameras, and for fewer than
    two people.
    """
    if pairs not in PAIRS:
        raise ValueError(f"unknown pairs {pairs!r}: {' or '.join(map(repr, PAIRS))}")
    rows = protocol.rows(subset).drop_duplicates("image")  # a protocol may use an image as probe and as gallery
    if len(rows) == 0:
        raise ValueError(f"the protocol has no images in subset {subset!r}")
    if people is not None:
        rows = rows[rows["pid"].isin(some_of(rows["pid"], people))]
    codes, names = pd.factorize(rows["pid"])
    # equal views are one: features are extracted once, and the pair rule of equal resolutions applies
    distinct = list(dict.fromkeys(views))
    sums = _sums(len(names), len(distinct), rows["cam"] if pairs == "across cameras" else None, include_same_image)
    for at, features in stream(method, protocol, rows, distinct, device, batch_size):
        part = np.stack([compared(method, some) for some in features], axis=1)  # (B, R, F)
        sums.add(codes[at], _unit(part) if unit_length else part)
    return sums, [distinct.index(view) for view in views], tuple(names)


def sums_of_features(
    features: Sequence, ids, cams=None, unit_length: bool = False, include_same_image: bool = False
) -> tuple[Sums, tuple]:
    """The sums over R views (N, D) of the same N images, and the identities (C) in order; NumPy or torch.

    ids (N,): identities. cams (N,): cameras, for pairs across them; None for all pairs. ValueError where shapes do not
    fit or a feature is not finite, and for ``include_same_image`` across cameras.
    """
    views = [as_array(f, "features") for f in features]
    if any(v.ndim != 2 or v.shape != views[0].shape for v in views):
        raise ValueError(f"features have shapes {[v.shape for v in views]}, expected (N, D), the same for every view")
    codes, names = pd.factorize(as_labels(ids, len(views[0]), "ids"))
    cams = None if cams is None else as_labels(cams, len(codes), "cams")
    sums = _sums(len(names), len(views), cams, include_same_image)
    for first in range(0, len(codes), SLICE):
        part = np.stack([v[first : first + SLICE] for v in views], axis=1)  # (b, R, D)
        sums.add(codes[first : first + SLICE], _unit(part) if unit_length else part)
    return sums, tuple(np.asarray(names).tolist())


def _sums(identities: int, views: int, cams, include_same_image: bool) -> Sums:
    """Empty sums: of all pairs where ``cams`` is None, else of those across cameras."""
    if cams is None:
        return PairSums(identities, views, include_same_image)
    if include_same_image:
        raise ValueError("one image is from one camera: include_same_image needs all pairs, not those across cameras")
    return PairSumsAcross(identities, views, pd.factorize(cams)[0])


def checked_totals(sums: Sums, first: np.ndarray, second: np.ndarray) -> PairTotals:
    """Totals, where O is defined between the views ``first`` and ``second`` (index arrays of one shape or broadcast).

    ValueError where there are no pairs of one person, or of two; a RuntimeWarning where O is 0 / 0.
    """
    totals = sums.totals()
    if len(sums.images) < 2:
        raise ValueError("the objective needs pairs of different people: there are fewer than two identities")
    if not totals.sim_pairs[first, second].all():
        why = "every identity has a single image"
        if sums.pairs != "all":
            why = 'no identity has images from two cameras (pairs="all" takes those of one camera as well)'
        raise ValueError(f"the objective needs pairs of the same person: {why}")
    if np.isnan(totals.ratio[first, second]).any():
        warnings.warn("O is not defined where all people have the same feature: NaN", RuntimeWarning, stacklevel=4)
    return totals


def drawn_again(sums: Sums, first: np.ndarray, second: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """(B, 2, ...): raw and normalised O between the views ``first`` and ``second`` (...) over people drawn again.

    The raw ratio is corrected by (C - 1) / C, the share of pairs of different people that is left (see the module).
    One seed draws the same people whatever the features are.
    """
    identities = len(sums.images)
    drawn = [np.empty((0, 2, *np.broadcast_shapes(first.shape, second.shape)))]
    for weights in identity_weights(np.random.default_rng(seed), identities, resamples):
        again = sums.totals(weights)
        raw = again.ratio[:, first, second] * (identities - 1) / identities
        drawn.append(np.stack([raw, again.mean_ratio[:, first, second]], axis=1))
    return np.concatenate(drawn)


def _cells(sums: Sums, cells, resolutions, resamples, level, seed, sha256) -> list[Objective]:
    """The asked cells of all pairs of views, with intervals."""
    first, second = (np.array(index) for index in zip(*cells, strict=True))
    totals = checked_totals(sums, first, second)
    value, normalised = totals.ratio[first, second], totals.mean_ratio[first, second]
    drawn = drawn_again(sums, first, second, resamples, seed)  # (B, 2, cells)
    if len(drawn):
        low, high = percentile_interval(drawn, level)  # (2, cells)
    else:
        low = high = np.full((2, len(cells)), np.nan)
    return [
        Objective(
            r1=float(resolutions[c][0]),
            r2=float(resolutions[c][1]),
            value=float(value[c]),
            low=float(low[0, c]),
            high=float(high[0, c]),
            normalised=float(normalised[c]),
            normalised_low=float(low[1, c]),
            normalised_high=float(high[1, c]),
            d_sim=float(totals.sim[at]),
            d_dif=float(totals.dif[at]),
            sim_pairs=round(float(totals.sim_pairs[at])),
            dif_pairs=round(float(totals.dif_pairs[at])),
            images=int(sums.images.sum()),
            identities=len(sums.images),
            level=level,
            protocol_sha256=sha256,
            pairs=sums.pairs,
        )
        for c, at in enumerate(cells)
    ]
