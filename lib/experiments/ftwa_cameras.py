"""Do FTWA's two first stages know resolutions, or cameras? A control that the paper lacks.

    python -m lib.experiments.ftwa_cameras --seeds 3

On MLR protocols every picture of low resolution is from other cameras than those of high resolution. So two first
stages can learn what a camera does to colours as well as what shrinking does to edges. Here the same two stages,
FTWA-B, are trained where nothing is shrunk: same people, same split, the stages by camera. What they gain there over
one stage is no remedy for low resolution. Trains what is missing and writes ``ftwa_cameras``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lib.data import load_dataset
from lib.evaluation import Difference, interaction, paired_difference
from lib.experiments import measured
from lib.experiments.ftwa import BARE, B, rows
from lib.experiments.scores import listed
from lib.experiments.study import Study, cells

LOW, FULL = "low resolution", "full resolution"
APART = "low resolution minus full resolution"
GAINS = (LOW, FULL, APART)  # lines of the table
PRESETS = {LOW: "mlr", FULL: "plain"}
PAIR = (B, BARE)
TABLE = "ftwa_cameras"


def studies(dataset: str, profile: str = "course", trials: int = 1, seeds: int = 1) -> dict[str, Study]:
    """FTWA-B and the plain network on low resolution and at full, in the same splits.

    dataset : a name of ``load_dataset``, a folder or a CSV file. DataError for people who have no high resolution.
    """
    people = load_dataset(dataset)
    pair = [row for row in rows() if row.name in PAIR]
    found = {}
    for what, preset in PRESETS.items():
        where = cells(people, preset, trials=trials, seeds=seeds)
        where[0].protocol.check_sides(B)  # of both, or no camera is on one side
        found[what] = Study(f"two first stages, {what}", pair, where, profile, progress=False)
    return found


def gains(some: dict[str, Study]) -> dict[str, Difference]:
    """What the two stages gain over one in rank-1: on low resolution, at full, and the first minus the second."""
    found = {what: tuple(study.results(name) for name in PAIR) for what, study in some.items()}
    apart = {what: paired_difference(*pair) for what, pair in found.items()}
    return apart | {APART: interaction(found[LOW], found[FULL])}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m lib.experiments.ftwa_cameras", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--dataset", default="pedestrians", help="a name of load_dataset, a folder or a CSV file")
    parser.add_argument("--profile", default="course", choices=measured.EVIDENCE)
    parser.add_argument("--trials", type=int, default=1, help="splits")
    parser.add_argument("--seeds", type=int, default=1, help="trainings on each split")
    told = parser.parse_args(arguments)
    some = studies(told.dataset, told.profile, told.trials, told.seeds)
    found = listed(gains(some))
    print(found.to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    runs = [run for study in some.values() for name in PAIR for run in study.trained(name).all_runs]
    about = {"profile": told.profile, "dataset": told.dataset, "seed": 0, "presets": list(PRESETS.values())}
    print(f"written: {measured.record(TABLE, found, runs=runs, **about).name}")


if __name__ == "__main__":
    main()
