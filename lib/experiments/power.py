"""What a measurement could have found: how likely each verdict is, if the true difference were this large.

An interval of +-3 points does not contradict a gain of one point; it cannot see it. Before "undecided" is read as "no",
ask what the same measurement says of a gain that is there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import norm

from lib.experiments.claims import SEEN_BY_NOBODY, TRAININGS, VERDICTS

LEVEL = 0.95  # of the intervals in ``data/measured``
Z = float(norm.ppf(0.5 + LEVEL / 2))


def chances(truth: float, half: float, negligible: float) -> dict[str, float]:
    """How likely each of the four verdicts is where the true difference is ``truth``: {word: probability}.

    half : half the width of the 95 % interval, taken as 1.96 standard errors of a normal estimate. negligible : the
    threshold below which there is no effect. All three in one unit. That trainings may disagree is left out, and that
    limits of few trainings are Student's: it is about this likely. ValueError for a width or a threshold that is not
    positive.
    """
    if not (half > 0 and negligible > 0):
        raise ValueError(f"width and threshold lie above zero, not {half} and {negligible}")
    error = half / Z
    # the estimate from which on the interval lies above zero and is not all negligible
    least = max(half, negligible - half)
    above, below = norm.sf(least, truth, error), norm.cdf(-least, truth, error)
    inside = max(0.0, negligible - half)  # an interval around an estimate up to here is all negligible
    nothing = norm.cdf(inside, truth, error) - norm.cdf(-inside, truth, error)
    return dict(zip(VERDICTS, (above, below, nothing, 1 - above - below - nothing), strict=True))


def found(table: pd.DataFrame, truths: Sequence[float], control: bool = False) -> pd.DataFrame:
    """Share of claims that would be called reproduced, and no effect, were all their true differences ``truths``:
    columns set, truth, reproduced, nothing, claims.

    table : judged claims (``lib.experiments.verdicts.board``), of which those in points of rank-1 with three trainings
    or more are asked: fewer decide nothing, whatever is true. control : by the interval against the control. truths :
    fractions.
    """
    columns = ("control_low", "control_high") if control else ("low", "high")
    asked = table[table["unit"].isna() & table[list(columns)].notna().all(axis=1) & (table["trainings"] >= TRAININGS)]
    rows = []
    for people, part in asked.groupby("set", sort=False):
        halves = (part[columns[1]] - part[columns[0]]) / 2
        enough = SEEN_BY_NOBODY / part["identities"] < part["negligible"]  # people, to say "no effect" at all
        told = [one for one in zip(halves, part["negligible"], enough, strict=True) if one[0] > 0]
        for truth in truths:
            chance = [chances(truth, *one[:2]) for one in told]
            nothing = [some["no effect"] * one[2] for some, one in zip(chance, told, strict=True)]
            rows.append(
                {"set": people, "truth": truth, "claims": len(chance), "nothing": float(np.mean(nothing))}
                | {"reproduced": float(np.mean([some["reproduced"] for some in chance]))}
            )
    return pd.DataFrame(rows, columns=["set", "truth", "claims", "reproduced", "nothing"])


def visible(table: pd.DataFrame, share: float = 0.8, control: bool = False) -> dict[str, float]:
    """The smallest gain, in steps of a tenth of a point, that is called reproduced in ``share`` of the claims of each
    set: {set: fraction}; NaN where twenty points are not enough.
    """
    grid = np.arange(0, 0.2001, 0.001)
    given = found(table, grid, control)
    return {
        people: float(part.loc[part["reproduced"] >= share, "truth"].min()) for people, part in given.groupby("set")
    }
