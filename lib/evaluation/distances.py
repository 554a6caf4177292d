"""Distances in blocks of probes, so that the Q x G matrix never exists as a whole.

Ranking needs distances only up to what a probe has in common with all gallery images. Of
|p - g|^2 = |p|^2 + |g|^2 - 2 p.g the rows therefore hold |g|^2 / 2 - p.g: one matrix product and one addition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from lib.evaluation.people import as_array

BLOCK_BYTES = 24 << 20
MIN_ROWS = 256  # fewer rows than this and the matrix product spends its time on reading the gallery
SLICE = 1024  # rows of the gallery converted to double at a time
CENTRE_FROM = 8.0

Metric = str | Callable[[np.ndarray, np.ndarray], np.ndarray]
Blocks = Iterator[tuple[int, np.ndarray]]


@dataclass(frozen=True)
class Distances:
    """Distances, a block of probes at a time.

    blocks: pairs (first probe, (q, G) scratch array that the reader may overwrite). finish(row) turns a row of a block
    into distances in place: left to the reader, who has the row in its cache and may use threads.
    """

    blocks: Blocks
    finish: Callable[[np.ndarray], None]
    may_have_nan: bool


def nothing_left(row: np.ndarray) -> None:
    """``finish`` of blocks that hold distances already."""


def rows_per_block(gallery: int, itemsize: int, chunk: int | None = None) -> int:
    """Probes per block: ``chunk`` if given, else what fits in 24 MB, but at least 256."""
    if chunk is not None:
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1, not {chunk}")
        return chunk
    return max(BLOCK_BYTES // (gallery * itemsize), MIN_ROWS)


def matrix_distances(distances: np.ndarray) -> Distances:
    """Copies of consecutive rows of a (Q, G) matrix, in its own precision (integers as doubles): ties stay ties."""
    dtype = distances.dtype if distances.dtype.kind == "f" else np.float64
    rows = rows_per_block(distances.shape[1], np.dtype(dtype).itemsize)
    blocks = (
        (first, np.array(distances[first : first + rows], dtype=dtype)) for first in range(0, len(distances), rows)
    )
    return Distances(blocks, nothing_left, may_have_nan=True)


def metric_distances(probes, gallery, metric: Callable, chunk: int | None = None) -> Distances:
    """Blocks of any distance ``metric(probes[i:j], gallery) -> (j - i, G)``."""
    rows = rows_per_block(len(gallery), 4, chunk)

    def blocks() -> Blocks:
        for first in range(0, len(probes), rows):
            part = probes[first : first + rows]
            block = as_array(metric(part, gallery), "the metric's result")
            if block.shape != (len(part), len(gallery)):
                raise ValueError(f"the metric returned shape {block.shape} instead of {(len(part), len(gallery))}")
            yield first, np.array(block, dtype=block.dtype if block.dtype.kind == "f" else np.float64)

    return Distances(blocks(), nothing_left, may_have_nan=True)


def feature_distances(
    probes: np.ndarray, gallery: np.ndarray, metric: str = "euclidean", chunk: int | None = None
) -> Distances:
    """Distances between features, (Q, D) and (G, D), each row up to a constant and a factor of its own.

    metric: ``"euclidean"`` or ``"cosine"`` (a zero vector has a cosine of 0 with everybody). Computed in double
    precision when both sides are double, else in float32. Gallery images with identical features are exactly tied.
    NaN or infinite features raise ValueError naming the image.
    """
    if metric not in ("euclidean", "cosine"):
        raise ValueError(f"unknown metric {metric!r}: 'euclidean', 'cosine' or a function of (probes, gallery)")
    dtype = np.float64 if probes.dtype == gallery.dtype == np.float64 else np.float32
    probes, gallery = (np.ascontiguousarray(x, dtype=dtype) for x in (probes, gallery))
    _refuse_non_finite(probes, "probe")
    _refuse_non_finite(gallery, "gallery image")
    length, key, mean = _statistics(gallery)
    copies, originals = _duplicates(gallery, key)
    origin = np.zeros_like(mean)
    if metric == "euclidean":
        spread = length.mean() - mean @ mean
        if mean @ mean > CENTRE_FROM * max(spread, 0.0):
            # Features far from the origin (after a ReLU, say) lose their differences in the rounding of |g|^2 and p.g.
            # Moving the origin to their mean changes no distance. Only the probes are moved: p'.m is a constant each.
            origin = mean
            length = _squared_lengths(gallery, origin)
        combine, term = np.add, length / 2
    else:
        combine, term = np.multiply, np.divide(1.0, np.sqrt(length), where=length > 0, out=np.zeros_like(length))
    term = term.astype(dtype)
    rows = min(rows_per_block(len(gallery), np.dtype(dtype).itemsize, chunk), len(probes))

    def blocks() -> Blocks:
        scratch = np.empty((rows, len(gallery)), dtype=dtype)
        for first in range(0, len(probes), rows):
            part = (origin - probes[first : first + rows]).astype(dtype)
            yield first, np.matmul(part, gallery.T, out=scratch[: len(part)])  # (q, D) (D, G)

    def finish(row: np.ndarray) -> None:
        combine(row, term, out=row)
        if len(copies):
            # equal features need not have equal products: those near the edge of the product's tiles round differently
            row[copies] = row[originals]

    return Distances(blocks(), finish, may_have_nan=False)


def _refuse_non_finite(features: np.ndarray, name: str) -> None:
    for first in range(0, len(features), SLICE):
        bad = ~np.isfinite(features[first : first + SLICE]).all(1)
        if bad.any():
            at = first + int(bad.argmax())
            what = "NaN" if np.isnan(features[at]).any() else "an infinite value"
            raise ValueError(f"the feature of {name} {at} contains {what}")


def _statistics(features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squared lengths (G,), a projection on a random direction (G,) and the mean (D,), all in double precision.

    Sums run along a row in an order that depends on its length only, so that equal rows have equal lengths.
    """
    direction = np.random.default_rng(0).standard_normal(features.shape[1])
    length, key = np.empty(len(features)), np.empty(len(features))
    total = np.zeros(features.shape[1])
    for first in range(0, len(features), SLICE):
        part = features[first : first + SLICE].astype(np.float64)
        total += part.sum(0)
        key[first : first + SLICE] = (part * direction).sum(1)
        length[first : first + SLICE] = np.square(part, out=part).sum(1)
    return length, key, total / len(features)


def _squared_lengths(features: np.ndarray, origin: np.ndarray) -> np.ndarray:
    length = np.empty(len(features))
    for first in range(0, len(features), SLICE):
        part = features[first : first + SLICE] - origin
        length[first : first + SLICE] = np.square(part, out=part).sum(1)
    return length


def _duplicates(features: np.ndarray, key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows that repeat another one, and the first row that they repeat."""
    order = np.argsort(key, kind="stable")
    candidates = np.flatnonzero(key[order][1:] == key[order][:-1]) + 1
    same = np.zeros(len(key), dtype=bool)
    for first in range(0, len(candidates), SLICE):
        at = candidates[first : first + SLICE]
        same[at] = (features[order[at]] == features[order[at - 1]]).all(1)
    # the first row of each run of equal rows
    head = np.maximum.accumulate(np.where(same, 0, np.arange(len(key))))
    return order[same], order[head[same]]
