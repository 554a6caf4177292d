"""Is the budget of all studies long enough? Families of methods trained with a quarter of it up to 2.5 times.

    python -m lib.experiments.convergence --dataset pedestrians --seeds 3 --hours 2
    python -m lib.experiments.convergence --papers later    # JBIM, PS-HRNet, FTWA

Trains what is missing, the longest first, stops starting when the hours are over, writes down what is there; asked
again, it goes on where it was. With the budget itself it finds the runs of the record (``lib.experiments.record``)
again.

Three tables per data set and group of papers: ``convergence`` (``convergence_later``), rank-1 over images seen at the
end of each training (drawn by ``lib.plots.curves.convergence``) and, of validation people, on the way there;
``convergence_gains``, what 2.5 times the budget gains over the budget, with its interval; ``convergence_order``, what
each is worth beside the baseline, with either. ``recorded`` reads all that there are. The budget was chosen with the
40 validation people, who cannot say a difference to within a point: where more people can be rendered, 400 further
ones are asked (``others.further``), whom nothing was trained on or chosen with. The column ``people`` says who it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from lib.data import DataError, Protocol, load_dataset
from lib.data.dataset import PersonDataset
from lib.evaluation import Result, evaluate, paired_difference
from lib.evaluation.intervals import counted
from lib.experiments import ftwa, jbim, longer, measured, pshrnet, ripr
from lib.experiments.baseline import SCRATCH
from lib.experiments.controls import BASELINE, EVERYWHERE, plain
from lib.experiments.others import further
from lib.experiments.record import hours, there, train, unique
from lib.experiments.scores import scores, with_interval
from lib.experiments.study import IMAGES, Cell, Row, Study, cells
from lib.training import Run

LONGER = longer.LENGTH
FACTORS = (1 / 4, 1 / 2, 1.0, LONGER)
PROFILE = "course"  # in "paper" the papers' epochs decide
JBIM = jbim.ONE_OF[jbim.JBIM]
# one of each family -> the share of the budget that went to the runs which its last one started from (PS-HRNet's
# teacher has a budget of its own)
EARLIER = {BASELINE: 0.0, EVERYWHERE: 0.0, ripr.SING: 0.0, ripr.BOTH: ripr.SHARE["features"]}
LATER = {ftwa.FTWA: 0.0, JBIM: jbim.APART, pshrnet.PS: 0.0}
FAMILIES = EARLIER | LATER
COMPARED = (*FAMILIES, SCRATCH)  # a network from nothing takes longer: shown, and no measure of the budget
END, WAY = "end", "on the way"
VALIDATION, FURTHER = "validation people", "further people"


def rows() -> list[Row]:
    """The families of lessons 04 to 22, and what their runs start from."""
    needed = (BASELINE, EVERYWHERE, ripr.SING, ripr.RESNET, ripr.APART, ripr.RIFE, ripr.BOTH)
    known = {row.name: row for row in ripr.rows()}
    return [*(known[name] for name in needed), Row(SCRATCH, partial(plain, weights={}))]


def later_rows() -> list[Row]:
    """Those of lessons 30 to 51."""
    needed = (ftwa.FTWA, jbim.ONE_OF[jbim.HIM], jbim.ONE_OF[jbim.LIM], JBIM, pshrnet.HRNET, pshrnet.PS)
    known = {row.name: row for row in (*ftwa.rows(), *jbim.one_model(), *pshrnet.rows())}
    return [known[name] for name in needed]


PAPERS = {"earlier": "", "later": "_later"}  # a group -> what ends its tables' names


def studies(
    people: PersonDataset, preset: str, where: Sequence[Cell], profile: str = PROFILE, papers: str = "earlier"
) -> dict[float, Study]:
    """One study for every length, by its factor of the budget."""
    made = later_rows() if papers == "later" else rows()
    return {
        factor: Study(
            f"convergence x{factor:g} ({people.name}, {preset})", made, where, profile,
            images=round(factor * IMAGES[profile]), progress=False,
        )
        for factor in FACTORS
    }  # fmt: skip


class Asked:
    """Whom the trainings are tested on: ``further`` people, a protocol, or (None) a study's own validation people.

    Each training is tested once.
    """

    def __init__(self, further: Protocol | None):
        self.further, self._found = further, {}
        self.people = VALIDATION if further is None else f"{further.rows('test')['pid'].nunique()} {FURTHER}"

    def __call__(self, study: Study, name: str, where: Sequence[Cell]) -> list[Result]:
        """One result per cell, of a row that is one model."""
        if self.further is None:
            return study.results(name, where, subset="val")
        for run in (study.run(name, cell) for cell in where):
            if run.key not in self._found:
                self._found[run.key] = evaluate(run.method, self.further)
        return [self._found[study.run(name, cell).key] for cell in where]


def ends(some: Mapping[float, Study], asked: Asked) -> pd.DataFrame:
    """Rank-1 after each training that is there: name, images, factor, value, low, high, trainings, people.

    Where a family has the budget and ``LONGER`` times it, of the cells that have both: what lies between two points is
    then no luck of another training.
    """
    parts, both = [], compared(some)
    for factor, study in some.items():
        found = {}
        for name, where in trained(study).items():
            chosen = [cell for cell in where if cell in both.get(name, where)]
            found[name, factor] = asked(study, name, chosen or where)
        if found:
            rank1 = scores(found, "name", "factor").query("metric == 'rank-1'")
            parts.append(rank1.assign(images=study.images, people=asked.people))
    columns = ["name", "images", "factor", "value", "low", "high", "trainings", "people"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def way(some: Mapping[float, Study]) -> pd.DataFrame:
    """The same as the loop logged it every ``study.LOOK`` epochs, the rate still high: mean over trainings, name,
    images, factor, value, trainings, people. Of a chain of runs it is the last one's.
    """
    found = []
    for factor, study in some.items():
        for name, where in trained(study).items():
            before = FAMILIES.get(name, 0.0)
            for run in study.trained(name, where).all_runs:
                if "score" not in run.history:
                    continue  # found again as it was trained before anybody looked
                share = before + (1 - before) * (run.history.index + 1) / len(run.history)
                images = (share * study.images).round()
                found.append(
                    pd.DataFrame({"name": name, "images": images, "factor": factor, "value": run.history["score"]})
                )
    if not found:
        return pd.DataFrame(columns=["name", "images", "factor", "value", "trainings", "people"])
    by = pd.concat(found).dropna().groupby(["name", "images", "factor"], sort=False)["value"]
    return by.agg(value="mean", trainings="size").reset_index().assign(people=VALIDATION)


def gains(some: Mapping[float, Study], asked: Asked) -> pd.DataFrame:
    """What ``LONGER`` times the budget gains over the budget, for each name that has both: name, mean, low, high,
    trainings, agree, people.
    """
    found = []
    for name, where in compared(some).items():
        d = paired_difference(*(asked(study, name, where) for study in (some[LONGER], some[1.0])))
        row = {"name": name, "mean": d.mean, "low": d.low, "high": d.high}
        found.append(row | {"trainings": d.trainings, "agree": d.agree, "people": asked.people})
    return pd.DataFrame(found, columns=["name", "mean", "low", "high", "trainings", "agree", "people"])


def order(some: Mapping[float, Study], plain: Mapping[float, Study], asked: Asked) -> pd.DataFrame:
    """Does the budget decide who wins? Each family minus the baseline that was trained as long, with the budget and
    with ``LONGER`` times it, in the same cells: name, images, mean, low, high, trainings, agree, people.

    plain : the studies that the baseline is a row of.
    """
    found, control = [], compared(plain).get(BASELINE, ())
    for name, where in compared(some).items():
        both = [cell for cell in where if cell in control]
        for factor in (1.0, LONGER) if both and name != BASELINE else ():
            d = paired_difference(asked(some[factor], name, both), asked(plain[factor], BASELINE, both))
            row = {"name": name, "images": some[factor].images, "mean": d.mean, "low": d.low, "high": d.high}
            found.append(row | {"trainings": d.trainings, "agree": d.agree, "people": asked.people})
    return pd.DataFrame(found)


def compared(some: Mapping[float, Study]) -> dict[str, list[Cell]]:
    """{name: the cells it was trained in with the budget and with ``LONGER`` times it}, of names that have some."""
    usual, longer = trained(some[1.0]), trained(some[LONGER])
    found = {name: [cell for cell in usual.get(name, ()) if cell in where] for name, where in longer.items()}
    return {name: where for name, where in found.items() if where}


def trained(study: Study) -> dict[str, list[Cell]]:
    """{name: the cells it was trained in}, of what is compared."""
    return {name: where for name, where in there(study).items() if name in COMPARED}


def write(
    people: PersonDataset, preset: str, some: Mapping[float, Study], profile: str = PROFILE, papers: str = "earlier",
    dataset: str | None = None,
) -> list[Path]:  # fmt: skip
    """The tables of what is there. dataset : as ``load_dataset`` was asked for it, the set's name by default."""
    asked = Asked(further(people, preset) if trained(some[1.0]) else None)
    parts = [part.assign(when=when) for when, part in ((END, ends(some, asked)), (WAY, way(some))) if len(part)]
    frames = {"convergence": pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()}
    frames["convergence_gains"] = gains(some, asked)
    plain = some if papers == "earlier" else studies(people, preset, some[1.0].cells, profile)
    frames["convergence_order"] = order(some, plain, asked)
    runs = dict.fromkeys(frames, runs_of(some))
    runs["convergence_order"] = runs_of(some) + ([] if plain is some else runs_of(plain, (BASELINE,)))
    told = {
        "profile": profile,
        "dataset": dataset or people.name,
        "seed": 0,
        "preset": preset,
        "budget": some[1.0].images,
    }
    end = PAPERS[papers]
    return [
        measured.record(f"{name}{end}", frame, runs=unique(runs[name]), **told)
        for name, frame in frames.items()
        if len(frame)
    ]


def runs_of(some: Mapping[float, Study], names: Sequence[str] = COMPARED) -> list[Run]:
    """All trainings that are there, of some rows."""
    return [
        run
        for study in some.values()
        for name, where in trained(study).items()
        if name in names
        for run in study.trained(name, where).all_runs
    ]


def recorded(what: str, dataset: str) -> pd.DataFrame:
    """The tables ``what`` of all groups, one under the other; ``attrs["origins"]`` says where each is from.

    MeasuredError where there is none.
    """
    found, missing = [], None
    for end in PAPERS.values():
        try:
            found.append(measured.measured(f"{what}{end}", dataset))
        except measured.MeasuredError as error:
            missing = missing or error
    if not found:
        raise missing
    origins = [measured.origin(table) for table in found]
    table = pd.concat(found, ignore_index=True)
    table.attrs = {"origins": origins}
    return table


def gained(row: str, dataset: str) -> str:
    """What a row gains by ``LONGER`` times the images, of how many trainings and on whom, to stand in a sentence; ""
    where it is not recorded.
    """
    try:
        gain = recorded("convergence_gains", dataset).set_index("name").loc[row]
    except (measured.MeasuredError, KeyError):
        return ""
    behind = f"{counted(gain['trainings'], 'training')}, {gain['people']}"
    return f" ({row}: {with_interval(gain)} by {LONGER:g} times the images, {behind}, lesson 04)"


def drawn(table: pd.DataFrame, budget: float) -> pd.DataFrame:
    """The part of ``convergence`` that can be drawn: the ends of the families that have the budget and ``LONGER`` times
    it; empty where none has yet.
    """
    table = table[(table["when"] == END) & table["name"].isin(FAMILIES)]
    have = table.groupby("name")["images"].agg(["min", "max"])
    whole = have[(have["min"] <= budget) & (have["max"] >= LONGER * budget)].index
    return table[table["name"].isin(whole)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m lib.experiments.convergence", description=__doc__.split("\n\n")[0])
    parser.add_argument("--dataset", default="pedestrians", help="a name of load_dataset, a folder or a CSV file")
    parser.add_argument("--preset", default="mlr", help="a protocol")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each length")
    parser.add_argument("--papers", choices=PAPERS, default="earlier", help="whose methods")
    parser.add_argument("--hours", type=hours, default=1.0, help="start no training after so many hours")
    told = parser.parse_args(arguments)
    try:
        people = load_dataset(told.dataset)
        some = studies(people, told.preset, cells(people, told.preset, seeds=told.seeds), papers=told.papers)
    except (DataError, ValueError) as error:
        parser.error(str(error))
    missing = train(list(some.values())[::-1], told.hours)
    told_apart = {"papers": told.papers, "dataset": told.dataset}
    measured.announce(parser, partial(write, people, told.preset, some, **told_apart))
    print(f"{missing} trainings are still missing: run the same again" if missing else "complete")


if __name__ == "__main__":
    main()
