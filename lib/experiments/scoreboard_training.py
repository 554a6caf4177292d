"""What training each method of the scoreboard takes on one core of a CPU, recorded for lesson 90.

    python -m lib.experiments.scoreboard_training --dataset pedestrians --seeds 3

Of what was trained on this machine's CPU, with one thread, on the first split; nothing is trained here. Counted are all
models of a method and the runs that they start from (JBIM's HIM and LIM, PS-HRNet's teacher), not the first weights
that ship. Trainings of a GPU, or of another CPU than the plain network's, stand beside nothing and are left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd

from lib.data import load_dataset
from lib.data.dataset import PersonDataset
from lib.experiments import measured, pshrnet
from lib.experiments.controls import BASELINE
from lib.experiments.record import unique
from lib.experiments.scoreboard import CONTESTANTS, Contestant
from lib.experiments.studies import STUDIES
from lib.experiments.study import Cell, Missing, Onlooker, Study, cells
from lib.training import Run

TABLE = "scoreboard_training"
COLUMNS = ["name", "minutes", "least", "most", "models", "timed", "trainings"]


def behind(one: Contestant, people: PersonDataset, cell: Cell, profile: str) -> tuple[list[Run], int, int]:
    """The runs behind a contestant's models in a cell that were trained here, those that they start from among them;
    how many of the models that is; and how many there are.
    """
    made = STUDIES[one.study].rows(people)
    study = Study(one.study, made, [cell], profile, progress=False)
    ratios = study.row(one.name).ratios or (None,)
    runs, there = [], 0
    for ratio in ratios:
        alone = Study(one.study, made, [cell], profile, progress=False)  # knows what this model starts from, no more
        try:
            alone.look(one.name, cell, ratio)
            runs += alone.runs + _teachers(one, alone, cell)
        except Missing:
            continue
        there += 1
    return unique(runs), there, len(ratios)


def _teachers(one: Contestant, study: Study, cell: Cell) -> list[Run]:
    """PS-HRNet's teacher was trained on the same people at full resolution, in a study of its own."""
    if one.name != pshrnet.PS or (sharp := pshrnet.sharp(Onlooker(study, cell))) is None:
        return []
    return [sharp.study.look(pshrnet.HRNET, sharp.cell, None)]


def minutes(people: PersonDataset, where: Sequence[Cell], profile: str = "course") -> tuple[pd.DataFrame, list[Run]]:
    """name, minutes of training of all models (mean over trainings, with the ``least`` and the ``most``), models, how
    many of them were timed (the others are taken to last as long), trainings; and the runs behind it. Empty where the
    plain network was not trained here with one thread.
    """
    found: dict[str, list[tuple[float, int, int]]] = {}
    device, runs = None, []
    for one in sorted(CONTESTANTS, key=lambda one: one.name != BASELINE):  # the plain network's CPU is everybody's
        for cell in where if one.is_network else ():
            some, timed, models = behind(one, people, cell, profile)
            places = {_core(run) for run in some}
            if one.name == BASELINE and device is None and len(places) == 1:
                device = next(iter(places))
            if device is None or places != {device}:
                continue
            lasted = sum(run.seconds for run in some) / 60 * models / timed
            found.setdefault(one.name, []).append((lasted, timed, models))
            runs += some
    rows = []
    for one in CONTESTANTS:
        if one.name in found:
            lasted, timed, models = (np.array(values) for values in zip(*found[one.name], strict=True))
            row = {"name": one.name, "minutes": lasted.mean(), "least": lasted.min(), "most": lasted.max()}
            rows.append(row | {"models": models[0], "timed": timed.min(), "trainings": len(lasted)})
    return pd.DataFrame(rows, columns=COLUMNS), unique(runs)


def _core(run: Run) -> str | None:
    """The CPU whose one core a run was trained on; None where it was a GPU or several cores."""
    about = run.provenance
    alone = about["device_kind"] == "cpu" and about["threads"] == about["processes"] == 1
    return about["device"] if alone else None


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog=f"python -m lib.experiments.{TABLE}", description=__doc__.split("\n\n")[0])
    parser.add_argument("--dataset", default="pedestrians", help="a name of load_dataset, a folder or a CSV file")
    parser.add_argument("--profile", default="course", choices=measured.EVIDENCE)
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each method")
    told = parser.parse_args(arguments)
    try:
        people = load_dataset(told.dataset)
        preset = "caviar" if people.name == "caviar" else "mlr"
        where = cells(people, preset, seeds=told.seeds)
    except ValueError as error:
        parser.error(str(error))
    table, runs = minutes(people, where, told.profile)
    if not len(table):
        raise SystemExit("nothing of the scoreboard was trained here with one thread: OMP_NUM_THREADS=1 make record …")
    print(table.round(1).to_string(index=False))
    how = {"profile": told.profile, "dataset": told.dataset, "seed": 0, "preset": preset}
    measured.announce(parser, lambda: [measured.record(TABLE, table, runs=runs, **how)])


if __name__ == "__main__":
    main()
