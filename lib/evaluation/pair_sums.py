"""Sums of squared distances over *all* pairs of images, without looking at pairs.

For vectors a_i and b_j,  sum_ij |a_i - b_j|^2 = n_b sum_i |a_i|^2 + n_a sum_j |b_j|^2 - 2 (sum_i a_i) . (sum_j b_j):
three sums per identity say all about pairs within it and between it and others. One pass, O(N D), any number of images.
Distances do not depend on the origin, the rounding of such differences of large sums does: each identity's sums are
taken around an image of its own, so that people who are far apart do not hide how near the images of one are.

Letters: N images, C identities, D feature dimensions, R views of every image (e.g. its feature at R resolutions),
B images in a batch, W resamples.

Distances are not divided by anything, so features whose squares a double cannot hold are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LARGEST, SMALLEST = 1e130, 1e-130  # their squares, summed over all pairs, are still far from the ends of a double


@dataclass(frozen=True)
class PairTotals:
    """Totals for every two views, each (..., R, R): sums of squared distances and numbers of pairs.

    sim: pairs of the same identity. dif: pairs of different ones. Between two views, image i in the first and image j
    in the second is one pair (i, j), and another one than (j, i); within one view the two are one pair and count once.
    """

    sim: np.ndarray
    dif: np.ndarray
    sim_pairs: np.ndarray
    dif_pairs: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        """RIPR Eq. 2: D_sim / D_dif, NaN where all features are equal."""
        return _divide(self.sim, self.dif)

    @property
    def mean_ratio(self) -> np.ndarray:
        """Mean distance of same-identity pairs over the mean distance of the others: free of the numbers of pairs."""
        return _divide(_divide(self.sim, self.sim_pairs), _divide(self.dif, self.dif_pairs))


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.full(np.shape(a), np.nan), where=b > 0)


class PairSums:
    """Collects per-identity sums of R views; ``add`` batches in any order, then ask for ``totals``.

    include_same_image: whether image i in one view and the same image in another count as a pair of the same identity.
    """

    pairs = "all"

    def __init__(self, identities: int, views: int, include_same_image: bool = False):
        self.include_same_image = include_same_image
        self.images = np.zeros(identities)  # (C,)
        self.squares = np.zeros((identities, views))  # (C, R): sum of |f|^2
        self.cross = np.zeros((identities, views, views))  # (C, R, R): sum over images of f^r . f^s of the same image
        self.vectors: np.ndarray | None = None  # (C, R, D): sum of f
        self.origin: np.ndarray | None = None  # (D,): of everything
        self.own: np.ndarray | None = None  # (C, D): each identity's own, from there; the sums above are around it

    def add(self, codes: np.ndarray, features: np.ndarray) -> None:
        """codes (B,): identities as integers below C. features (B, R, D).

        ValueError, with the image's place in the batch, where a feature is not finite, or larger than 1e130 and its
        square might overflow; and where all differences are below 1e-130, whose squares vanish.
        """
        features = np.asarray(features, dtype=np.float64)
        size = np.abs(features).max((1, 2), initial=0.0)
        if not (size <= LARGEST).all():
            at = int((~(size <= LARGEST)).argmax())
            if not np.isfinite(size[at]):
                raise ValueError(f"a feature is NaN or infinite (image {at} of this batch)")
            raise ValueError(
                f"a feature of {size[at]:.3g} (image {at} of this batch): its square overflows; divide all"
            )
        if self.vectors is None:
            self.origin = features.mean((0, 1))
            self.vectors = np.zeros((*self.squares.shape, features.shape[2]))
            self.own = np.zeros((len(self.images), features.shape[2]))
        features = features - self.origin
        if 0 < np.abs(features).max(initial=0.0) < SMALLEST:
            raise ValueError("all features differ by less than 1e-130, whose square is 0: multiply them by a constant")
        order = np.argsort(codes, kind="stable")
        found, starts = np.unique(codes[order], return_index=True)
        features = features[order]
        new = self.images[found] == 0
        self.own[found[new]] = features[starts[new], 0]
        features -= self.own[codes[order], None]
        cross = np.einsum("brd,bsd->brs", features, features)
        self.images[found] += np.diff(np.append(starts, len(codes)))
        self.vectors[found] += np.add.reduceat(features, starts)
        self.cross[found] += np.add.reduceat(cross, starts)
        self.squares[found] += np.add.reduceat(np.einsum("brr->br", cross), starts)

    def _per_identity(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(C, R, R) within-identity sums over all n^2 pairs, and over those that count; (C, R, R) how many count."""
        both = self.squares[:, :, None] + self.squares[:, None, :]  # (C, R, R)
        n = self.images[:, None, None]
        within = n * both - 2 * np.einsum("crd,csd->crs", self.vectors, self.vectors)
        same_image = both - 2 * self.cross
        views = self.squares.shape[1]
        excluded = np.eye(views, dtype=bool) if self.include_same_image else np.ones((views, views), dtype=bool)
        sim = within - np.where(excluded, same_image, 0.0)
        pairs = n**2 - np.where(excluded, n, 0.0)
        return np.maximum(within, 0.0), np.maximum(sim, 0.0), pairs

    def totals(self, weights: np.ndarray | None = None) -> PairTotals:
        """Totals when identity c is there ``weights[..., c]`` times (once without weights): (R, R), or (W, R, R).

        Copies of one identity are the same person: pairs between them are left out, of D_sim and of D_dif.
        """
        single = weights is None
        w = np.ones((1, len(self.images))) if single else weights  # (W, C)
        within, sim, pairs = self._per_identity()
        views = self.squares.shape[1]
        flat = (len(self.images), -1)
        shape = (len(w), views, views)
        n = (w @ self.images)[:, None, None]  # (W, 1, 1)
        # back to the common origin
        moved = 2 * np.einsum("crd,cd->cr", self.vectors, self.own)
        moved += (self.images * np.square(self.own).sum(1))[:, None]
        squares = w @ (self.squares + moved)  # (W, R)
        vectors = (w @ self.vectors.reshape(flat)).reshape(len(w), views, -1)  # (W, R, D)
        vectors += ((w * self.images) @ self.own)[:, None]
        everyone = n * (squares[:, :, None] + squares[:, None, :]) - 2 * np.einsum("wrd,wsd->wrs", vectors, vectors)
        dif = everyone - (w**2 @ within.reshape(flat)).reshape(shape)
        dif_pairs = n**2 - (w**2 @ self.images**2)[:, None, None] + np.zeros(shape)
        half = np.where(np.eye(views, dtype=bool), 0.5, 1.0)  # within a view (i, j) and (j, i) are one pair
        out = [
            (w @ sim.reshape(flat)).reshape(shape) * half,
            np.maximum(dif, 0.0) * half,
            (w @ pairs.reshape(flat)).reshape(shape) * half,
            dif_pairs * half,
        ]
        return PairTotals(*(x[0] if single else x for x in out))


class PairSumsAcross:
    """As ``PairSums``, of the pairs whose images are from two cameras: all pairs without those within each camera.

    cams (N,): the camera of each image, 0 .. K - 1, in the order in which ``add`` gets the images.
    """

    pairs = "across cameras"

    def __init__(self, identities: int, views: int, cams: np.ndarray):
        self.cams, self.seen = cams, 0
        self.everywhere = PairSums(identities, views)
        self.within = [PairSums(identities, views) for _ in range(int(cams.max()) + 1)]

    @property
    def images(self) -> np.ndarray:
        """(C,) images of each identity."""
        return self.everywhere.images

    def add(self, codes: np.ndarray, features: np.ndarray) -> None:
        """As ``PairSums.add``; batches come in the order of ``cams``."""
        self.everywhere.add(codes, features)
        cams = self.cams[self.seen : self.seen + len(codes)]
        self.seen += len(codes)
        for cam in np.unique(cams):
            self.within[cam].add(codes[cams == cam], features[cams == cam])

    def totals(self, weights: np.ndarray | None = None) -> PairTotals:
        """As ``PairSums.totals``."""
        whole, parts = self.everywhere.totals(weights), [some.totals(weights) for some in self.within]
        return PairTotals(
            *(
                np.maximum(getattr(whole, name) - sum(getattr(part, name) for part in parts), 0.0)
                for name in ("sim", "dif", "sim_pairs", "dif_pairs")
            )
        )
