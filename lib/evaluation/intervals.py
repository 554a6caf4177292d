"""How sure a number is: bootstrap intervals that resample people, and paired differences between methods.

Two images of one person succeed or fail together, so the unit that is drawn again is the *identity*, with all its
probes. Over several trials (random splits) the same people return, and trials share their training half: there both the
trials and the identities are drawn again and a probe counts with the product of the two weights (Owen, "The pigeonhole
bootstrap", Annals of Applied Statistics 1(2), 2007; ``comparison.py``). That is on the safe side: its variance is never
smaller than the true one on average. All intervals are percentile intervals. They say how the score would scatter over
other people (and other splits), not over other trainings of the network, unless the trials were trained anew.

Letters: V probes, C identities, M metrics, T trials, B resamples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.evaluation.arguments import real_number, whole_number

RESAMPLES = 2000
BATCH = 500  # resamples at a time: (500, C) weights


def generator(seed: int) -> np.random.Generator:
    """A generator for ``seed``; ValueError for what is no whole number of at least 0: intervals can be made again."""
    return np.random.default_rng(whole_number(seed, "the bootstrap's seed", 0))


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


@dataclass(frozen=True)
class Difference:
    """Mean over trials of a metric's difference (first minus second) with its interval, all as fractions.

    per_trial (T,): the difference in each trial. identities: how many people the probes show in all trials together.
    """

    metric: str
    mean: float
    low: float
    high: float
    level: float
    per_trial: np.ndarray
    identities: int

    @property
    def trials(self) -> int:
        return len(self.per_trial)

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero; False for an interval that is not defined."""
        return self.low > 0 or self.high < 0

    def summary(self) -> str:
        """In percentage points, e.g. ``rank-1 +3.2 [1.1, 5.4] points over 10 trials, 316 people``."""
        interval = f"[{100 * self.low:+.1f}, {100 * self.high:+.1f}]"
        trials = f"{self.trials} trial{'s' if self.trials > 1 else ''}"
        return f"{self.metric} {100 * self.mean:+.1f} {interval} points over {trials}, {self.identities} people"
