"""All five under one protocol: what each method has over the same plain network, what it costs, and what its paper
printed over its own baseline. From ``data/measured`` alone; a method that is not in the record yet is left out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from torch import Tensor, nn

from lib.data.batches import Batch, ByHand
from lib.evaluation import complexity
from lib.evaluation.intervals import counted
from lib.evaluation.timing import milliseconds
from lib.experiments import ftwa, jbim, pshrnet, ripr, sing
from lib.experiments.claims import TRAININGS
from lib.experiments.controls import BASELINE, EVERYWHERE
from lib.experiments.measured import MeasuredError, measured
from lib.experiments.published import published
from lib.experiments.recorded import MORE, SETS, Record, recorded
from lib.experiments.scores import with_interval
from lib.methods import create_method
from lib.methods.method import Method
from lib.names import PEOPLE


class Gain(NamedTuple):
    """What a paper prints for its method and for a plain network of its own, on one set (percent).

    other : the plain network's table, where that is not the method's.
    """

    table: str
    dataset: str
    method: tuple[str, str]
    baseline: tuple[str, str]
    other: str = ""

    def value(self) -> float:
        """Rank-1 of the method minus that of the baseline, in points."""
        return self._printed(self.table, self.method) - self._printed(self.other or self.table, self.baseline)

    def _printed(self, table: str, row: tuple[str, str]) -> float:
        rows = published(table).query("metric == 'rank-1' and dataset == @self.dataset")
        return float(rows.set_index(["method", "variant"]).loc[row, "value"])


class Contestant(NamedTuple):
    """A row of the scoreboard: where it is recorded, how it is made, and its paper's gain (None: a control, or a method
    that some of them compare with).
    """

    name: str
    study: str
    kind: str  # of ``create_method``
    gain: Gain | None = None
    models: int = 1  # that an image passes when searching
    backbone: Mapping[str, str] | None = None  # by profile, where it is not the plain network's

    @property
    def is_network(self) -> bool:
        return self.kind != "classical"

    def method(self, profile: str) -> Method:
        """One of its models, set up and not trained, without what is there in training alone: a teacher."""
        changes = {"backbone": self.backbone[profile]} if self.backbone else {}
        changes |= {"elements": ()} if self.kind == "pshrnet" else {}
        method = create_method(self.kind, **changes)
        method.setup(profile, 2)
        return method


CONTESTANTS = (
    Contestant(BASELINE, "ripr", "baseline"),
    Contestant(EVERYWHERE, "ripr", "baseline"),
    Contestant(sing.SING, "sing", "sing", Gain("SING-T2", "MLR-VIPeR", ("SING", ""), ("Bicubic + DGD", "")), 3),
    Contestant(ripr.BOTH, "ripr", "ripr", Gain("RIPR-T3", "MLR-VIPeR", ("FFSR+RIFE", ""), ("ResNet-50", ""))),
    Contestant(
        ftwa.FTWA, "ftwa", "ftwa", Gain("FTWA-T2", "MLR-CUHK03", ("FTWA", "with RAFT and SWA"), ("Baseline", ""))
    ),
    Contestant(
        pshrnet.PS, "pshrnet", "pshrnet",
        Gain("PSHR-T2", "MLR-Market-1501", ("PS-HRNet", "SR+ID+PS"), ("Bicubic + ResNet-50", ""), "PSHR-T4"),
    ),
    Contestant(
        jbim.JBIM, "jbim", "jbim", Gain("JBIM-T4", "MLR-VIPeR", ("JBIM", ""), ("Bicubic + ResNet-50", "")), 3
    ),
    Contestant(jbim.OSNET, "jbim", "baseline", backbone=jbim.OTHER[jbim.OSNET]),
    Contestant(jbim.AGW, "jbim", "agw"),
    Contestant(sing.LOMO["xqda"], "sing", "classical"),
)  # fmt: skip
# a method that stands on another network than the plain one: the same network, plain, is the row of its study
OWN = {pshrnet.PS: (pshrnet.ID, Gain("PSHR-T2", "MLR-Market-1501", ("PS-HRNet", "SR+ID+PS"), ("PS-HRNet", "ID")))}
COLUMNS = (
    "set", "name", "value", "level_low", "level_high", "map", "map_low", "map_high", "mean", "low", "high", "trainings",
    "trials",
)  # fmt: skip
ABSENT = "not recorded"
MAP = {"": "value", "_low": "low", "_high": "high"}  # what ends a column of the mAP's -> the record's column


def standings(sets: Sequence[str] = SETS, profile: str = "course", preset: str = "mlr") -> pd.DataFrame:
    """Rank-1 (``value``) and mAP, with their intervals, of every contestant that is recorded on a set, by its own study
    or by one of ``MORE``, and its difference to the baseline there (``mean``, ``low``, ``high``; NaN for the baseline
    itself, and where that is not recorded yet); all fractions. ``trainings`` and ``trials`` are the difference's where
    there is one: LOMO + XQDA needs one training, the networks beside it have three.
    """
    records = {study: recorded(study, sets, profile) for study in {*(one.study for one in CONTESTANTS), *MORE}}
    found = []
    for people in sets:
        for one in CONTESTANTS:
            lines = (_standing(records[study], one.name, people, preset) for study in (one.study, *MORE))
            if line := next(filter(None, lines), None):
                found.append({"set": people, "name": one.name} | line)
    return pd.DataFrame(found, columns=list(COLUMNS))


def _standing(record: Record, name: str, people: str, preset: str) -> dict[str, float]:
    """What one record says of a contestant on a set, {} where it lacks it: never a level of one and a difference of
    another, whose baselines may be two trainings.
    """
    rows = record.rows[(record.rows["set"] == people) & (record.rows["row"] == name)]
    rows = rows[(rows["preset"] == preset) | (people == "caviar")].set_index("metric")
    if "rank-1" not in rows.index:
        return {}
    behind = best = rows.loc["rank-1"]
    line = {"value": best["value"], "level_low": best["low"], "level_high": best["high"]}
    line |= {f"map{end}": rows.loc["mAP", column] for end, column in MAP.items()}
    if name != BASELINE:
        with contextlib.suppress(KeyError):  # the baseline is not recorded there yet
            behind = record.difference(name, BASELINE, people, preset)
            line |= {what: float(behind[what]) for what in ("mean", "low", "high")}
    return line | {what: int(behind[what]) for what in ("trainings", "trials")}


def over_own_network(sets: Sequence[str] = SETS, profile: str = "course", preset: str = "mlr") -> pd.DataFrame:
    """Methods of ``OWN`` minus the plain row on their own network: set, name, reference, mean, low, high (fractions),
    trainings, trials; and what the paper prints for that: gain (points), dataset. Empty where nothing is recorded.
    """
    found, measures = [], ("mean", "low", "high", "trainings", "trials")
    for one in CONTESTANTS:
        if one.name not in OWN:
            continue
        (own, gain), record = OWN[one.name], recorded(one.study, sets, profile)
        printed = {"gain": gain.value(), "dataset": gain.dataset}
        there = record.rows[(record.rows["preset"] == preset) | (record.rows["set"] == "caviar")]
        for people, part in there.groupby("set", sort=False):
            if {one.name, own} <= set(part["row"]):
                apart = record.difference(one.name, own, people, part["preset"].iloc[0])
                line = {what: apart[what] for what in measures} | printed
                found.append({"set": people, "name": one.name, "reference": own} | line)
    return pd.DataFrame(found, columns=["set", "name", "reference", *measures, "gain", "dataset"])


def costs(profile: str = "course") -> pd.DataFrame:
    """What describing a probe and a gallery image costs: name, weights and macs (multiply-adds of both) of all models
    that an image passes. Of networks: what LOMO does is not counted in multiply-adds.
    """
    found = []
    for one in CONTESTANTS:
        if not one.is_network:
            continue
        method = one.method(profile)
        sides = [complexity(method, method.canvas, partial(_describe, role=role)) for role in ("probe", "gallery")]
        macs = one.models * sum(side.macs for side in sides)
        found.append({"name": one.name, "weights": one.models * sides[0].parameters, "macs": macs})
    return pd.DataFrame(found)


def times(profile: str = "course") -> dict[str, float]:
    """{name: milliseconds that this machine takes to describe a probe and a gallery image, in batches of 16}, of
    networks.
    """
    found = {}
    for one in CONTESTANTS:
        if one.is_network:
            method = one.method(profile).eval()
            sides = (milliseconds(_Described(method, role), method.canvas) for role in ("probe", "gallery"))
            found[one.name] = one.models * sum(sides)
    return found


class _Described(nn.Module):
    """A method as a network (B, 3, H, W) -> (B, D) for one role."""

    def __init__(self, method: Method, role: str):
        super().__init__()
        self.method, self.role = method, role

    def forward(self, images: Tensor) -> Tensor:
        return _describe(self.method, images, self.role)


def objectives(sets: Sequence[str] = SETS, profile: str = "course") -> pd.DataFrame:
    """What ``lib.experiments.scoreboard_objective`` recorded: set, name, value, mean, low, high, trainings. Empty where
    nothing is.
    """
    found = []
    for people in sets:
        with contextlib.suppress(MeasuredError):
            found.append(measured("scoreboard_objective", people, profile).assign(set=people))
    columns = ["set", "name", "value", "mean", "low", "high", "trainings"]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def _describe(method: Method, images: Tensor, role: str) -> Tensor:
    return method.embed(Batch(images, source=ByHand(images, images)), role)


def published_gains() -> pd.DataFrame:
    """What each paper prints over the plain network of its own table: name, table, dataset, gain (points)."""
    rows = [
        {"name": one.name, "table": one.gain.table, "dataset": one.gain.dataset, "gain": one.gain.value()}
        for one in CONTESTANTS
        if one.gain
    ]
    return pd.DataFrame(rows)


def decided(table: pd.DataFrame) -> pd.DataFrame:
    """Those of ``standings`` that are set against the plain network with three trainings: fewer decide nothing."""
    return table[table["mean"].notna() & (table["trainings"] >= TRAININGS)]


def few_trainings(table: pd.DataFrame, apart: pd.DataFrame) -> list[str]:
    """The others that have a difference, on any set, those in O too: "FFSR + RIFE on VIPeR (2 trainings)", "PS-HRNet's
    O on embedded people (2 trainings)".

    table : of ``standings``. apart : of ``objectives``.
    """
    return [
        f"{row['name']}{of} on {PEOPLE[row['set']]}{_few(row)}"
        for part, of in ((table, ""), (apart, "'s O"))
        for row in part[part["mean"].notna() & (part["trainings"] < TRAININGS)].to_dict("records")
    ]


def above(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """{set: its rows whose whole interval lies above the plain network, the largest gain first}, where any does."""
    rows = decided(table).query("low > 0").sort_values("mean", ascending=False, kind="stable")
    return {people: rows[rows["set"] == people] for people in dict.fromkeys(table["set"]) if people in set(rows["set"])}


def halves(table: pd.DataFrame, gains: pd.DataFrame, people: str = "pedestrians") -> dict[str, bool]:
    """{method: whether its estimate on a set is at least half of its published gain}, of those that are decided."""
    measured_gains = decided(table).query("set == @people").set_index("name")["mean"]
    printed = gains.set_index("name")["gain"]
    return {
        name: bool(100 * measured_gains[name] >= printed[name] / 2) for name in printed.index if name in measured_gains
    }


def finding(table: pd.DataFrame, gains: pd.DataFrame) -> str:
    """What is left of the published gains, in a sentence: how many keep half, and which methods lie above the plain
    network, with their gains beside the published ones; where none does, the best of them; and which lie below it on
    the embedded people.

    table : of ``standings``. gains : of ``published_gains``.
    """
    ours = table[table["name"].isin(gains["name"])]
    kept, printed = halves(ours, gains), gains.set_index("name")["gain"]
    said = [
        f"{listed(f'{row.name} ({_plain(row)} of {printed[row.name]:+.1f} points)' for row in part.itertuples(False))}"
        f" on {PEOPLE[people]}"
        for people, part in above(ours).items()
    ]
    half = f"{sum(kept.values())} of {len(kept)} gains keep half of their size on {PEOPLE['pedestrians']}"
    if said:
        rest = f"above it lie only {'; '.join(said)}"
    else:
        best = decided(ours).nlargest(1, "mean").itertuples(False)
        rest = ", ".join(["above it lies none", *(f"the best is {one.name} with {_plain(one)}" for one in best)])
    below = decided(ours).query("set == 'pedestrians' and high < 0").sort_values("mean", ascending=False, kind="stable")
    if len(below):
        lost = listed(f"{row.name} ({_plain(row)} points)" for row in below.itertuples(False))
        rest += f"; below it lie {lost} on {PEOPLE['pedestrians']}"
    return f"Over one plain network, trained as long, {half}; {rest}."


def of_cost(table: pd.DataFrame, costs: pd.DataFrame) -> str:
    """Which networks lie above the plain one, and how many of its multiply-adds each takes: a title."""
    macs = costs.set_index("name")["macs"]
    times = macs / macs[BASELINE]
    found = above(table[table["name"].isin(macs.index)])
    said = [
        f"{listed(f'{name} (at {times[name]:.1f} times its cost)' for name in part['name'])} on {PEOPLE[people]}"
        for people, part in found.items()
    ]
    return f"Above the plain network lie only {'; '.join(said)}" if said else "No network lies above the plain one"


def listed(names: Iterable[str]) -> str:
    """ "A, B and C"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _plain(row) -> str:
    """A difference in points, without the unit."""
    return with_interval(row._asdict(), unit="").strip()


def shown(
    table: pd.DataFrame, people: str, gains: pd.DataFrame, apart: pd.DataFrame, cost: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The scoreboard of a set for readers: a row per contestant, in words where it is not recorded.

    table : of ``standings``. gains : of ``published_gains``. apart : of ``objectives``; without any on this set there
    is no column. cost : columns of numbers by name, None for none.
    """
    here, far = (rows[rows["set"] == people].set_index("name") for rows in (table, apart))
    printed = {row.name: f"{row.gain:+.1f} ({row.dataset})" for row in gains.itertuples(False)}
    lines = []
    for one in CONTESTANTS:
        line = {"method": one.name, "rank-1, %": ABSENT, "mAP, %": ABSENT, "minus the plain network": ABSENT}
        line["in its paper"] = printed.get(one.name, "")
        if one.name in here.index:
            row = here.loc[one.name]
            line["rank-1, %"] = _level(row, "value", "level_low", "level_high")
            line["mAP, %"] = _level(row, "map", "map_low", "map_high")
            if np.isfinite(row["mean"]):
                line["minus the plain network"] = f"{with_interval(row, unit='').strip()}{_few(row)}"
            elif one.name == BASELINE:
                line["minus the plain network"] = ""
            line |= {"trainings": str(row["trainings"]), "splits": str(row["trials"])}
        if len(far):
            line["O(1/4, 1)"] = _far(far.loc[one.name]) if one.name in far.index else ABSENT
        if cost is not None:
            about = cost.loc[one.name] if one.name in cost.index else cost.iloc[0] * np.nan
            line |= {name: "" if np.isnan(value) else f"{value:.3g}" for name, value in about.items()}
        lines.append(line)
    return pd.DataFrame(lines).fillna("").set_index("method")


def _level(row: pd.Series, *columns: str) -> str:
    value, low, high = (100 * row[name] for name in columns)
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def _far(row: pd.Series) -> str:
    """O, and by how much it lies above the plain network's."""
    return f"{row['value']:.3f}" + ("" if np.isnan(row["mean"]) else f", {with_interval(row, unit='%')}{_few(row)}")


def _few(row: pd.Series) -> str:
    """What stands behind a difference that decides nothing."""
    return "" if row["trainings"] >= TRAININGS else f" ({counted(int(row['trainings']), 'training')})"


def unrecorded(table: pd.DataFrame, apart: pd.DataFrame, sets: Sequence[str] = SETS) -> str:
    """What the scoreboard lacks, in a sentence; "" where it lacks nothing. table, apart : as in ``shown``."""
    lacking: dict[tuple[str, ...], list[str]] = {}
    for what, have in [
        *((one.name, set(table.loc[table["name"] == one.name, "set"])) for one in CONTESTANTS),
        ("O", set(apart["set"])),
    ]:
        if missing := tuple(people for people in sets if people not in have):
            lacking.setdefault(missing, []).append(what)
    parts = [f"{listed(what)} on {listed(PEOPLE[people] for people in where)}" for where, what in lacking.items()]
    return f"Not recorded: {'; '.join(parts)}." if parts else ""
