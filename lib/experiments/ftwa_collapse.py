"""Do FTWA's weights know quality, or only which stream they are of? What becomes of them, on every set.

    python -m lib.experiments.ftwa_collapse --dataset viper --trials 3

Of FTWA as printed and of the smallest change that keeps both streams (``ftwa.BALANCED``, ours): the weights while they
are learned, a hundred steps after the start, and of the test probes at the end. Trains what is missing and writes
``ftwa_collapse``.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lib.data import load_dataset
from lib.experiments import ftwa, ftwa_weights, measured
from lib.experiments.study import Study, cells
from lib.training import Run

TABLE = "ftwa_collapse"
ROWS = (ftwa.FTWA, ftwa.BALANCED)
EARLY = 100  # steps


def early(runs: Sequence[Run]) -> dict[str, float]:
    """{"early_high", "early_low"}: each stream's weight ``EARLY`` steps after the start, mean over sides and trainings,
    between the means of two epochs; of the last epoch where the training was shorter.
    """
    over = ftwa_weights.over_steps(runs)
    found = {}
    for stream, some in over.groupby("stream"):
        values = [
            np.interp(EARLY, one["step"], one["weight"]) for _, one in some.groupby(["training", "side"], sort=False)
        ]
        found[f"early_{stream}"] = float(np.mean(values))
    return found


def table(rows: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """row, early_high, early_low, and what ``ftwa_weights.where_they_end`` says: high, low, between, rho, low_rho,
    high_rho; trainings. Means over trainings.
    """
    ends = ftwa_weights.where_they_end(rows).rename_axis("row")
    started = pd.DataFrame({name: early(runs) for name, runs in rows.items()}).T[["early_high", "early_low"]]
    ends = started.rename_axis("row").join(ends)
    return ends.assign(trainings=[len(rows[name]) for name in ends.index]).reset_index()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog=f"python -m lib.experiments.{TABLE}", description=__doc__.split("\n\n")[0])
    parser.add_argument("--dataset", default="pedestrians", help="a name of load_dataset, a folder or a CSV file")
    parser.add_argument("--profile", default="course", choices=measured.EVIDENCE)
    parser.add_argument("--trials", type=int, default=1, help="splits")
    parser.add_argument("--seeds", type=int, default=1, help="trainings on each split")
    told = parser.parse_args(arguments)
    try:
        people = load_dataset(told.dataset)
        preset = "caviar" if people.name == "caviar" else "mlr"
        where = cells(people, preset, told.trials, told.seeds)
    except ValueError as error:
        parser.error(str(error))
    made = [row for row in ftwa.rows() if row.name in ROWS]
    study = Study("FTWA's weights", made, where, told.profile, progress=False)
    runs = {name: study.trained(name).all_runs for name in study.rows}
    found = table(runs)
    print(found.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    how = {"profile": told.profile, "dataset": told.dataset, "seed": 0, "preset": preset, "trials": told.trials}
    trained = [run for some in runs.values() for run in some]
    measured.announce(parser, lambda: [measured.record(TABLE, found, runs=trained, **how)])


if __name__ == "__main__":
    main()
