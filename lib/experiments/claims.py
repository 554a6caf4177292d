"""The papers' claims as data, and what a measurement says of each.

``data/published/claims.csv``: id, paper, table, claim (in our words), difference: what has to be above zero for the
claim to hold. A measured difference comes with an interval (``lib.evaluation.intervals``) and gets one of four words:

    reproduced     the interval lies above zero, and not all of it is negligible
    contradicted   it lies below zero, and not all of it is negligible
    no effect      all of it is negligible, on either side of zero: certain, and too small to matter
    undecided      it includes zero and values that would matter: this scale cannot say

Where few people are tested, those who would differ may all be missing: that nothing was seen among n of them still
allows 3 / n (the rule of three). A difference of ranks has no effect only where that is negligible as well; else it is
"undecided (44 people)".

A network trained again comes out differently, by as much as many a claim is about. So a verdict other than undecided
needs at least three trainings, and the first two words that all of them lie on the same side of zero; else it is
"undecided (1 training)", "undecided (2 trainings)" or "undecided (trainings disagree)". A difference between methods in
closed form, which come out the same each time, needs one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache

import numpy as np
import pandas as pd

from lib.evaluation import Difference, Effect
from lib.evaluation.intervals import counted
from lib.experiments.published import FOLDER
from lib.names import PEOPLE

COLUMNS = ("id", "paper", "table", "claim", "difference")
VERDICTS = ("reproduced", "contradicted", "no effect", "undecided")
NEGLIGIBLE = 0.01  # one point of rank-1: most gains that the five papers make a claim of are larger
TRAININGS = 3
SEEN_BY_NOBODY = 3.0  # what nobody of n people shows is true of at most 3 / n of all, at 95 %


def claims(paper: str | None = None) -> pd.DataFrame:
    """All claims, or one paper's, indexed by id. ValueError for a paper without any."""
    table = _read().copy()
    if paper is None:
        return table
    if paper not in set(table["paper"]):
        raise ValueError(f"no claims of {paper!r}; there are some of {', '.join(sorted(set(table['paper'])))}")
    return table[table["paper"] == paper]


def verdict(measured: Difference | Effect, negligible: float = NEGLIGIBLE) -> str:
    """The verdict on "the difference is above zero"; an interval that is not defined decides nothing.

    measured : with mean, low, high, trainings (how many), agree (whether they have one sign) and chance (whether
    another training would come out differently). negligible : in the unit of the difference. ValueError for limits in
    the wrong order and a threshold that is not positive.
    """
    low, high = measured.low, measured.high
    if low > high:
        raise ValueError(f"an interval from {low} to {high}: the lower limit comes first")
    if not negligible > 0:
        raise ValueError(f"what is negligible lies below a threshold above zero, not {negligible}")
    inside = -negligible < low and high < negligible
    if inside and people_decide(measured, negligible):
        return f"undecided ({measured.identities} people)"
    if not (inside or low > 0 or high < 0):
        return "undecided"
    if measured.chance and measured.trainings < TRAININGS:
        return f"undecided ({counted(measured.trainings, 'training')})"
    if inside:
        return "no effect"
    if measured.chance and not measured.agree:
        return "undecided (trainings disagree)"
    return "reproduced" if low > 0 else "contradicted"


def people_decide(measured: Difference | Effect, negligible: float = NEGLIGIBLE) -> bool:
    """Whether a difference of ranks is of too few people to be called negligible: fewer than 3 / ``negligible``."""
    of_ranks = str(getattr(measured, "metric", "")).startswith("rank")
    return of_ranks and SEEN_BY_NOBODY / measured.identities >= negligible


def judge(
    claim: str,
    measured: Difference | Effect,
    negligible: float = NEGLIGIBLE,
    control: Difference | Effect | None = None,
    **where,
) -> dict:
    """One row: the claim, the difference with its interval, the verdict, and whatever ``where`` says (data set ...).

    measured : as the paper compares. control : the same method against the strongest plain one that had the same
    images and the same length of training: columns ``control_mean``, ``control_low``, ``control_high`` and
    ``control_verdict``, empty without one. negligible : in the unit of the difference, for both. KeyError for an
    unknown claim, ValueError as in ``verdict``.
    """
    if claim not in (known := claims()).index:
        raise KeyError(f"unknown claim {claim!r}; known: {', '.join(known.index)}")
    said = known.loc[claim]
    row = {"claim_id": claim, "table": said["table"], "claim": said["claim"], "difference": said["difference"]}
    for prefix, some in (("", measured), ("control_", control)):
        row |= {f"{prefix}{name}": np.nan if some is None else getattr(some, name) for name in ("mean", "low", "high")}
        row[f"{prefix}verdict"] = "" if some is None else verdict(some, negligible)
    row |= {"negligible": negligible, "trainings": measured.trainings, "trials": measured.trials}
    return row | where


def table(rows: Iterable[dict], scale: float = 100.0, unit: str = "points") -> pd.DataFrame:
    """Judged claims as a reader's table: the claim, where it is from, the difference as "+3.2 [+1.1, +5.4] points" and
    the verdict, the same against the control, and the threshold below which there is no effect.

    rows : of ``judge``, or of a table of them; where they say the control (control_row, and against_it: what stands
    against it), so does the table. scale : from the unit of the differences to ``unit``; a row that says
    both itself keeps its own. Numbers have one digit more than the threshold needs, so that neither hides in the
    rounding.
    """
    found, usual = [], (scale, unit)
    for row in rows:
        scale, unit = (row["scale"], row["unit"]) if isinstance(row.get("unit"), str) else usual
        digits = max(0, 1 - int(np.floor(np.log10(scale * row["negligible"]) + 1e-9)))
        texts = {}
        for prefix in ("", "control_"):
            mean, low, high = (scale * row[f"{prefix}{name}"] for name in ("mean", "low", "high"))
            text = f"{mean:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}] {unit}"
            texts[prefix] = "" if np.isnan(mean) else text
        if texts["control_"] and isinstance(row.get("control_row"), str):
            whose = f"{row['against_it']} " if isinstance(row.get("against_it"), str) else ""
            texts["control_"] += f" ({whose}minus {row['control_row']})"
        found.append(
            {
                "claim": row["claim"],
                "table": row["table"],
                "as the paper compares": texts[""],
                "verdict": row["verdict"],
                "against the control": texts["control_"],
                "verdict against it": row["control_verdict"],
                "no effect within": _amount(scale * row["negligible"], unit),
                "measured on": PEOPLE.get(row.get("dataset"), row.get("dataset", "")),
            }
        )
    return pd.DataFrame(found)


def _amount(value: float, unit: str) -> str:
    return f"{value:g} {unit.removesuffix('s') if f'{value:g}' == '1' else unit}"


def counts(rows: Iterable[dict] | pd.DataFrame, column: str = "verdict") -> pd.DataFrame:
    """How often each of the four verdicts was given, a row per data set; all kinds of "undecided" are one.

    rows : of ``judge``, or measured tables of them (several: ``pd.concat``), with a column dataset. column : "verdict"
    or "control_verdict", where "" is not counted. ValueError for a word that is none of the four.
    """
    rows = rows.to_dict("records") if isinstance(rows, pd.DataFrame) else list(rows)
    found: dict[str, Counter] = {}
    for row in rows:
        said = row[column]
        if not isinstance(said, str) or not said:  # no control; NaN where the table was read from a file
            continue
        word = said.split(" (")[0]
        if word not in VERDICTS:
            raise ValueError(f"{said!r} is no verdict; there are {', '.join(VERDICTS)}")
        found.setdefault(row.get("dataset", ""), Counter())[word] += 1
    table = pd.DataFrame([[some[word] for word in VERDICTS] for some in found.values()], columns=list(VERDICTS))
    table.index = pd.Index(list(found), name="dataset")
    return table


@cache
def _read() -> pd.DataFrame:
    path = FOLDER / "claims.csv"
    found = pd.read_csv(path, dtype=str)
    if tuple(found.columns) != COLUMNS:
        raise ValueError(f"{path.name} has the columns {', '.join(found.columns)}, not {', '.join(COLUMNS)}")
    if found["id"].duplicated().any() or found.isna().any(axis=None):
        raise ValueError(f"{path.name}: an id is there twice, or a field is empty")
    return found.set_index("id")
