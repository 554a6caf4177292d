"""What the lessons say of results: a table of scores for many rows at once, and a difference in words."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence

import pandas as pd

from lib.evaluation import Difference, Result, summarise
from lib.experiments.claims import NEGLIGIBLE, SEEN_BY_NOBODY, TRAININGS


def scores(results: Mapping[Hashable, Sequence[Result] | Result], *columns: str, seed: int = 0) -> pd.DataFrame:
    """A row per key of ``results`` and metric: its mean over trials with std and interval, as fractions.

    columns : what the parts of a key are called, ("name",) when left out; a key of several parts is a tuple:
    ``scores({("SING", 0.5): [result, ...]}, "name", "ratio")``. They stand first in the table, before metric, value,
    std, low, high, trials, identities. Raises ValueError for no results, or a key that has not that many parts.
    """
    columns = columns or ("name",)
    parts = []
    for key, some in results.items():
        names = key if isinstance(key, tuple) else (key,)
        if len(names) != len(columns):
            raise ValueError(f"{key!r} has {len(names)} part(s), but the columns are {', '.join(columns)}")
        parts.append(summarise(some, seed=seed).assign(**dict(zip(columns, names, strict=True))))
    if not parts:
        raise ValueError("there are no results to score")
    table = pd.concat(parts, ignore_index=True).rename(columns={"mean": "value"})
    return table[[*columns, *(column for column in table if column not in columns)]]


def listed(differences: Mapping[str, Difference]) -> pd.DataFrame:
    """Differences by their names: name, mean, low, high, trainings, agree (whether the trainings' signs agree)."""
    lines = [
        {"name": name, "mean": d.mean, "low": d.low, "high": d.high, "trainings": d.trainings, "agree": d.agree}
        for name, d in differences.items()
    ]
    return pd.DataFrame(lines)


def said(difference, scale: float = 100.0, unit: str = "points", digits: int = 1) -> str:
    """A difference in words for a title: "+3.2 points"; "no effect" where all of its interval is negligible and there
    are enough trainings and people to say so (``lib.experiments.claims``; known of points of rank-1 only);
    "undecided" where the interval includes zero or is none.

    difference : has mean, low, high and perhaps trainings, as attributes (a Difference) or as a row of a table has
    them. They are shown times ``scale``, which makes points of fractions.
    """
    mean, low, high = _numbers(difference)
    if unit == "points" and low > -NEGLIGIBLE and high < NEGLIGIBLE and _about(difference, "trainings", 1) >= TRAININGS:
        few = SEEN_BY_NOBODY / _about(difference, "identities", math.inf) >= NEGLIGIBLE
        return "undecided" if few else "no effect"
    return f"{scale * mean:+.{digits}f} {unit}" if low > 0 or high < 0 else "undecided"


def with_interval(difference, scale: float = 100.0, unit: str = "points", digits: int = 1) -> str:
    """A difference for a sentence: "+3.2 [+1.1, +5.4] points"; ``difference`` and ``scale`` as in ``said``."""
    numbers = (scale * number for number in _numbers(difference))
    mean, low, high = (f"{number:+.{digits}f}" for number in numbers)
    return f"{mean} [{low}, {high}] {unit}"


def _about(difference, what: str, unsaid: float) -> float:
    """How many trainings or people are behind it; ``unsaid`` where it does not say."""
    if isinstance(difference, (Mapping, pd.Series)):
        return difference.get(what, unsaid)
    return getattr(difference, what, unsaid)


def _numbers(difference) -> tuple[float, float, float]:
    if isinstance(difference, (Mapping, pd.Series)):
        return tuple(difference[name] for name in ("mean", "low", "high"))
    return difference.mean, difference.low, difference.high
