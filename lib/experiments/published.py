"""The papers' own numbers, to stand beside the measured ones.

``data/published/<paper>.csv`` holds every table of the five papers as one value per row: paper, table (the ids of the
course's ledger, such as "RIPR-T1"), method, variant, dataset, metric, value, note. Ranks and mAP are percent, SSIM is
between 0 and 1, PSNR in dB, sizes are in millions (params_M) and 1e9 multiply-adds (macs_G, flops_G). Data sets keep
the name that the paper prints; a number that another paper's protocol produced says so in its note.
"""

from __future__ import annotations

import difflib
import os
from functools import cache
from pathlib import Path

import pandas as pd

from lib.paths import DATA

FOLDER = DATA / "published"
COLUMNS = ("paper", "table", "method", "variant", "dataset", "metric", "value", "note")
PAPERS = ("sing", "ripr", "jbim", "pshrnet", "ftwa")
CLAIMED = ("id", "table", "dataset", "metric", "a", "a_variant", "b_table", "b", "b_variant")
PERCENT = ("rank-1", "rank-5", "rank-10", "rank-20", "mAP")


def published(table: str) -> pd.DataFrame:
    """The numbers of one table, in the order in which the paper prints them.

    Columns: COLUMNS; value is float, missing variants and notes are empty strings. A fresh copy each time.

    Raises KeyError for a table that is not there, with the nearest id. Figures whose numbers the paper does not print
    have no table.
    """
    everything = all_published()
    found = everything[everything["table"] == table]
    if found.empty:
        known = sorted(everything["table"].unique())
        nearest = difflib.get_close_matches(str(table).upper(), known, n=1, cutoff=0.5)
        hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
        raise KeyError(f"no published table {table!r}{hint}; known: {', '.join(known)}")
    return found.reset_index(drop=True)


def all_published() -> pd.DataFrame:
    """Every number of the five papers."""
    return _read(FOLDER, _times(*PAPERS)).copy()


def wide(table: str, metrics: tuple[str, ...] | None = None) -> pd.DataFrame:
    """One table as a paper prints it: a row per method and variant, columns (dataset, metric); NaN where the paper has
    no number.
    """
    long = published(table)
    if metrics is not None:
        long = long[long["metric"].isin(metrics)]
    rows = pd.MultiIndex.from_frame(long[["method", "variant"]].drop_duplicates())
    columns = pd.MultiIndex.from_frame(long[["dataset", "metric"]].drop_duplicates())
    values = long.set_index(["method", "variant", "dataset", "metric"])["value"].unstack(["dataset", "metric"])
    return values.reindex(index=rows, columns=columns)


def claimed() -> pd.DataFrame:
    """What the papers print for their claims (``data/published/claimed.csv``: which value minus which), as far as
    two printed values say it: id, table, dataset, metric, difference (of a and b, in the table's unit), variant (of
    a).

    ValueError for a row whose values are not each in the published tables exactly once.
    """
    return _claimed(FOLDER, _times("claimed", *PAPERS)).copy()


@cache
def _claimed(folder: Path, times: tuple[int, ...]) -> pd.DataFrame:
    path = folder / "claimed.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if tuple(table.columns) != CLAIMED:
        raise ValueError(f"{path.name} has the columns {', '.join(table.columns)}, not {', '.join(CLAIMED)}")
    place = ["table", "dataset", "metric", "method", "variant"]
    values = all_published().groupby(place)["value"].agg(["size", "first"])
    sides = []
    for side, where in (("a", "table"), ("b", "b_table")):
        keys = pd.MultiIndex.from_frame(table[[where, "dataset", "metric", side, f"{side}_variant"]], names=place)
        found = values.reindex(keys)
        if (wrong := (found["size"] != 1).to_numpy()).any():
            raise ValueError(
                f"{path.name}: {' / '.join(keys[wrong][0])} ({table['id'][wrong].iloc[0]}) is not one value"
            )
        sides.append(found["first"].to_numpy())
    found = table[["id", "table", "dataset", "metric"]]
    return found.assign(difference=sides[0] - sides[1], variant=table["a_variant"])


def claimed_in_words(claim: str, dataset: str | None = None, tested: str = "") -> str:
    """A claim's printed difference: "+8.5 (MLR-VIPeR)" on ``dataset`` where the paper has it, else its range over the
    sets that the paper has, "+7.7 to +10.4 (2 sets)"; "" where no two printed values say it.

    tested : "1/2": of a claim that is about several ratios of the probe, that one.
    """
    rows = claimed().query("id == @claim")
    rows = rows[rows["variant"].str.endswith(f"test {tested}")] if tested else rows
    own = rows[rows["dataset"] == dataset]
    rows = own if len(own) else rows
    unit = " dB" if (rows["metric"] == "psnr_dB").any() else ""
    sets = rows["dataset"].unique()
    where = f"({sets[0] if len(sets) == 1 else f'{len(sets)} sets'})" if len(sets) else ""
    found = dict.fromkeys(f"{value:+.1f}" for value in (rows["difference"].min(), rows["difference"].max()))
    return f"{' to '.join(found)}{unit} {where}" if where else ""


def _times(*names: str) -> tuple[int, ...]:
    """When these files were written: what was read of them holds as long."""
    return tuple(os.stat(FOLDER / f"{name}.csv").st_mtime_ns for name in names)


@cache
def _read(folder: Path, times: tuple[int, ...]) -> pd.DataFrame:
    parts = []
    for paper in PAPERS:
        part = pd.read_csv(folder / f"{paper}.csv", dtype=str, keep_default_na=False)
        if tuple(part.columns) != COLUMNS:
            raise ValueError(f"{paper}.csv has the columns {', '.join(part.columns)}, not {', '.join(COLUMNS)}")
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    table["value"] = table["value"].astype(float)
    return table
