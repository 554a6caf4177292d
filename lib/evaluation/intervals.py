"""How sure a number is: bootstrap intervals that resample people, and paired differences between methods.

Two images of one person succeed or fail together, so the unit that is drawn again is the *identity*, with all its
probes. Over several trials (random splits) the same people return, and trials share their training half: there both the
trials and the identities are drawn again and a probe counts with the product of the two weights (Owen, "The pigeonhole
bootstrap", Annals of Applied Statistics 1(2), 2007). That is on the safe side: its variance is never smaller than the
true one on average. All intervals are percentile intervals. They say how the score would scatter over other people
(and other splits), not over other trainings of the network, unless the trials were trained anew.

Letters: V probes, C identities, M metrics, T trials, B resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from lib.evaluation.results import Result

RESAMPLES = 2000
BATCH = 500  # resamples at a time: (500, C) weights


def identity_weights(rng: np.random.Generator, identities: int, resamples: int) -> Iterator[np.ndarray]:
    """How often each of C identities is drawn when C are drawn with replacement: batches of (b, C) float64."""
    for first in range(0, resamples, BATCH):
        size = min(BATCH, resamples - first)
        yield rng.multinomial(identities, np.full(identities, 1 / identities), size=size).astype(np.float64)


def percentile_interval(values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper limits over axis 0, NaN resamples left out; NaN limits where none is left."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    tail = 50 * (1 - level)
    if np.isnan(values).all():
        return np.full(values.shape[1:], np.nan), np.full(values.shape[1:], np.nan)
    low, high = np.nanpercentile(values, [tail, 100 - tail], axis=0)
    return low, high


def bootstrap_mean(
    values, identities, resamples: int = RESAMPLES, level: float = 0.95, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Interval of the mean of ``values`` (V,) or (V, M) when identities (V,) are drawn again with all their probes.

    Returns (low, high), each a scalar or (M,). With fewer than two identities there is nothing to draw: NaN limits.
    ValueError where lengths differ or there is no value.
    """
    values = np.asarray(values, dtype=np.float64)
    codes, names = pd.factorize(np.asarray(identities))
    if len(values) != len(codes) or len(values) == 0:
        raise ValueError(f"{len(values)} values for {len(codes)} identities: one of each per probe is needed")
    if len(names) < 2:
        nothing = np.full(values.shape[1:], np.nan)
        return nothing, nothing
    flat = values.reshape(len(values), -1)  # (V, M)
    sums = np.stack([np.bincount(codes, column, minlength=len(names)) for column in flat.T], axis=1)  # (C, M)
    counts = np.bincount(codes, minlength=len(names))[:, None]  # (C, 1)
    rng = np.random.default_rng(seed)
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


def paired_difference(
    results_a: Sequence[Result] | Result,
    results_b: Sequence[Result] | Result,
    metric: str = "rank-1",
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
    same_protocol: bool = True,
) -> Difference:
    """Difference a - b over the same trials, probe by probe, with trials and identities drawn again (see the module).

    The two lists go trial by trial and must agree in their probes, and in the protocol's hash unless ``same_protocol``
    is False (to compare two protocols over the same probes). With one trial only identities are drawn. Each trial has
    the same weight, as in the papers' means over splits. ValueError where the lists do not pair.
    """
    results_a, results_b = (_as_list(results) for results in (results_a, results_b))
    if len(results_a) != len(results_b) or not results_a:
        raise ValueError(f"{len(results_a)} results against {len(results_b)}: one of each per trial is needed")
    values, ids = [], []
    for trial, (a, b) in enumerate(zip(results_a, results_b, strict=True)):
        if same_protocol and a.protocol_sha256 != b.protocol_sha256:
            raise ValueError(
                f"pair {trial}: the protocols differ ({a.protocol_sha256[:12]} and {b.protocol_sha256[:12]}). "
                "Compare results of the same trial, or pass same_protocol=False if that is what is compared"
            )
        if not np.array_equal(a.ranking.probe_ids, b.ranking.probe_ids):
            raise ValueError(f"pair {trial}: the two results are over different probes")
        values.append(a.ranking.probe_values(metric) - b.ranking.probe_values(metric))
        ids.append(a.ranking.probe_ids)
    means, low, high, identities = _over_trials([v[:, None] for v in values], ids, resamples, level, seed)
    per_trial = means[:, 0]
    return Difference(metric, float(per_trial.mean()), float(low[0]), float(high[0]), level, per_trial, identities)


def summarise(
    results: Sequence[Result], resamples: int = RESAMPLES, level: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """Mean over trials of every headline metric: columns metric, mean, std, low, high, trials, identities.

    std is the sample standard deviation (NaN for one trial); low and high as in ``paired_difference``.
    """
    results = _as_list(results)
    if not results:
        raise ValueError("there are no results to summarise")
    metrics = results[0].ranking.metrics
    values = [np.stack([r.ranking.probe_values(m) for m in metrics], axis=1) for r in results]  # T x (V, M)
    ids = [r.ranking.probe_ids for r in results]
    means, low, high, identities = _over_trials(values, ids, resamples, level, seed)
    std = means.std(0, ddof=1) if len(means) > 1 else np.full(len(metrics), np.nan)
    columns = {"metric": metrics, "mean": means.mean(0), "std": std, "low": low, "high": high}
    return pd.DataFrame({**columns, "trials": len(results), "identities": identities})


def _as_list(results) -> list:
    return [results] if hasattr(results, "ranking") else list(results)


def _over_trials(
    values: list[np.ndarray], ids: list[np.ndarray], resamples: int, level: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Means (T, M) of values T x (V, M), and the limits (M,) of their mean over trials."""
    means = np.stack([v.mean(0) for v in values])
    codes, names = pd.factorize(np.concatenate(ids))
    trials, metrics, identities = len(values), means.shape[1], len(names)
    if identities < 2:
        nothing = np.full(metrics, np.nan)
        return means, nothing, nothing, identities
    sums, counts = np.zeros((trials, metrics, identities)), np.zeros((trials, identities))
    bounds = np.cumsum([0, *(len(v) for v in values)])
    for trial, (low, high) in enumerate(pairwise(bounds)):
        code = codes[low:high]
        counts[trial] = np.bincount(code, minlength=identities)
        sums[trial] = [np.bincount(code, column, minlength=identities) for column in values[trial].T]
    rng = np.random.default_rng(seed)
    drawn = []
    for weights in identity_weights(rng, identities, resamples):  # (b, C)
        probes = weights @ counts.T  # (b, T)
        score = np.einsum("bc,tmc->btm", weights, sums, optimize=True)
        trial_weights = rng.multinomial(trials, np.full(trials, 1 / trials), size=len(weights))  # (b, T)
        # a trial none of whose people is drawn says nothing in that resample
        use = trial_weights * (probes > 0)
        score = np.divide(score, probes[..., None], out=np.zeros_like(score), where=probes[..., None] > 0)
        total = use.sum(1, keepdims=True)
        mean = np.einsum("bt,btm->bm", use, score)
        drawn.append(np.divide(mean, total, out=np.full_like(mean, np.nan), where=total > 0))
    low, high = percentile_interval(np.concatenate(drawn), level)
    return means, low, high, identities
