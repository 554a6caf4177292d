"""Do FTWA's two first stages know resolutions, or cameras? A control that the paper lacks.

    python -m lib.experiments.ftwa_cameras --seeds 3

On MLR protocols every picture of low resolution is from other cameras than those of high resolution. So two first
stages can learn what a camera does to colours as well as what shrinking does to edges. Here the same two stages,
FTWA-B, are trained where nothing is shrunk: same people, same split, the stages by camera. What they gain there over
one stage is no remedy for low resolution. Trains what is missing and writes ``ftwa_cameras``.

Nor is what its losses and their weights gain over those of lesson 04's network: FTWA's weigh identities three times as
much as triplets. So the one stage is trained by both.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

from lib.data import load_dataset
from lib.evaluation import Difference, interaction, paired_difference
from lib.experiments import measured
from lib.experiments.controls import plain
from lib.experiments.ftwa import BARE, B, rows
from lib.experiments.scores import listed
from lib.experiments.study import Row, Study, cells
from lib.methods.ftwa import FtwaB

LOW, FULL = "low resolution", "full resolution"
APART = "low resolution minus full resolution"
GAINS = (LOW, FULL, APART)  # lines of the table: over one stage with lesson 04's losses
SAME_LOSSES = tuple(f"{what}, same losses" for what in GAINS)  # over one stage with FTWA's
PRESETS = {LOW: "mlr", FULL: "plain"}
OWN = "baseline, FTWA's losses"
NAMES = (B, BARE, OWN)
TABLE = "ftwa_cameras"


def own_losses() -> Row:
    """One first stage, trained as FTWA-B is. For Adam, which divides a gradient by its size, 3 times a loss with a
    decay is the loss with a third of that decay; what is left is how low the warm-up begins, at 0.1 and not at 0.01.
    """
    theirs = FtwaB.Settings()
    weights = {"triplet": theirs.triplet / theirs.identity, "weight_decay": theirs.weight_decay / theirs.identity}
    return Row(OWN, partial(plain, erase=theirs.erase, **weights))


def studies(dataset: str, profile: str = "course", trials: int = 1, seeds: int = 1) -> dict[str, Study]:
    """FTWA-B and the plain network, by both kinds of losses, on low resolution and at full, in the same splits.

    dataset : a name of ``load_dataset``, a folder or a CSV file. DataError for people who have no high resolution.
    """
    people = load_dataset(dataset)
    asked = [row for row in [*rows(), own_losses()] if row.name in NAMES]
    found = {}
    for what, preset in PRESETS.items():
        where = cells(people, preset, trials=trials, seeds=seeds)
        where[0].protocol.check_sides(B)  # of both, or no camera is on one side
        found[what] = Study(f"two first stages, {what}", asked, where, profile, progress=False)
    return found


def gains(some: dict[str, Study]) -> dict[str, Difference]:
    """What the two stages gain over one in rank-1: on low resolution, at full, and the first minus the second; over
    each of the two.
    """
    made = {}
    for lines, one in ((GAINS, BARE), (SAME_LOSSES, OWN)):
        found = [tuple(study.results(name) for name in (B, one)) for study in (some[LOW], some[FULL])]
        of = [*(paired_difference(*pair) for pair in found), interaction(*found)]
        made |= dict(zip(lines, of, strict=True))
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m lib.experiments.ftwa_cameras", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--dataset", default="pedestrians", help="a name of load_dataset, a folder or a CSV file")
    parser.add_argument("--profile", default="course", choices=measured.EVIDENCE)
    parser.add_argument("--trials", type=int, default=1, help="splits")
    parser.add_argument("--seeds", type=int, default=1, help="trainings on each split")
    told = parser.parse_args(arguments)
    try:
        some = studies(told.dataset, told.profile, told.trials, told.seeds)
    except ValueError as error:
        parser.error(str(error))
    for study in some.values():
        study.train()
    found = listed(gains(some))
    print(found.to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    runs = [run for study in some.values() for name in NAMES for run in study.trained(name).all_runs]
    about = {"profile": told.profile, "dataset": told.dataset, "seed": 0, "presets": list(PRESETS.values())}
    measured.announce(parser, lambda: [measured.record(TABLE, found, runs=runs, **about)])


if __name__ == "__main__":
    main()
