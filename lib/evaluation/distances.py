"""Distances in blocks of probes, so that the Q x G matrix never exists as a whole.

Ranking needs distances only up to what a probe has in common with all gallery images. Of
|p - g|^2 = |p|^2 + |g|^2 - 2 p.g the rows therefore hold |g|^2 / 2 - p.g: one matrix product and one addition.

That difference of large numbers leaves little of a small distance where features are long and people are near each
other. So three ways are there, each slower and finer than the one before: products in float32, products in double, and
sums of squared differences, which lose nothing at any scale. A probe is ranked by the first of them whose rounding
cannot have moved an image past one of its matches (``Distances.doubtful``): almost always the first.

Descriptors of whole numbers (codes, histograms, everything whose products are exact in double precision; for cosines,
the squares of products) are exactly tied where their distances are equal; others where the gallery images are equal.
Any finite scale will do: where squares could overflow or vanish, double precision or differences are used at once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from lib.evaluation.arguments import whole_number
from lib.evaluation.people import as_array

BLOCK_BYTES = 24 << 20
MIN_ROWS = 256  # fewer rows than this and the matrix product spends its time on reading the gallery
SLICE = 1024  # rows of the gallery converted to double at a time
CENTRE_FROM = 8.0
DIGITS = {np.dtype(np.float32): 24, np.dtype(np.float64): 53}
SAFE = {np.dtype(np.float32): (-40, 50), np.dtype(np.float64): (-400, 450)}  # powers of 2 whose squares are harmless
RELATIVE = 2.0**-15  # a squared distance is known well enough when its rounding is below this share of it

Metric = str | Callable[[np.ndarray, np.ndarray], np.ndarray]
Blocks = Iterator[tuple[np.ndarray, np.ndarray]]


def _never(row: np.ndarray, probe: int, thresholds: np.ndarray) -> bool:
    return False


@dataclass(frozen=True)
class Distances:
    """Distances, a block of probes at a time.

    blocks: pairs (numbers of the probes (q,), (q, G) scratch array that the reader may overwrite). finish(row) turns a
    row of a block into distances in place: left to the reader, who has the row in its cache and may use threads.
    doubtful(row, probe, thresholds): whether rounding may have changed how many entries of the finished row are at most
    ``thresholds`` (sorted, the probe's matches). finer(probes): their distances again, with less rounding.
    """

    blocks: Blocks
    finish: Callable[[np.ndarray], None]
    may_have_nan: bool
    doubtful: Callable[[np.ndarray, int, np.ndarray], bool] = _never
    finer: Callable[[np.ndarray], Distances] | None = None


def nothing_left(row: np.ndarray) -> None:
    """``finish`` of blocks that hold distances already."""


def rows_per_block(gallery: int, itemsize: int, chunk: int | None = None) -> int:
    """Probes per block: ``chunk`` if given, else what fits in 24 MB, but at least 256."""
    if chunk is not None:
        return whole_number(chunk, "chunk", 1)
    return max(BLOCK_BYTES // (gallery * itemsize), MIN_ROWS)


def matrix_distances(distances: np.ndarray) -> Distances:
    """Copies of consecutive rows of a (Q, G) matrix, in its own precision (integers as doubles): ties stay ties.

    ValueError where it holds no numbers, or integers that a double cannot tell apart.
    """
    _refuse_other_than_numbers(distances, "distances")
    dtype = distances.dtype if distances.dtype.kind == "f" else np.float64
    if distances.dtype.kind in "iu" and distances.dtype.itemsize == 8:
        largest = max(abs(int(distances.min())), abs(int(distances.max())))
        if largest > 2**53:
            raise ValueError(f"distances of {largest} as integers: beyond 2^53 some of them would be rounded to a tie")
    rows = rows_per_block(distances.shape[1], np.dtype(dtype).itemsize)
    blocks = (
        (np.arange(first, min(first + rows, len(distances))), np.array(distances[first : first + rows], dtype=dtype))
        for first in range(0, len(distances), rows)
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
            _refuse_other_than_numbers(block, "the metric's result")
            block = np.array(block, dtype=block.dtype if block.dtype.kind == "f" else np.float64)
            yield np.arange(first, first + len(part)), block

    return Distances(blocks(), nothing_left, may_have_nan=True)


def feature_distances(
    probes: np.ndarray, gallery: np.ndarray, metric: str = "euclidean", chunk: int | None = None
) -> Distances:
    """Distances between features, (Q, D) and (G, D), each row up to a constant and a factor of its own.

    metric: ``"euclidean"`` or ``"cosine"`` (a zero vector has a cosine of 0 with everybody). Computed in float32, or in
    double precision where a side is double, or integers are too large for float32. For ties and scales see the module.
    NaN or infinite features raise ValueError naming the image; so does an array of no numbers.
    """
    if metric not in ("euclidean", "cosine"):
        raise ValueError(f"unknown metric {metric!r}: 'euclidean', 'cosine' or a function of (probes, gallery)")
    sides = [_as_floats(probes, "probe_features"), _as_floats(gallery, "gallery_features")]
    dtype = np.result_type(*sides)
    sides = [np.ascontiguousarray(x, dtype=dtype) for x in sides]
    largest = max(_largest(x, name) for x, name in zip(sides, ("probe", "gallery image"), strict=True))
    rows = None if chunk is None else rows_per_block(1, 1, chunk)
    if metric == "cosine":
        return _Cosine(*map(_rows_scaled, sides), rows).distances()
    if not _is_safe(largest, dtype) and dtype == np.float32:
        sides = [x.astype(np.float64) for x in sides]
    return _Euclidean(*sides, rows).distances(products=_is_safe(largest, np.float64))


class _Products:
    """Rows made of one matrix product and a term per gallery image.

    A subclass says what a row is: ``left`` (the factor of the gallery) and ``finished`` (what is done to a row); and
    for the question of rounding ``offset`` (Q,), which added to a row gives half a squared distance (d^2 / 2), and
    ``rounding`` (Q,), the size of the numbers whose rounding a row inherits.
    """

    exact: np.dtype | None = None  # the precision in which nothing is rounded at all

    def __init__(self, probes: np.ndarray, gallery: np.ndarray, chunk: int | None):
        self.probes, self.gallery, self.chunk = probes, gallery, chunk
        with np.errstate(over="ignore", invalid="ignore"):  # the largest doubles have no squares
            self.length, key, self.mean = _statistics(gallery)
        self.copies, self.originals = _duplicates(gallery, key)

    def distances(self, products: bool = True) -> Distances:
        everyone = np.arange(len(self.probes))
        if not products:
            return self._differences(everyone)
        if self.exact is not None:
            return self._products(everyone, self.exact, certain=True)
        return self._products(everyone, self.gallery.dtype)

    def left(self, probes: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def finished(self, dtype: np.dtype) -> Callable[[np.ndarray], None]:
        raise NotImplementedError

    def finish(self, dtype: np.dtype) -> Callable[[np.ndarray], None]:
        combine, copies, originals = self.finished(dtype), self.copies, self.originals

        def finish(row: np.ndarray) -> None:
            combine(row)
            if len(copies):
                # equal features need not have equal products: those near the edge of the product's tiles round
                # differently
                row[copies] = row[originals]

        return finish

    def _products(self, which: np.ndarray, dtype: np.dtype, certain: bool = False) -> Distances:
        dtype = np.dtype(dtype)
        rows = min(rows_per_block(len(self.gallery), dtype.itemsize, self.chunk), len(which))
        step = len(self.gallery) if self.gallery.dtype == dtype else SLICE

        def blocks() -> Blocks:
            scratch = np.empty((rows, len(self.gallery)), dtype=dtype)
            for first in range(0, len(which), rows):
                at = which[first : first + rows]
                # a slice where it is one: no copy of the features
                part = self.probes[at[0] : at[-1] + 1] if at[-1] - at[0] + 1 == len(at) else self.probes[at]
                part, out = self.left(part).astype(dtype), scratch[: len(at)]
                for start in range(0, len(self.gallery), step):
                    some = self.gallery[start : start + step].astype(dtype, copy=False)
                    np.matmul(part, some.T, out=out[:, start : start + step])  # (q, D) (D, G)
                yield at, out

        if certain:
            return Distances(blocks(), self.finish(dtype), may_have_nan=False)
        unit = 2.0 ** -DIGITS[dtype] * max(4.0, np.sqrt(self.probes.shape[1]) / 4)  # sums of D terms round more often
        # what is too small for the number format is lost as well
        error = unit * self.rounding + self.probes.shape[1] * float(np.finfo(dtype).tiny)
        offset = self.offset

        def doubtful(row: np.ndarray, probe: int, thresholds: np.ndarray) -> bool:
            if error[probe] <= RELATIVE * (thresholds[0] + offset[probe]):
                return False  # the nearest match is far enough, and so are the others
            unsure = thresholds[error[probe] > RELATIVE * (thresholds + offset[probe])]
            return any(bool((np.abs(row - t) <= 2 * error[probe]).any()) for t in unsure.astype(float))

        finer = self._differences if dtype == np.float64 else functools.partial(self._products, dtype=np.float64)
        return Distances(blocks(), self.finish(dtype), may_have_nan=False, doubtful=doubtful, finer=finer)

    def _differences(self, which: np.ndarray) -> Distances:
        """Lengths of differences in double precision, each gallery image of a kind once."""
        each = np.ones(len(self.gallery), dtype=bool)
        each[self.copies] = False
        each = np.flatnonzero(each)

        def blocks() -> Blocks:
            for probe in which:
                row = np.empty((1, len(self.gallery)))
                for first in range(0, len(each), SLICE // 4):
                    at = each[first : first + SLICE // 4]
                    row[0, at] = self.apart(self.probes[probe].astype(np.float64), at)
                row[0, self.copies] = row[0, self.originals]
                yield np.array([probe]), row

        return Distances(blocks(), nothing_left, may_have_nan=False)

    def apart(self, probe: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Distances (n,) of a probe (D,) and the gallery images ``at`` (n,)."""
        raise NotImplementedError


class _Euclidean(_Products):
    """Rows |g|^2 / 2 - p.g."""

    def __init__(self, probes: np.ndarray, gallery: np.ndarray, chunk: int | None):
        super().__init__(probes, gallery, chunk)
        self.origin = np.zeros_like(self.mean)
        if not np.isfinite(self.length).all() or self._whole_numbers():
            return  # lengths of differences alone, or nothing is rounded
        spread = self.length.mean() - self.mean @ self.mean
        if self.mean @ self.mean > CENTRE_FROM * max(spread, 0.0):
            # Features far from the origin (after a ReLU, say) lose their differences in the rounding of |g|^2 and p.g.
            # Moving the origin to their mean changes no distance. Only the probes are moved: p'.m is a constant each.
            self.origin = self.mean
            self.length = _squared_lengths(gallery, self.origin)
        longest = np.sqrt(np.square(self.origin).sum()) + np.sqrt(self.length.max())  # of an image from the true origin
        own, along = np.empty(len(probes)), np.empty(len(probes))
        for first in range(0, len(probes), SLICE):
            part = probes[first : first + SLICE] - self.origin  # double
            along[first : first + SLICE] = part @ self.origin
            own[first : first + SLICE] = np.square(part, out=part).sum(1)
        self.offset = own / 2 + along
        self.rounding = np.sqrt(own) * longest + self.length.max() / 2

    def _whole_numbers(self) -> bool:
        """Where all values are whole multiples of a unit, so few that products are exact: say so (``exact``), if need
        be after moving the origin to a multiple of the unit near the mean, which is exact as well."""
        some = np.concatenate([self.probes[:4], self.gallery[:4]]).astype(np.float64)
        unit = _unit(self.probes, self.gallery, float(_lengths(some - some[0]).max()))
        if not unit:
            return False
        for origin in (0.0, np.round(self.mean / unit) * unit):
            own, longest = (
                float(np.sqrt(_squared_lengths(side, origin).max())) / unit for side in (self.probes, self.gallery)
            )
            digits = longest * (longest + 2 * own)  # in halves of unit^2
            self.exact = next((d for d in DIGITS if d >= self.gallery.dtype and digits <= 2.0 ** DIGITS[d]), None)
            if self.exact is not None:
                if np.any(origin):
                    self.probes, self.gallery = (
                        (side - origin).astype(self.exact) for side in (self.probes, self.gallery)
                    )
                    self.length = _squared_lengths(self.gallery, 0.0)
                return True
        return False

    def left(self, probes: np.ndarray) -> np.ndarray:
        return self.origin - probes

    def finished(self, dtype: np.dtype) -> Callable[[np.ndarray], None]:
        term = (self.length / 2).astype(dtype)
        return lambda row: np.add(row, term, out=row)

    def apart(self, probe: np.ndarray, at: np.ndarray) -> np.ndarray:
        return _lengths(self.gallery[at] / 4 - probe / 4)  # a quarter: the difference of the largest doubles is none


class _Cosine(_Products):
    """Rows -p.g / |g|; where nothing is rounded -p.g |p.g| / |g|^2, of the same order and with exact ties."""

    def __init__(self, probes: np.ndarray, gallery: np.ndarray, chunk: int | None):
        super().__init__(probes, gallery, chunk)
        own = np.sqrt(_squared_lengths(probes, 0.0))
        longest, far = float(own.max()), float(np.sqrt(self.length.max()))
        unit = _unit(probes, gallery, longest + far)
        if unit and max(longest / unit, 1.0) * far / unit <= 2.0**26.5:
            self.exact = np.dtype(np.float64)  # equal quotients of exact numbers round alike
        self.offset = self.rounding = own

    def left(self, probes: np.ndarray) -> np.ndarray:
        return -probes

    def finished(self, dtype: np.dtype) -> Callable[[np.ndarray], None]:
        length, somewhere = self.length, self.length > 0
        if self.exact is not None:

            def combine(row: np.ndarray) -> None:
                np.multiply(row, np.abs(row), out=row)
                np.divide(row, length, out=row, where=somewhere)

            return combine
        term = np.divide(1.0, np.sqrt(length), where=somewhere, out=np.zeros_like(length)).astype(dtype)
        return lambda row: np.multiply(row, term, out=row)

    def apart(self, probe: np.ndarray, at: np.ndarray) -> np.ndarray:
        own, length = np.sqrt(np.square(probe).sum()), np.sqrt(self.length[at])
        if own == 0:
            return np.zeros(len(at))
        direction = self.gallery[at] / np.where(length > 0, length, 1)[:, None]
        # for unit vectors |p - g|^2 = 2 - 2 p.g; a zero vector has a cosine of 0
        return np.where(length > 0, _lengths(direction - probe / own), np.sqrt(2))


def _refuse_other_than_numbers(values: np.ndarray, name: str) -> None:
    if values.dtype.kind not in "fiub":
        raise ValueError(f"{name} has values of type {values.dtype}, expected numbers")


def _as_floats(features: np.ndarray, name: str) -> np.ndarray:
    """float32 where that holds every value as it is, else float64."""
    _refuse_other_than_numbers(features, name)
    if features.dtype.kind == "f":
        return features if features.dtype in DIGITS else features.astype(np.result_type(features.dtype, np.float32))
    narrow = features.dtype.itemsize <= 2 or np.abs(features.astype(np.float64)).max(initial=0) <= 2**24
    return features.astype(np.float32 if narrow else np.float64)


def _largest(features: np.ndarray, name: str) -> float:
    """The largest absolute value; ValueError naming the image where one is not finite."""
    largest = 0.0
    for first in range(0, len(features), SLICE):
        part = features[first : first + SLICE]
        low, high = float(part.min(initial=0)), float(part.max(initial=0))  # NaN is carried through
        if not (np.isfinite(low) and np.isfinite(high)):
            at = int((~np.isfinite(part).all(1)).argmax())
            what = "NaN" if np.isnan(part[at]).any() else "an infinite value"
            raise ValueError(f"the feature of {name} {first + at} contains {what}")
        largest = max(largest, -low, high)
    return largest


def _is_safe(largest: float, dtype: np.dtype) -> bool:
    """Whether the squares of numbers up to this one neither overflow nor vanish."""
    low, high = SAFE[np.dtype(dtype)]
    return largest == 0 or low <= np.frexp(largest)[1] <= high


def _lengths(differences: np.ndarray) -> np.ndarray:
    """(n, D) double -> (n,) Euclidean lengths, at any scale; a power of two changes no digit and no tie."""
    power = np.frexp(np.abs(differences).max(1, initial=0.0))[1]
    if np.abs(power).max(initial=0) < 400:
        return np.sqrt(np.square(differences, out=differences).sum(1))
    scaled = np.ldexp(differences, -power[:, None])
    return np.ldexp(np.sqrt(np.square(scaled, out=scaled).sum(1)), power)


def _rows_scaled(features: np.ndarray) -> np.ndarray:
    """Each row times a power of two of its own, where that is needed: a cosine knows no lengths."""
    low, high = SAFE[features.dtype]
    largest = np.maximum(features.max(1, initial=0), -features.min(1, initial=0))
    power = np.where(largest > 0, np.frexp(largest)[1], 0)
    if ((low <= power) & (power <= high)).all():
        return features
    return np.ldexp(features, -power[:, None])


def _unit(probes: np.ndarray, gallery: np.ndarray, length: float) -> float:
    """The largest power of two of which all values are whole multiples; 0 as soon as a few images show that squares of
    ``length`` need more digits in this unit than a double has."""
    unit = np.inf
    for step in (4, SLICE):  # ordinary features show it in the first rows
        for features in (gallery, probes):
            for first in range(0, len(features) if step == SLICE else 1, step):
                part = features[first : first + step]
                part = part[part != 0].astype(np.float64)
                if part.size:
                    mantissa, exponent = np.frexp(part)
                    digits = np.ldexp(mantissa, 53).astype(np.int64)
                    lowest = np.ldexp((digits & -digits).astype(np.float64), exponent - 53)
                    unit = min(unit, float(lowest.min()))
                    if not unit or length / unit > 2.0**26.5:
                        return 0.0
    return 1.0 if unit == np.inf else unit


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


def _squared_lengths(features: np.ndarray, origin: np.ndarray | float) -> np.ndarray:
    length = np.empty(len(features))
    for first in range(0, len(features), SLICE):
        part = features[first : first + SLICE].astype(np.float64) - origin
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
