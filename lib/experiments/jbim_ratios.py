"""Which ratio to train for, which to be tested at (JBIM Table 14), and its claims.

    python -m lib.experiments.jbim_ratios --dataset viper --seeds 3 --hours 1

Trains JBIM on protocols whose low side has one ratio only, with that ratio as the model's own; the people and their
sides are those of the usual protocol, whose JBIM (record ``jbim``) is the mixed row. All are tested at each single
ratio and on the usual protocol, on the same probes. Trains what is missing, stops starting when the hours are over,
writes down what is there: ``jbim_ratios`` (train, test, metric, value, low, high ...) and ``jbim_ratio_claims``.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from lib.data import DataError, load_dataset
from lib.data.dataset import PersonDataset
from lib.evaluation import Result, evaluate, paired_difference
from lib.experiments import claims, jbim, measured
from lib.experiments.record import hours, there, train, unique
from lib.experiments.scores import scores
from lib.experiments.study import Row, Study, cells

SINGLE = {"1/2": 1 / 2, "1/3": 1 / 3, "1/4": 1 / 4}
MIXED = "{1/2, 1/3, 1/4}"
TESTS = {**{name: {"probe": ratio, "gallery": 1.0} for name, ratio in SINGLE.items()}, MIXED: None}


def studies(
    people: PersonDataset, trials: int = 1, seeds: int = 1, seed: int = 0, profile: str = "course"
) -> dict[str, Study]:
    """{what the low side of the training images shows: a study with JBIM}: one model for a single ratio, three for all
    of them.
    """
    made = {}
    for name in (*SINGLE, MIXED):
        mixed = name == MIXED
        where = cells(people, "mlr", trials, seeds, seed, **({} if mixed else {"ratios": (name,)}))
        anchors = tuple(SINGLE.values()) if mixed else (SINGLE[name],)
        rows = [
            Row(jbim.HIM, jbim.him, anchors),
            Row(jbim.LIM, jbim.lim, anchors),
            Row(jbim.JBIM, jbim.joined, anchors),
        ]
        made[name] = Study(f"JBIM, trained at {name} ({people.name})", rows, where, profile, progress=False)
    return made


def tested(some: Mapping[str, Study], subset: str = "test") -> dict[tuple[str, str], list[Result]]:
    """{(trained at, tested at): a result per cell}, over the cells that all have; every network is tested on the usual
    protocol's own probes, at the ratio that is asked for.
    """
    where = common(some)
    found = {}
    for name, study in some.items():
        trained = study.trained(jbim.JBIM, [study.cells[k] for k in where])
        for test, ratios in TESTS.items():
            found[name, test] = [
                evaluate(
                    trained.ensemble(k, trained.sigma) if trained.ratios[1:] else trained.runs[k][0].method,
                    some[MIXED].cells[cell].protocol, subset, ratios=ratios,
                )
                for k, cell in enumerate(where)
            ]  # fmt: skip
    return found


def common(some: Mapping[str, Study]) -> list[int]:
    """Positions of the cells in which every JBIM was trained."""
    have = [{study.cells.index(cell) for cell in there(study).get(jbim.JBIM, ())} for study in some.values()]
    return sorted(set.intersection(*have))


def judged(some: Mapping[str, Study], found: Mapping[tuple[str, str], Sequence[Result]], **what: str) -> list[dict]:
    """The verdicts on the three claims of Table 14, the last two at every single ratio."""
    on_val = tested(some, "val")
    rank1 = {key: float(np.mean([r.rank(1) for r in results])) for key, results in on_val.items()}
    smaller = paired_difference(found[MIXED, "1/2"], found[MIXED, "1/4"], differ="ratios")
    rows = [claims.judge("JBIM-ratio-test", smaller, **what)]
    for ratio in SINGLE:
        rival = max((name for name in SINGLE if name != ratio), key=lambda name, ratio=ratio: rank1[name, ratio])
        matched, mixed = found[ratio, ratio], found[MIXED, ratio]
        told = what | {"variant": f"tested at {ratio}"}
        rows.append(claims.judge("JBIM-ratio-match", paired_difference(matched, found[rival, ratio]), **told))
        rows.append(claims.judge("JBIM-ratio-mixed", paired_difference(mixed, matched), **told))
    return rows


def write(
    people: PersonDataset, some: Mapping[str, Study], profile: str = "course", dataset: str | None = None
) -> list[Path]:
    """The tables of what is there; none where no cell has all four. dataset : as ``load_dataset`` was asked for it."""
    if not (where := common(some)):
        return []
    found, told = tested(some), {"profile": profile, "dataset": dataset or people.name, "seed": 0, "preset": "mlr"}
    trained = [study.trained(jbim.JBIM, [study.cells[k] for k in where]) for study in some.values()]
    runs = unique([run for one in trained for run in one.all_runs])
    frames = {
        "jbim_ratios": scores(found, "train", "test"),
        "jbim_ratio_claims": pd.DataFrame(judged(some, found, dataset=people.name, preset="mlr")),
    }
    return [measured.record(name, frame, runs=runs, **told) for name, frame in frames.items()]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m lib.experiments.jbim_ratios", description=__doc__.split("\n\n")[0])
    parser.add_argument("--dataset", default="pedestrians", help="a name of load_dataset, a folder or a CSV file")
    parser.add_argument("--seeds", type=int, default=3, help="trainings on each split")
    parser.add_argument("--trials", type=int, default=1, help="splits")
    parser.add_argument("--hours", type=hours, default=1.0, help="start no training after so many hours")
    told = parser.parse_args(arguments)
    try:
        people = load_dataset(told.dataset)
        some = studies(people, told.trials, told.seeds)
    except (DataError, ValueError) as error:
        parser.error(str(error))
    missing = train(list(some.values()), told.hours)
    measured.announce(parser, partial(write, people, some, dataset=told.dataset))
    print(f"{missing} trainings are still missing: run the same again" if missing else "complete")


if __name__ == "__main__":
    main()
