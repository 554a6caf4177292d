"""Results beside each other: the difference of two methods over the same probes, and means over trainings.

A list of results is a list of cells, each with the split (trial) that it was tested on and the seed that its method was
trained with. Intervals leave out groups of people in all cells at once, and add how much splits, or where there is one
split trainings, scatter: see ``intervals.py``.

Letters: V probes, C identities, M metrics, T cells, P groups.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from lib.evaluation.arguments import real_number
from lib.evaluation.intervals import Difference, Training, deal, limits, spread
from lib.evaluation.results import Result

CONDITIONS = ("protocol", "subset", "ratios", "convention")


def paired_difference(
    results_a: Sequence[Result] | Result,
    results_b: Sequence[Result] | Result,
    metric: str = "rank-1",
    level: float = 0.95,
    seed: int = 0,
    differ: str | Collection[str] = (),
) -> Difference:
    """Difference a - b over the same cells, one result of each in each, with its interval (see the module).

    What is compared must be a difference of methods and of nothing else: the two lists agree, pair by pair, in their
    probes and in protocol, subset, ratios and convention. ``differ`` names those of these four that may differ because
    they are what is compared, e.g. ``differ="ratios"`` for probes at 1/2 against probes at 1/4. Pairs with the same
    split and the same seeds are one training tested on several things: their mean counts once. Each training has the
    same weight. seed: deals people into groups.

    ValueError where the lists do not pair, for an unknown metric, a level outside (0, 1) or a seed that is no whole
    number. With fewer than two people the limits are NaN.
    """
    results_a, results_b = (_as_list(results) for results in (results_a, results_b))
    if len(results_a) != len(results_b) or not results_a:
        raise ValueError(f"{len(results_a)} results against {len(results_b)}: one of each per training is needed")
    allowed = {differ} if isinstance(differ, str) else set(differ)
    if not allowed <= set(CONDITIONS):
        raise ValueError(f"differ={differ!r}: what may differ is among {', '.join(CONDITIONS)}")
    for pair, (a, b) in enumerate(zip(results_a, results_b, strict=True)):
        for name, (one, other) in _conditions(a, b).items():
            if one != other and name not in allowed:
                raise ValueError(
                    f"pair {pair}: the two results differ in {name} ({_said(one)}; {_said(other)}). Compare those "
                    f"that differ in their methods alone, or pass differ={name!r} if that is what is compared"
                )
        if not np.array_equal(a.ranking.probe_ids, b.ranking.probe_ids):
            raise ValueError(f"pair {pair}: the two results are over different probes")
    pairs = list(zip(results_a, results_b, strict=True))
    keys = [(_split(a), a.training, b.training) for a, b in pairs]
    means, low, high, identities = _over_cells(pairs, keys, [metric], level, seed)
    per_training = tuple(
        Training(split[-1], _seed(seeds), float(mean[0]))
        for (split, *seeds), mean in zip(dict.fromkeys(keys), means, strict=True)
    )
    return Difference(
        metric, float(means.mean()), float(low[0]), float(high[0]), level, per_training, identities,
        chance=any(result.training is not None for pair in pairs for result in pair),
    )  # fmt: skip


def interaction(
    first: tuple[Sequence[Result], Sequence[Result]],
    second: tuple[Sequence[Result], Sequence[Result]],
    metric: str = "rank-1",
    level: float = 0.95,
    seed: int = 0,
) -> Difference:
    """How much larger the difference of two methods is under one condition than under another: (a - b) - (c - d), for
    the same people, splits and trainings, with its interval as ``paired_difference`` has it.

    first : the results of a and of b under the first condition, one of each per training. second : of c and of d, the
    same methods (or their like) under the second, such as another resolution. Within a condition the two are compared
    as by ``paired_difference``; the conditions may differ in everything but the people.

    ValueError as ``paired_difference``, for numbers, splits or people that differ between the conditions, and for a
    training that is there twice.
    """
    for one, other in (first, second):
        paired_difference(one, other, metric, level, seed)  # that they pair
    pairs = list(zip(*first, *second, strict=True))
    for number, (a, _, c, _) in enumerate(pairs):
        if _split(a) != _split(c) or set(a.ranking.probe_ids) != set(c.ranking.probe_ids):
            raise ValueError(f"training {number}: the two conditions are of different splits or people")
    cells = [(_split(a), *(result.training for result in (a, *more))) for a, *more in pairs]
    if len(set(cells)) < len(cells):
        raise ValueError("a training is there twice: give the results of each once")
    groups = deal((person for a, *_ in pairs for person in a.ranking.probe_ids.tolist()), seed)

    def apart(values: Sequence) -> np.ndarray:
        return (np.asarray(values[0]) - values[1]) - (np.asarray(values[2]) - values[3])

    whole = np.array([[apart([r.value(metric) for r in pair])] for pair in pairs])  # (T, 1)
    low = high = np.full(1, np.nan)
    if len(groups) > 1:
        without = np.array([apart([r.ranking.without(metric, groups) for r in pair]) for pair in pairs])[..., None]
        without = np.where(np.isnan(without), whole[:, None], without)  # a group that takes a split's all says nothing
        low, high = _limits(whole, without, groups, [split for split, *_ in cells], level)
    trainings = tuple(
        Training(split[-1], _seed(seeds), float(mean[0])) for (split, *seeds), mean in zip(cells, whole, strict=True)
    )
    chance = any(result.training is not None for pair in pairs for result in pair)
    return Difference(metric, float(whole.mean()), float(low[0]), float(high[0]), level, trainings, len(groups), chance)


def mean_difference(
    values: Sequence[np.ndarray],
    people: Sequence[Sequence],
    cells: Sequence[tuple[int, int]],
    metric: str,
    level: float = 0.95,
    seed: int = 0,
) -> Difference:
    """The mean of what was measured for every picture, such as a difference of PSNR, as ``paired_difference`` has it.

    values : per training (V,), one per picture. people : (V,) who is in it. cells : (split, seed) of each training, all
    of them different. The interval leaves out groups of people and adds how much trainings or splits scatter.

    ValueError where the three lists or a pair of arrays differ in length, for no values, NaN, equal cells, and for a
    level outside (0, 1). With fewer than two people the limits are NaN.
    """
    real_number(level, "level", 0, 1)
    if not len(values) == len(people) == len(cells) == len(set(cells)) or not len(values):
        raise ValueError(f"{len(values)} trainings' values, {len(people)} of people, {len(set(cells))} different cells")
    values, people = [np.asarray(v, dtype=float) for v in values], [np.asarray(p) for p in people]
    for v, p in zip(values, people, strict=True):
        if v.shape != p.shape or v.ndim != 1 or not v.size or np.isnan(v).any():
            raise ValueError(f"values {v.shape} of people {p.shape}: one number for each picture is needed")
    groups = deal((person for some in people for person in some.tolist()), seed)
    whole = np.array([[v.mean()] for v in values])  # (T, 1)
    low = high = np.full(1, np.nan)
    if len(groups) > 1:
        dealt = [np.array([groups[person] for person in some.tolist()]) for some in people]
        # a split of whose people a group takes all says nothing of that group
        without = [
            [v[d != g].mean() if (d != g).any() else v.mean() for g in set(groups.values())]
            for v, d in zip(values, dealt, strict=True)
        ]
        low, high = _limits(whole, np.array(without)[..., None], groups, [split for split, _ in cells], level)
    trainings = tuple(Training(*cell, float(v.mean())) for cell, v in zip(cells, values, strict=True))
    return Difference(metric, float(whole.mean()), float(low[0]), float(high[0]), level, trainings, len(groups))


def summarise(results: Sequence[Result] | Result, level: float = 0.95, seed: int = 0) -> pd.DataFrame:
    """Mean over trainings of every headline metric: columns metric, mean, std, low, high, trials, trainings,
    identities.

    std is the sample standard deviation over trainings (NaN for one); low and high as in ``paired_difference``, within
    [0, 1]. trials: splits. ValueError for results of different subsets, ratios or conventions, which have no common
    mean, and for no results.
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
    keys = [(_split(result), result.training) for result in results]
    means, low, high, identities = _over_cells([(result,) for result in results], keys, metrics, level, seed)
    std = means.std(0, ddof=1) if len(means) > 1 else np.full(len(metrics), np.nan)
    columns = {"metric": metrics, "mean": means.mean(0), "std": std}
    columns |= {"low": np.maximum(low, 0.0), "high": np.minimum(high, 1.0)}
    trials = len({split for split, _ in keys})
    return pd.DataFrame({**columns, "trials": trials, "trainings": len(means), "identities": identities})


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


def _split(result: Result) -> tuple:
    """What a split is drawn from."""
    return result.dataset, result.seed, result.trial


def _seed(seeds: Sequence):
    """The seeds of both sides as one, where they are one: a method in closed form has none."""
    said = dict.fromkeys(seed for seed in seeds if seed is not None)
    return tuple(said) if len(said) > 1 else next(iter(said), None)


def _over_cells(
    cells: Sequence[tuple[Result, ...]], keys: Sequence[tuple], metrics: Sequence[str], level: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Means (T, M) of the cells with the same key, in the order of the keys' first; the limits (M,) of the mean over
    them; and how many people there are. A cell of two results is their difference. The first part of a key is the
    split."""
    real_number(level, "level", 0, 1)
    groups = deal((person for first, *_ in cells for person in first.ranking.probe_ids.tolist()), seed)
    order = list(dict.fromkeys(keys))
    shares = np.array([[key == other for other in keys] for key in order], dtype=float)
    shares /= shares.sum(1, keepdims=True)
    whole = shares @ np.array([[_signed([r.value(m) for r in cell]) for m in metrics] for cell in cells])
    if len(groups) < 2:
        nothing = np.full(len(metrics), np.nan)
        return whole, nothing, nothing, len(groups)
    without = np.array([[_signed([r.ranking.without(m, groups) for r in cell]) for m in metrics] for cell in cells])
    without = np.einsum("tc,cmp->tpm", shares, without)
    # a split of whose people a group takes all says nothing of that group
    without = np.where(np.isnan(without), whole[:, None], without)
    return whole, *_limits(whole, without, groups, [split for split, *_ in order], level), len(groups)


def _limits(whole: np.ndarray, without: np.ndarray, groups: dict, splits: Sequence, level: float):
    """Limits (M,) of the mean of cells (T, M): the units above the people are splits, with one split trainings."""
    names = list(dict.fromkeys(splits))
    units = np.array([names.index(split) for split in splits]) if len(names) > 1 else np.arange(len(splits))
    error, freedom = spread(whole, without, np.bincount(list(groups.values())), units)
    return limits(whole.mean(0), error, freedom, level)


def _signed(values: Sequence) -> np.ndarray:
    """The one value, or the first less the second."""
    return np.asarray(values[0]) if len(values) == 1 else np.asarray(values[0]) - np.asarray(values[1])
