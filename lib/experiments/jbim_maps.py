"""Do HIM and LIM look at different places? (JBIM Fig. 5), as a number with an interval.

    python -m lib.experiments.jbim_maps --seeds 3

The paper shows a few pictures. Two trainings of one network do not look at the very same places either: so HIM's maps
are set beside LIM's, and beside those of another HIM, which sees the same pictures and differs in its seed alone. Only
what LIM's maps have less in common with HIM's is worth the word "different". Trains what is missing and writes
``jbim_maps`` and ``jbim_maps_claims``.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib.data import Protocol, load_dataset
from lib.data.dataset import PersonDataset
from lib.evaluation import Difference
from lib.evaluation.comparison import mean_difference
from lib.evaluation.maps import map_correlation, match_maps, matched
from lib.experiments import claims, jbim, measured
from lib.experiments.scores import listed
from lib.experiments.study import Cell, Study, cells
from lib.training import Run

ONE_HIM, ONE_LIM = jbim.ONE_OF[jbim.HIM], jbim.ONE_OF[jbim.LIM]
AGAIN = f"{ONE_HIM}, another seed"
APART = f"{AGAIN} minus {ONE_LIM}"
OTHER_SEED = 100  # further than anybody asks for: no HIM is compared twice
NEGLIGIBLE = 0.02  # of a correlation
CLAIM = "JBIM-maps"


class Looks(NamedTuple):
    """Whose maps: a row of a study, in all its cells."""

    study: Study
    row: str

    def runs(self) -> list[Run]:
        return [self.study.run(self.row, cell) for cell in self.study.cells]


def looks(
    people: PersonDataset, preset: str = "mlr", trials: int = 1, seeds: int = 1, profile: str = "course"
) -> dict[str, Looks]:
    """HIM, LIM and another HIM, in the same splits."""
    made = [row for row in jbim.one_model() if row.name in (ONE_HIM, ONE_LIM)]
    where = cells(people, preset, trials, seeds)
    anew = [Cell(cell.protocol, cell.seed + OTHER_SEED) for cell in where]
    study = Study("JBIM, where HIM and LIM look", made, where, profile, progress=False)
    other = Study("JBIM, where another HIM looks", made, anew, profile, progress=False)
    return {ONE_HIM: Looks(study, ONE_HIM), ONE_LIM: Looks(study, ONE_LIM), AGAIN: Looks(other, ONE_HIM)}


def correlations(some: Mapping[str, Looks]) -> tuple[dict[str, list[np.ndarray]], list[np.ndarray]]:
    """How HIM's maps of the test probes correlate with those of LIM and of another HIM: {whose: (V,) per cell}, and who
    is in the V pictures, per cell. Trains what is missing.
    """
    found: dict[str, list[np.ndarray]] = {ONE_LIM: [], AGAIN: []}
    people = []
    for protocol, *runs in zip(protocols(some), *(one.runs() for one in some.values()), strict=True):
        probes, matches = matched(protocol)
        maps = {name: match_maps(run.method, protocol, probes, matches) for name, run in zip(some, runs, strict=True)}
        shown = probes["pid"].to_numpy()
        for name, values in found.items():
            values.append(map_correlation(maps[ONE_HIM], maps[name], shown).each)
        people.append(shown)
    return found, people


def protocols(some: Mapping[str, Looks]) -> list[Protocol]:
    return [cell.protocol for cell in some[ONE_HIM].study.cells]


def differences(some: Mapping[str, Looks]) -> dict[str, Difference]:
    """The mean correlation with HIM's maps, of LIM's and of another HIM's, and the second minus the first."""
    found, people = correlations(some)
    where = [(cell.protocol.trial, cell.seed) for cell in some[ONE_HIM].study.cells]
    found[APART] = [again - low for again, low in zip(found[AGAIN], found[ONE_LIM], strict=True)]
    return {name: mean_difference(values, people, where, "correlation of maps") for name, values in found.items()}


def claim(apart: Difference, **where) -> dict:
    """JBIM-maps: whether two HIM agree better than HIM and LIM do."""
    return claims.judge(CLAIM, apart, NEGLIGIBLE, scale=1.0, unit="(correlation)", **where)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m lib.experiments.jbim_maps", description=__doc__.split("\n\n")[0])
    parser.add_argument("--dataset", default="pedestrians", help="a name of load_dataset, a folder or a CSV file")
    parser.add_argument("--preset", default="mlr", help="a protocol")
    parser.add_argument("--profile", default="course", choices=measured.EVIDENCE)
    parser.add_argument("--trials", type=int, default=1, help="splits")
    parser.add_argument("--seeds", type=int, default=1, help="trainings on each split")
    told = parser.parse_args(arguments)
    try:
        some = looks(load_dataset(told.dataset), told.preset, told.trials, told.seeds, told.profile)
    except ValueError as error:
        parser.error(str(error))
    found = differences(some)
    shown = listed(found)
    print(shown.to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    runs = [run for one in some.values() for run in one.runs()]
    about = {"profile": told.profile, "dataset": told.dataset, "seed": 0, "preset": told.preset}
    frames = {"jbim_maps": shown, "jbim_maps_claims": pd.DataFrame([claim(found[APART], preset=told.preset)])}
    record = partial(measured.record, runs=runs, **about)
    measured.announce(parser, lambda: [record(name, frame) for name, frame in frames.items()])


if __name__ == "__main__":
    main()
