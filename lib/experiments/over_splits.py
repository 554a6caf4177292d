"""A difference of two networks in the objective O over several splits, each with people of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lib.evaluation.intervals import combined, limits
from lib.evaluation.objective_draws import Effect, ObjectiveDraws, Surface, compare


@dataclass(frozen=True)
class OverSplits(Effect):
    """A mean over splits. people : of the split with the fewest."""

    splits: int = 1

    @property
    def trials(self) -> int:
        return self.splits


def compared(
    a: Sequence[ObjectiveDraws], b: Sequence[ObjectiveDraws], function: Surface, level: float = 0.95
) -> Effect:
    """function(a) - function(b) over surfaces in pairs: of one split as ``compare`` says, of several their mean.

    People are drawn again within each split. Splits share people, so what people scatter does not shrink with the
    number of splits: it is that of a split, on the safe side. What splits scatter, which has their trainings in it, is
    added, and does shrink. ValueError as in ``compare``.
    """
    splits = dict.fromkeys(one.protocol_sha256 for one in (*a, *b))
    sides = [[[one for one in side if one.protocol_sha256 == split] for side in (a, b)] for split in splits]
    apart = [compare(*pair, function, level=level) for pair in sides]
    if len(apart) == 1:
        return apart[0]
    people = [(_over_people(first, function) - _over_people(second, function)).std() for first, second in sides]
    means, fewest = np.array([one.mean for one in apart]), min(one.people for one in apart)
    low, high = limits(means.mean(), *combined(np.mean(people) ** 2, fewest - 1, means), level)
    values = tuple(value for one in apart for value in one.values)
    chance = any(one.chance for one in apart)
    return OverSplits(float(means.mean()), float(low), float(high), level, fewest, values, chance, len(splits))


def _over_people(trainings: Sequence[ObjectiveDraws], function: Surface) -> np.ndarray:
    """(B,): the function of O over people drawn again, the mean over trainings."""
    return np.mean([function(one.draws["normalised"]) for one in trainings], 0)
