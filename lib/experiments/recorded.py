"""The record as lessons show it: what ``lib.experiments.record`` wrote, of several sets of people side by side."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import NamedTuple

import pandas as pd

from lib.evaluation import Difference
from lib.evaluation.intervals import counted
from lib.experiments import claims
from lib.experiments.measured import MeasuredError, measured, origin
from lib.experiments.published import published
from lib.experiments.scores import with_interval
from lib.experiments.study import Plan, Study
from lib.names import PEOPLE

SETS = ("pedestrians", "viper", "caviar")  # that the repository has a record of
PAPERS = {  # their own studies
    "sing": "SING (2018)", "ripr": "RIPR (2019)", "ftwa": "FTWA (2021)", "pshrnet": "PS-HRNet (2021)",
    "jbim": "JBIM (2022)",
}  # fmt: skip
MORE = ("jbim_table_4",)  # studies with rows of the papers on sets where the papers' own studies lack them
GAINS = ["set", "name", "reference", "mean", "low", "high", "trainings"]  # columns of ``gains``
NO_VERDICT = "none (a quick run)"
# what a line of each of a record's tables is about; a difference is about its two rows in either order
KEYS = {"rows": ("row",), "differences": ("row", "reference"), "claims": ("claim_id", "variant")}
# what a paper calls the protocol that a preset is on a set
TARGETS = {
    ("mlr", "viper"): "MLR-VIPeR", ("mlr", "cuhk03"): "MLR-CUHK03", ("mlr", "sysu"): "MLR-SYSU",
    ("mlr-half", "market1501"): "MLR-Market",
    ("caviar", "caviar"): "CAVIAR", ("vr", "msmt17"): "VR-MSMT17", ("vr", "market1501"): "VR-Market1501",
}  # fmt: skip


class Recorded(NamedTuple):
    """A difference of two rows as the record has it, to be judged (``claims.judge``): fractions of rank-1."""

    mean: float
    low: float
    high: float
    trainings: int
    trials: int
    agree: bool
    identities: int
    metric: str = "rank-1"
    chance: bool = True


@dataclass(frozen=True)
class Record:
    """The tables of one study on several sets, with a column ``set``; what is not recorded yet is not in them.

    rows : set, preset, row, metric, value, std, low, high, trainings, trials ... differences : set, preset, row,
    reference, mean, low, high, trainings, trials, agree, identities. claims : rows of ``lib.experiments.claims``.
    origins : for each set when and with which code it was measured: a line, or one for each study (``|``).
    """

    rows: pd.DataFrame
    differences: pd.DataFrame
    claims: pd.DataFrame
    origins: Mapping[str, str]

    def __bool__(self) -> bool:
        return bool(self.origins)

    def __or__(self, other: Record) -> Record:
        """This record, and what it lacks of the other one's: rows, differences and claims on a set and preset."""
        joined, origins = {}, dict(self.origins)
        for what, key in KEYS.items():
            mine, theirs = getattr(self, what), getattr(other, what)
            known = set(_keys(mine, key))
            more = theirs.loc[[one not in known for one in _keys(theirs, key)]]
            parts = [part for part in (mine, more) if len(part)]
            joined[what] = pd.concat(parts, ignore_index=True) if parts else mine
            for name in dict.fromkeys(more["set"]):
                line = other.origins[name]
                if line not in origins.get(name, "").splitlines():
                    origins[name] = f"{origins[name]}\n{line}" if name in origins else line
        return Record(**joined, origins=origins)

    def difference(self, a: str, b: str, people: str, preset: str | None = None) -> pd.Series:
        """Row a minus row b on a set: mean, low, high, trainings, trials, agree. KeyError where it is not recorded."""
        table = self.differences
        table = table[(table["set"] == people) & self._at(table, preset)]
        for row, reference, sign in ((a, b, 1), (b, a, -1)):
            found = table[(table["row"] == row) & (table["reference"] == reference)]
            if len(found):
                one = found.iloc[0].copy()
                ends = sorted(sign * one[["low", "high"]])
                one["row"], one["reference"], one["mean"], one["low"], one["high"] = a, b, sign * one["mean"], *ends
                return one
        raise KeyError(f"{a} minus {b} is not recorded on {PEOPLE.get(people, people)}: make record, with more hours")

    def to_judge(self, a: str, b: str, people: str, preset: str | None = None) -> Recorded:
        """``difference`` as a claim is judged by. KeyError where it is not recorded."""
        found = self.difference(a, b, people, preset)
        return Recorded(**{name: found[name] for name in Recorded._fields if name in found})

    def against(self, reference: str, names: Sequence[str], preset: str | None = None) -> pd.DataFrame:
        """Differences of these rows to ``reference``, on every set, of those that are recorded: set, name, mean, low,
        high, trainings. CAVIAR's only preset is taken whatever ``preset`` says.
        """
        found = []
        for people in self.origins:
            for name in names:
                with contextlib.suppress(KeyError):
                    found.append(self.difference(name, reference, people, preset).rename(None))
        table = pd.DataFrame(found, columns=[*self.differences, "name"]) if found else self.differences.head(0)
        return table.assign(name=table["row"]).reset_index(drop=True)

    def claim(self, claim: str, people: str) -> pd.Series:
        """What a claim is about, on a set: mean, low, high, trainings, trials. KeyError where it is not recorded."""
        if len(self.claims):
            found = self.claims[(self.claims["claim_id"] == claim) & (self.claims["set"] == people)]
            if len(found):
                return found.iloc[0]
        raise KeyError(f"{claim} is not recorded on {PEOPLE.get(people, people)}: make record, with more hours")

    def rank1(self, name: str, preset: str | None = None) -> dict[str, float]:
        """{set: rank-1 of a row}, fractions."""
        found = self.rows[(self.rows["row"] == name) & (self.rows["metric"] == "rank-1") & self._at(self.rows, preset)]
        return dict(zip(found["set"], found["value"], strict=True))

    @staticmethod
    def _at(table: pd.DataFrame, preset: str | None) -> pd.Series:
        return (table["preset"] == preset) | (table["set"] == "caviar") | (preset is None)


def recorded(study: str, sets: Sequence[str] = SETS, profile: str = "course") -> Record:
    """The record of a study on those of ``sets`` that have one, in their order; empty (and False) where none has."""
    parts: dict[str, list[pd.DataFrame]] = {"rows": [], "differences": [], "claims": []}
    origins = {}
    for name in dict.fromkeys(sets):
        try:
            tables = {"rows": measured(f"{study}_rows", name, profile)}
        except MeasuredError:
            continue
        for what in ("differences", "claims"):  # a single row has no differences, a study without comparisons no claims
            with contextlib.suppress(MeasuredError):
                tables[what] = measured(f"{study}_{what}", name, profile)
        origins[name] = origin(tables["rows"])
        for table in tables.values():
            table.attrs.clear()  # pandas copies them with every step, and ``origins`` has what they say
        people = tables["rows"].groupby("preset")["identities"].min()
        for what in [what for what in tables if what != "rows"]:
            tables[what] = tables[what].assign(identities=tables[what]["preset"].map(people))
        if "claims" in tables:
            tables["claims"] = _few_people(_worded(tables["claims"]))
        for what, table in tables.items():
            parts[what].append(table.assign(set=name))
    nothing = pd.DataFrame(columns=["set", "preset", "row", "reference", "metric", "claim_id"])
    joined = {what: pd.concat(some, ignore_index=True) if some else nothing for what, some in parts.items()}
    return Record(**joined, origins=origins)


def of_all_papers(
    record: Record, sets: Sequence[str] = SETS, profile: str = "course", preset: str = "mlr"
) -> pd.DataFrame:
    """The ``rows`` of a record, and what it lacks of those of the five papers' own studies and of ``MORE``, on one
    preset (CAVIAR: its own).
    """
    rows = reduce(or_, (recorded(study, sets, profile) for study in (*PAPERS, *MORE)), record).rows
    return rows[Record._at(rows, preset)]


def _keys(table: pd.DataFrame, key: Sequence[str]) -> list[tuple]:
    """What each line of a record's table is about: set, preset, and the columns ``key`` (an absent one is empty)."""
    columns = [table[name].fillna("") if name in table else [""] * len(table) for name in key]
    about = [frozenset(one) if key == KEYS["differences"] else one for one in zip(*columns, strict=True)]
    return list(zip(table["set"], table["preset"], about, strict=True))


def _worded(table: pd.DataFrame) -> pd.DataFrame:
    """Judged claims in today's words of ``data/published/claims.csv``: a record may be older."""
    known = claims.claims()
    words = {name: table["claim_id"].map(known[name]).fillna(table[name]) for name in ("claim", "table")}
    if "variant" in table:  # on which network, protocol or curve
        words["claim"] += table["variant"].map(lambda of: f": {of}" if isinstance(of, str) else "")
    return table.assign(**words)


def _few_people(table: pd.DataFrame) -> pd.DataFrame:
    """Judged claims, without those words "no effect" that so few people cannot give (``claims.people_decide``)."""
    of_ranks = table["unit"].isna() if "unit" in table else pd.Series(True, table.index)
    few = of_ranks & (claims.SEEN_BY_NOBODY / table["identities"] >= table["negligible"])
    instead = "undecided (" + table["identities"].astype(str) + " people)"
    for column in ("verdict", "control_verdict"):
        table[column] = table[column].mask(few & (table[column] == "no effect"), instead)
    return table


def printed(table: str, names: Mapping[str, tuple[str, str]], of: Callable[[str], str | None]) -> pd.DataFrame:
    """A paper's rank-1 as ``lib.plots.differences.against`` takes it: set, name, value (percent).

    names : {row: (the paper's method, variant)}. of : a set of people -> what the paper calls it, None where the paper
    does not have it.
    """
    theirs = published(table).query("metric == 'rank-1'").set_index(["dataset", "method", "variant"])["value"]
    found = [
        {"set": name, "name": row, "value": theirs[of(name), method, variant]}
        for name in SETS
        for row, (method, variant) in names.items()
        if (of(name), method, variant) in theirs.index
    ]
    return pd.DataFrame(found, columns=["set", "name", "value"])


def known(record: Record, study: Study, a: str, b: str) -> pd.Series:
    """Row a minus row b on the study's own people: set, name (a), reference (b), mean, low, high, trainings; of the
    record where it has both rows, else of what the study itself has trained. ``source`` says which, in words.
    """
    protocol, one = study.cells[0].protocol, None
    with contextlib.suppress(KeyError):
        one = record.difference(a, b, protocol.dataset.name, protocol.preset) if record else None
    if one is not None:
        columns = {name: one[name] for name in ("mean", "low", "high", "trainings", "identities")}
        source = f"the record, {counted(int(one['trainings']), 'training')}"
        return pd.Series({"set": one["set"], "name": a, "reference": b, **columns, "source": source})
    d = study.difference(a, b)
    columns = {"mean": d.mean, "low": d.low, "high": d.high, "trainings": d.trainings, "identities": d.identities}
    source = f"{counted(d.trainings, 'training')}, just now"
    return pd.Series({"set": protocol.dataset.name, "name": a, "reference": b, **columns, "source": source})


def known_claim(record: Record, claim: str, people: str, measure: Callable[[], Difference]) -> pd.Series:
    """What a claim is about, on a set (mean, low, high, trainings): of the record where it has it, else measured now.
    ``source`` says which, in words.
    """
    try:
        one = record.claim(claim, people)
        source = f"the record, {counted(int(one['trainings']), 'training')}"
    except KeyError:
        d = measure()
        one = pd.Series({"mean": d.mean, "low": d.low, "high": d.high, "trainings": d.trainings})
        source = f"{counted(d.trainings, 'training')}, just now"
    return pd.Series({**one, "source": source})


def gains(record: Record, study: Study, reference: str, names: Sequence[str]) -> pd.DataFrame:
    """What ``lib.plots.differences.against`` draws: these rows minus ``reference``, on the study's own people as
    ``known`` has it, and on every other set of the record.
    """
    own = pd.DataFrame([known(record, study, name, reference) for name in names])
    there = record.against(reference, names, study.cells[0].protocol.preset) if record else own
    there = there[~there["set"].isin(own["set"])]
    return pd.concat([own, there[GAINS]], ignore_index=True)[GAINS] if len(there) else own[GAINS]


def beside(apart: pd.DataFrame, table: str, names: Mapping[str, tuple[str, str]], *datasets: str) -> pd.DataFrame:
    """What the rows of a paper's table gain over the reference of ``apart``, published and measured, in points: a row
    per name, a column for each of the paper's data sets and one for each set of ``apart`` ("+1.2 [+0.8, +1.7]").

    apart : of ``gains``. names : {row: (the paper's method, variant)}, the reference among them. datasets : as the
    paper calls them; one where its table does not have the reference is left out, ValueError where that is each.
    """
    (reference,) = set(apart["reference"])
    theirs = published(table).query("metric == 'rank-1'").set_index(["dataset", "method", "variant"])["value"]
    there = [name for name in datasets if (name, *names.get(reference, ("", ""))) in theirs.index]
    if not there:
        raise ValueError(f"{table} has no {reference} on {' or '.join(datasets)}")
    made = pd.DataFrame(index=[name for name in names if name != reference])
    for name in there:
        start = theirs[name, *names[reference]]
        gain = [theirs.get((name, *names[row])) for row in made.index]
        made[f"published ({table}, {name})"] = ["" if value is None else f"{value - start:+.1f}" for value in gain]
    for people, part in apart.groupby("set", sort=False):
        told = {one["name"]: with_interval(one, unit="").strip() for one in part.to_dict("records")}
        behind = counted(int(part["trainings"].max()), "training")
        made[f"{PEOPLE.get(people, people)} ({behind})"] = [told.get(name, "") for name in made.index]
    return made.rename_axis(f"minus {reference}, points of rank-1")


def verdicts(record: Record, study: Study, plan: Plan, more: Collection[str] = ()) -> pd.DataFrame:
    """The plan's claims about rows that the study has, as a reader's table: first those of the record, of every set
    with the study's preset (CAVIAR: its own), then what the study's own trainings say, "just now"; those of ``quick``
    say nothing.

    more : ids of claims that the record alone is asked for.
    """
    protocol = study.cells[0].protocol
    people, preset = protocol.dataset.name, protocol.preset
    asked = [one for one in (each.of(study.rows) for each in plan.comparisons) if one.rows <= set(study.rows)]
    here = [study.judge(one) for one in asked if one.asked(people, study.difference)]
    here += plan.judged(study, dict.fromkeys(study.rows, study.cells))
    now = f"{PEOPLE.get(people, people)}, just now"
    here = [said_by(row, study.profile) | {"dataset": now} for row in here]
    wanted = {one.claim for one in asked} | {row["claim_id"] for row in here} | set(more)
    found = []
    if record and len(record.claims):
        rows = record.claims[record.claims["claim_id"].isin(wanted) & Record._at(record.claims, preset)]
        found = rows.fillna({"control_verdict": ""}).to_dict("records")
    table = claims.table([*found, *here])
    where = [row.get("preset", preset) for row in [*found, *here]]
    return table.assign(trainings=[int(row["trainings"]) for row in [*found, *here]], protocol=where)


def said_by(row: dict, profile: str) -> dict:
    """A judged claim (``claims.judge``) as a lesson shows it: in ``quick`` without a verdict."""
    words = {name: row[name] and NO_VERDICT for name in ("verdict", "control_verdict")}
    return row | words if profile == "quick" else row


def taken_back(table: pd.DataFrame) -> str:
    """Which of the claims that are reproduced as the paper compares are not, against the control: a sentence.

    table : of ``verdicts``.
    """
    there = table[table["verdict"] == "reproduced"]
    asked = there[there["verdict against it"] != ""]
    lost = asked[asked["verdict against it"] != "reproduced"]
    if asked.empty:
        return "No claim that has a control is reproduced as the paper compares."
    named = zip(lost["claim"], lost["measured on"], lost["verdict against it"], strict=True)
    which = "; ".join(f"{claim} ({people}: {verdict})" for claim, people, verdict in named)
    text = f"Against the control {len(lost)} of {len(asked)} reproduced claims are taken back"
    return f"{text}: {which}." if which else f"{text}."
