"""The papers' claims as data, and what a measurement says of each.

``data/published/claims.csv``: id, paper, table, claim (in our words), difference: what has to be above zero for the
claim to hold. A measured difference comes with an interval (``lib.evaluation.intervals``) and gets a verdict:

    reproduced       the interval lies above zero, and not all of it is negligible
    not reproduced   it lies below zero, or holds nothing but negligible values
    undecided        it includes zero and values that would matter: this scale cannot say
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Protocol as Interface

import pandas as pd

from lib.experiments.published import FOLDER

COLUMNS = ("id", "paper", "table", "claim", "difference")
VERDICTS = ("reproduced", "not reproduced", "undecided")
NEGLIGIBLE = 0.01  # one point of rank-1: the smallest gain that the five papers make a claim of


class Measured(Interface):
    """A difference with its interval, such as ``lib.evaluation.Difference``."""

    mean: float
    low: float
    high: float


def claims(paper: str | None = None) -> pd.DataFrame:
    """All claims, or one paper's, indexed by id. ValueError for a paper without any."""
    table = _read().copy()
    if paper is None:
        return table
    if paper not in set(table["paper"]):
        raise ValueError(f"no claims of {paper!r}; there are some of {', '.join(sorted(set(table['paper'])))}")
    return table[table["paper"] == paper]


def verdict(low: float, high: float, negligible: float = NEGLIGIBLE) -> str:
    """The verdict on "the difference is above zero"; an interval that is not defined decides nothing.

    ValueError for limits in the wrong order.
    """
    if low > high:
        raise ValueError(f"an interval from {low} to {high}: the lower limit comes first")
    if high < 0 or (high < negligible and low > -negligible):
        return "not reproduced"
    return "reproduced" if low > 0 else "undecided"


def judge(claim: str, measured: Measured, negligible: float = NEGLIGIBLE, **where) -> dict:
    """One row: the claim, the difference with its interval, the verdict, and whatever ``where`` says (data set ...).

    negligible : in the unit of the difference. KeyError for an unknown claim.
    """
    if claim not in (known := claims()).index:
        raise KeyError(f"unknown claim {claim!r}; known: {', '.join(known.index)}")
    said = known.loc[claim]
    numbers = {"mean": measured.mean, "low": measured.low, "high": measured.high}
    row = {"claim_id": claim, "table": said["table"], "claim": said["claim"], "difference": said["difference"]}
    return row | numbers | {"verdict": verdict(measured.low, measured.high, negligible)} | where


def table(rows: Iterable[dict], scale: float = 100.0, unit: str = "points") -> pd.DataFrame:
    """Judged claims as a reader's table: claim, where it is from, "+3.2 [1.1, 5.4] points" and the verdict."""
    found = []
    for row in rows:
        mean, low, high = (scale * row[name] for name in ("mean", "low", "high"))
        found.append(
            {
                "claim": row["claim"],
                "table": row["table"],
                "difference": f"{mean:+.1f} [{low:+.1f}, {high:+.1f}] {unit}",
            }
            | {"verdict": row["verdict"], "measured on": row.get("dataset", "")}
        )
    return pd.DataFrame(found)


@cache
def _read() -> pd.DataFrame:
    path = FOLDER / "claims.csv"
    found = pd.read_csv(path, dtype=str)
    if tuple(found.columns) != COLUMNS:
        raise ValueError(f"{path.name} has the columns {', '.join(found.columns)}, not {', '.join(COLUMNS)}")
    if found["id"].duplicated().any() or found.isna().any(axis=None):
        raise ValueError(f"{path.name}: an id is there twice, or a field is empty")
    return found.set_index("id")
