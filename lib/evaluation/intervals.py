"""How sure a number is: intervals that leave out groups of people, and differences between methods.

A re-identification score is no mean over independent probes: the people who are searched for also stand in the gallery,
so that everybody is in everybody's score. Drawing the probes' people again and keeping the gallery is too sure (two
equally good descriptors are told apart in 7 to 19 % of cases instead of 5). What holds its promise is the jackknife
that leaves out people on *both* sides: they are dealt into 25 groups, the score is computed once more without the
probes and without the gallery images of each group (``Ranking.without``), and the scatter of these 25 scores gives the
standard error (Kott, "The delete-a-group jackknife", Journal of Official Statistics 17(4), 2001; for groups of unequal
size Busing, Meijer and van der Leeden, "Delete-m jackknife for unequal m", Statistics and Computing 9, 1999). Limits
are the score plus and minus that error times the quantile of Student's t with as many degrees of freedom as there are
groups less one. ``tests/unit/test_intervals.py`` counts how often they err.

Trainings and splits are levels above the people: a mean over several of them scatters because of the people, the same
in all of them, and because of how each training and each split happens to turn out (``spread``).

A mean over images without a gallery (PSNR, pixels) is one of independent people: there ``bootstrap_mean`` draws people
again with all their images, and takes percentiles. The objective O does so as well (``objective.py``).

Letters: V probes or images, C identities, M metrics, P groups, T trainings or splits, B resamples.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from lib.evaluation.arguments import real_number, whole_number

RESAMPLES = 2000
BATCH = 500  # resamples at a time: (500, C) weights
GROUPS = 25


def generator(seed: int) -> np.random.Generator:
    """A generator for ``seed``; ValueError for what is no whole number of at least 0: intervals can be made again."""
    return np.random.default_rng(whole_number(seed, "the seed of an interval", 0))


def deal(people: Iterable[Hashable], seed: int = 0) -> dict[Hashable, int]:
    """The group of each of ``people`` (labels, repeated or not): shuffled, then dealt round-robin into 25 groups, or
    into as many as there are people. The same people and seed give the same groups, in whatever order they come.
    """
    names = sorted(set(people))
    order = generator(seed).permutation(len(names))
    return {names[person]: place % GROUPS for place, person in enumerate(order.tolist())}


def spread(whole: np.ndarray, without: np.ndarray, sizes: np.ndarray, units: np.ndarray) -> tuple[np.ndarray, ...]:
    """The standard error of the mean over T cells, and its degrees of freedom, each (M,).

    whole (T, M): the score in each cell. without (T, P, M): without each group of people, who are left out of all cells
    at once. sizes (P,): people in each group. units (T,): the number of what was drawn independently, from 0: the
    cells' splits, or where there is one split their trainings.
    """
    means = np.stack([whole[units == unit].mean(0) for unit in np.unique(units)])
    return combined(_variance(whole, without, sizes), len(sizes) - 1, means)


def combined(people: np.ndarray, freedom: float, means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard error and degrees of freedom of a mean whose variance is ``people`` (M,), with ``freedom``, where the
    people are concerned, and which is one over ``means`` (T, M), of splits or trainings, beside.

    The two variances are added, with Satterthwaite's degrees of freedom. That a person fares better in one training
    than in another is in both, which is on the safe side. Where trainings scatter several times as much as people do,
    three of them are few: in simulations up to 10 % of differences of nothing were then told from zero, not 5.
    """
    number, people = len(means), np.asarray(people, dtype=float)
    if number < 2:
        return np.sqrt(people), np.full(people.shape, float(freedom))
    between = means.var(0, ddof=1) / number
    total, doubt = people + between, people**2 / freedom + between**2 / (number - 1)
    return np.sqrt(total), np.divide(total**2, doubt, out=np.full(total.shape, float(freedom)), where=doubt > 0)


def _variance(whole: np.ndarray, without: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(M,): the jackknife's variance of the mean over cells (T, M), from (T, P, M)."""
    share = (sizes.sum() / sizes)[:, None]  # (P, 1): h of Busing et al.
    mean, left = whole.mean(0), without.mean(0)  # (M,), (P, M)
    pseudo = share * mean - (share - 1) * left
    estimate = len(sizes) * mean - ((1 - 1 / share) * left).sum(0)
    return (np.square(pseudo - estimate) / (share - 1)).mean(0)


def limits(mean: np.ndarray, error: np.ndarray, freedom: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """mean -/+ t x error. ValueError for a level outside (0, 1)."""
    width = stats.t.ppf((1 + real_number(level, "level", 0, 1)) / 2, freedom) * error
    return mean - width, mean + width


def identity_weights(rng: np.random.Generator, identities: int, resamples: int) -> Iterator[np.ndarray]:
    """How often each of C identities is drawn when C are drawn with replacement: batches of (b, C) float64.

    Nothing for 0 resamples; ValueError for a negative number and for what is no whole number.
    """
    resamples = whole_number(resamples, "resamples", 0)
    for first in range(0, resamples, BATCH):
        size = min(BATCH, resamples - first)
        yield rng.multinomial(identities, np.full(identities, 1 / identities), size=size).astype(np.float64)


def percentile_interval(values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper limits over axis 0, NaN resamples left out; NaN limits where none is left.

    ValueError for a level outside (0, 1).
    """
    tail = 50 * (1 - real_number(level, "level", 0, 1))
    if np.isnan(values).all():
        return np.full(values.shape[1:], np.nan), np.full(values.shape[1:], np.nan)
    low, high = np.nanpercentile(values, [tail, 100 - tail], axis=0)
    return low, high


def bootstrap_mean(
    values, identities, resamples: int = RESAMPLES, level: float = 0.95, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Interval of the mean of ``values`` (V,) or (V, M) when identities (V,) are drawn again with all their probes.

    Returns (low, high), each a scalar or (M,). NaN limits where there is nothing to draw: fewer than two identities, or
    0 resamples. ValueError where lengths differ, there is no value, a value or an identity is NaN, resamples are
    negative, the level is not in (0, 1), or the seed is no whole number.
    """
    values = np.asarray(values, dtype=np.float64)
    codes, names = pd.factorize(np.asarray(identities))
    if values.ndim not in (1, 2) or len(values) != len(codes) or len(values) == 0:
        raise ValueError(f"values of shape {values.shape} for {len(codes)} identities: one of each per probe is needed")
    missing = np.isnan(values.reshape(len(values), -1)).any(1) | (codes < 0)
    if missing.any():
        raise ValueError(f"the value or the identity of probe {int(missing.argmax())} is NaN")
    rng, resamples = generator(seed), whole_number(resamples, "resamples", 0)
    real_number(level, "level", 0, 1)
    if len(names) < 2 or resamples == 0:
        nothing = np.full(values.shape[1:], np.nan)
        return nothing, nothing
    flat = values.reshape(len(values), -1)  # (V, M)
    sums = np.stack([np.bincount(codes, column, minlength=len(names)) for column in flat.T], axis=1)  # (C, M)
    counts = np.bincount(codes, minlength=len(names))[:, None]  # (C, 1)
    means = np.concatenate([(w @ sums) / (w @ counts) for w in identity_weights(rng, len(names), resamples)])  # (B, M)
    low, high = percentile_interval(means, level)
    return low.reshape(values.shape[1:])[()], high.reshape(values.shape[1:])[()]


def same_sign(values: Iterable[float]) -> bool:
    """Whether all lie above zero, or all below."""
    return {np.sign(value) for value in values} in ({1.0}, {-1.0})


class Training(NamedTuple):
    """A training of both sides of a difference. trial: its split. seed: that it was trained with; a pair where the two
    sides have different ones, None where nothing was drawn. value: the difference there."""

    trial: int
    seed: object
    value: float


@dataclass(frozen=True)
class Difference:
    """Mean over trainings of a metric's difference (first minus second) with its interval, all as fractions.

    per_training: the difference in each. identities: how many people the probes show in all of them together. chance:
    whether trainings can turn out differently: False where neither side draws anything (a method in closed form), so
    that one training per split is all there is.
    """

    metric: str
    mean: float
    low: float
    high: float
    level: float
    per_training: tuple[Training, ...]
    identities: int
    chance: bool = True

    @property
    def trainings(self) -> int:
        """Independent trainings: splits times seeds. One that was tested on several things counts once."""
        return len(self.per_training)

    @property
    def trials(self) -> int:
        """Splits."""
        return len({training.trial for training in self.per_training})

    @property
    def agree(self) -> bool:
        """Whether the difference has the same sign in all trainings."""
        return same_sign([training.value for training in self.per_training])

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero; False for an interval that is not defined."""
        return self.low > 0 or self.high < 0

    def summary(self) -> str:
        """In percentage points, e.g. ``rank-1 +3.2 [+1.1, +5.4] points over 3 trainings, 1 split, 316 people``."""
        interval = f"[{100 * self.low:+.1f}, {100 * self.high:+.1f}]"
        over = [counted(self.trainings, "training")] if self.chance else []
        over += [counted(self.trials, "split"), f"{self.identities} people"]
        return f"{self.metric} {100 * self.mean:+.1f} {interval} points over {', '.join(over)}"


def counted(number: int, what: str) -> str:
    """ "1 split", "2 splits"."""
    return f"{number} {what}" + ("" if number == 1 else "s")
