"""Whole surfaces of the objective O (``objective.py``) over people drawn again, so that claims about O have intervals.

A claim is about a *difference*: between two cells of one surface (RIPR Fig. 2: O(r, r) falls with r, O(r, 1) is more
abrupt) or between two networks (RIPR Fig. 4 and §5.3: FFSR and RIFE lower O). Whether two intervals overlap says little
about a difference, because its two sides share their people. Here every resample keeps the whole surface, any function
of a surface is computed in each of them, and two networks are compared over the same people: a paired bootstrap.

Functions of a surface take (..., R, R), [..., i, j] = O(grid[i], grid[j]), and return (...): the same function is
applied to O as measured and to all resamples at once.

Letters: N images, C identities, D feature dimensions, R resolutions, B resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from lib.evaluation.features import BATCH_SIZE, View, training_of
from lib.evaluation.intervals import combined, limits, percentile_interval, same_sign
from lib.evaluation.objective import RESAMPLES, Sums, checked_totals, drawn_again, sums_of_features, sums_of_method

if TYPE_CHECKING:
    from lib.data import Protocol
    from lib.methods import Method

Surface = Callable[[np.ndarray], np.ndarray]  # (..., R, R) -> (...)

# the two paths of RIPR Fig. 2 (a) and (b): (..., R, R) -> (..., R)
CURVES: dict[str, Surface] = {
    "O(r, r)": lambda o: np.diagonal(o, axis1=-2, axis2=-1),
    "O(r, 1)": lambda o: o[..., :, -1],
}


@dataclass(frozen=True)
class Effect:
    """A function of O: of the surface as measured (``mean``), with its interval.

    Of one training the percentile interval over people drawn again; of several the mean, with both what people and what
    trainings scatter in it (``compare``). values : one per training. chance : whether another training would come out
    differently. Named as ``Difference`` and the tables of ``lib.plots.curves.effects`` are. Limits are NaN without
    resamples.
    """

    mean: float
    low: float
    high: float
    level: float
    people: int
    values: tuple[float, ...]
    chance: bool = True

    @property
    def trainings(self) -> int:
        return len(self.values)

    @property
    def trials(self) -> int:
        """Splits: people are drawn within one."""
        return 1

    @property
    def agree(self) -> bool:
        """Whether all trainings lie on the same side of zero."""
        return same_sign(self.values)

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero; False for an interval that is not defined."""
        return self.low > 0 or self.high < 0

    def change(self) -> Effect:
        """A difference of logarithms as a relative change: 0.05 is 5 % more."""
        mean, low, high, *values = (float(np.expm1(x)) for x in (self.mean, self.low, self.high, *self.values))
        return replace(self, mean=mean, low=low, high=high, values=tuple(values))


@dataclass(frozen=True)
class ObjectiveDraws:
    """O on a grid of resolutions, as measured and over people drawn again.

    grid : R resolutions, rising, the last is 1.
    points : "value", the raw ratio of sums (Eq. 2), and "normalised", the ratio of means; each (R, R),
        [i, j] = O(grid[i], grid[j]). The first index goes with the first role.
    draws : the same over people drawn again, each (B, R, R); "value" is already corrected by (C - 1) / C.
    people : C. ids : the identities in the order in which ``seed`` draws them. pairs : "across cameras" or "all".
    training : the seed of the training, as ``Result.training``.
    """

    grid: tuple[float, ...]
    points: dict[str, np.ndarray]
    draws: dict[str, np.ndarray]
    people: int
    protocol_sha256: str
    seed: int
    ids: tuple = ()
    pairs: str = "all"
    training: int | tuple[int, ...] | None = -1

    @property
    def resamples(self) -> int:
        return len(self.draws["value"])

    def curves(self, level: float = 0.95) -> pd.DataFrame:
        """O(r, r) and O(r, 1), RIPR Fig. 2 (a) and (b), a row per curve and r, as ``lib.plots.curves`` takes it.

        Columns curve, r, value, low, high, normalised, normalised_low, normalised_high.
        """
        tables = []
        for name, along in CURVES.items():
            table = pd.DataFrame({"curve": name, "r": self.grid})
            for kind, prefix in (("value", ""), ("normalised", "normalised_")):
                low, high = percentile_interval(along(self.draws[kind]), level)
                table = table.assign(**{kind: along(self.points[kind]), f"{prefix}low": low, f"{prefix}high": high})
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def effect(self, function: Surface, kind: str = "normalised", level: float = 0.95) -> Effect:
        """A function of the surface with its interval. kind: "normalised" or "value".

        ValueError where the function does not map (..., R, R) to (...).
        """
        point, drawn = _applied(self, function, kind)
        low, high = percentile_interval(drawn, level)
        chance = self.training is not None
        return Effect(point, float(low), float(high), level, self.people, (point,), chance)


def objective_draws(
    method: Method,
    protocol: Protocol,
    grid: Sequence[float],
    subset: str = "test",
    roles: tuple[str, str] = ("probe", "probe"),
    reference: str = "widest",
    pairs: str = "across cameras",
    resamples: int = RESAMPLES,
    seed: int = 0,
    unit_length: bool = False,
    device: torch.device | str | None = None,
    batch_size: int = BATCH_SIZE,
    people: int | None = None,
) -> ObjectiveDraws:
    """The surface of a method over all images of ``subset``: the numbers of ``objective_surface``, and its resamples.

    reference: "widest" as RIPR §3 defines resolution. pairs: "across cameras", or "all" as Eq. 2 is printed. people: at
    most so many of the subset's, at equal steps through their names; None for all. Features are extracted once per
    resolution and role; at equal roles, cells with r1 = r2 count each pair once. ValueError as in
    ``objective_surface``, for a grid that does not rise to 1, and for fewer than two people.
    """
    grid = _checked_grid(grid)
    views = [View(r, role, reference) for role in roles for r in grid]
    sums, place, ids = sums_of_method(
        method, protocol, subset, views, pairs, unit_length, device=device, batch_size=batch_size, people=people
    )
    sides = np.array(place).reshape(2, len(grid))
    return _drawn(sums, sides, ids, grid, resamples, seed, protocol.sha256, training_of(method))


def draws_from_features(
    features: Sequence,
    ids,
    grid: Sequence[float],
    resamples: int = RESAMPLES,
    seed: int = 0,
    unit_length: bool = False,
    protocol_sha256: str = "",
    cams=None,
    training: int | tuple[int, ...] | None = -1,
) -> ObjectiveDraws:
    """The surface from features of the same N images at every resolution of ``grid``: R arrays (N, D), NumPy or torch.

    ids (N,): identities. cams (N,): cameras, for pairs across them; None for all pairs. protocol_sha256: where the
    images come from, which ``compare`` checks. training: the seed that the features' network was trained with, None
    where nothing was drawn. ValueError as in ``objective_from_features``, for a grid that does not rise to 1, and
    where there is not one array per resolution.
    """
    grid, features = _checked_grid(grid), list(features)
    if len(features) != len(grid):
        raise ValueError(f"{len(features)} arrays of features for {len(grid)} resolutions")
    sums, names = sums_of_features(features, ids, cams, unit_length)
    sides = np.tile(np.arange(len(grid)), (2, 1))
    return _drawn(sums, sides, names, grid, resamples, seed, protocol_sha256, training)


def compare(
    a: ObjectiveDraws | Sequence[ObjectiveDraws],
    b: ObjectiveDraws | Sequence[ObjectiveDraws],
    function: Surface,
    kind: str = "normalised",
    level: float = 0.95,
) -> Effect:
    """function(a) - function(b) over the same people, drawn again together: a paired bootstrap (RIPR Fig. 4).

    Of several trainings, a surface of each side for each, the mean of the differences: its variance is that of the mean
    over people drawn again, and that of the trainings over their number; limits are those of Student's t.

    With a function of logarithms, as ``level_of``, ``.change()`` says by which share O of a is larger. ValueError where
    grid, people, pairs, seed, number of draws or protocol differ: such surfaces are not paired; and for lists of
    different lengths, or with a training that is there twice.
    """
    a, b = ([some] if isinstance(some, ObjectiveDraws) else list(some) for some in (a, b))
    if len(a) != len(b) or not a:
        raise ValueError(f"{len(a)} surfaces against {len(b)}: one of each per training is needed")
    for other in [*a[1:], *b]:
        for what in ("grid", "protocol_sha256", "people", "ids", "pairs", "seed", "resamples"):
            if getattr(a[0], what) != getattr(other, what):
                detail = "" if what == "ids" else f": {getattr(a[0], what)} and {getattr(other, what)}"
                raise ValueError(f"the surfaces are not paired, they differ in {what}{detail}")
    seeds = [(one.training, other.training) for one, other in zip(a, b, strict=True)]
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"a training is there twice: the seeds are {seeds}")
    sides = [[_applied(draws, function, kind) for draws in some] for some in (a, b)]
    points, drawn = (np.array([x[part] - y[part] for x, y in zip(*sides, strict=True)]) for part in (0, 1))
    low, high = percentile_interval(drawn.mean(0), level)
    if len(points) > 1 and drawn.shape[1]:
        low, high = limits(points.mean(), *combined(drawn.mean(0).var(), a[0].people - 1, points), level)
    chance = any(seed is not None for pair in seeds for seed in pair)
    mean, values = float(points.mean()), tuple(points.tolist())
    return Effect(mean, float(low), float(high), level, a[0].people, values, chance)


def level_of(curve: str) -> Surface:
    """How high a curve lies: the mean of log O along "O(r, r)" or "O(r, 1)", r = 1 included.

    exp of it is the geometric mean of O, so that a difference of two networks is a ratio, whatever the unit of O.
    """
    along = _along(curve)
    return lambda surface: np.log(along(surface)).mean(-1)


def slope_of(grid: Sequence[float], curve: str) -> Surface:
    """How abrupt a curve is: by how many doublings O rises when r is halved, along "O(r, r)" or "O(r, 1)".

    The least-squares slope of log2 O over log2 r with its sign turned: O = c r^-s has s, positive where O rises as
    resolution falls. In logarithms it does not depend on the unit of O (raw or normalised, c), only on the shape: a
    network with twice the O everywhere is no more abrupt. ValueError for a grid with fewer than two resolutions.
    """
    along, halvings = _along(curve), -np.log2(_checked_grid(grid))
    if len(halvings) < 2:
        raise ValueError("a slope needs at least two resolutions")
    centred = halvings - halvings.mean()
    share = centred / (centred**2).sum()  # (R,)
    return lambda surface: np.log2(along(surface)) @ share


def _along(curve: str) -> Surface:
    if curve not in CURVES:
        raise ValueError(f"unknown curve {curve!r}: {' or '.join(map(repr, CURVES))}")
    return CURVES[curve]


def _checked_grid(grid: Sequence[float]) -> tuple[float, ...]:
    """ValueError unless the resolutions rise to 1: the last column of a surface is O(r, 1)."""
    grid = tuple(float(r) for r in grid)
    if not grid or grid[0] <= 0 or grid[-1] != 1 or (np.diff(grid) <= 0).any():
        raise ValueError(f"the grid of resolutions must rise from above 0 to 1, not {grid}")
    return grid


def _drawn(sums: Sums, sides: np.ndarray, ids, grid, resamples, seed, sha256, training) -> ObjectiveDraws:
    """sides (2, R): which views of ``sums`` are the rows of the surface, and which its columns."""
    first, second = sides[0][:, None], sides[1][None, :]
    totals = checked_totals(sums, first, second)
    drawn = drawn_again(sums, first, second, resamples, seed)  # (B, 2, R, R)
    return ObjectiveDraws(
        grid=grid,
        points={"value": totals.ratio[first, second], "normalised": totals.mean_ratio[first, second]},
        draws={"value": drawn[:, 0], "normalised": drawn[:, 1]},
        people=len(sums.images),
        protocol_sha256=sha256,
        seed=seed,
        ids=ids,
        pairs=sums.pairs,
        training=training,
    )


def _applied(draws: ObjectiveDraws, function: Surface, kind: str) -> tuple[float, np.ndarray]:
    """The function of O as measured, and of every resample (B,)."""
    if kind not in draws.points:
        raise ValueError(f"unknown kind {kind!r}: {' or '.join(map(repr, draws.points))}")
    point, drawn = (np.asarray(function(o), dtype=np.float64) for o in (draws.points[kind], draws.draws[kind]))
    if point.shape != () or drawn.shape != (draws.resamples,):
        # o[0, 0] for o[..., 0, 0] would take the first resample for the first resolution
        raise ValueError(f"the function must map (..., R, R) to (...); it made {point.shape} and {drawn.shape}")
    return float(point), drawn
