"""All five under one protocol: what each method has over the same plain network, what it costs, and what its paper
printed over its own baseline. From ``data/measured`` alone; a method that is not in the record yet is left out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import pandas as pd
from torch import Tensor, nn

from lib.data.batches import Batch, ByHand
from lib.evaluation import complexity
from lib.evaluation.timing import milliseconds
from lib.experiments import ftwa, jbim, pshrnet, ripr, sing
from lib.experiments.controls import BASELINE, EVERYWHERE
from lib.experiments.measured import MeasuredError, measured
from lib.experiments.published import published
from lib.experiments.recorded import SETS, recorded
from lib.methods import create_method
from lib.methods.method import Method


class Gain(NamedTuple):
    """What a paper prints for its method and for the plain network of its own table, on one set (percent)."""

    table: str
    dataset: str
    method: tuple[str, str]
    baseline: tuple[str, str]

    def value(self) -> float:
        """Rank-1 of the method minus that of the baseline, in points."""
        rows = published(self.table).query("metric == 'rank-1' and dataset == @self.dataset")
        rows = rows.set_index(["method", "variant"])["value"]
        return float(rows[self.method] - rows[self.baseline])


class Contestant(NamedTuple):
    """A row of the scoreboard: where it is recorded, how it is made, and its paper's gain (None: a control, or a method
    that all five papers compare with).
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
        Gain("PSHR-T2", "MLR-Market-1501", ("PS-HRNet", "SR+ID+PS"), ("PS-HRNet", "ID")),
    ),
    Contestant(
        jbim.JBIM, "jbim", "jbim", Gain("JBIM-T4", "MLR-VIPeR", ("JBIM", ""), ("Bicubic + ResNet-50", "")), 3
    ),
    Contestant(jbim.OSNET, "jbim", "baseline", backbone=jbim.OTHER[jbim.OSNET]),
    Contestant(jbim.AGW, "jbim", "agw"),
    Contestant(sing.LOMO["xqda"], "sing", "classical"),
)  # fmt: skip
# a method that stands on another network than the plain one: the same network, plain, is the row of its study
OWN = {pshrnet.PS: pshrnet.ID}
COLUMNS = (
    "set", "name", "value", "level_low", "level_high", "map", "map_low", "map_high", "mean", "low", "high", "trainings",
    "trials",
)  # fmt: skip
MAP = {"": "value", "_low": "low", "_high": "high"}  # what ends a column of the mAP's -> the record's column


def standings(sets: Sequence[str] = SETS, profile: str = "course", preset: str = "mlr") -> pd.DataFrame:
    """Rank-1 (``value``) and mAP, with their intervals, of every contestant that is recorded on a set, and its
    difference to the baseline there (``mean``, ``low``, ``high``; NaN for the baseline itself, and where that is not
    recorded yet); all fractions.
    """
    records = {study: recorded(study, sets, profile) for study in {one.study for one in CONTESTANTS}}
    found = []
    for people in sets:
        for one in CONTESTANTS:
            record = records[one.study]
            rows = record.rows[(record.rows["set"] == people) & (record.rows["row"] == one.name)]
            rows = rows[(rows["preset"] == preset) | (people == "caviar")].set_index("metric")
            if "rank-1" not in rows.index:
                continue
            best = rows.loc["rank-1"]
            line = {"set": people, "name": one.name, "value": best["value"]}
            line |= {"level_low": best["low"], "level_high": best["high"]}
            line |= {f"map{end}": rows.loc["mAP", column] for end, column in MAP.items()}
            line |= {what: int(best[what]) for what in ("trainings", "trials")}
            if one.name != BASELINE:
                with contextlib.suppress(KeyError):  # the baseline is not recorded there yet
                    apart = record.difference(one.name, BASELINE, people, preset)
                    line |= {what: float(apart[what]) for what in ("mean", "low", "high")}
            found.append(line)
    return pd.DataFrame(found, columns=list(COLUMNS))


def over_own_network(sets: Sequence[str] = SETS, profile: str = "course", preset: str = "mlr") -> pd.DataFrame:
    """Methods of ``OWN`` minus the plain row on their own network: set, name, reference, mean, low, high (fractions),
    trainings, trials. Empty where nothing is recorded.
    """
    found = []
    for one in CONTESTANTS:
        if one.name not in OWN:
            continue
        record = recorded(one.study, sets, profile)
        there = record.rows[(record.rows["preset"] == preset) | (record.rows["set"] == "caviar")]
        for people, part in there.groupby("set", sort=False):
            if {one.name, OWN[one.name]} <= set(part["row"]):
                apart = record.difference(one.name, OWN[one.name], people, part["preset"].iloc[0])
                line = {what: apart[what] for what in ("mean", "low", "high", "trainings", "trials")}
                found.append({"set": people, "name": one.name, "reference": OWN[one.name]} | line)
    return pd.DataFrame(found, columns=["set", "name", "reference", "mean", "low", "high", "trainings", "trials"])


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
