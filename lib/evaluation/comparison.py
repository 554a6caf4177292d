"""Results beside each other: the difference of two methods over the same probes, and means over trials.

People are drawn again, and over several trials the trials too: see ``intervals.py``.

Letters: V probes, C identities, M metrics, T trials, B resamples.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from lib.evaluation.arguments import real_number, whole_number
from lib.evaluation.intervals import RESAMPLES, Difference, generator, identity_weights, percentile_interval
from lib.evaluation.results import Result

CONDITIONS = ("protocol", "subset", "ratios", "convention")


def paired_difference(
    results_a: Sequence[Result] | Result,
    results_b: Sequence[Result] | Result,
    metric: str = "rank-1",
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
    differ: str | Collection[str] = (),
) -> Difference:
    """Difference a - b over the same trials, probe by probe, with trials and identities drawn again (see the module).

    The two lists go trial by trial. What is compared must be a difference of methods and of nothing else: the two agree
    in their probes and in protocol, subset, ratios and convention. ``differ`` names those of these four that may differ
    because they are what is compared, e.g. ``differ="ratios"`` for probes at 1/2 against probes at 1/4. With one trial
    only identities are drawn. Each trial has the same weight, as in the papers' means over splits.

    ValueError where the lists do not pair, and as ``bootstrap_mean``. With fewer than two people, or 0 resamples, the
    limits are NaN.
    """
    results_a, results_b = (_as_list(results) for results in (results_a, results_b))
    if len(results_a) != len(results_b) or not results_a:
        raise ValueError(f"{len(results_a)} results against {len(results_b)}: one of each per trial is needed")
    allowed = {differ} if isinstance(differ, str) else set(differ)
    if not allowed <= set(CONDITIONS):
        raise ValueError(f"differ={differ!r}: what may differ is among {', '.join(CONDITIONS)}")
    values, ids = [], []
    for trial, (a, b) in enumerate(zip(results_a, results_b, strict=True)):
        for name, (one, other) in _conditions(a, b).items():
            if one != other and name not in allowed:
                raise ValueError(
                    f"pair {trial}: the two results differ in {name} ({_said(one)}; {_said(other)}). Compare those "
                    f"that differ in their methods alone, or pass differ={name!r} if that is what is compared"
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

    std is the sample standard deviation (NaN for one trial); low and high as in ``paired_difference``. ValueError for
    results of different subsets, ratios or conventions, which have no common mean, and for no results.
    """
    results = _as_list(results)
    if not results:
        raise ValueError("there are no results to summarise")
    for trial, result in enumerate(results):
        for name, (one, other) in _conditions(results[0], result).items():
            if one != other and name != "protocol":  # trials are protocols of their own
                raise ValueError(
                    f"results 0 and {trial} differ in {name} ({_said(one)}; {_said(other)}): no mean over trials"
                )
    metrics = min((result.ranking.metrics for result in results), key=len)
    values = [np.stack([r.ranking.probe_values(m) for m in metrics], axis=1) for r in results]  # T x (V, M)
    ids = [r.ranking.probe_ids for r in results]
    means, low, high, identities = _over_trials(values, ids, resamples, level, seed)
    std = means.std(0, ddof=1) if len(means) > 1 else np.full(len(metrics), np.nan)
    columns = {"metric": metrics, "mean": means.mean(0), "std": std, "low": low, "high": high}
    return pd.DataFrame({**columns, "trials": len(results), "identities": identities})


def _conditions(a: Result, b: Result) -> dict[str, tuple]:
    """What the two results are of, apart from the method."""
    return {
        "protocol": (a.protocol_sha256, b.protocol_sha256),
        "subset": (a.subset, b.subset),
        "ratios": (dict(a.ratios), dict(b.ratios)),
        "convention": (a.ranking.convention, b.ranking.convention),
    }


def _said(condition: str | dict[str, float]) -> str:
    if isinstance(condition, dict):
        return ", ".join(f"{role} at {ratio:g}" for role, ratio in condition.items()) or "as the protocol has them"
    return condition[:24]


def _as_list(results) -> list[Result]:
    return [results] if isinstance(results, Result) else list(results)


def _over_trials(
    values: list[np.ndarray], ids: list[np.ndarray], resamples: int, level: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Means (T, M) of values T x (V, M), and the limits (M,) of their mean over trials."""
    rng, resamples = generator(seed), whole_number(resamples, "resamples", 0)
    real_number(level, "level", 0, 1)
    means = np.stack([v.mean(0) for v in values])
    codes, names = pd.factorize(np.concatenate(ids))
    trials, metrics, identities = len(values), means.shape[1], len(names)
    if identities < 2 or resamples == 0:
        nothing = np.full(metrics, np.nan)
        return means, nothing, nothing, identities
    sums, counts = np.zeros((trials, metrics, identities)), np.zeros((trials, identities))
    bounds = np.cumsum([0, *(len(v) for v in values)])
    for trial, (low, high) in enumerate(pairwise(bounds)):
        code = codes[low:high]
        counts[trial] = np.bincount(code, minlength=identities)
        sums[trial] = [np.bincount(code, column, minlength=identities) for column in values[trial].T]
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
